"""The `pkcs11` protector: wraps vault keys with a key that never leaves its token. Service side."""

from collections.abc import Mapping
from typing import Final, TypeVar

import msgspec

from vaultcore.errors import DecryptionError, ProtectorError, ProtectorUnavailableError, UsageError
from vaultcore.protectors.pkcs11.hsm_keys import HsmKeys
from vaultcore.protectors.pkcs11.messages import (
    Done,
    FindWrapKey,
    GenerateWrapKey,
    Unwrap,
    Wrap,
    WrapKey,
    Wrapped,
    new_key_id,
)
from vaultcore.protectors.pkcs11.token import Token

_T = TypeVar("_T")

_MAGIC: Final = b"VCPT"
#: Bytes.
_SECRET_SIZE: Final = 32
_NONCE_SIZE: Final = 12
_TAG_SIZE: Final = 16


class Pkcs11Protector:
    """Wraps with AES-256-GCM inside a PKCS#11 token.

    Every wrapped key names the token, the key and the check value of the key that wrapped it, so
    that a wrong token can be distinguished from a changed blob. The check value is compared after
    every new connection to the token, before the key is used.

    Args:
        token: the token that holds the key; `close` closes it.
        key_label: the label of the key, used to find it when `key_id` is None.
        key_id: its CKA_ID in hexadecimal, or None.
        check_value: its check value from `describe`, or None to require the first one found.
        name: the operator's name for this protector.
        found_by: the operator's options that it was opened with, or None.

    Attributes:
        name: the operator's name for this protector.
        keys: the private keys in the same token.
        found_by: the operator's options that it was opened with, or None.

    Raises:
        UsageError: the id is not hexadecimal, or there is a check value without an id.
    """

    kind = "pkcs11"

    def __init__(
        self,
        token: Token,
        *,
        key_label: str = "vaultcore",
        key_id: str | None = None,
        check_value: str | None = None,
        name: str = "pkcs11",
        found_by: Mapping[str, str] | None = None,
    ) -> None:
        if check_value is not None and key_id is None:
            raise UsageError("a check value belongs to a key id: give both or neither")
        try:
            self._key_id = None if key_id is None else bytes.fromhex(key_id)
        except ValueError:
            raise UsageError("the id of a key in a token is given in hexadecimal") from None
        self.name = name
        self.keys = HsmKeys(token)
        self.found_by = found_by
        self._token = token
        self._key_label = key_label
        self._check_value = check_value

    def __repr__(self) -> str:
        return f"Pkcs11Protector(name={self.name!r}, token={self._token!r})"

    @classmethod
    def create(
        cls,
        token: Token,
        *,
        key_label: str = "vaultcore",
        key_id: bytes | None = None,
        name: str = "pkcs11",
    ) -> "Pkcs11Protector":
        """Generates the key inside the token.

        Args:
            token: the token.
            key_label: the label of the key.
            key_id: its CKA_ID; a random one by default. A key that an interrupted call left with
                this label and this id is destroyed first.
            name: the operator's name for this protector.

        Raises:
            ProtectorError: the label is taken, or the token refuses.
            ProtectorUnavailableError: the token is unavailable.
        """
        made = token.call(GenerateWrapKey(key_id=key_id or new_key_id(), label=key_label))
        found = _expect(made, WrapKey)
        return cls(
            token,
            key_label=key_label,
            key_id=found.key_id.hex(),
            check_value=found.check_value,
            name=name,
        )

    def describe(self) -> dict[str, str]:
        """Returns token and key, by serial number, id and check value; opens the token if needed.

        If its values are passed to `Token` and this class later, these refuse any other token and
        any other key.

        Raises:
            ProtectorError: the module, the token, the PIN or the key is wrong.
            ProtectorUnavailableError: the token is unavailable.
        """
        opened = self._token.open()
        key_id, check_value = self._key()
        return {
            "kind": self.kind,
            "name": self.name,
            "module": self._token.module,
            "token_label": opened.label,
            "token_serial": opened.serial,
            "token_model": f"{opened.manufacturer} {opened.model}".strip(),
            "key_label": self._key_label,
            "key_id": key_id.hex(),
            "check_value": check_value,
        }

    def wrap(self, secret: bytes) -> bytes:
        """Returns the 32 bytes of a key, wrapped.

        Raises:
            ProtectorError: the module, the token, the PIN or the key is wrong.
            ProtectorUnavailableError: the token is unavailable, or did not answer in time.
            UsageError: it is not 32 bytes.
        """
        if len(secret) != _SECRET_SIZE:
            raise UsageError(f"a protector wraps {_SECRET_SIZE} bytes")
        key_id, check_value = self._key()
        label, serial = self._token.label, self._token.serial or ""
        header = msgspec.msgpack.encode(
            _Header(version=1, key_id=key_id, check_value=check_value, label=label, serial=serial)
        )
        request = Wrap(
            key_id=key_id, check_value=check_value, data=bytes(secret), associated_data=header
        )
        wrapped = _expect(self._token.call(request), Wrapped)
        return _MAGIC + msgspec.msgpack.encode((header, wrapped.nonce, wrapped.data))

    def unwrap(self, wrapped: bytes) -> bytes:
        """Returns the 32 bytes that `wrap` was called with.

        Raises:
            ProtectorError: the blob was wrapped under another key, or was changed, or the module,
                the token, the PIN or the key is wrong.
            ProtectorUnavailableError: the token is unavailable, or did not answer in time.
        """
        wanted, header, nonce, data = _parse(wrapped)
        key_id, check_value = self._key()
        if (wanted.key_id, wanted.check_value) != (key_id, check_value):
            raise ProtectorError(
                f"protector `{self.name}` holds another key: expected key {wanted.key_id.hex()} "
                f"with check value {wanted.check_value} (token `{wanted.label}`, serial number "
                f"{wanted.serial}), found key {key_id.hex()} with check value {check_value} "
                f"(token `{self._token.label}`, serial number {self._token.serial})"
            )
        request = Unwrap(
            key_id=key_id,
            check_value=check_value,
            nonce=nonce,
            data=data,
            associated_data=header,
        )
        try:
            secret = _expect(self._token.call(request), Done).data
        except DecryptionError:
            raise _changed() from None
        if len(secret) != _SECRET_SIZE:
            raise _changed()
        return secret

    def close(self) -> None:
        """Closes the token."""
        self._token.close()

    def _key(self) -> tuple[bytes, str]:
        """Returns id and check value of the key, which are looked up once and then required."""
        if self._key_id is None or self._check_value is None:
            request = FindWrapKey(label=self._key_label, key_id=self._key_id)
            found = _expect(self._token.call(request), WrapKey)
            self._key_id, self._check_value = found.key_id, found.check_value
        return self._key_id, self._check_value


class _Header(msgspec.Struct, frozen=True, array_like=True):
    """The part of a wrapped key that names its wrapping key; authenticated as associated data."""

    version: int
    key_id: bytes
    check_value: str
    label: str
    serial: str


def _parse(wrapped: bytes) -> tuple[_Header, bytes, bytes, bytes]:
    if not wrapped.startswith(_MAGIC):
        raise ProtectorError("this was not wrapped by a pkcs11 protector")
    try:
        header, nonce, data = _BODY.decode(wrapped[len(_MAGIC) :])
        wanted = _HEADER.decode(header)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _changed() from None
    if wanted.version != 1:
        raise ProtectorError("this was wrapped by a newer version: update vaultcore")
    if len(nonce) != _NONCE_SIZE or len(data) != _SECRET_SIZE + _TAG_SIZE:
        raise _changed()
    return wanted, header, nonce, data


def _changed() -> ProtectorError:
    return ProtectorError("the wrapped key does not verify: it was changed after it was wrapped")


def _expect(reply: object, kind: type[_T]) -> _T:
    if not isinstance(reply, kind):
        raise ProtectorUnavailableError("the HSM worker answered out of turn")
    return reply


_HEADER = msgspec.msgpack.Decoder(_Header)
_BODY = msgspec.msgpack.Decoder(tuple[bytes, bytes, bytes])
