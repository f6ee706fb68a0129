"""A running service: a token is got for the host it is sent to, and no other hears of it."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from vaultcore._core import API_VERSION
from vaultcore.cli.outcome import CommandError, UnreachableError
from vaultcore.cli.remote import RemoteConnection
from vaultcore.errors import UnauthorizedError, VaultError

CREDENTIALS = {
    "AZURE_AUTHORITY_HOST": "https://login.vault.example/",
    "AZURE_TENANT_ID": "tenant",
    "AZURE_CLIENT_ID": "client",
    "AZURE_CLIENT_SECRET": "canary",
}
Handler = Callable[[httpx.Request], httpx.Response]


class Service:
    """What answers for all hosts, and what it was asked."""

    def __init__(self) -> None:
        self.seen: list[httpx.Request] = []
        self.resource = "https://vault.example"
        self.answer: Handler = lambda _: httpx.Response(200, json={"value": "v"})
        self.tokens = iter(f"token-{number}" for number in range(9))
        self.valid = {""}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        if request.url.host.startswith("login."):
            token = next(self.tokens)
            self.valid = {f"Bearer {token}"}
            return httpx.Response(200, json={"access_token": token})
        if request.headers.get("Authorization") not in self.valid:
            challenge = (
                f'Bearer authorization="https://login.vault.example/t", resource="{self.resource}"'
            )
            return httpx.Response(401, headers={"WWW-Authenticate": challenge}, json={})
        return self.answer(request)

    def connect(self, url: str = "https://dev.vault.example", **changes: str) -> RemoteConnection:
        client = httpx.Client(transport=httpx.MockTransport(self))
        return RemoteConnection(url, client, {**CREDENTIALS, **changes})


@pytest.fixture
def service() -> Service:
    return Service()


def test_nothing_is_sent_before_the_challenge(service: Service) -> None:
    here = service.connect()
    answer = here.request("dev", "PUT", "/secrets/a", query={"x": "1"}, body={"value": "secret"})
    assert answer == {"value": "v"}
    asked, token, told = service.seen
    assert asked.content == b""
    assert "Authorization" not in asked.headers
    assert str(token.url) == "https://login.vault.example/tenant/oauth2/v2.0/token"
    assert parse_qs(token.content.decode()) == {
        "grant_type": ["client_credentials"],
        "client_id": ["client"],
        "client_secret": ["canary"],
        "scope": ["https://vault.example/.default"],
    }
    assert told.headers["Authorization"] == "Bearer token-0"
    assert json.loads(told.content) == {"value": "secret"}
    assert dict(told.url.params) == {"api-version": API_VERSION, "x": "1"}


def test_a_token_is_used_until_it_is_refused(service: Service) -> None:
    here = service.connect()
    for _ in range(3):
        here.request("dev", "GET", "/secrets/a")
    assert len(service.seen) == 5
    service.valid = {""}  # it has expired
    assert here.request("dev", "GET", "/secrets/a") == {"value": "v"}
    assert service.seen[-1].headers["Authorization"] == "Bearer token-1"


def test_each_host_has_a_token_of_its_own(service: Service) -> None:
    here = service.connect("https://vault.example")
    here.request("dev", "GET", "/secrets/a")
    service.resource = "https://management.vault.example"
    service.answer = lambda _: httpx.Response(200, json={"result": [1]})
    assert here.manage("vault.list", name=None, sku="premium") == [1]
    told = service.seen[-1]
    assert str(told.url) == "https://management.vault.example/v1/vault.list"
    assert json.loads(told.content) == {"sku": "premium"}
    assert told.headers["Authorization"] == "Bearer token-1"


@pytest.mark.parametrize(
    "resource",
    [
        "https://other.example",
        "https://vault.example:8443",
        "https://ault.example",
        "http://vault.example",
        "https://dev.vault.example.evil.test",
        "vault.example",
        "",
    ],
)
def test_no_token_is_got_for_another_host(service: Service, resource: str) -> None:
    service.resource = resource
    with pytest.raises(UnauthorizedError, match="another host"):
        service.connect().request("dev", "GET", "/secrets/a")
    assert not any(request.url.host.startswith("login.") for request in service.seen)


def test_a_secret_goes_to_an_https_address_only(service: Service) -> None:
    here = service.connect(AZURE_AUTHORITY_HOST="http://login.vault.example")
    with pytest.raises(CommandError, match="https"):
        here.request("dev", "GET", "/secrets/a")
    assert len(service.seen) == 1
    here = service.connect(AZURE_AUTHORITY_HOST="login.vault.example", AZURE_TENANT_ID="adfs")
    here.request("dev", "GET", "/secrets/a")
    assert str(service.seen[-2].url) == "https://login.vault.example/adfs/oauth2/token"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"error": "invalid_client", "error_description": "AADSTS7000215"}, "AADSTS7000215"),
        ({"error": "invalid_client"}, "invalid_client"),
        ({"access_token": 7}, "no token"),
        ({}, "no token"),
        ({"error_description": "x" * 5000}, "x" * 300),
    ],
)
def test_what_the_issuer_says_is_told(answer: dict[str, Any], said: str) -> None:
    service = Service()

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.host.startswith("login."):
            return httpx.Response(400, json=answer)
        return service(request)

    here = RemoteConnection(
        "https://dev.vault.example",
        httpx.Client(transport=httpx.MockTransport(handle)),
        CREDENTIALS,
    )
    with pytest.raises(UnauthorizedError, match=said) as caught:
        here.request("dev", "GET", "/secrets/a")
    assert "canary" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("status", "body", "message", "code", "inner"),
    [
        (
            403,
            {
                "error": {
                    "code": "Forbidden",
                    "message": "no",
                    "innererror": {"code": "Denied"},
                }
            },
            "no",
            "Forbidden",
            "Denied",
        ),
        (404, {"error": {"code": "SecretNotFound", "message": "m"}}, "m", "SecretNotFound", None),
        (503, {}, "the service answered 503", "Service Unavailable", None),
        (500, {"error": "text"}, "the service answered 500", "Internal Server Error", None),
    ],
)
def test_a_refusal_is_raised_as_the_service_says_it(
    service: Service, status: int, body: Any, message: str, code: str, inner: str | None
) -> None:
    service.answer = lambda _: httpx.Response(status, json=body)
    with pytest.raises(VaultError) as caught:
        service.connect().request("dev", "GET", "/secrets/a")
    refused = caught.value
    assert (refused.status, refused.message) == (status, message)
    assert (refused.code, refused.inner_code) == (code, inner)


def test_an_answer_without_a_body_is_nothing(service: Service) -> None:
    service.answer = lambda _: httpx.Response(204)
    assert service.connect().request("dev", "DELETE", "/deletedsecrets/a") is None


@pytest.mark.parametrize("content", [b"<html>", b"", b"[]", b'"x"'])
def test_an_answer_that_is_not_of_a_service_is_told(service: Service, content: bytes) -> None:
    service.answer = lambda _: httpx.Response(200, content=content)
    with pytest.raises(VaultError, match="is the address right"):
        service.connect().request("dev", "GET", "/secrets/a")


def test_a_redirect_is_not_followed(service: Service) -> None:
    service.answer = lambda _: httpx.Response(302, headers={"Location": "https://evil.test"})
    with pytest.raises(VaultError):
        service.connect().request("dev", "GET", "/secrets/a")
    assert not any(request.url.host == "evil.test" for request in service.seen)


def test_a_host_that_cannot_be_reached_is_named() -> None:
    def handle(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    here = RemoteConnection(
        "https://dev.vault.example",
        httpx.Client(transport=httpx.MockTransport(handle)),
        CREDENTIALS,
    )
    with pytest.raises(UnreachableError, match=r"dev\.vault\.example cannot be reached"):
        here.request("dev", "GET", "/secrets/a")


def test_no_key_leaves_a_service(service: Service) -> None:
    with pytest.raises(CommandError, match="does not leave the service"):
        service.connect().kek("dev", "files")
    assert service.seen == []


def test_an_identifier_of_another_service_is_refused(service: Service) -> None:
    here = service.connect()
    here.check_place("dev", "https://DEV.vault.example/secrets/a")
    for other in (
        "https://dev.other.example/secrets/a",
        "https://dev.vault.example:8443/secrets/a",
    ):
        with pytest.raises(CommandError, match="--url leads to"):
            here.check_place("dev", other)
