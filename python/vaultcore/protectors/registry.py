"""Creates the protectors of a data folder, and opens them again."""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from vaultcore.errors import ProtectorError
from vaultcore.ownership import check_code
from vaultcore.protectors.file import MAXIMUM_PASSPHRASE_FILE, FileProtector
from vaultcore.protectors.list_file import read_list, write_list
from vaultcore.protectors.options import ProtectorOptions, is_made
from vaultcore.protectors.pkcs11 import softhsm
from vaultcore.protectors.pkcs11.protector import Pkcs11Protector
from vaultcore.protectors.pkcs11.token import Token
from vaultcore.protectors.private_file import read_private
from vaultcore.protectors.protector import AbsentProtector, Protector


def create_protectors(
    folder: Path,
    plan: Sequence[ProtectorOptions],
    *,
    passphrase: str | None = None,
    announce: Callable[[Path, str], None] | None = None,
) -> list[Protector]:
    """Creates the protectors of a new data folder, and lists them in it.

    Args:
        folder: the data folder.
        plan: what `planned` returned for each of them.
        passphrase: the passphrase of the file protector, if it is to have one.
        announce: called with the path and the id of a key file before it is created.

    Raises:
        ConfigurationError: an option is wrong, or SoftHSM is not installed.
        ProtectorError: a protector cannot be created.
    """
    made: list[Protector] = []
    with contextlib.ExitStack() as undo:
        kept = []
        for options in plan:
            protector, known = create_planned(
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
    """Opens the protectors of a data folder; one that cannot be opened raises the reason when used.

    Args:
        folder: the data folder.
        passphrase: the passphrase of the file protector, if it has one.
        held: protectors that are open already: those that the folder still names are kept, the
            others are closed.

    Raises:
        ConfigurationError: the list is missing or damaged.
    """
    opened: list[Protector] = []
    for options in read_list(folder):
        kept = next((p for p in held if p.name == options.name and _is(p, options)), None)
        try:
            opened.append(kept or open_protector(folder, options, passphrase))
        except ProtectorError as reason:
            opened.append(AbsentProtector(options.name, options.kind, reason))
    for protector in held:
        if protector not in opened:
            protector.close()
    return opened


def create_planned(
    folder: Path,
    options: ProtectorOptions,
    *,
    passphrase: str | None = None,
    announce: Callable[[Path, str], None] | None = None,
) -> tuple[Protector, ProtectorOptions]:
    """Creates a planned protector, and returns it with the options that find exactly it again.

    Args:
        folder: the data folder.
        options: what `planned` returned.
        passphrase: the passphrase of a file protector, if it is to have one.
        announce: called with the path and the id of a key file before it is created.

    Raises:
        ConfigurationError: SoftHSM is not installed.
        ProtectorError: the protector cannot be created.
    """
    given = dict(options.options)
    if options.kind == "file":
        path = folder / given["path"]
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ProtectorError(
                f"the folder of the key file `{path}` cannot be created: {error.strerror}"
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
    made = Pkcs11Protector.create(
        token,
        key_label=given["key_label"],
        key_id=bytes.fromhex(given["key_id"]),
        name=options.name,
    )
    described = made.describe()
    given["check_value"] = described["check_value"]
    if options.kind == "pkcs11":
        given["token_serial"] = described["token_serial"]
    protector = _in_token(token, options.name, given)
    return protector, msgspec.structs.replace(options, options=given)


def _is(protector: Protector, options: ProtectorOptions) -> bool:
    if isinstance(protector, Pkcs11Protector):
        return protector.found_by == options.options
    if isinstance(protector, FileProtector):
        return protector.describe()["key_id"] == options.options.get("key_id")
    return False


def open_protector(folder: Path, options: ProtectorOptions, passphrase: str | None) -> Protector:
    """Opens a protector of a data folder.

    Raises:
        ConfigurationError: an option is wrong, or SoftHSM is not installed.
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
    return _in_token(_token(folder, options.kind, given), options.name, given)


def _passphrase(folder: Path, given: dict[str, str], passphrase: str | None) -> str | None:
    if "passphrase_file" not in given:
        return passphrase
    path = folder / given["passphrase_file"]
    content = read_private(path, "passphrase file", MAXIMUM_PASSPHRASE_FILE)
    return content.decode().partition("\n")[0]


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


def _in_token(token: Token, name: str, given: dict[str, str]) -> Pkcs11Protector:
    return Pkcs11Protector(
        token,
        key_label=given["key_label"],
        key_id=given["key_id"],
        check_value=given["check_value"],
        name=name,
        found_by=given,
    )
