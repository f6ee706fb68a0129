"""A real service for the tests of its API: TLS, a child process, an empty folder, a free port.

Nothing here depends on how this machine resolves names: every host is reached at the loopback, and
names go into the TLS handshake and the Host header only.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import ssl
import subprocess
import sys
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

LATEST = "2026-04-01"
DOMAIN = "vault.localhost"
#: Stands in every value, key, token and body that must never be seen again; see `check_quiet`.
CANARY = "c4n4ry"
EVERY_SECRET = ("get", "list", "set", "delete", "backup", "restore", "recover", "purge")


def program(*words: str) -> list[str]:
    return [sys.executable, "-c", "from vaultcore.cli import main; main()", *words]


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    assert "=" not in text, "base64url comes without padding"
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def unique(prefix: str = "o") -> str:
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


class Raw(NamedTuple):
    """An answer as it came over the wire."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class _Loopback(httpx.BaseTransport):
    """Takes every host to the loopback, and sends the path as it was written."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self._port = port
        self._inner = httpx.HTTPTransport(verify=context, limits=httpx.Limits(max_connections=64))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        host = request.headers["host"].partition(":")[0]
        request.extensions = {"sni_hostname": host, **request.extensions}
        request.url = request.url.copy_with(scheme="https", host="127.0.0.1", port=self._port)
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()


@dataclass
class Service:
    """A running `vaultcore dev`, and what its clients need to know."""

    data: Path
    log: Path
    process: subprocess.Popen[bytes]
    environment: dict[str, str]
    port: int = 0
    context: ssl.SSLContext = field(init=False)
    http: httpx.Client = field(init=False)
    _tokens: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.port = int(self.environment["VAULT_URL"].rpartition(":")[2])
        self.context = ssl.create_default_context(cafile=self.environment["SSL_CERT_FILE"])
        self.http = httpx.Client(transport=_Loopback(self.port, self.context), timeout=60)

    # identity and management

    def token(self, client_id: str, client_secret: str, host: str = DOMAIN) -> str:
        answer = self.http.post(
            f"https://login.{DOMAIN}:{self.port}/adfs/oauth2/token",
            data={
                "grant_type": "client_credentials",
                "client_id": client_id,
                "client_secret": client_secret,
                "scope": f"https://{host}:{self.port}/.default",
            },
        )
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def administrator(self, host: str) -> str:
        """The administrator's token for one of the planes."""
        if host not in self._tokens:
            self._tokens[host] = self.token(
                self.environment["AZURE_CLIENT_ID"], self.environment["AZURE_CLIENT_SECRET"], host
            )
        return self._tokens[host]

    @property
    def admin(self) -> str:
        """The administrator's token for the vaults."""
        return self.administrator(DOMAIN)

    def ask_management(self, operation: str, **arguments: Any) -> httpx.Response:
        host = f"management.{DOMAIN}"
        return self.http.post(
            f"https://{host}:{self.port}/v1/{operation}",
            json=arguments,
            headers={"authorization": f"Bearer {self.administrator(host)}"},
        )

    def manage(self, operation: str, **arguments: Any) -> Any:
        answer = self.ask_management(operation, **arguments)
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    def make_vault(self, **settings: Any) -> Vault:
        """Makes a vault in which the administrator may do everything."""
        name = "v" + uuid.uuid4().hex[:12]
        self.manage("vault.create", name=name, **settings)
        return self.vault(name)

    def vault(self, name: str = "dev", token: str | None = None) -> Vault:
        return Vault(self, name, self.admin if token is None else token)

    def stranger(
        self, vault: str = "dev", *, secrets: Sequence[str] = (), keys: Sequence[str] = ()
    ) -> Stranger:
        """Makes an application with exactly these permissions."""
        made = self.manage("app.create", name=unique("app"))
        if secrets or keys:
            self.manage(
                "access.set",
                vault=vault,
                principal=made["object_id"],
                secret_permissions=list(secrets),
                key_permissions=list(keys),
            )
        token = self.token(made["client_id"], made["client_secret"])
        return Stranger(
            self, vault, token, object_id=made["object_id"], client_id=made["client_id"]
        )

    # the wire

    def connect(self, host: str = f"dev.{DOMAIN}") -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=40)
        return self.context.wrap_socket(plain, server_hostname=host)

    def raw(self, head: bytes, body: bytes = b"") -> Raw:
        """Sends bytes as they are and reads one answer; `{host}` becomes the first vault's."""
        host = f"dev.{DOMAIN}:{self.port}".encode()
        with self.connect() as connection:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
                # A service that has answered already need not read what comes after.
                connection.sendall(head.replace(b"{host}", host) + body)
            return read_answer(connection)

    # what it left behind

    def records(self, since: int = 0) -> list[dict[str, Any]]:
        """Returns the audit records after a number, as they stand in the log."""
        lines = (self.data / "audit" / "audit.jsonl").read_bytes().splitlines()
        return [json.loads(line) for line in lines[since:]]

    def record_count(self) -> int:
        return (self.data / "audit" / "audit.jsonl").read_bytes().count(b"\n")

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def check_quiet(self) -> None:
        """Checks that nothing that was sent as a secret is in the logs, and nothing broke."""
        said = self.output()
        assert "Traceback" not in said, said
        assert "unexpected" not in said, said
        assert CANARY not in said
        for segment in (self.data / "audit").iterdir():
            assert CANARY.encode() not in segment.read_bytes(), segment


@dataclass
class Vault:
    """One vault, as one caller sees it over HTTPS."""

    service: Service
    name: str
    token: str

    @property
    def url(self) -> str:
        return f"https://{self.name}.{DOMAIN}:{self.service.port}"

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        api: str | None = LATEST,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
    ) -> httpx.Response:
        """Sends a request; the path goes over the wire as it is written here."""
        target = path
        if api is not None:
            target += ("&" if "?" in path else "?") + f"api-version={api}"
        sent = {"authorization": f"Bearer {self.token if token is None else token}"}
        if token == "":
            del sent["authorization"]
        content: bytes | None = None
        if isinstance(body, (bytes, str)):
            content = body.encode() if isinstance(body, str) else body
        elif body is not None:
            content = json.dumps(body).encode()
        if content is not None:
            sent["content-type"] = "application/json"
        request = self.service.http.build_request(
            method,
            self.url,
            content=content,
            headers={**sent, **(headers or {})},
            extensions={"target": target.encode(), "timeout": httpx.Timeout(60).as_dict()},
        )
        return self.service.http.send(request)

    def do(
        self, method: str, path: str, body: Any = None, *, status: int = 200, **options: Any
    ) -> Any:
        """Sends a request that must succeed, and returns its body."""
        answer = self.ask(method, path, body, **options)
        assert answer.status_code == status, (method, path, answer.status_code, answer.text)
        return answer.json() if answer.content else None

    def refuse(
        self,
        status: int,
        code: str,
        method: str,
        path: str,
        body: Any = None,
        *,
        inner: str | None = None,
        **options: Any,
    ) -> str:
        """Sends a request that must be refused just so, and returns the message."""
        answer = self.ask(method, path, body, **options)
        return refused(answer, status, code, inner)

    def set(self, name: str, value: str = f"value {CANARY}", **members: Any) -> Any:
        return self.do("PUT", f"/secrets/{name}", {"value": value, **members})

    def create(self, name: str, kty: str, **members: Any) -> Any:
        return self.do("POST", f"/keys/{name}/create", {"kty": kty, **members})

    def pages(self, path: str, **options: Any) -> list[list[Any]]:
        """Follows the links of a list to its end, and returns its pages."""
        found = []
        answer = self.do("GET", path, **options)
        while True:
            found.append(answer["value"])
            link = answer["nextLink"]
            if link is None:
                return found
            assert link.startswith(self.url + "/"), link
            answer = self.do("GET", link.removeprefix(self.url), api=None)

    def as_(self, token: str) -> Vault:
        return Vault(self.service, self.name, token)


@dataclass
class Stranger(Vault):
    """A vault as an application without the administrator's rights sees it."""

    object_id: str = ""
    client_id: str = ""


def refused(answer: httpx.Response, status: int, code: str, inner: str | None = None) -> str:
    """Checks the shape of an error (contract 2.1) and returns its message."""
    assert answer.status_code == status, (answer.status_code, answer.text)
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    # azure-core repeats whatever has this header, whatever the status.
    assert "retry-after" not in answer.headers
    body = answer.json()
    expected = {"code": code, "message": body["error"]["message"]}
    if inner is not None:
        expected["innererror"] = {"code": inner}
    assert body == {"error": expected}
    assert expected["message"]
    return str(expected["message"])


def read_answer(connection: ssl.SSLSocket) -> Raw:
    """Reads one answer of HTTP/1.1 with an announced length."""
    received = b""
    while b"\r\n\r\n" not in received:
        more = connection.recv(65536)
        if not more:
            return Raw(0, [], received)
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
    return Raw(int(first.split()[1]), headers, body)


def start(folder: Path, *words: str, under: Sequence[str] = ()) -> Service:
    """Starts a service, under another program if one is given, and waits until it answers."""
    log = folder / "service.log"
    data = folder / "data"
    inherited = {n: v for n, v in os.environ.items() if not n.startswith(("AZURE_", "VAULTCORE_"))}
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [*under, *program("dev", "--data", str(data), "--port", "0", *words)],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            env=inherited,
        )
    try:
        told = subprocess.run(
            program("env", "--data", str(data), "--format", "json"),
            capture_output=True,
            timeout=90,
            check=False,
            env=inherited,
        )
        assert told.returncode == 0, (told.stderr, log.read_text())
        return Service(data, log, process, json.loads(told.stdout))
    except BaseException:
        process.kill()
        process.wait()
        raise


def stop(service: Service) -> None:
    service.http.close()
    service.process.terminate()
    try:
        ended = service.process.wait(30)
    except subprocess.TimeoutExpired:
        service.process.kill()
        service.process.wait()
        raise
    assert ended == 0, service.output()
    service.check_quiet()
