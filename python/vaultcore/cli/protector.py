"""``vaultcore protector``: what the vault keys are wrapped by."""

from typing import Annotated, Final, Literal

import typer

from vaultcore.cli.outcome import CHANGED
from vaultcore.cli.output import print_line
from vaultcore.cli.session import Session, command, new_group
from vaultcore.cli.words import read_tags

group = new_group("Protectors: the key files and tokens that wrap the vault keys.")

Name = Annotated[str, typer.Argument(help="The protector's name.")]

_REMOVED: Final = (
    "Its key file or token was not touched. Whoever has a copy of it still opens old backups of "
    "the database, and with them the keys that are in use now. If it may be in wrong hands: "
    "vaultcore rekey"
)
_CONFIGURATION: Final = (
    "If a configuration names the protectors of this folder, change it there too: `vaultcore "
    "serve` does not start when the two differ."
)
_COLUMNS: Final = {
    "name": "name",
    "kind": "kind",
    "path": "path",
    "token": "token_label",
    "key": "key_id",
}


@command(group, "list")
def list_(session: Session) -> None:
    """Lists the protectors."""
    session.records(session.manage("protector.list"), _COLUMNS)


@command(group, "add")
def add(
    session: Session,
    *,
    name: Name,
    kind: Annotated[
        Literal["file", "pkcs11", "softhsm"],
        typer.Option("--kind", help="A key file, a PKCS#11 token, or a software token."),
    ],
    options: Annotated[
        list[str] | None,
        typer.Option(
            "--options",
            help="file: path=FILE (keys/NAME.json in the data folder unless given) "
            "passphrase_file=FILE; pkcs11: module=FILE token_label=LABEL pin_file=FILE "
            "key_label=LABEL token_serial=NUMBER; softhsm: none",
        ),
    ] = None,
) -> None:
    """Wraps every vault key by one more protector; from then on either opens them.

    The configuration of `vaultcore serve`, if there is one, has to name it too, or the service does
    not start the next time.
    """
    session.record(
        session.manage("protector.add", name=name, kind=kind, options=read_tags(options) or {})
    )
    if not session.json:
        print_line(_CONFIGURATION)


@command(group, "remove")
def remove(session: Session, *, name: Name) -> None:
    """Removes a protector's wraps of the keys; the last one cannot be removed.

    Its key file or token is not touched. Whoever has a copy of it still opens backups of the
    database that were made before, and with those the keys until `vaultcore rekey` replaces them.
    """
    session.manage("protector.remove", name=name)
    session.record({"removed": name})
    if not session.json:
        print_line(_REMOVED)
        print_line(_CONFIGURATION)


@command(group, "verify")
def verify(session: Session) -> None:
    """Opens every vault key by every protector; exit status 7 when one does not open."""
    rows = session.manage("protector.verify")
    session.records(rows, {**_COLUMNS, "status": "status", "reason": "reason"})
    if any(row["status"] != "ok" for row in rows):
        raise typer.Exit(CHANGED)
