"""``vaultcore access``: who may do what in a vault."""

from typing import Annotated, Final

import typer

from vaultcore.cli.objects import Vault, vault_of
from vaultcore.cli.outcome import CommandError
from vaultcore.cli.session import Session, command, new_group
from vaultcore.cli.words import read_words

group = new_group("Access policies: what a principal may do in a vault.")

Principal = Annotated[
    str,
    typer.Option(
        "--principal", help="An application's name, an object id, or group: and the id of a group."
    ),
]

_COLUMNS: Final = {
    "principal": "object_id",
    "application": "application_id",
    "name": "name",
    "secrets": "secrets",
    "keys": "keys",
    "certificates": "certificates",
}


@command(group, "set")
def set_(
    session: Session,
    *,
    principal: Principal,
    vault: Vault = None,
    secret_permissions: Annotated[
        list[str] | None,
        typer.Option("--secret-permissions", help='For example: get list; "" removes all of them.'),
    ] = None,
    key_permissions: Annotated[
        list[str] | None,
        typer.Option("--key-permissions", help='For example: get sign verify; "" removes all.'),
    ] = None,
    certificate_permissions: Annotated[
        list[str] | None,
        typer.Option("--certificate-permissions", help='For example: get list; "" removes all.'),
    ] = None,
) -> None:
    """Grants permissions. Permissions of a kind that is not named do not change."""
    if secret_permissions is None and key_permissions is None and certificate_permissions is None:
        raise CommandError(
            "say what to grant: --secret-permissions, --key-permissions, --certificate-permissions"
        )
    session.record(
        session.manage(
            "access.set",
            vault=vault_of(vault),
            principal=principal,
            secret_permissions=read_words(secret_permissions),
            key_permissions=read_words(key_permissions),
            certificate_permissions=read_words(certificate_permissions),
        )
    )


@command(group, "remove")
def remove(session: Session, *, principal: Principal, vault: Vault = None) -> None:
    """Removes every permission of a principal."""
    session.manage("access.remove", vault=vault_of(vault), principal=principal)
    session.record({"removed": principal})


@command(group, "administrator")
def administrator(
    session: Session,
    *,
    principal: Principal,
    remove_: Annotated[bool, typer.Option("--remove", help="Revoke it.")] = False,
) -> None:
    """Lets a principal manage the installation over HTTPS: vaults, access, everything here."""
    session.record(session.manage("access.administrator", principal=principal, remove=remove_))


@command(group, "list")
def list_(session: Session, *, vault: Vault = None) -> None:
    """Lists who may do what."""
    session.records(session.manage("access.list", vault=vault_of(vault)), _COLUMNS)
