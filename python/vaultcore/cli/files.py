"""``vaultcore seal``, ``open`` and ``rewrap``: files under a key of a vault.

The work is done here, in process, under the key-encryption key that follows the vault's key. The
vault decides who may have that key, and records each time it hands the key out.
"""

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer

from vaultcore.cli.objects import Target, Vault, target
from vaultcore.cli.outcome import CommandError
from vaultcore.cli.output import printable
from vaultcore.cli.session import Session, command
from vaultcore.cli.words import read_tags
from vaultcore.errors import DecryptionError

if TYPE_CHECKING:
    from vaultcore._core import KeyEncryptionKey
    from vaultcore.files import Progress

SUFFIX: Final = ".sealed"

File = Annotated[
    Path, typer.Argument(metavar="FILE", help="The file to seal.", exists=True, dir_okay=False)
]
SealedFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="The sealed file.", exists=True, dir_okay=False)
]
KeyName = Annotated[str | None, typer.Option("--name", "-n", help="The key's name.")]
KeyId = Annotated[str | None, typer.Option("--id", help="The key's identifier, instead of a name.")]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", help=f"The file to write. Default: FILE with or without {SUFFIX}."
    ),
]
Fields = Annotated[
    list[str] | None,
    typer.Option(
        "--context", help="What the file is about: key=value ...; needed to open it, too."
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists.")]


def add_to(app: typer.Typer) -> None:
    """Adds the three commands to the command line."""
    command(app, "seal")(seal)
    command(app, "open")(open_)
    command(app, "rewrap")(rewrap)


def seal(
    session: Session,
    *,
    file: File,
    output: Output = None,
    name: KeyName = None,
    vault: Vault = None,
    id_: KeyId = None,
    context: Fields = None,
    overwrite: Overwrite = False,
) -> None:
    """Seals a file under a key of a vault.

    It creates FILE.sealed from a FILE of any size, and does not change FILE. The new file gets its
    name when it is complete and on the disk. The key must be of type oct. For example (the first
    command once for many files):

    vaultcore key create --vault dev --name files --kty oct --size 256

    vaultcore seal report.pdf --vault dev --name files
    """
    from vaultcore.files import seal_file  # noqa: PLC0415 - as for the engine

    kek = _key(session, _key_named(session, name, vault, id_))
    to = output or file.with_name(file.name + SUFFIX)
    size = _make(partial(seal_file, kek, replace=overwrite), file, to, context)
    session.record({"file": str(to), "size": size, "generation": kek.generation})


def open_(
    session: Session,
    *,
    file: SealedFile,
    output: Output = None,
    name: KeyName = None,
    vault: Vault = None,
    id_: KeyId = None,
    context: Fields = None,
    overwrite: Overwrite = False,
) -> None:
    """Opens a sealed file.

    It creates FILE without .sealed. The new file gets its name only when all of it has been
    verified: nothing was changed, moved or removed since it was sealed. For example:

    vaultcore open report.pdf.sealed --vault dev --name files
    """
    from vaultcore.files import open_file  # noqa: PLC0415 - as for the engine

    named = _key_named(session, name, vault, id_)
    if output is None and (file.suffix != SUFFIX or file.name == SUFFIX):
        raise CommandError(f"say where to: --output FILE (the name does not end in {SUFFIX})")
    to = output or file.with_suffix("")
    kek = _key(session, named)
    size = _make(partial(open_file, kek, replace=overwrite), file, to, context)
    session.record({"file": str(to), "size": size})


def rewrap(
    session: Session,
    *,
    file: SealedFile,
    name: KeyName = None,
    vault: Vault = None,
    id_: KeyId = None,
) -> None:
    """Rewraps a sealed file under the newest version of its key.

    Use it after a rotation, so that the old version can be disabled when no file needs it. The
    file is not decrypted.
    """
    from vaultcore.files import rewrap_file  # noqa: PLC0415 - as for the engine

    kek = _key(session, _key_named(session, name, vault, id_))
    with _progress(file) as progress, _guarded(file, file):
        rewrap_file(kek, file, progress=progress)
    session.record({"file": str(file), "generation": kek.generation})


def _key_named(
    session: Session, name: str | None, vault: str | None, identifier: str | None
) -> Target:
    named = target(session, vault, name, identifier)
    if named.version:
        raise CommandError(
            "a file is sealed under the newest version and opens under its own: leave out the "
            "version in --id"
        )
    return named


def _key(session: Session, named: Target) -> "KeyEncryptionKey":
    return session.connection.kek(named.vault, named.name)


def _make(work: Callable[..., int], file: Path, to: Path, context: list[str] | None) -> int:
    """Seals or opens a file into another, and returns its size."""
    fields = read_tags(context, "a field")
    with _progress(file) as progress, _guarded(file, to):
        return work(file, to, context=fields, progress=progress)


@contextlib.contextmanager
def _guarded(file: Path, to: Path) -> Iterator[None]:
    """Turns failures into messages, and lets SIGTERM clean up as an interrupt does."""

    def stop(number: int, _: object) -> NoReturn:
        raise SystemExit(128 + number)  # the status that a shell reports for that signal

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except FileExistsError:
        raise CommandError(f"{to} exists: choose another --output, or --overwrite") from None
    except DecryptionError:
        # One message for all reasons, as everywhere; the list helps after a mistake.
        raise DecryptionError(
            f"{file} does not open: it was sealed under another key or with another --context, or "
            "it was changed or cut short, or is not a sealed file"
        ) from None
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _progress(file: Path) -> Iterator["Progress | None"]:
    """Shows a bar on the error stream while the block runs, if that stream is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console  # noqa: PLC0415 - scripts need no bar
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        # A pipe has no size; its bar only moves.
        size = file.stat().st_size if file.is_file() else None
        task = bar.add_task(printable(file.name), total=size)
        yield lambda done: bar.update(task, completed=done)
