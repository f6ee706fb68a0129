"""How clients find a development service."""

import socket
from pathlib import Path
from typing import Any

import msgspec
import pytest

from vaultcore.service.development.ready import (
    READY_FILE,
    Ready,
    hosts_line,
    read_ready,
    unresolved,
)

READY = Ready(
    process=1,
    port=1,
    vaults=["first", "dev"],
    client_id="id",
    client_secret="shown once",
    authority="/nowhere/ca.pem",
    truststore="/nowhere/truststore.p12",
)


def test_the_environment_is_that_of_the_first_vault() -> None:
    assert READY.environment() == {
        "VAULT_URL": "https://first.vault.localhost:1",
        "AZURE_AUTHORITY_HOST": "https://login.vault.localhost:1",
        "AZURE_TENANT_ID": "adfs",
        "AZURE_CLIENT_ID": "id",
        "AZURE_CLIENT_SECRET": "shown once",
        "SSL_CERT_FILE": "/nowhere/ca.pem",
        "REQUESTS_CA_BUNDLE": "/nowhere/ca.pem",
        "NODE_EXTRA_CA_CERTS": "/nowhere/ca.pem",
    }


def test_the_secret_is_in_no_repr() -> None:
    assert READY.client_secret not in f"{READY!r} {READY}"


@pytest.mark.parametrize("content", [None, b"", b"{", b'{"port": "x"}', msgspec.json.encode(READY)])
def test_a_service_that_does_not_answer_is_not_ready(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / READY_FILE).write_bytes(content)
        (tmp_path / READY_FILE).chmod(0o600)
    assert read_ready(tmp_path) is None


def resolver(known: dict[str, str]) -> Any:
    def resolve(host: str, *_: object, **__: object) -> list[Any]:
        if host not in known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (known[host], 0))]

    return resolve


def test_names_that_do_not_resolve_give_the_line_for_the_hosts_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolver({"dev.vault.localhost": "127.0.0.1"}))
    assert hosts_line(["dev"]) == (
        "127.0.0.1 dev.vault.localhost login.vault.localhost management.vault.localhost "
        "vault.localhost"
    )


def test_names_that_lead_elsewhere_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"a.localhost": "127.0.0.1", "b.localhost": "192.0.2.1"}
    monkeypatch.setattr(socket, "getaddrinfo", resolver(known))
    assert unresolved(["a.localhost", "b.localhost", "c.localhost"]) == [
        "b.localhost",
        "c.localhost",
    ]


def test_names_that_resolve_give_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{label}.vault.localhost" for label in ("dev", "login", "management")]
    monkeypatch.setattr(socket, "getaddrinfo", resolver(dict.fromkeys(names, "127.0.0.1")))
    assert hosts_line(["dev"]) is None
