"""The command line: ``vaultcore``."""

from typing import Annotated

import typer

from vaultcore.cli import (
    access,
    application,
    audit,
    clock,
    dev,
    files,
    firewall,
    key,
    protector,
    rekey,
    secret,
    serve,
    vault,
)
from vaultcore.cli.session import new_group
from vaultcore.hardening import harden

app = new_group(
    "A vault for secrets and keys that speaks the Azure Key Vault API.\n\n"
    "Exit status: 0 done, 1 refused or failed, 2 wrong command line, 3 no such thing, 4 not "
    "permitted, 5 conflict, 6 something is unavailable and may come back, 7 does not verify or "
    "open."
)
dev.add_to(app)
serve.add_to(app)
files.add_to(app)
rekey.add_to(app)
app.add_typer(vault.group, name="vault")
app.add_typer(secret.group, name="secret")
app.add_typer(key.group, name="key")
app.add_typer(access.group, name="access")
app.add_typer(firewall.group, name="firewall")
app.add_typer(application.group, name="app")
app.add_typer(audit.group, name="audit")
app.add_typer(protector.group, name="protector")
app.add_typer(clock.group, name="clock")


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - the parser calls it
    if wanted:
        from vaultcore import _core  # noqa: PLC0415

        typer.echo(f"vaultcore {_core.__version__} ({_core.build_profile}; {_core.backend})")
        raise typer.Exit


@app.callback()
def options(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Reads the options that come before the command."""


def main() -> None:
    """Runs the command line."""
    # Whatever the command is, a passphrase, a key or a value may pass through it.
    harden()
    app(prog_name="vaultcore")
