"""``vaultcore firewall``: which addresses may talk to a vault or to another host."""

import os
from typing import Annotated, Literal

import typer

from vaultcore.cli.objects import Vault, vault_of
from vaultcore.cli.outcome import CommandError
from vaultcore.cli.session import Session, command, new_group

group = new_group(
    "The firewalls: which addresses may talk to a vault, the issuer or the management plane."
)

Host = Annotated[
    Literal["issuer", "management"] | None,
    typer.Option("--host", help="The issuer or the management plane, instead of a vault."),
]
Address = Annotated[str, typer.Argument(help="An address or a range: 192.0.2.7, 2001:db8::/32.")]


@command(group, "set")
def set_(
    session: Session,
    *,
    default_action: Annotated[
        Literal["Allow", "Deny"],
        typer.Option("--default-action", help="For addresses that are in no range."),
    ],
    vault: Vault = None,
    host: Host = None,
) -> None:
    """Sets what happens to addresses that are not in the list."""
    _manage(session, "set", vault, host, default_action=default_action)


@command(group, "add")
def add(session: Session, *, address: Address, vault: Vault = None, host: Host = None) -> None:
    """Allows an address or a range."""
    _manage(session, "add", vault, host, address=address)


@command(group, "remove")
def remove(session: Session, *, address: Address, vault: Vault = None, host: Host = None) -> None:
    """Removes an address or a range from the list."""
    _manage(session, "remove", vault, host, address=address)


@command(group, "list")
def list_(session: Session, *, vault: Vault = None, host: Host = None) -> None:
    """Shows a firewall."""
    _manage(session, "list", vault, host)


def _manage(
    session: Session, verb: str, vault: str | None, host: str | None, **arguments: str
) -> None:
    if host is None:
        answer = session.manage(f"firewall.{verb}", vault=vault_of(vault), **arguments)
    # The vault of the environment is only a default; one on the command line is meant.
    elif vault is None or vault == os.environ.get("VAULTCORE_VAULT"):
        answer = session.manage(f"host_firewall.{verb}", host=host, **arguments)
    else:
        raise CommandError("choose one: --vault for a vault, or --host for issuer or management")
    session.record(answer)
