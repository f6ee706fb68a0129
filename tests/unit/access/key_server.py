"""A server of keys that rotates, vanishes, hangs and lies when it is told to."""

import contextlib
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from unit.access.key_sets import key_set
from vaultcore.access.remote_keys import RemoteKeys
from vaultcore.service.development.authority import TlsFiles

Reply = Callable[["Handler"], None]


@dataclass
class Server:
    url: str
    ca: Path
    replies: dict[str, Reply] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)

    def serve_keys(self, *keys: object) -> None:
        self.replies["/keys"] = body(key_set(*keys))
        self.replies["/.well-known/openid-configuration"] = body(
            json.dumps({"issuer": self.url, "jwks_uri": f"{self.url}/keys"}).encode()
        )


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: Server

    def do_GET(self) -> None:
        self.state.seen.append(self.path)
        self.state.headers.append({k.lower(): v for k, v in self.headers.items()})
        reply = self.state.replies.get(self.path, status(404))
        with contextlib.suppress(OSError):  # the client goes away, in some tests on purpose
            reply(self)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


def body(content: bytes, *, code: int = 200, **headers: str) -> Reply:
    def reply(handler: Handler) -> None:
        handler.send_response(code)
        handler.send_header("content-length", str(len(content)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(content)

    return reply


def status(code: int) -> Reply:
    return body(b"{}", code=code)


def hang(handler: Handler) -> None:
    handler.state.release.wait(20)


def drip(handler: Handler) -> None:
    """Sends a byte now and then, each before any read would time out."""
    handler.send_response(200)
    handler.end_headers()
    while not handler.state.release.wait(0.05):
        handler.wfile.write(b" ")
        handler.wfile.flush()


def drip_headers(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nx: ")
    while not handler.state.release.wait(0.05):
        handler.wfile.write(b"x")
        handler.wfile.flush()


def giant(handler: Handler) -> None:
    """Sends without end and without saying how much."""
    handler.send_response(200)
    handler.end_headers()
    while not handler.state.release.is_set():
        handler.wfile.write(b" " * 65536)


def cut(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("content-length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"keys":')


@contextlib.contextmanager
def serving(certificates: TlsFiles) -> Iterator[Server]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.certificate, certificates.key)
    handler = type("BoundHandler", (Handler,), {})
    listener = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    listener.daemon_threads = True
    listener.handle_error = lambda *_: None  # type: ignore[method-assign]
    listener.socket = context.wrap_socket(
        listener.socket, server_side=True, do_handshake_on_connect=False
    )
    state = Server(f"https://localhost:{listener.server_address[1]}", certificates.authority)
    handler.state = state  # type: ignore[attr-defined]
    thread = threading.Thread(target=listener.serve_forever, args=(0.02,))
    thread.start()
    yield state
    state.release.set()
    listener.shutdown()
    thread.join()
    listener.server_close()


class Monotonic:
    """A monotonic time that moves when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class HurriedKeys(RemoteKeys):
    DEADLINE = 0.4


def land(flight: Future[None] | None) -> None:
    """Waits for a fetch that a caller is to wait for."""
    assert flight is not None
    flight.result(10)


def remote(server: Server, hands: Monotonic, **changes: Any) -> RemoteKeys:
    return HurriedKeys(server.url, ca_file=server.ca, monotonic=hands, **changes)
