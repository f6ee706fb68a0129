"""``vaultcore firewall``: which addresses may talk to a vault."""

from typing import Annotated, Literal

import typer

from vaultcore.cli.objects import Vault, vault_of
from vaultcore.cli.session import Session, command, new_group

group = new_group("The firewall: which addresses may talk to a vault.")

Address = Annotated[str, typer.Argument(help="An address or a range: 192.0.2.7, 2001:db8::/32.")]


@command(group, "set")
def set_(
    session: Session,
    *,
    default_action: Annotated[
        Literal["Allow", "Deny"],
        typer.Option("--default-action", help="For addresses that no range holds."),
    ],
    vault: Vault = None,
) -> None:
    """Says what happens to addresses that were not added."""
    session.record(
        session.manage("firewall.set", vault=vault_of(vault), default_action=default_action)
    )


@command(group, "add")
def add(session: Session, *, address: Address, vault: Vault = None) -> None:
    """Lets an address or a range in."""
    session.record(session.manage("firewall.add", vault=vault_of(vault), address=address))


@command(group, "remove")
def remove(session: Session, *, address: Address, vault: Vault = None) -> None:
    """Takes an address or a range off the list."""
    session.record(session.manage("firewall.remove", vault=vault_of(vault), address=address))


@command(group, "list")
def list_(session: Session, *, vault: Vault = None) -> None:
    """Shows the firewall of a vault."""
    session.record(session.manage("firewall.list", vault=vault_of(vault)))
