"""``vaultcore rekey``: new keys for everything stored, for example after a key file was stolen."""

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Final

import typer

from vaultcore.cli.output import print_line, printable
from vaultcore.cli.session import Session, command

if TYPE_CHECKING:
    from vaultcore.management import Progress

_COLUMNS: Final = {
    "key": "name",
    "generation": "generation",
    "moved": "moved",
    "unreadable": "unreadable",
}
_ADVICE: Final = (
    "What could be read with the old keys may be known to others: docs/protectors.md says what "
    "else to change. Backups of objects made before this cannot be restored: make new ones."
)


def add_to(app: typer.Typer) -> None:
    """Adds the command to the command line."""
    command(app, "rekey")(rekey)


def rekey(
    session: Session,
    *,
    vault: Annotated[
        str | None,
        typer.Option("--vault", "--vault-name", help="Only this vault. Default: everything."),
    ] = None,
) -> None:
    """Replaces the system key and the keys of all vaults, and removes the old ones.

    Use it if a key file was stolen: first add another protector and remove the stolen one, then run
    this command. A service can run on the folder meanwhile. If the command is interrupted, run it
    again, and it continues where it stopped.
    """
    with _shown(session):
        answer = session.manage("installation.rekey", vault=vault)
    if session.json:
        session.record(answer)
        return
    session.records(answer["keys"], _COLUMNS)
    print_line(_ADVICE)


@contextlib.contextmanager
def _shown(session: Session) -> Iterator[None]:
    """Shows a bar on the error stream while the block runs, if that stream is a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console  # noqa: PLC0415 - scripts need no bar
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar  # noqa: PLC0415

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("rekey", total=None)

        def show(what: str, done: int, total: int) -> None:
            bar.update(task, description=printable(what), completed=done, total=total or None)

        progress: Progress = show
        session.connection.watch(progress)
        yield
