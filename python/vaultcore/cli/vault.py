"""``vaultcore vault``: the vaults of an installation."""

from typing import Annotated, Final, Literal

import typer

from vaultcore.cli.objects import Truth
from vaultcore.cli.outcome import CommandError
from vaultcore.cli.session import Session, command, new_group
from vaultcore.cli.words import read_truth
from vaultcore.installation.vault_settings import (
    DEFAULT_RETENTION,
    MAXIMUM_RETENTION,
    MINIMUM_RETENTION,
)

group = new_group("Vaults: create, show, change and delete them.")

Name = Annotated[
    str,
    typer.Option("--name", "-n", "--vault-name", "--vault", help="The vault: 3 to 24 characters."),
]
PurgeProtection = Annotated[
    Truth | None,
    typer.Option("--enable-purge-protection", help="No purges; it cannot be switched off again."),
]
SecretExpiry = Annotated[
    Literal["enforce", "inform"] | None,
    typer.Option(
        "--secret-expiry", help="enforce: an expired secret is refused; inform: it is readable."
    ),
]

_COLUMNS: Final = {
    "name": "name",
    "uri": "uri",
    "sku": "sku",
    "retention": "softDeleteRetentionInDays",
    "purge protection": "enablePurgeProtection",
    "secret expiry": "secretExpiry",
    "created": "created",
}


@command(group, "create")
def create(
    session: Session,
    *,
    name: Name,
    retention_days: Annotated[
        int,
        typer.Option(
            "--retention-days",
            min=MINIMUM_RETENTION,
            max=MAXIMUM_RETENTION,
            help="How long deleted objects can be recovered.",
        ),
    ] = DEFAULT_RETENTION,
    purge_protection: PurgeProtection = None,
    secret_expiry: SecretExpiry = None,
    sku: Annotated[
        Literal["standard", "premium"],
        typer.Option("--sku", help="premium: HSM keys too."),
    ] = "standard",
) -> None:
    """Creates a vault."""
    session.record(
        session.manage(
            "vault.create",
            name=name,
            retention_days=retention_days,
            purge_protection=bool(read_truth(purge_protection)),
            secret_expiry=secret_expiry or "enforce",
            sku=sku,
        )
    )


@command(group, "list")
def list_(session: Session) -> None:
    """Lists the vaults."""
    session.records(session.manage("vault.list"), _COLUMNS)


@command(group, "show")
def show(session: Session, *, name: Name) -> None:
    """Shows a vault's settings."""
    session.record(session.manage("vault.show", name=name))


@command(group, "update")
def update(
    session: Session,
    *,
    name: Name,
    purge_protection: PurgeProtection = None,
    secret_expiry: SecretExpiry = None,
    sku: Annotated[
        Literal["standard", "premium"] | None,
        typer.Option("--sku", help="premium: HSM keys too."),
    ] = None,
) -> None:
    """Changes a vault's settings. Settings that are not given do not change."""
    if purge_protection is None and secret_expiry is None and sku is None:
        raise CommandError(
            "say what to change: --enable-purge-protection, --secret-expiry or --sku"
        )
    session.record(
        session.manage(
            "vault.update",
            name=name,
            purge_protection=read_truth(purge_protection),
            secret_expiry=secret_expiry,
            sku=sku,
        )
    )


@command(group, "delete")
def delete(
    session: Session,
    *,
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Removes an empty vault, with its key, permanently."""
    if not yes:
        typer.confirm(f"Remove the vault {name} and its key permanently?", abort=True)
    session.manage("vault.delete", name=name)
    session.record({"deleted": name})


@command(group, "rotate-key")
def rotate_key(session: Session, *, name: Name) -> None:
    """Gives a vault's key a new generation, which seals what is stored from now on.

    What is stored already stays sealed under the older generations, which the key keeps. Only
    `vaultcore rekey` moves it to a new generation and removes the older ones.
    """
    session.record(session.manage("vault.rotate_key", name=name))
