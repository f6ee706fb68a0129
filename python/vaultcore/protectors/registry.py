"""Which protectors a data folder has, and how they are opened again.

The list is a file beside the database, not a row in it: it names a module that is loaded and run,
and who can write the database must not be able to choose that.
"""

import contextlib
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Literal, NoReturn

import msgspec

from vaultcore.errors import ConfigurationError, ProtectorError, ProtectorUnavailableError
from vaultcore.ownership import LIST, check_code
from vaultcore.protectors.file import FileProtector
from vaultcore.protectors.pkcs11 import softhsm
from vaultcore.protectors.pkcs11.hsm_keys import HsmKeys
from vaultcore.protectors.pkcs11.protector import Pkcs11Protector, new_key_id
from vaultcore.protectors.pkcs11.token import Token
from vaultcore.protectors.private_file import read_private
from vaultcore.protectors.protector import Protector

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


class ProtectorOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How to find a protector; nothing in it is secret.

    Attributes:
        name: what the operator calls it.
        kind: ``file``, ``pkcs11``, or ``softhsm`` for a software token in the data folder.
        options: of the kind; paths are relative to the data folder.
        state: ``adding`` or ``removing`` while that is under way, and empty otherwise.
    """

    name: str
    kind: str
    options: dict[str, str] = {}
    state: Literal["", "adding", "removing"] = ""

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
        known: what found it.
    """

    keys: HsmKeys
    known: dict[str, str]


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
    folder: Path,
    plan: Sequence[ProtectorOptions],
    *,
    passphrase: str | None = None,
    announce: Callable[[Path, str], None] | None = None,
) -> list[Protector]:
    """Makes the protectors of a new data folder and writes down how to find them.

    Args:
        folder: the data folder.
        plan: what :func:`planned` returned for each of them.
        passphrase: of the file protector, if it shall have one.
        announce: is told the path and the id of a key file before it is made.

    Raises:
        ConfigurationError: an option is wrong, or SoftHSM is absent.
        ProtectorError: a protector cannot be made.
    """
    made: list[Protector] = []
    with contextlib.ExitStack() as undo:
        kept = []
        for options in plan:
            protector, known = make_planned(
                folder, options, passphrase=passphrase, announce=announce
            )
            undo.callback(protector.close)
            made.append(protector)
            kept.append(known)
        write_list(folder, kept)
        undo.pop_all()
    return made


def open_protectors(
    folder: Path, *, passphrase: str | None = None, held: Sequence[Protector] = ()
) -> list[Protector]:
    """Opens the protectors of a data folder; one that cannot be opened says why when asked.

    Args:
        folder: the data folder.
        passphrase: of the file protector, if it has one.
        held: protectors that are open already: those that the folder still names are kept, the
            others closed.

    Raises:
        ConfigurationError: the list is missing or damaged.
    """
    opened: list[Protector] = []
    for options in configured(folder):
        kept = next((p for p in held if p.name == options.name and _is(p, options)), None)
        try:
            opened.append(kept or open_protector(folder, options, passphrase))
        except ProtectorError as reason:
            opened.append(AbsentProtector(options.name, options.kind, reason))
    for protector in held:
        if protector not in opened:
            protector.close()
    return opened


def create_protector(
    folder: Path, options: ProtectorOptions, *, passphrase: str | None = None
) -> tuple[Protector, ProtectorOptions]:
    """Makes a protector, and returns it with what finds exactly it again.

    Raises:
        ConfigurationError: an option is wrong, or SoftHSM is absent.
        ProtectorError: the protector cannot be made.
    """
    return make_planned(folder, planned(options), passphrase=passphrase)


def planned(options: ProtectorOptions) -> ProtectorOptions:
    """Returns how a protector will be found that is not made yet, as far as that is known.

    Raises:
        ConfigurationError: an option is wrong.
    """
    options.check()
    # Which key it is shows when it is made.
    made = {"key_id", "check_value"}
    given = {name: value for name, value in options.options.items() if name not in made}
    if options.kind == "file":
        given.setdefault("path", f"{KEY_FILES}/{options.name}.json")
    else:
        given.setdefault("key_label", f"vaultcore-{options.name}")
        # Chosen beforehand: the key that an interrupted attempt leaves behind is known by it.
        given["key_id"] = new_key_id().hex()
        if options.kind == "softhsm":
            given.setdefault("folder", SOFT_TOKEN)
    return msgspec.structs.replace(options, options=given)


def make_planned(
    folder: Path,
    options: ProtectorOptions,
    *,
    passphrase: str | None = None,
    announce: Callable[[Path, str], None] | None = None,
) -> tuple[Protector, ProtectorOptions]:
    """Makes a protector as :func:`planned` says, and returns it with what finds exactly it again.

    Args:
        folder: the data folder.
        options: what :func:`planned` returned.
        passphrase: of a file protector, if it shall have one.
        announce: is told the path and the id of a key file before it is made.

    Raises:
        ConfigurationError: SoftHSM is absent.
        ProtectorError: the protector cannot be made.
    """
    given = dict(options.options)
    if options.kind == "file":
        path = folder / given["path"]
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ProtectorError(
                f"the folder of the key file `{path}` cannot be made: {error.strerror}"
            ) from None
        file = FileProtector.create(
            path,
            _passphrase(folder, given, passphrase),
            name=options.name,
            announce=announce,
        )
        given["key_id"] = file.describe()["key_id"]
        return file, msgspec.structs.replace(options, options=given)
    token = _token(folder, options.kind, given)
    made = TokenProtector.create(
        token,
        key_label=given["key_label"],
        key_id=bytes.fromhex(given["key_id"]),
        name=options.name,
    )
    described = made.describe()
    given["check_value"] = described["check_value"]
    if options.kind == "pkcs11":
        given["token_serial"] = described["token_serial"]
    protector = _with_keys(token, options.name, given)
    return protector, msgspec.structs.replace(options, options=given)


def is_made(options: ProtectorOptions) -> bool:
    """Returns whether it is known that the key of a protector was made."""
    return ("key_id" if options.kind == "file" else "check_value") in options.options


def _is(protector: Protector, options: ProtectorOptions) -> bool:
    if isinstance(protector, TokenProtector):
        return protector.known == options.options
    if isinstance(protector, FileProtector):
        return protector.describe()["key_id"] == options.options.get("key_id")
    return False


def open_protector(folder: Path, options: ProtectorOptions, passphrase: str | None) -> Protector:
    """Opens a protector of a data folder.

    Raises:
        ConfigurationError: an option is wrong, or SoftHSM is absent.
        ProtectorError: it cannot be opened.
    """
    options.check()
    given = options.options
    if options.state == "adding" and not is_made(options):
        raise ProtectorError(
            f"adding the protector `{options.name}` was not finished: add it again, or remove it"
        )
    if options.kind == "file":
        return FileProtector.open(
            folder / given["path"],
            _passphrase(folder, given, passphrase),
            key_id=given.get("key_id"),
            name=options.name,
        )
    return _with_keys(_token(folder, options.kind, given), options.name, given)


def _passphrase(folder: Path, given: dict[str, str], passphrase: str | None) -> str | None:
    if "passphrase_file" not in given:
        return passphrase
    path = folder / given["passphrase_file"]
    return read_private(path, "passphrase file", 4096).decode().partition("\n")[0]


def _token(folder: Path, kind: str, given: dict[str, str]) -> Token:
    if kind == "softhsm":
        return softhsm.make(folder / given["folder"]).token()
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
    protector.known = given
    return protector


def write_list(folder: Path, kept: Sequence[ProtectorOptions]) -> None:
    """Writes down the protectors of a data folder, whole or not at all.

    Raises:
        ConfigurationError: the list cannot be written.
    """
    text = msgspec.json.format(msgspec.json.encode(list(kept)), indent=2) + b"\n"
    try:
        for left in folder.glob(f".{LIST}.*"):
            left.unlink()  # of somebody who was killed
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
