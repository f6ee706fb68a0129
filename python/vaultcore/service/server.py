"""The HTTP server: granian in worker processes, each of which opens the engine for itself."""

import asyncio
import gc
import logging
import os
import socket
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from granian.constants import HTTPModes, Interfaces, Loops, RuntimeModes, SSLProtocols
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.net import SocketHolder  # type: ignore[attr-defined]
from granian.server.mp import MPServer

from vaultcore.errors import ConfigurationError
from vaultcore.hardening import harden
from vaultcore.library.opening import open_engine
from vaultcore.service.app import build_application
from vaultcore.service.config import CONNECTIONS, Configuration
from vaultcore.service.connections import Keeper
from vaultcore.service.descriptors import backlog, claim, most
from vaultcore.service.listening import listen
from vaultcore.service.pulse import Pulse
from vaultcore.service.supervisor import Supervisor

if TYPE_CHECKING:
    from vaultcore.service.exchange import Receive, Scope, Send
    from vaultcore.service.front import Front

#: The oldest version of TLS that a client may speak.
TLS_MINIMUM: Final = SSLProtocols.tls13
#: How long a request's headers may take, and a connection may be idle, in milliseconds.
HEADER_MILLISECONDS: Final = 10_000
HEADER_BYTES: Final = 64 * 1024
#: More connections than a worker can have: the keeper limits them, the server must not wait.
_UNBOUNDED: Final = 1 << 24

logger = logging.getLogger("vaultcore.service")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a service.

    Attributes:
        data: the data folder.
        host: the address to listen on.
        port: the port to listen on.
        workers: how many processes answer requests.
        certificate: the certificate chain, PEM.
        key: its private key, PEM.
        configuration: the configuration of a production service; None for a development one.
        first_vault: the vault that also answers at ``localhost``, for development.
        challenge_tenant: the tenant that the challenge names, or None for the installation's.
        connections: how many connections each process keeps at most.
    """

    data: Path
    host: str
    port: int
    workers: int
    certificate: Path
    key: Path
    configuration: Configuration | None
    first_vault: str | None = None
    challenge_tenant: str | None = None
    connections: int = CONNECTIONS

    @property
    def default_hosts(self) -> tuple[str, ...]:
        """Host names at which the first vault answers too."""
        if self.first_vault is None:
            return ()
        suffix = "" if self.port == 443 else f":{self.port}"  # noqa: PLR2004 - HTTPS's default
        return f"localhost{suffix}", f"127.0.0.1{suffix}", f"[::1]{suffix}"

    @property
    def log_level(self) -> LogLevels:
        """How much the service logs."""
        return LogLevels(self.configuration.log) if self.configuration else LogLevels.warning

    def check(self) -> None:
        """Checks that a worker could start with the certificate and its key.

        Raises:
            ConfigurationError: they cannot be read, or do not belong together.
        """
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
                self.certificate, self.key, password=_no_password
            )
        except (OSError, ValueError) as error:  # an ssl.SSLError is an OSError
            raise ConfigurationError(
                f"the certificate `{self.certificate}` and the key `{self.key}` cannot be used "
                f"({error})"
            ) from None


class Worker:
    """One worker's application: opens the engine when the server starts, closes it at the end.

    Args:
        settings: the settings of the service.
        listener: the listening socket.
        channel: the channel to the supervisor.
    """

    def __init__(self, settings: Settings, listener: socket.socket, channel: socket.socket) -> None:
        configuration = settings.configuration
        issuers = () if configuration is None else configuration.trusted_issuers()
        proxies = None if configuration is None else configuration.server.proxies()
        self._listener = listener
        self._channel = channel
        self._engine = open_engine(settings.data)
        if issuers:
            self._engine.trust(issuers)
        if configuration is not None:
            self._engine.housekeeper.audit_days = configuration.audit.retention_days
        self._application: Front = build_application(
            self._engine,
            default_hosts=settings.default_hosts,
            default_vault=settings.first_vault,
            challenge_tenant=settings.challenge_tenant,
            proxies=proxies,
        )
        self.limits = claim(settings.connections)
        if self.limits.connections < settings.connections:
            logger.warning(
                "the limit of %d descriptors allows %d connections instead of %d: raise it "
                "(LimitNOFILE, ulimit -Hn)",
                self.limits.hard,
                self.limits.connections,
                settings.connections,
            )

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answers a request, or the server's own events."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await self._application(scope, receive, send)

    async def _live(self, receive: "Receive", send: "Send") -> None:
        keeper = Keeper(self._listener, self.limits, self._application.admitted)
        pulse = Pulse(self._listener, self._channel, asyncio.get_running_loop())
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                keeper.start()
                pulse.start()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                pulse.end()
                keeper.end()
                self._application.close()
                self._engine.close()
                await send({"type": "lifespan.shutdown.complete"})
                return


class _Server(MPServer):
    """Granian as one process of a service that has its own supervisor.

    Granian's supervisor gives up after two deaths, and closes a worker before the next one answers.
    """

    def work(self, slot: int, listener: socket.socket, worker: Worker) -> None:
        """Answers requests until this process is told to end.

        Args:
            slot: the number of the worker.
            listener: the listening socket.
            worker: the application.
        """
        # The server closes what it is passed.
        self._ssp = None
        self._shd = SocketHolder(  # type: ignore[assignment,call-arg] # more than the stubs know
            os.dup(listener.fileno()), False, worker.limits.backlog
        )
        self._sso = None
        process = self._spawn_worker(slot, self._spawn_asgi_lifespan_worker, lambda: worker)
        process.inner.run()


class _Service:
    """A service and its workers, for the supervisor."""

    def __init__(self, settings: Settings, renew: Callable[[], Settings] | None) -> None:
        self._settings = settings
        self._renew = renew
        self._listeners = listen(settings.host, settings.port, settings.workers, backlog(most()))

    def work(self, slot: int, channel: socket.socket) -> None:
        """Runs a worker process, from its beginning to its end."""
        harden()
        settings = self._settings
        for number, other in enumerate(self._listeners):
            if number != slot:
                other.close()
        listener = self._listeners[slot]
        # What is loaded now stays loaded: the collector need not examine it again and again.
        gc.collect()
        gc.freeze()
        worker = Worker(settings, listener, channel)
        server = _Server(
            "vaultcore",
            address=settings.host,
            port=settings.port,
            interface=Interfaces.ASGI,
            workers=1,
            runtime_threads=1,
            runtime_mode=RuntimeModes.st,
            loop=Loops.uvloop,
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(
                header_read_timeout=HEADER_MILLISECONDS, max_buffer_size=HEADER_BYTES
            ),
            websockets=False,
            backlog=worker.limits.backlog,
            backpressure=_UNBOUNDED,
            log_level=settings.log_level,
            ssl_cert=settings.certificate,
            ssl_key=settings.key,
            ssl_protocol_min=TLS_MINIMUM,
        )
        server.work(slot, listener, worker)

    def renew(self) -> None:
        """Reads the settings again, for the workers that start from now on.

        Raises:
            ConfigurationError: workers could not start with the new settings.
        """
        settings = self._settings if self._renew is None else self._renew()
        settings.check()
        before = self._settings
        fixed = ("data", "host", "port", "workers")
        changed = [name for name in fixed if getattr(settings, name) != getattr(before, name)]
        if changed:
            logger.warning("%s: changes only with a restart", ", ".join(changed))
            kept = {name: getattr(before, name) for name in fixed}
            settings = msgspec.structs.replace(settings, **kept)
        self._settings = settings

    def bypass(self, slot: int) -> None:
        """Passes the connections of a missing worker to the others.

        Its socket keeps the port, and listens again when the next worker does.
        """
        listener = self._listeners[slot]
        # A second call would mark the socket, and end what it accepts later.
        if listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            listener.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Releases the port."""
        for listener in self._listeners:
            listener.close()


def run(settings: Settings, renew: Callable[[], Settings] | None = None) -> None:
    """Serves a data folder until the process is told to stop.

    Args:
        settings: the settings of the service.
        renew: reads them again on SIGHUP; raises ConfigurationError if they are wrong.

    Raises:
        ConfigurationError: the server cannot start.
    """
    harden()
    settings.check()
    _log_to_stderr(settings.log_level)
    service = _Service(settings, renew)
    try:
        Supervisor(settings.workers, service.work, service.renew, service.bypass).run()
    finally:
        service.close()


def _log_to_stderr(level: LogLevels) -> None:
    log = logging.getLogger("vaultcore")
    log.setLevel(level.value.upper())
    if not log.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("[%(levelname)s] %(message)s"))
        log.addHandler(handler)


def _no_password() -> str:
    # Without this, the password of an encrypted key would be asked for at the terminal.
    raise ValueError("the key is encrypted")
