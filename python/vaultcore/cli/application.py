"""``vaultcore app``: the applications of the built-in issuer."""

from typing import Annotated, Final

import typer

from vaultcore.cli.session import Session, command, new_group

group = new_group("Applications of the built-in issuer, and their secrets.")

Name = Annotated[str, typer.Argument(help="The application's name.")]

_COLUMNS: Final = {
    "name": "name",
    "client id": "client_id",
    "object id": "object_id",
    "groups": "groups",
    "secrets": "secrets",
}


@command(group, "create")
def create(session: Session, *, name: Name) -> None:
    """Registers an application. Its secret is shown only now."""
    session.record(session.manage("app.create", name=name))


@command(group, "list")
def list_(session: Session) -> None:
    """Lists the applications, without secrets."""
    session.records(session.manage("app.list"), _COLUMNS)


@command(group, "set-groups")
def set_groups(
    session: Session,
    *,
    name: Name,
    groups: Annotated[
        list[str] | None,
        typer.Argument(metavar="GROUP...", help="Object ids of groups; none for no group."),
    ] = None,
) -> None:
    """Puts an application into these groups and no others, from its next request on."""
    session.record(session.manage("app.set_groups", name=name, groups=groups or []))


@command(group, "delete")
def delete(session: Session, *, name: Name) -> None:
    """Removes an application; its tokens stop working."""
    session.manage("app.delete", name=name)
    session.record({"deleted": name})


@command(group, "add-secret")
def add_secret(session: Session, *, name: Name) -> None:
    """Gives an application one more secret, which is shown only now."""
    session.record(session.manage("app.add_secret", name=name))


@command(group, "remove-secret")
def remove_secret(
    session: Session,
    *,
    name: Name,
    id_: Annotated[str, typer.Argument(metavar="ID", help="The secret's id: see `app list`.")],
) -> None:
    """Removes a secret from an application."""
    session.manage("app.remove_secret", name=name, id=id_)
    session.record({"removed": id_})
