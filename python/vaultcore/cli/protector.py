"""``vaultcore protector``: what wraps the vault keys."""

from typing import Annotated, Final, Literal

import typer

from vaultcore.cli.outcome import CHANGED
from vaultcore.cli.output import print_line
from vaultcore.cli.session import Session, command, new_group
from vaultcore.cli.words import read_tags

group = new_group("Protectors: the key files and tokens that wrap the vault keys.")

Name = Annotated[str, typer.Argument(help="The protector's name.")]

_REMOVED: Final = (
    "Its key file or token was not touched. Anyone with a copy of it can still open old backups of "
    "the database, and with them the keys that are in use now. If it may be in the wrong hands, "
    "run: vaultcore rekey"
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
            help="file: path=FILE (default: keys/NAME.json in the data folder) "
            "passphrase_file=FILE; pkcs11: module=FILE token_label=LABEL pin_file=FILE "
            "key_label=LABEL token_serial=NUMBER; softhsm: none",
        ),
    ] = None,
) -> None:
    """Wraps every vault key with one more protector. From then on, either one opens them.

    If `vaultcore serve` has a configuration, name the protector there too. Otherwise the service
    does not start the next time.
    """
    session.record(
        session.manage("protector.add", name=name, kind=kind, options=read_tags(options) or {})
    )
    if not session.json:
        print_line(_CONFIGURATION)


@command(group, "remove")
def remove(session: Session, *, name: Name) -> None:
    """Removes a protector's wraps of the keys; the last one cannot be removed.

    Its key file or token is not touched. Anyone with a copy of it can still open earlier backups of
    the database, and with them the vault keys, until `vaultcore rekey` replaces these.
    """
    session.manage("protector.remove", name=name)
    session.record({"removed": name})
    if not session.json:
        print_line(_REMOVED)
        print_line(_CONFIGURATION)


@command(group, "verify")
def verify(session: Session) -> None:
    """Opens every vault key with every protector. The exit status is 7 if one does not open."""
    rows = session.manage("protector.verify")
    session.records(rows, {**_COLUMNS, "status": "status", "reason": "reason"})
    if any(row["status"] != "ok" for row in rows):
        raise typer.Exit(CHANGED)
