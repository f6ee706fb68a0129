"""``vaultcore init`` and ``vaultcore serve``: production, from a configuration file."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vaultcore.cli.outcome import CommandError
from vaultcore.cli.output import print_json, print_line, print_record
from vaultcore.cli.session import plain
from vaultcore.errors import ConfigurationError

if TYPE_CHECKING:
    from vaultcore.library.engine import LibraryEngine
    from vaultcore.protectors.options import ProtectorOptions
    from vaultcore.service.config import Configuration, ProtectorSettings
    from vaultcore.service.server import Settings

Config = Annotated[
    Path | None, typer.Option("--config", envvar="VAULTCORE_CONFIG", help="The TOML file.")
]


def add_to(app: typer.Typer) -> None:
    """Adds the two commands to the command line."""
    plain(app, "init")(init)
    plain(app, "serve")(serve)


def init(
    *,
    config: Config = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Create this folder, with a key file, for use as a library."),
    ] = None,
    passphrase_file: Annotated[
        Path | None,
        typer.Option("--passphrase-file", help="With --data: protect the key by a passphrase."),
    ] = None,
    example: Annotated[
        bool, typer.Option("--example", help="Print a configuration file to start from.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
) -> None:
    """Creates a data folder, its protectors and an administrator, whose secret is shown once."""
    if example:
        from vaultcore.service.config import EXAMPLE  # noqa: PLC0415

        print_line(EXAMPLE.rstrip("\n"))
        return
    if (config is None) == (data is None):
        raise CommandError(
            "say what to create: --config FILE for a service (`vaultcore init --example` prints a "
            "file to start from), or --data DIR for the library"
        )
    from vaultcore.cli.local import read_passphrase  # noqa: PLC0415
    from vaultcore.library.opening import create_engine  # noqa: PLC0415

    def first(engine: "LibraryEngine") -> None:
        # Before the folder counts as created: a secret that nobody read would be lost with a vault
        # that exists, and a secret that was read belongs to no vault if this fails.
        made: dict[str, Any] = engine.management.app_create(name="administrator")
        engine.management.access_administrator(principal="administrator")
        answer = {"data": str(engine.data), "administrator": made}
        if json:
            print_json(answer)
        else:
            print_record(answer)
        sys.stdout.flush()

    if data is not None:
        create_engine(
            data, passphrase=read_passphrase(passphrase_file), housekeeping=False, first=first
        ).close()
    else:
        settings = _load(config)
        create_engine(
            Path(settings.data),
            protectors=[protector_options(protector) for protector in settings.protectors],
            domain=settings.server.domain,
            housekeeping=False,
            first=first,
        ).close()


def serve(*, config: Config = None) -> None:
    """Runs the service until interrupted. On SIGHUP, it reads its files again."""
    from vaultcore.library.opening import open_engine  # noqa: PLC0415
    from vaultcore.service.server import run  # noqa: PLC0415

    settings = _load_checked(config)
    # Anything wrong with the folder is reported here, once, and not by every worker.
    with open_engine(Path(settings.data), housekeeping=False) as engine:
        _check_folder(settings, {p.name for p in engine.key_ring.protectors})
        if engine.installation.domain != settings.server.domain:
            raise CommandError(
                f"the folder was created for the domain {engine.installation.domain}, and the "
                f"configuration says {settings.server.domain}"
            )

    def renew() -> "Settings":
        found = _load_checked(config)
        if found.server.domain != settings.server.domain:
            raise ConfigurationError(
                f"the configuration now says {found.server.domain}, and the folder was created for "
                f"the domain {settings.server.domain}"
            )
        return _service_settings(found)

    run(_service_settings(settings), renew)


def _service_settings(configuration: "Configuration") -> "Settings":
    from vaultcore.service.server import Settings  # noqa: PLC0415

    server = configuration.server
    return Settings(
        data=Path(configuration.data).absolute(),
        host=server.address,
        port=server.port,
        workers=server.workers,
        certificate=Path(server.certificate),
        key=Path(server.key),
        configuration=configuration,
        connections=server.connections,
    )


def protector_options(settings: "ProtectorSettings") -> "ProtectorOptions":
    """Returns the options that open a protector of the configuration."""
    import msgspec  # noqa: PLC0415

    from vaultcore.protectors.options import ProtectorOptions  # noqa: PLC0415

    members: dict[str, str] = msgspec.to_builtins(settings)
    kind, name = members.pop("kind"), members.pop("name")
    options = {member: value for member, value in members.items() if value}
    return ProtectorOptions(name=name, kind=kind, options=options)


def _load(config: Path | None) -> "Configuration":
    from vaultcore.service.config import load_configuration  # noqa: PLC0415

    if config is None:
        raise CommandError("say which configuration: --config FILE, or set VAULTCORE_CONFIG")
    return load_configuration(config)


def _load_checked(config: Path | None) -> "Configuration":
    settings = _load(config)
    settings.check_files()
    settings.trusted_issuers()
    return settings


def _check_folder(settings: "Configuration", present: set[str]) -> None:
    named = {protector.name for protector in settings.protectors}
    if named != present:
        raise CommandError(
            f"the configuration names the protectors {', '.join(sorted(named))}, and the folder "
            f"has {', '.join(sorted(present))}: use `vaultcore protector add` or `remove`, or "
            "correct the configuration"
        )
