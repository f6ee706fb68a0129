"""The HTTP server: granian, with its worker processes each opening the engine for themselves."""

import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import granian
import msgspec
from granian.constants import HTTPModes, Interfaces, Loops, RuntimeModes
from granian.http import HTTP1Settings
from granian.log import LogLevels

from vaultcore.config import Configuration
from vaultcore.engine import open_engine
from vaultcore.errors import ConfigurationError
from vaultcore.hardening import harden
from vaultcore.service.app import build_application

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vaultcore.access.proxies import Proxies
    from vaultcore.access.trust import TrustedIssuer
    from vaultcore.service.exchange import Receive, Scope, Send

#: What the workers are told; an environment variable, because they may be started afresh.
_SETTINGS: Final = "VAULTCORE_WORKER"
HEADER_MILLISECONDS: Final = 10_000
HEADER_BYTES: Final = 64 * 1024
BACKLOG: Final = 1024


class WorkerSettings(msgspec.Struct, frozen=True):
    """What a worker needs to know.

    Attributes:
        data: the data folder.
        configuration: what the configuration file says, or None for a development service.
        default_hosts: host names under which the first vault answers too.
        first_vault: the name of that vault.
        challenge_tenant: the tenant that the challenge names, or None for the installation's.
    """

    data: str
    configuration: Configuration | None
    default_hosts: tuple[str, ...]
    first_vault: str | None
    challenge_tenant: str | None


class Worker:
    """One worker's application: opens the engine when the server starts, closes it at the end.

    Args:
        settings: what the worker was told.
        issuers: the issuers to trust beside the built-in one.
        proxies: whose word for the client's address is taken; None for nobody's.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        issuers: "Sequence[TrustedIssuer]" = (),
        proxies: "Proxies | None" = None,
    ) -> None:
        self._engine = open_engine(settings.data)
        if issuers:
            self._engine.trust(issuers)
        self._plane = build_application(
            self._engine,
            default_hosts=settings.default_hosts,
            default_vault=settings.first_vault,
            challenge_tenant=settings.challenge_tenant,
            proxies=proxies,
        )

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answers a request, or the server's own questions."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await self._plane(scope, receive, send)

    @property
    def application(self) -> Any:
        """The data plane itself, for a server that needs no lifespan."""
        return self._plane

    async def _live(self, receive: "Receive", send: "Send") -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                self._plane.close()
                self._engine.close()
                await send({"type": "lifespan.shutdown.complete"})
                return


def create_worker() -> Worker:
    """Makes a worker's application; the server calls it in each worker process."""
    harden()
    settings = msgspec.json.decode(os.environ[_SETTINGS], type=WorkerSettings)
    configuration = settings.configuration
    # What is loaded now stays: the collector need not look at it again and again.
    gc.collect()
    gc.freeze()
    issuers = () if configuration is None else configuration.trusted_issuers()
    return Worker(
        settings, issuers, None if configuration is None else configuration.server.proxies()
    )


def run(
    data: Path,
    *,
    host: str,
    port: int,
    workers: int,
    tls_cert: Path,
    tls_key: Path,
    configuration: Configuration | None,
    first_vault: str | None,
    challenge_tenant: str | None = None,
) -> None:
    """Serves a data folder until the process is told to stop.

    Args:
        data: the data folder.
        host: the address to listen on.
        port: the port to listen on.
        workers: how many processes answer.
        tls_cert: the certificate chain, PEM.
        tls_key: its private key, PEM.
        configuration: of a production service; None for a development one.
        first_vault: the vault that also answers at ``localhost``, for development.
        challenge_tenant: the tenant that the challenge names; ``adfs`` for development.

    Raises:
        ConfigurationError: the server cannot start.
    """
    development = configuration is None
    suffix = "" if port == 443 else f":{port}"  # noqa: PLR2004 - the default port of HTTPS
    settings = WorkerSettings(
        data=str(data.absolute()),
        configuration=configuration,
        default_hosts=(
            (f"localhost{suffix}", f"127.0.0.1{suffix}", f"[::1]{suffix}")
            if first_vault is not None
            else ()
        ),
        first_vault=first_vault,
        challenge_tenant=challenge_tenant or ("adfs" if development else None),
    )
    os.environ[_SETTINGS] = msgspec.json.encode(settings).decode()
    server = granian.Granian(
        "vaultcore.service.server:create_worker",
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        workers=workers,
        runtime_threads=1,
        runtime_mode=RuntimeModes.st,
        loop=Loops.uvloop,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(
            header_read_timeout=HEADER_MILLISECONDS, max_buffer_size=HEADER_BYTES
        ),
        websockets=False,
        backlog=BACKLOG,
        log_level=LogLevels.warning if configuration is None else LogLevels(configuration.log),
        ssl_cert=tls_cert,
        ssl_key=tls_key,
        factory=True,
        respawn_failed_workers=True,
        workers_kill_timeout=10,
    )
    try:
        server.serve()
    except (OSError, RuntimeError) as error:
        raise ConfigurationError(f"the server cannot start: {error}") from None
