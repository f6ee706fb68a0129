"""A service behind a real server on a port of this machine, spoken to in bytes."""

import asyncio
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from granian.constants import Interfaces
from granian.server.embed import Server

from vaultcore import Engine
from vaultcore.service.app import build_application

DOMAIN = "vault.localhost"


class Said(NamedTuple):
    """An answer, as it came over the wire."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def error(self) -> Any:
        return json.loads(self.body)["error"]

    def header(self, name: str) -> str:
        return next((value for found, value in self.headers if found == name), "")


class Service:
    """The service of an engine, without TLS, in this process.

    The options are those of `build_application`.
    """

    def __init__(self, engine: Engine, **options: Any) -> None:
        self.engine = engine
        self.application = build_application(engine, **options)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        self._wait()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._server = Server(
            self.application, port=self.port, interface=Interfaces.ASGINL, log_enabled=False
        )
        await self._server.serve()

    def _wait(self) -> None:
        for _ in range(400):
            try:
                self.connect().close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise AssertionError("the server did not start")

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._server.stop)
        self._thread.join(20)
        self.application.close()

    @property
    def slow_pool(self) -> ThreadPoolExecutor:
        """The threads of operations of software keys."""
        pool: ThreadPoolExecutor = self.application.close.__self__._pools._processor  # type: ignore[attr-defined]
        return pool

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), 20)

    def ask(self, *lines: bytes, body: bytes = b"") -> Said:
        """Sends a head of these lines and a body, and reads one answer."""
        with self.connect() as connection:
            connection.sendall(b"\r\n".join(lines) + b"\r\n\r\n" + body)
            return read(connection)

    def bearer(self, client_id: str, client_secret: str, host: str = DOMAIN) -> bytes:
        """Returns the header with a token of an application for one of the planes."""
        issuer = self.engine.issuer
        found = issuer.applications.authenticate(client_id, client_secret)
        assert found is not None
        from vaultcore.access.issuer import Shape

        tenant = self.engine.installation.tenant_id
        token = issuer.issue(found, resource=f"https://{host}", tenant=tenant, shape=Shape.V2)
        return b"Authorization: Bearer " + token.token.encode()

    def records(self) -> list[dict[str, Any]]:
        log = self.engine.data / "audit" / "audit.jsonl"
        return [json.loads(line) for line in log.read_bytes().splitlines()]


def read(connection: socket.socket) -> Said:
    """Reads one answer with an announced length; status 0 for a connection that was closed."""
    received = b""
    while b"\r\n\r\n" not in received:
        more = connection.recv(65536)
        if not more:
            return Said(0, [], received)
        received += more
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = [(n.lower(), v.strip()) for n, _, v in (line.partition(":") for line in lines)]
    length = int(dict(headers).get("content-length", "0"))
    while len(body) < length:
        more = connection.recv(65536)
        if not more:
            break
        body += more
    return Said(int(first.split()[1]), headers, body)
