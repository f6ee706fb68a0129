"""Which protectors a data folder has, and how they are opened again.

The list is a file beside the database, not a row in it: it names a module that is loaded and run,
and who can write the database must not be able to choose that.
"""

import contextlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import msgspec

from vaultcore.errors import ConfigurationError, ProtectorError, ProtectorUnavailableError
from vaultcore.ownership import LIST, check_code
from vaultcore.protectors import softhsm
from vaultcore.protectors.file import FileProtector
from vaultcore.protectors.hsm_keys import HsmKeys
from vaultcore.protectors.pkcs11 import Pkcs11Protector
from vaultcore.protectors.private_file import read_private
from vaultcore.protectors.protector import Protector
from vaultcore.protectors.token import Token

if TYPE_CHECKING:
    from vaultcore.installation import KeyRing

KEY_FILES: Final = "keys"
SOFT_TOKEN: Final = "token"  # noqa: S105 - a folder
_MAXIMUM_LIST: Final = 1 << 20  # bytes
_KNOWN: Final = {
    "file": {"path", "key_id", "passphrase_file"},
    "pkcs11": {
        "module",
        "token_label",
        "token_serial",
        "pin_file",
        "key_label",
        "key_id",
        "check_value",
    },
    "softhsm": {"folder", "key_label", "key_id", "check_value"},
}
_REQUIRED: Final = {
    "file": set[str](),
    "pkcs11": {"module", "token_label", "pin_file"},
    "softhsm": set[str](),
}


class ProtectorOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to find a protector; nothing in it is secret.

    Attributes:
        name: what the operator calls it.
        kind: ``file``, ``pkcs11``, or ``softhsm`` for a software token in the data folder.
        options: of the kind; paths are relative to the data folder.
    """

    name: str
    kind: str
    options: dict[str, str] = {}

    def check(self) -> None:
        """Checks the kind and its options.

        Raises:
            ConfigurationError: the kind does not exist, or an option is unknown or missing.
        """
        if self.kind not in _KNOWN:
            raise ConfigurationError(
                f"there is no protector of kind `{self.kind[:32]}`; the kinds are "
                f"{', '.join(_KNOWN)}"
            )
        if not self.name or "/" in self.name or len(self.name) > 64:  # noqa: PLR2004
            raise ConfigurationError("a protector's name has 1 to 64 characters and no slash")
        unknown = set(self.options) - _KNOWN[self.kind]
        missing = _REQUIRED[self.kind] - set(self.options)
        if unknown or missing:
            raise ConfigurationError(
                f"the {self.kind} protector `{self.name}` has "
                + (f"unknown options: {', '.join(sorted(unknown))}" if unknown else "")
                + (f"missing options: {', '.join(sorted(missing))}" if missing else "")
            )


class AbsentProtector:
    """Stands for a configured protector that could not be opened; says why when it is asked.

    Args:
        name: what the operator calls it.
        kind: its kind.
        reason: why it could not be opened.
    """

    def __init__(self, name: str, kind: str, reason: ProtectorError) -> None:
        self.name = name
        self.kind = kind
        self._reason = reason

    def describe(self) -> dict[str, str]:
        """Returns why it could not be opened."""
        return {"name": self.name, "kind": self.kind, "absent": str(self._reason)}

    def wrap(self, secret: bytes) -> NoReturn:  # noqa: ARG002
        """Raises what opening raised.

        Raises:
            ProtectorError: always.
        """
        raise self._reason

    def unwrap(self, wrapped: bytes) -> NoReturn:  # noqa: ARG002
        """Raises what opening raised.

        Raises:
            ProtectorError: always.
        """
        raise self._reason

    def close(self) -> None:
        """Does nothing."""


class TokenProtector(Pkcs11Protector):
    """A PKCS#11 protector whose token also holds keys of the vaults.

    Attributes:
        keys: the keys in the token.
    """

    keys: HsmKeys


def configured(folder: Path) -> list[ProtectorOptions]:
    """Returns the protectors of a data folder.

    Raises:
        ConfigurationError: the list is missing or damaged, or others could have changed it.
    """
    try:
        # It names code that is loaded, so it is looked at like a key file.
        text = read_private(folder / LIST, "list of protectors", _MAXIMUM_LIST, follow=False)
        return msgspec.json.decode(text, type=list[ProtectorOptions])
    except ProtectorUnavailableError:
        raise ConfigurationError(
            f"`{folder / LIST}` is missing: it names what opens the vault keys; restore it"
        ) from None
    except ProtectorError as refused:
        raise ConfigurationError(str(refused)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"`{folder / LIST}` cannot be read: {error}") from None


def create_protectors(
    folder: Path, wanted: Sequence[ProtectorOptions], *, passphrase: str | None = None
) -> list[Protector]:
    """Makes the protectors of a new data folder and writes down how to find them.

    Raises:
        ConfigurationError: an option is wrong, or SoftHSM is absent.
        ProtectorError: a protector cannot be made.
    """
    made: list[Protector] = []
    with contextlib.ExitStack() as undo:
        kept = []
        for options in wanted:
            protector, known = create_protector(folder, options, passphrase=passphrase)
            undo.callback(protector.close)
            made.append(protector)
            kept.append(known)
        _write_list(folder, kept)
        undo.pop_all()
    return made


def open_protectors(folder: Path, *, passphrase: str | None = None) -> list[Protector]:
    """Opens the protectors of a data folder; one that cannot be opened says why when asked.

    Raises:
        ConfigurationError: the list is missing or damaged.
    """
    opened: list[Protector] = []
    for options in configured(folder):
        try:
            opened.append(_open(folder, options, passphrase))
        except ProtectorError as reason:
            opened.append(AbsentProtector(options.name, options.kind, reason))
    return opened


def add_protector(
    ring: "KeyRing", folder: Path, options: ProtectorOptions, *, passphrase: str | None = None
) -> Protector:
    """Makes one more protector and wraps every vault key with it.

    Raises:
        ConfigurationError: the name is taken, or an option is wrong.
        ProtectorError: the protector cannot be made, or another is away.
    """
    present = configured(folder)
    if any(known.name == options.name for known in present):
        raise ConfigurationError(f"there is a protector named `{options.name}` already")
    protector, known = create_protector(folder, options, passphrase=passphrase)
    try:
        ring.add(protector)
    except BaseException:
        protector.close()
        raise
    # Named only after its wraps are stored: a name without wraps would open nothing.
    _write_list(folder, [*present, known])
    return protector


def remove_protector(ring: "KeyRing", folder: Path, name: str) -> None:
    """Removes a protector and its wraps.

    Raises:
        ConfigurationError: there is no protector of that name.
        ProtectorError: it is the last one that opens the vault keys.
    """
    present = configured(folder)
    rest = [known for known in present if known.name != name]
    if len(rest) == len(present):
        raise ConfigurationError(f"there is no protector named `{name[:64]}`")
    ring.remove(name)
    _write_list(folder, rest)


def create_protector(
    folder: Path, options: ProtectorOptions, *, passphrase: str | None = None
) -> tuple[Protector, ProtectorOptions]:
    """Makes a protector, and returns it with what finds exactly it again.

    Raises:
        ConfigurationError: an option is wrong, or SoftHSM is absent.
        ProtectorError: the protector cannot be made.
    """
    options.check()
    given = dict(options.options)
    if options.kind == "file":
        path = given.setdefault("path", f"{KEY_FILES}/{options.name}.json")
        (folder / path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = FileProtector.create(
            folder / path, _passphrase(folder, given, passphrase), name=options.name
        )
        given["key_id"] = file.describe()["key_id"]
        return file, msgspec.structs.replace(options, options=given)
    if options.kind == "softhsm":
        given.setdefault("folder", SOFT_TOKEN)
        token = softhsm.make(folder / given["folder"]).token()
    else:
        token = _token(folder, given)
    label = given.setdefault("key_label", f"vaultcore-{options.name}")
    made = TokenProtector.create(token, key_label=label, name=options.name)
    described = made.describe()
    given["key_id"], given["check_value"] = described["key_id"], described["check_value"]
    if options.kind == "pkcs11":
        given["token_serial"] = described["token_serial"]
    protector = _with_keys(token, options.name, given)
    return protector, msgspec.structs.replace(options, options=given)


def _open(folder: Path, options: ProtectorOptions, passphrase: str | None) -> Protector:
    options.check()
    given = options.options
    if options.kind == "file":
        return FileProtector.open(
            folder / given["path"],
            _passphrase(folder, given, passphrase),
            key_id=given.get("key_id"),
            name=options.name,
        )
    if options.kind == "softhsm":
        token = softhsm.make(folder / given["folder"]).token()
    else:
        token = _token(folder, given)
    return _with_keys(token, options.name, given)


def _passphrase(folder: Path, given: dict[str, str], passphrase: str | None) -> str | None:
    if "passphrase_file" not in given:
        return passphrase
    path = folder / given["passphrase_file"]
    return read_private(path, "passphrase file", 4096).decode().partition("\n")[0]


def _token(folder: Path, given: dict[str, str]) -> Token:
    check_code(Path(given["module"]), "PKCS#11 module")
    return Token(
        module=given["module"],
        label=given["token_label"],
        serial=given.get("token_serial"),
        pin_file=folder / given["pin_file"],
    )


def _with_keys(token: Token, name: str, given: dict[str, str]) -> TokenProtector:
    protector = TokenProtector(
        token,
        key_label=given["key_label"],
        key_id=given["key_id"],
        check_value=given["check_value"],
        name=name,
    )
    protector.keys = HsmKeys(token)
    return protector


def _write_list(folder: Path, kept: Sequence[ProtectorOptions]) -> None:
    text = msgspec.json.format(msgspec.json.encode(list(kept)), indent=2) + b"\n"
    try:
        descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=f".{LIST}.")
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(folder / LIST)
        directory = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise ConfigurationError(f"`{folder / LIST}` cannot be written: {error}") from None
