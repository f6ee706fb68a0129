"""The `file` protector: vault keys wrapped by a key in a file, or by a passphrase."""

import base64
import binascii
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

import msgspec
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from vaultcore._core import KeyEncryptionKey, inspect
from vaultcore.errors import DecryptionError, ProtectorError, UsageError, VaultcoreError
from vaultcore.protectors.private_file import create_private, read_private

_CONTEXT: Final = {"purpose": "protector", "kind": "file"}
#: Bytes: of a key, of a salt, of a key file at most.
_KEY_SIZE: Final = 32
_SALT_SIZE: Final = 16
_MAX_SIZE: Final = 4096
#: The largest file with a passphrase, in bytes; the passphrase is its first line.
MAXIMUM_PASSPHRASE_FILE: Final = 64 * 1024
#: The cost of scrypt for a new file: 128 MiB and about half a second.
_N: Final = 1 << 17
_R: Final = 8
_P: Final = 1
#: The greatest cost that a file may require: blocks of 128 bytes, so 1 GiB, and how often.
_MAX_BLOCKS: Final = 1 << 23
_MAX_P: Final = 4


class FileProtector:
    """Wraps with a key from a file, or with a key that scrypt derives from a passphrase.

    The file has mode 0600 and is refused if others can reach it. With a passphrase it contains the
    salt and the cost, and no key. Either way it names the key by its id, which is a hash of the
    key, so the ids reveal a wrong file or passphrase. Use `create` or `open`.

    Args:
        path: the key file.
        key: the key.
        name: the operator's name for this protector.
    """

    kind = "file"

    def __init__(self, path: Path, key: KeyEncryptionKey, name: str) -> None:
        self.name = name
        self._path = path
        self._key: KeyEncryptionKey | None = key
        self._key_id = key.id

    def __repr__(self) -> str:
        return f"FileProtector(name={self.name!r}, key_id={self._key_id!r})"

    @classmethod
    def create(
        cls,
        path: str | Path,
        passphrase: str | None = None,
        *,
        name: str = "file",
        announce: Callable[[Path, str], None] | None = None,
    ) -> "FileProtector":
        """Creates a key file, whole or not at all.

        Args:
            path: the file, which must not exist; its folder must.
            passphrase: the key is derived from it, if given; otherwise the file contains a random
                key.
            name: the operator's name for this protector.
            announce: called with the path and the id of the key before the file exists.

        Raises:
            ProtectorError: the file exists, or cannot be written.
            UsageError: the passphrase is empty.
        """
        path = Path(path)
        if passphrase is None:
            raw = bytearray(os.urandom(_KEY_SIZE))
            key = _take(raw)
            content = _key_file(key, base64.b64encode(raw).decode(), None)
        else:
            if not passphrase:
                raise UsageError("the passphrase is empty: choose one, or leave it out")
            salt = base64.b64encode(os.urandom(_SALT_SIZE)).decode()
            scrypt = _ScryptCost(salt=salt, n=_N, r=_R, p=_P)
            raw = _derive(passphrase, scrypt)
            key = _take(raw)
            content = _key_file(key, None, scrypt)
        _clear(raw)
        text = msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"
        if announce is not None:
            announce(path, key.id)
        create_private(path, text, "key file")
        return cls(path, key, name)

    @classmethod
    def open(
        cls,
        path: str | Path,
        passphrase: str | None = None,
        *,
        key_id: str | None = None,
        name: str = "file",
    ) -> "FileProtector":
        """Opens a key file.

        Args:
            path: the file.
            passphrase: the passphrase from which the key is derived, if the file was created with
                one.
            key_id: the id that the key must have, or None.
            name: the operator's name for this protector.

        Raises:
            ProtectorError: the file can be reached by others, is damaged, contains another key than
                expected, or the passphrase is wrong or missing.
            ProtectorUnavailableError: the file is missing.
        """
        path = Path(path)
        content = _parse(path, read_private(path, "key file", _MAX_SIZE))
        if key_id is not None and content.key_id != key_id:
            raise ProtectorError(
                f"the key file `{path}` is of another key: expected key {key_id}, found "
                f"{content.key_id}"
            )
        if content.scrypt is None:
            raw = _decode(path, content.key or "", _KEY_SIZE)
            problem = f"the key file `{path}` is damaged"
        elif passphrase is None:
            raise ProtectorError(f"the key file `{path}` needs its passphrase: give it")
        else:
            _decode(path, content.scrypt.salt, _SALT_SIZE)
            raw = _derive(passphrase, content.scrypt)
            problem = f"the passphrase of the key file `{path}` is wrong"
        key = _take(raw)
        _clear(raw)
        if key.id != content.key_id:
            raise ProtectorError(f"{problem}: expected key {content.key_id}, found {key.id}")
        return cls(path, key, name)

    def describe(self) -> dict[str, str]:
        """Returns the path of the file and the id of its key."""
        return {
            "kind": self.kind,
            "name": self.name,
            "path": str(self._path),
            "key_id": self._key_id,
        }

    def wrap(self, secret: bytes) -> bytes:
        """Returns the 32 bytes of a key, wrapped.

        Raises:
            UsageError: it is not 32 bytes, or the protector is closed.
        """
        if len(secret) != _KEY_SIZE:
            raise UsageError(f"a protector wraps {_KEY_SIZE} bytes")
        return self._open_key().seal(bytes(secret), context=_CONTEXT)

    def unwrap(self, wrapped: bytes) -> bytes:
        """Returns the 32 bytes that `wrap` was called with.

        Raises:
            ProtectorError: it was wrapped under another key, or was changed.
            UsageError: the protector is closed.
        """
        key = self._open_key()
        try:
            found = inspect(wrapped).kek_id
        except VaultcoreError:
            raise ProtectorError("this was not wrapped by a file protector") from None
        if found != self._key_id:
            raise ProtectorError(
                f"protector `{self.name}` holds another key: expected key {found}, found "
                f"{self._key_id} in the key file `{self._path}`"
            )
        try:
            secret = key.open(wrapped, context=_CONTEXT)
        except DecryptionError:
            raise ProtectorError(
                "the wrapped key does not verify: it was changed after it was wrapped"
            ) from None
        if len(secret) != _KEY_SIZE:
            raise ProtectorError("the wrapped key is not a key")
        return secret

    def close(self) -> None:
        """Forgets the key."""
        self._key = None

    def _open_key(self) -> KeyEncryptionKey:
        if self._key is None:
            raise UsageError("the protector is closed: open it again")
        return self._key


class _ScryptCost(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The parameters that turn a passphrase into a key (RFC 7914)."""

    salt: str
    n: int
    r: int
    p: int


class _KeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The content of the file: a key, or the parameters that derive one from a passphrase."""

    format: Literal["vaultcore key file"]
    version: int
    key_id: str
    key: str | None = None
    scrypt: _ScryptCost | None = None

    def __repr__(self) -> str:
        return f"_KeyFile(key_id={self.key_id!r})"


def _key_file(key: KeyEncryptionKey, raw: str | None, scrypt: _ScryptCost | None) -> _KeyFile:
    return _KeyFile(format="vaultcore key file", version=1, key_id=key.id, key=raw, scrypt=scrypt)


def key_id_of(path: Path) -> str | None:
    """Returns the id of the key in a key file; None if there is no such file.

    Raises:
        OSError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(_MAX_SIZE), type=_KeyFile).key_id
    except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def _parse(path: Path, content: bytes) -> _KeyFile:
    try:
        found = msgspec.json.decode(content, type=_KeyFile)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ProtectorError(f"`{path}` is not a key file of vaultcore") from None
    if found.version != 1:
        raise ProtectorError(
            f"the key file `{path}` has version {found.version}: update vaultcore to read it"
        )
    if (found.key is None) == (found.scrypt is None):
        raise ProtectorError(f"the key file `{path}` is damaged: it holds no key, or two")
    cost = found.scrypt
    if cost is not None:
        # Limits, so that a file cannot take all memory; the ids reveal a wrong cost.
        is_power = cost.n > 1 and not cost.n & (cost.n - 1)
        in_bounds = cost.r > 0 and cost.n * cost.r <= _MAX_BLOCKS and 0 < cost.p <= _MAX_P
        if not is_power or not in_bounds:
            raise ProtectorError(f"the key file `{path}` is damaged: its scrypt cost is impossible")
    return found


def _derive(passphrase: str, cost: _ScryptCost) -> bytearray:
    # A passphrase can be typed as different code points; NFC makes them equal.
    text = unicodedata.normalize("NFC", passphrase).encode()
    salt = base64.b64decode(cost.salt)
    scrypt = Scrypt(salt=salt, length=_KEY_SIZE, n=cost.n, r=cost.r, p=cost.p)
    return bytearray(scrypt.derive(text))


def _decode(path: Path, text: str, size: int) -> bytearray:
    try:
        raw = bytearray(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        raw = bytearray()
    if len(raw) != size:
        raise ProtectorError(f"the key file `{path}` is damaged: a field is not {size} bytes")
    return raw


def _take(raw: bytearray) -> KeyEncryptionKey:
    return KeyEncryptionKey.danger_from_bytes(raw)


def _clear(raw: bytearray) -> None:
    raw[:] = bytes(len(raw))
