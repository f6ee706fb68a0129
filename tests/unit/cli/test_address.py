"""Which hosts `--url` leads to, and that no other host ever hears of it."""

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from vaultcore.cli import app
from vaultcore.cli.address import Origin, ServiceAddress, read_origin
from vaultcore.cli.outcome import CommandError
from vaultcore.clock import SystemClock
from vaultcore.service.development.authority import ensure_certificates

runner = CliRunner()
HOSTS = ("example.com", "com.example", "one.example.com", "dev.example.com", "dev.com",
         "dev.one.example.com", "management.example.com", "management.com",
         "management.one.example.com", "management.dev.example.com", "dev.dev.example.com",
         "login.example.com", "evil.test")  # fmt: skip


def unasked(origin: Origin) -> None:
    raise AssertionError(f"{origin} was asked")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://dev.example.com", "dev.example.com"),
        ("https://DEV.Example.com/", "dev.example.com"),
        ("https://dev.com:8443", "dev.com:8443"),
        ("https://management.example.com", "dev.example.com"),
    ],
)
def test_the_host_that_is_named_is_not_asked(url: str, host: str) -> None:
    assert str(ServiceAddress(url, unasked).vault("Dev")) == host


@pytest.mark.parametrize(
    ("url", "resource", "vault", "management"),
    [
        # A domain, which has no challenge or none of ours.
        ("https://example.com", None, "dev.example.com", "management.example.com"),
        ("https://example.com", "https://com", "dev.example.com", "management.example.com"),
        ("https://example.com", "https://example.com", "dev.example.com", "management.example.com"),
        ("https://a.b.example", "https://example", "dev.a.b.example", "management.a.b.example"),
        # Another vault, which says in which domain it is.
        ("https://one.example.com", "https://example.com", "dev.example.com",
         "management.example.com"),
        ("https://one.example.com:8443", "https://example.com:8443", "dev.example.com:8443",
         "management.example.com:8443"),
        # Another port is another service.
        ("https://one.example.com:8443", "https://example.com", "dev.one.example.com:8443",
         "management.one.example.com:8443"),
        ("https://one.example.com", "https://evil.test", "dev.one.example.com",
         "management.one.example.com"),
        ("https://management.com", None, "dev.management.com", "management.com"),
    ],
)  # fmt: skip
def test_other_hosts_are_below_what_was_named_or_what_it_says(
    url: str, resource: str | None, vault: str, management: str
) -> None:
    address = ServiceAddress(url, lambda _: resource)
    assert (str(address.vault("dev")), str(address.management())) == (vault, management)


@pytest.mark.parametrize(
    "url",
    ["http://dev.example.com", "dev.example.com", "https://", "https://[::1", "https://a.b:99999",
     "https://a.b:0", "https://a.b/secrets", "https://a.b?x", "https://a.b#x", "https://u:p@a.b",
     "https://a..b", "https://a.b.", "https://a_b.c", "https://a%2eb.c", "https://localhost:8443",
     "https://127.0.0.1:8443", "https://[::1]:8443", "https://login.example.com",
     "https://a.b\\@evil.test"],
)  # fmt: skip
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(CommandError):
        ServiceAddress(url, unasked)


@pytest.mark.parametrize(
    "vault", ["evil.test/", "a@evil.test", "a.b", "", "-", "a:1", "login", "management", "a\n"]
)
def test_a_vaults_name_is_one_label(vault: str) -> None:
    with pytest.raises(CommandError, match="name of a vault"):
        ServiceAddress("https://example.com", lambda _: None).vault(vault)


@given(st.text(), st.text(), st.text())
def test_any_text_is_refused_or_stays_in_the_domain(host: str, vault: str, resource: str) -> None:
    try:
        address = ServiceAddress(f"https://{host}", lambda _: resource)
        found = address.vault(vault)
    except CommandError:
        return
    named = read_origin(f"https://{host}")
    assert found == named or found.host.endswith(f".{named.host.removeprefix('management.')}")


# commands, against hosts that answer over TLS


class Hosts(ThreadingHTTPServer):
    """Many hosts on one socket; each says what it is told to, and what it hears is kept."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.resources: dict[str, str] = {}
        self.heard: list[tuple[str, str | None]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Hosts

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def handle_one(self) -> None:
        host = str(self.headers["Host"]).partition(":")[0]
        length = int(self.headers.get("Content-Length", 0))
        self.rfile.read(length)
        token = self.headers.get("Authorization")
        self.server.heard.append((host, token))
        resource = self.server.resources.get(host)
        if host == "login.example.com":
            self.answer(200, {"access_token": "token"})
        elif resource is None:
            self.answer(404, {"error": {"code": "VaultNotFound", "message": "no vault"}})
        elif token is None:
            self.answer(401, {}, f'Bearer authorization="https://login", resource="{resource}"')
        else:
            self.answer(200, {"result": [], "value": []})

    def __getattr__(self, name: str) -> Any:
        if name in {"do_GET", "do_POST"}:
            return self.handle_one
        raise AttributeError(name)

    def answer(self, status: int, content: Any, challenge: str = "") -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if challenge:
            self.send_header("WWW-Authenticate", challenge)
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def listening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hosts, str]]:
    tls = ensure_certificates(tmp_path_factory.mktemp("tls"), HOSTS, clock=SystemClock())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.certificate, tls.key)
    hosts = Hosts()
    hosts.socket = context.wrap_socket(hosts.socket, server_side=True)
    thread = threading.Thread(target=hosts.serve_forever, daemon=True)
    thread.start()
    yield hosts, str(tls.authority)
    hosts.shutdown()
    hosts.server_close()
    thread.join()


@pytest.fixture
def hosts(listening: tuple[Hosts, str], monkeypatch: pytest.MonkeyPatch) -> Hosts:
    found, authority = listening
    found.heard.clear()
    found.resources.clear()
    for name in ("DATA", "URL", "VAULT"):
        monkeypatch.delenv(f"VAULTCORE_{name}", raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", authority)
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", f"login.example.com:{found.server_port}")
    for name in ("TENANT_ID", "CLIENT_ID", "CLIENT_SECRET"):
        monkeypatch.setenv(f"AZURE_{name}", "adfs")
    real = socket.getaddrinfo

    def resolve(host: Any, *rest: Any, **options: Any) -> Any:
        return real("127.0.0.1" if host in HOSTS else host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return found


def run(hosts: Hosts, url: str, *words: str) -> tuple[int, str, set[str], set[str]]:
    """Returns status, error, the hosts that were talked to, and those that saw the token."""
    result = runner.invoke(app, [*words, "--url", f"{url}:{hosts.server_port}", "--json"])
    heard = hosts.heard
    return (
        result.exit_code,
        result.stderr,
        {host for host, _ in heard if host != "login.example.com"},
        {host for host, token in heard if token is not None},
    )


LIST = ("secret", "list", "--vault", "dev")


def test_a_domain_is_not_taken_for_a_vault(hosts: Hosts) -> None:
    port = hosts.server_port
    # Whoever owns dev.com would have got a token.
    hosts.resources = {"dev.com": f"https://dev.com:{port}",
                       "dev.example.com": f"https://example.com:{port}"}  # fmt: skip
    status, told, talked, trusted = run(hosts, "https://example.com", *LIST)
    assert (status, trusted) == (0, {"dev.example.com"}), told
    # Its domain cannot be `com`, so that it need not be asked.
    assert talked == {"dev.example.com"}


def test_a_vault_is_the_host_that_is_named(hosts: Hosts) -> None:
    hosts.resources = {"dev.example.com": f"https://example.com:{hosts.server_port}"}
    status, told, talked, trusted = run(hosts, "https://dev.example.com", *LIST)
    assert (status, talked, trusted) == (0, {"dev.example.com"}, {"dev.example.com"}), told


def test_a_vault_leads_to_its_neighbours_if_it_says_so(hosts: Hosts) -> None:
    port = hosts.server_port
    hosts.resources = {
        "one.example.com": f"https://example.com:{port}",
        "dev.example.com": f"https://example.com:{port}",
        "management.example.com": f"https://management.example.com:{port}",
    }
    status, told, talked, trusted = run(hosts, "https://one.example.com", *LIST)
    assert (status, trusted) == (0, {"dev.example.com"}), told
    assert talked == {"one.example.com", "dev.example.com"}
    hosts.heard.clear()
    status, told, talked, trusted = run(hosts, "https://one.example.com", "vault", "list")
    assert (status, trusted) == (0, {"management.example.com"}), told


def test_a_host_that_says_otherwise_leads_nowhere_else(hosts: Hosts) -> None:
    port = hosts.server_port
    hosts.resources = {"one.example.com": f"https://evil.test:{port}",
                       "dev.example.com": f"https://example.com:{port}",
                       "evil.test": f"https://evil.test:{port}"}  # fmt: skip
    status, _, talked, trusted = run(hosts, "https://one.example.com", *LIST)
    assert (status, trusted) == (3, set())
    assert talked == {"one.example.com", "dev.one.example.com"}


def test_a_challenge_for_another_place_gets_no_token(hosts: Hosts) -> None:
    for resource in ("https://evil.test", "https://[x", "http://example.com", "https://x@y", ""):
        hosts.heard.clear()
        hosts.resources = {"dev.example.com": resource}
        status, told, _, trusted = run(hosts, "https://dev.example.com", *LIST)
        assert (status, trusted) == (4, set()), told
        assert told.count("\n") == 1


def test_an_identifier_has_to_be_of_the_service(hosts: Hosts) -> None:
    port = hosts.server_port
    hosts.resources = {"dev.example.com": f"https://example.com:{port}"}
    show = ("secret", "show", "--id")
    for place in ("dev.com", f"dev.com:{port}", "dev.example.com", f"evil.test:{port}"):
        status, told, _, trusted = run(
            hosts, "https://dev.example.com", *show, f"https://{place}/secrets/a"
        )
        assert (status, trusted) == (2, set()), told
    status, told, _, trusted = run(
        hosts, "https://dev.example.com", *show, f"https://dev.example.com:{port}/secrets/a"
    )
    assert (status, trusted) == (0, {"dev.example.com"}), told


def test_an_identifier_has_to_be_of_the_folder(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    runner.invoke(app, ["init", "--data", data])
    runner.invoke(app, ["vault", "create", "--name", "dev", "--data", data])
    words = ["secret", "list-versions", "--data", data, "--json", "--id"]
    refused = runner.invoke(app, [*words, "https://dev.example.com/secrets/a"])
    assert (refused.exit_code, "dev.example.com" in refused.stderr) == (2, True)
    answered = runner.invoke(app, [*words, "https://dev.vault.localhost:8443/secrets/a"])
    assert (answered.exit_code, "SecretNotFound" in answered.stderr) == (3, True)
    refused = runner.invoke(app, [*words, "https://[x/secrets/a"])
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)


def test_a_secret_goes_to_an_issuer_over_tls_only(
    hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts.resources = {"dev.example.com": f"https://example.com:{hosts.server_port}"}
    for authority in ("http://login.example.com", "https://[x", "https://a b"):
        monkeypatch.setenv("AZURE_AUTHORITY_HOST", authority)
        status, told, _, trusted = run(hosts, "https://dev.example.com", *LIST)
        assert (status in {2, 6}, trusted, told.count("\n")) == (True, set(), 1), told
