"""How the commands of secrets and keys name an object, and the verbs that both kinds share."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import parse_qs, quote, urlsplit

import typer

from vaultcore._core import MAX_RESULTS
from vaultcore.cli.outcome import CommandError
from vaultcore.cli.session import Session, command
from vaultcore.cli.words import read_date, read_identifier
from vaultcore.errors import UnreadableError
from vaultcore.inputs import read_input
from vaultcore.service.body import LARGE_BODY

Vault = Annotated[
    str | None,
    typer.Option("--vault-name", "--vault", envvar="VAULTCORE_VAULT", help="The vault."),
]
Name = Annotated[str | None, typer.Option("--name", "-n", help="The object's name.")]
Id = Annotated[str | None, typer.Option("--id", help="The object's identifier, instead of a name.")]
Version = Annotated[
    str | None, typer.Option("--version", "-v", help="A version. Default: the current one.")
]
Truth = Literal["true", "false"]
Enabled = Annotated[Truth | None, typer.Option("--enabled", help="Whether it may be used.")]
Disabled = Annotated[Truth | None, typer.Option("--disabled", help="Create it disabled.")]
Expires = Annotated[
    str | None, typer.Option("--expires", help="When it expires: 2030-01-31T12:00:00Z (UTC).")
]
NotBefore = Annotated[
    str | None, typer.Option("--not-before", help="Not valid before: 2030-01-31T12:00:00Z (UTC).")
]
Tags = Annotated[list[str] | None, typer.Option("--tags", help="Tags: key=value ...")]
Maximum = Annotated[int | None, typer.Option("--maxresults", min=1, help="At most this many.")]
InFile = Annotated[Path, typer.Option("--file", "-f", help="The file to read.")]
OutFile = Annotated[
    Path, typer.Option("--file", "-f", help="The file to write. It must not exist.")
]


class Target(NamedTuple):
    """The object that a command is about.

    Attributes:
        vault: the vault's name.
        name: the object's name.
        version: a version, or empty for the current one.
    """

    vault: str
    name: str
    version: str

    def path(self, kind: str, *, deleted: bool = False) -> str:
        """Returns the path of the object, or of the deleted object."""
        return f"/{'deleted' if deleted else ''}{kind}/{_segment(self.name)}"

    def version_path(self, kind: str) -> str:
        """Returns the path of the version."""
        return f"{self.path(kind)}/{_segment(self.version)}"


def _segment(text: str) -> str:
    """Returns the segment of a path for a name; the vault refuses what is not a name."""
    # HTTP clients resolve a bare `.` or `..`, and would send the path of something else.
    return quote(text, safe="").replace(".", "%2E")


def vault_of(vault: str | None) -> str:
    """Returns the vault's name.

    Raises:
        CommandError: none was given.
    """
    if not vault:
        raise CommandError("say which vault: --vault-name NAME, or set VAULTCORE_VAULT")
    return vault


def target(
    session: Session,
    vault: str | None,
    name: str | None,
    identifier: str | None,
    version: str | None = None,
) -> Target:
    """Returns the object that the options name.

    Raises:
        CommandError: they name no object, or two, or an object of another service.
    """
    if identifier is not None:
        if name is not None:
            raise CommandError("choose one: --id, or --name with --vault-name")
        named = read_identifier(identifier)
        session.connection.check_place(named.vault, identifier)
        return Target(named.vault, named.name, version or named.version)
    if not name:
        raise CommandError("say which: --name NAME with --vault-name VAULT, or --id")
    return Target(vault_of(vault), name, version or "")


def attributes(
    *, enabled: bool | None, expires: str | None, not_before: str | None
) -> dict[str, Any] | None:
    """Returns the attributes of a request, or None when no option set one."""
    members = {
        "enabled": enabled,
        "exp": None if expires is None else read_date(expires),
        "nbf": None if not_before is None else read_date(not_before),
    }
    given = {name: value for name, value in members.items() if value is not None}
    return given or None


def present(**members: Any) -> dict[str, Any]:
    """Returns the members that are not None, as a request's body."""
    return {name: value for name, value in members.items() if value is not None}


def every(session: Session, vault: str, path: str, maximum: int | None) -> list[dict[str, Any]]:
    """Reads a list, page by page, up to its end or a maximum."""
    found: list[dict[str, Any]] = []
    query: dict[str, str] = {}
    if maximum is not None and maximum < MAX_RESULTS:
        query["maxresults"] = str(maximum)
    while True:
        page = session.request(vault, "GET", path, query=query)
        found += page["value"]
        link = page.get("nextLink")
        if not link or (maximum is not None and len(found) >= maximum):
            return found[:maximum]
        token = parse_qs(urlsplit(link).query).get("$skiptoken", [""])[0]
        query = {**query, "$skiptoken": token}


def read_named(file: Path, *, limit: int) -> bytes:
    """Reads a file named on the command line; ``-`` is stdin.

    Args:
        file: the file.
        limit: the most bytes that it may have.

    Raises:
        UnreadableError: it cannot be read, or is longer.
    """
    if str(file) != "-":
        return read_input(file, limit=limit)
    if sys.stdin is None:
        raise UnreadableError("there is no standard input: it was closed")
    data = sys.stdin.buffer.read(limit + 1)
    if len(data) > limit:
        raise UnreadableError(f"standard input is longer than {limit} bytes, the most that is read")
    return data


def read_backup(file: Path) -> str:
    """Reads a backup that ``backup`` wrote.

    Raises:
        CommandError: the file holds something else.
        UnreadableError: it cannot be read.
    """
    data = read_named(file, limit=LARGE_BODY).strip()
    if not data or not data.isascii():
        raise CommandError(f"`{file}` is not a backup: name a file that `backup` wrote")
    return data.decode("ascii")


def write_new(path: Path, data: bytes, *, overwrite: bool = False) -> None:
    """Writes a file that only its owner may read.

    Raises:
        CommandError: it exists.
    """
    try:
        if overwrite:
            path.unlink(missing_ok=True)
        with open(path, "xb", opener=_private) as file:
            file.write(data)
    except FileExistsError:
        raise CommandError(f"{path} exists: choose another --file, or remove it") from None


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def add_shared_verbs(group: typer.Typer, kind: str, columns: dict[str, str]) -> None:
    """Adds the verbs that secrets and keys share to a group of commands.

    Args:
        group: the group.
        kind: ``secrets`` or ``keys``.
        columns: what a list shows people.
    """

    @command(group, "list")
    def list_(session: Session, *, vault: Vault = None, maxresults: Maximum = None) -> None:
        """Lists the objects of a vault, without values."""
        session.records(every(session, vault_of(vault), f"/{kind}", maxresults), columns)

    @command(group, "list-versions")
    def list_versions(
        session: Session,
        *,
        name: Name = None,
        vault: Vault = None,
        id_: Id = None,
        maxresults: Maximum = None,
    ) -> None:
        """Lists the versions of an object, without values."""
        one = target(session, vault, name, id_)
        path = f"{one.path(kind)}/versions"
        session.records(every(session, one.vault, path, maxresults), columns)

    @command(group, "delete")
    def delete(session: Session, *, name: Name = None, vault: Vault = None, id_: Id = None) -> None:
        """Deletes an object; it can be recovered until its purge date."""
        one = target(session, vault, name, id_)
        session.record(session.request(one.vault, "DELETE", one.path(kind)))

    @command(group, "list-deleted")
    def list_deleted(session: Session, *, vault: Vault = None, maxresults: Maximum = None) -> None:
        """Lists the deleted objects of a vault."""
        found = every(session, vault_of(vault), f"/deleted{kind}", maxresults)
        session.records(found, {**columns, "deleted": "deletedDate", "purge": "scheduledPurgeDate"})

    @command(group, "show-deleted")
    def show_deleted(
        session: Session, name: Name = None, vault: Vault = None, id_: Id = None
    ) -> None:
        """Shows a deleted object."""
        one = target(session, vault, name, id_)
        session.record(session.request(one.vault, "GET", one.path(kind, deleted=True)))

    @command(group, "recover")
    def recover(
        session: Session, *, name: Name = None, vault: Vault = None, id_: Id = None
    ) -> None:
        """Recovers a deleted object."""
        one = target(session, vault, name, id_)
        path = f"{one.path(kind, deleted=True)}/recover"
        session.record(session.request(one.vault, "POST", path))

    @command(group, "purge")
    def purge(session: Session, *, name: Name = None, vault: Vault = None, id_: Id = None) -> None:
        """Removes a deleted object permanently."""
        one = target(session, vault, name, id_)
        session.request(one.vault, "DELETE", one.path(kind, deleted=True))
        session.record({"purged": one.name})

    @command(group, "backup")
    def backup(
        session: Session, file: OutFile, name: Name = None, vault: Vault = None, id_: Id = None
    ) -> None:
        """Writes an object with all its versions, sealed, to a file."""
        one = target(session, vault, name, id_)
        answer = session.request(one.vault, "POST", f"{one.path(kind)}/backup")
        write_new(file, str(answer["value"]).encode())
        session.record({"file": str(file)})

    @command(group, "restore")
    def restore(session: Session, *, file: InFile, vault: Vault = None) -> None:
        """Restores an object from a backup of this vault."""
        body = {"value": read_backup(file)}
        session.record(session.request(vault_of(vault), "POST", f"/{kind}/restore", body=body))
