"""``vaultcore dev``, a vault with everything set up, and ``vaultcore env`` for its clients."""

import shlex
import sys
import time
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from vaultcore.cli.outcome import AWAY, CommandError
from vaultcore.cli.output import print_json, print_line
from vaultcore.cli.session import plain
from vaultcore.installation.hosts import issuer_url, management_url
from vaultcore.service.development.ready import ADDRESS, DOMAIN, Ready, hosts_line, read_ready

DEFAULT_PORT: Final = 8443
_DEFAULT_DATA: Final = Path("vaultcore-data")
_LOOK_SECONDS: Final = 0.05

Data = Annotated[
    Path, typer.Option("--data", envvar="VAULTCORE_DATA", help="The folder that holds everything.")
]


def add_to(app: typer.Typer) -> None:
    """Adds the two commands to the command line."""
    plain(app, "dev")(dev)
    plain(app, "env")(env)


def dev(
    *,
    data: Data = _DEFAULT_DATA,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="On the loopback; 0 for any free port.")
    ] = DEFAULT_PORT,
    vault: Annotated[
        list[str] | None,
        typer.Option("--vault", help="A vault to create. The first one also answers at localhost."),
    ] = None,
    hsm: Annotated[
        bool, typer.Option("--hsm", help="Create a SoftHSM token, so that -HSM key types work.")
    ] = False,
    secret_expiry: Annotated[
        Literal["enforce", "inform"] | None,
        typer.Option(
            "--secret-expiry", help="Whether expired secrets are refused (enforce) or readable."
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", min=1, max=16, help="How many processes answer requests.")
    ] = 1,
    json: Annotated[bool, typer.Option("--json", help="Report in JSON when it is ready.")] = False,
) -> None:
    """Runs a vault on this machine with everything set up, until interrupted.

    It creates the data folder, a TLS authority, an issuer and an administrator, or uses those that
    exist. For the environment of its clients, run: eval "$(vaultcore env)".
    """
    from vaultcore.service.development.installation import Development  # noqa: PLC0415
    from vaultcore.service.server import Settings, run  # noqa: PLC0415

    development = Development(
        data, port=port, vaults=vault or [], hsm=hsm, secret_expiry=secret_expiry
    )
    with development.owned():
        ready, tls = development.prepare()

        def announce() -> None:
            if json:
                print_json({"ready": True, "port": ready.port, "vaults": ready.vaults})
            else:
                _introduce(development.data, ready)
            sys.stdout.flush()

        with development.announced(ready, announce):
            run(
                Settings(
                    data=development.data,
                    host=ADDRESS,
                    port=ready.port,
                    workers=workers,
                    certificate=tls.certificate,
                    key=tls.key,
                    configuration=None,
                    first_vault=ready.vaults[0],
                    challenge_tenant="adfs",
                )
            )


def env(
    *,
    data: Data = _DEFAULT_DATA,
    format_: Annotated[
        Literal["sh", "json"], typer.Option("--format", help="Lines for a shell, or JSON.")
    ] = "sh",
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    timeout: Annotated[
        float,
        typer.Option("--timeout", min=0.0, help="How long to wait for the vault, in seconds."),
    ] = 60.0,
) -> None:
    """Waits until a folder's development vault answers, and prints its clients' environment.

    For a shell: eval "$(vaultcore env)"
    """
    deadline = time.monotonic() + timeout
    while (ready := read_ready(data)) is None:
        if time.monotonic() >= deadline:
            raise CommandError(
                f"no development vault answers on {data}: start one with "
                f"`vaultcore dev --data {data}`",
                status=AWAY,
            )
        time.sleep(_LOOK_SECONDS)
    environment = ready.environment()
    if json or format_ == "json":
        print_json(environment)
        return
    for name, value in environment.items():
        print_line(f"export {name}={_quoted(value)}")


def _quoted(value: str) -> str:
    quoted = shlex.quote(value)
    return quoted if quoted.startswith("'") else f"'{quoted}'"


def _introduce(data: Path, ready: Ready) -> None:
    from vaultcore.service.development.authority import TRUSTSTORE_PASSWORD  # noqa: PLC0415

    domain = f"{DOMAIN}:{ready.port}"
    print_line("vaultcore is ready")
    for name in ready.vaults:
        print_line(f"  vault       https://{name}.{domain}")
    print_line(f"  issuer      {issuer_url(domain)}")
    print_line(f"  management  {management_url(domain)}")
    print_line(f"  data        {data}")
    print_line(
        f"  Java        -Djavax.net.ssl.trustStore={ready.truststore} "
        f"-Djavax.net.ssl.trustStorePassword={TRUSTSTORE_PASSWORD}"
    )
    missing = hosts_line(ready.vaults)
    if missing is not None:
        print_line("")
        print_line("*.localhost does not resolve on this machine. Add this line to /etc/hosts:")
        print_line(f"  {missing}")
    print_line("")
    print_line("In another terminal:")
    print_line(f'  eval "$(vaultcore env --data {shlex.quote(str(data))})"')
