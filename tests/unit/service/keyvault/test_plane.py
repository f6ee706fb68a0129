"""The data plane as a place: which host is which vault, and in what order a request goes on."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from vaultcore import Engine
from vaultcore._core import Principal
from vaultcore.clock import ManualClock
from vaultcore.errors import NotFoundError, ThrottledError, VaultError
from vaultcore.service.app import build_application
from vaultcore.service.body import Bodies
from vaultcore.service.exchange import Exchange
from vaultcore.service.front import Place
from vaultcore.service.keyvault.plane import DataPlane, VaultHost

QUERY = b"api-version=7.6"


@pytest.fixture
def hosts() -> dict[bytes, Place]:
    return {}


@pytest.fixture
def plane(engine: Engine, hosts: dict[bytes, Place]) -> Iterator[DataPlane]:
    made = DataPlane(engine, hosts, default_hosts=("localhost:8443",), default_vault="dev")
    yield made
    made.close()


def exchange(
    method: str = "GET", path: bytes = b"/secrets", body: bytes = b"", **headers: bytes
) -> Exchange:
    listed = [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
    if body:
        listed.append((b"content-length", b"%d" % len(body)))
    arriving = [{"type": "http.request", "body": body}]

    async def receive() -> Any:
        return arriving.pop(0)

    scope = {
        "type": "http", "method": method, "raw_path": path, "query_string": QUERY,
        "client": ("192.0.2.1", 1), "headers": listed,
    }  # fmt: skip
    return Exchange(scope, receive, Bodies())


def host(plane: DataPlane, name: bytes = b"dev.vault.localhost") -> VaultHost:
    found = plane.find(name)
    assert found is not None
    return found


def bearer(engine: Engine, who: Principal | None = None) -> bytes:
    who = who or engine.administrator()
    engine.gate.remember(who.object_id, who, engine.clock.now() + 60, 0.0)
    return f"Bearer {who.object_id}".encode()


# hosts


def test_a_host_is_the_vault_of_its_first_label(
    plane: DataPlane, hosts: dict[bytes, Place]
) -> None:
    found = host(plane)
    assert (found.name, found.url, found.base) == (
        *("dev", "https://dev.vault.localhost", b"https://dev.vault.localhost"),
    )
    assert hosts[b"dev.vault.localhost"] is found


def test_the_default_vault_keeps_the_host_that_was_asked(plane: DataPlane) -> None:
    found = host(plane, b"localhost:8443")
    assert found.vault is host(plane).vault
    assert found.url == "https://localhost:8443"


@pytest.mark.parametrize(
    "name",
    [
        b"other.vault.localhost", b"vault.localhost", b".vault.localhost", b"localhost",
        b"a.dev.vault.localhost", b"dev.vault.localhost.example", b"devvault.localhost",
        b"dev.vault.localhost:8443", b"\xff.vault.localhost", b"",
    ],
)  # fmt: skip
def test_what_is_no_host_of_a_vault(
    plane: DataPlane, hosts: dict[bytes, Place], name: bytes
) -> None:
    assert plane.find(name) is None
    assert hosts == {}


def test_without_a_default_vault_its_hosts_are_nobodys(engine: Engine) -> None:
    plane = DataPlane(engine, {}, default_hosts=("localhost:8443",))
    assert plane.find(b"localhost:8443") is None
    plane.close()


def test_the_hosts_of_a_removed_vault_are_forgotten(
    engine: Engine, plane: DataPlane, hosts: dict[bytes, Place]
) -> None:
    found, default = host(plane), host(plane, b"localhost:8443")
    engine.management.vault_delete(name="dev")
    engine.management.vault_create(name="dev")
    with pytest.raises(NotFoundError) as refused:
        asyncio.run(plane.handle(found, exchange(authorization=bearer(engine))))
    assert refused.value.code == "VaultNotFound"
    assert b"dev.vault.localhost" not in hosts
    assert hosts[b"localhost:8443"] is default
    assert host(plane).vault is engine.state("dev")


# headers


def headers(plane: DataPlane, asked: Exchange, status: int) -> dict[bytes, bytes]:
    return dict(host(plane).headers(asked, status))


def test_the_challenge_comes_with_401_and_names_issuer_and_resource(
    engine: Engine, plane: DataPlane
) -> None:
    for status in (200, 403, 404, 503):
        assert b"www-authenticate" not in headers(plane, exchange(), status)
    tenant = engine.installation.tenant_id
    assert (
        headers(plane, exchange(), 401)[b"www-authenticate"]
        == (
            f'Bearer authorization="https://login.vault.localhost/{tenant}", '
            'resource="https://vault.localhost"'
        ).encode()
    )


def test_the_challenge_names_another_tenant_if_it_is_told(engine: Engine) -> None:
    plane = DataPlane(engine, {}, challenge_tenant="adfs")
    assert b"/adfs" in headers(plane, exchange(), 401)[b"www-authenticate"]
    plane.close()


def test_clients_are_told_to_come_back_only_if_that_helps(plane: DataPlane) -> None:
    """Clients try again whatever has Retry-After, so that 401 and 404 must not."""
    said = {
        status: b"retry-after" in headers(plane, exchange(), status)
        for status in (200, 400, 401, 403, 404, 409, 429, 500, 503)
    }
    assert {status for status, retry in said.items() if retry} == {429, 503}


def test_an_answer_has_its_own_identifier_and_echoes_the_callers(plane: DataPlane) -> None:
    asked = exchange(x_ms_client_request_id=b"mine")
    first, second = headers(plane, asked, 200), headers(plane, asked, 200)
    assert first[b"x-ms-request-id"] != second[b"x-ms-request-id"]
    assert len(first[b"x-ms-request-id"]) == 36
    assert first[b"x-ms-client-request-id"] == b"mine"
    assert first[b"x-ms-keyvault-region"] == b"local"
    for odd in (exchange(), exchange(x_ms_client_request_id=b"x" * 65)):
        assert b"x-ms-client-request-id" not in headers(plane, odd, 200)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("192.0.2.1", b"conn_type=Ipv4;addr=192.0.2.1;act_addr_fam=InterNetwork;"),
        ("2001:db8::1", b"conn_type=Ipv6;addr=2001:db8::1;act_addr_fam=InterNetworkV6;"),
    ],
)
def test_an_answer_names_the_address_that_it_goes_to(
    plane: DataPlane, address: str, said: bytes
) -> None:
    asked = exchange()
    asked.address = address
    assert headers(plane, asked, 200)[b"x-ms-keyvault-network-info"] == said


# requests


def test_what_is_asked_for_is_on_record_before_it_is_done(engine: Engine, plane: DataPlane) -> None:
    asked = exchange(path=b"/secrets/Name", authorization=bearer(engine))
    with pytest.raises(NotFoundError, match=r"\(name/id\) Name was"):
        asyncio.run(plane.handle(host(plane), asked))
    assert (asked.operation, asked.api_version) == ("SecretGet", "7.6")
    assert asked.object_id == "https://dev.vault.localhost/secrets/Name"
    assert asked.principal == engine.administrator()


@pytest.mark.parametrize(
    ("method", "override", "operation"),
    [
        ("POST", b"PUT", "SecretSet"),
        ("POST", b"DELETE", "SecretDelete"),
        ("GET", b"DELETE", "SecretGet"),
    ],
)
def test_a_method_may_be_given_in_a_header_of_a_post(
    engine: Engine, plane: DataPlane, method: str, override: bytes, operation: str
) -> None:
    asked = exchange(
        method, b"/secrets/a", b"{}", authorization=bearer(engine), x_http_method=override
    )
    with pytest.raises(VaultError):  # what it is refused for is not the point
        asyncio.run(plane.handle(host(plane), asked))
    assert asked.operation == operation


def test_a_body_is_not_read_before_the_caller_is_known(
    engine: Engine, plane: DataPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    async def body(_: Exchange, limit: int) -> bytes:
        read.append(limit)
        raise ThrottledError("enough")

    monkeypatch.setattr(Exchange, "body", body)
    nobody = bearer(engine, Principal(object_id="nobody"))
    for asked in (
        exchange("PUT", b"/secrets/a", b"{}"),
        exchange("PUT", b"/secrets/a", b"{}", authorization=b"Bearer unknown"),
        exchange("PUT", b"/secrets/a", b"{}", authorization=nobody),
        exchange("PUT", b"/secrets/a_b", b"{}", authorization=bearer(engine)),
    ):
        with pytest.raises(VaultError) as refused:
            asyncio.run(plane.handle(host(plane), asked))
        assert not isinstance(refused.value, ThrottledError)
    assert read == []
    asked = exchange("PUT", b"/secrets/a", b"{}", authorization=bearer(engine))
    with pytest.raises(ThrottledError):
        asyncio.run(plane.handle(host(plane), asked))
    assert len(read) == 1


def test_rules_that_stay_are_not_asked_again(
    engine: Engine, plane: DataPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = exchange(authorization=bearer(engine))
    asyncio.run(plane.handle(host(plane), asked))
    admitted: list[Any] = []
    real: Callable[..., Any] = plane._admit

    def admit(*question: Any) -> Any:
        admitted.append(question)
        return real(*question)

    monkeypatch.setattr(plane, "_admit", admit)
    asked.look_again()
    assert admitted == []
    engine.management.access_set(
        vault="dev", principal="11111111-2222-3333-4444-555555555555", secret_permissions=["get"]
    )
    asked.look_again()
    asked.look_again()
    assert len(admitted) == 1


def test_an_operation_that_is_not_offered_needs_its_permission_all_the_same(
    engine: Engine,
) -> None:
    front = build_application(engine)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def ask(authorization: bytes) -> Any:
        sent.clear()
        asked = exchange(
            path=b"/certificates/a", authorization=authorization, host=b"dev.vault.localhost"
        )
        scope = {**asked.scope, "http_version": "1.1"}
        await front(scope, asked._receive, send)
        return sent[0]["status"], json.loads(sent[1]["body"])["error"]["code"]

    nobody = bearer(engine, Principal(object_id="nobody"))
    assert asyncio.run(ask(nobody)) == (403, "Forbidden")
    assert asyncio.run(ask(bearer(engine))) == (404, "NotFound")
    front.close()


def test_the_clock_ends_a_token(engine: Engine, plane: DataPlane, clock: ManualClock) -> None:
    authorization = bearer(engine)
    status, _ = asyncio.run(plane.handle(host(plane), exchange(authorization=authorization)))
    assert status == 200
    clock.advance(60)
    with pytest.raises(VaultError) as refused:
        asyncio.run(plane.handle(host(plane), exchange(authorization=authorization)))
    assert refused.value.status == 401
