"""Every answer of every host: one record, with the status that was sent; and no word too many."""

import asyncio
import base64
import json
import logging
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from running import DOMAIN, Said, Service

from vaultcore.errors import AuditError, VaultcoreError, VaultError
from vaultcore.service.front import Front, translate
from vaultcore.service.identity.refusals import TokenRefusedError
from vaultcore.service.management import routes as management
from vaultcore.service.routed import Routed

DEV = b"Host: dev." + DOMAIN.encode()
LOGIN = b"Host: login." + DOMAIN.encode()
ADMIN = b"Host: management." + DOMAIN.encode()
STRANGE = b"Host: strange.example"
TENANT_TOKEN = b"/adfs/oauth2/token"
FORM = b"Content-Type: application/x-www-form-urlencoded"


def length(body: bytes) -> bytes:
    return b"Content-Length: %d" % len(body)


@pytest.fixture
def administrator(service: Service) -> bytes:
    """The header with the token of an application that may manage."""
    made = service.engine.management.app_create(name="admin")
    service.engine.management.access_administrator(principal=made["object_id"])
    return service.bearer(made["client_id"], made["client_secret"], f"management.{DOMAIN}")


def new_records(service: Service, since: int) -> list[dict[str, Any]]:
    return service.records()[since:]


def check_recorded(service: Service, since: int, answer: Said, operation: str = "") -> None:
    (record,) = new_records(service, since)
    assert record["properties"]["httpStatusCode"] == answer.status
    assert record["resultType"] == ("Success" if answer.status < 400 else "Failure")
    assert record["callerIpAddress"] == "127.0.0.1"
    if operation:
        assert record["operationName"] == operation


# one record for each answer

STRANGERS: dict[str, tuple[tuple[bytes, ...], bytes, int, str]] = {
    "vault without a token": ((b"GET /secrets HTTP/1.1", DEV), b"", 401, "Authentication"),
    "vault that is not there": (
        (b"GET /secrets HTTP/1.1", b"Host: other." + DOMAIN.encode()),
        b"",
        404,
        "Authentication",
    ),
    "host of no vault": ((b"GET /x HTTP/1.1", STRANGE), b"", 404, "Authentication"),
    "host of no vault, odd method": ((b"BREW /x HTTP/1.1", STRANGE), b"", 404, "Authentication"),
    "no host": ((b"GET /secrets HTTP/1.1",), b"", 400, "Authentication"),
    "two hosts": ((b"GET /secrets HTTP/1.1", DEV, STRANGE), b"", 400, "Authentication"),
    "issuer, no such path": ((b"GET /nothing HTTP/1.1", LOGIN), b"", 404, "Authentication"),
    "issuer, odd method": ((b"BREW /nothing HTTP/1.1", LOGIN), b"", 405, "Authentication"),
    "issuer, discovery": (
        (b"GET /adfs/.well-known/openid-configuration HTTP/1.1", LOGIN),
        b"",
        200,
        "IssuerDiscovery",
    ),
    "issuer, other tenant": (
        (b"GET /x/.well-known/openid-configuration HTTP/1.1", LOGIN),
        b"",
        400,
        "IssuerDiscovery",
    ),
    "issuer, keys": ((b"GET /adfs/discovery/keys HTTP/1.1", LOGIN), b"", 200, "IssuerKeyList"),
    "issuer, wrong method": (
        (b"GET " + TENANT_TOKEN + b" HTTP/1.1", LOGIN),
        b"",
        405,
        "TokenIssue",
    ),
    "issuer, no form": (
        (b"POST " + TENANT_TOKEN + b" HTTP/1.1", LOGIN, b"Content-Length: 1"),
        b"x",
        400,
        "TokenIssue",
    ),
    "issuer, too large": (
        (b"POST " + TENANT_TOKEN + b" HTTP/1.1", LOGIN, FORM, b"Content-Length: 70000"),
        b"x" * 70_000,
        413,
        "TokenIssue",
    ),
    "management without a token": (
        (b"POST /v1/vault.list HTTP/1.1", ADMIN),
        b"",
        401,
        "Authentication",
    ),
    "management, a token that is none": (
        (b"POST /v1/vault.list HTTP/1.1", ADMIN, b"Authorization: Bearer x.y.z"),
        b"",
        401,
        "Authentication",
    ),
    "management, no such path": ((b"GET / HTTP/1.1", ADMIN), b"", 404, "Authentication"),
    "management, wrong method": (
        (b"GET /v1/vault.list HTTP/1.1", ADMIN),
        b"",
        405,
        "Authentication",
    ),
    "subscriptions without a token": (
        (b"GET /subscriptions HTTP/1.1", ADMIN),
        b"",
        401,
        "Authentication",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", STRANGERS)
def test_what_a_stranger_is_answered_is_recorded_once(service: Service, case: str) -> None:
    lines, body, status, operation = STRANGERS[case]
    since = len(service.records())
    answer = service.ask(*lines, body=body)
    assert answer.status == status, answer
    check_recorded(service, since, answer, operation)


def test_health_is_not_recorded(service: Service) -> None:
    since = len(service.records())
    for host in (DEV, LOGIN, ADMIN, STRANGE):
        assert service.ask(b"GET /healthz HTTP/1.1", host).status == 200
    assert service.ask(b"GET /healthz HTTP/1.0").status == 200
    assert new_records(service, since) == []


MANAGED: dict[str, tuple[bytes, bytes, int, str]] = {
    "done": (b"vault.list", b"{}", 200, "VaultList"),
    "done without a body": (b"vault.list", b"", 200, "VaultList"),
    "no JSON": (b"vault.create", b"{", 400, "VaultPut"),
    "no object": (b"vault.create", b"[]", 400, "VaultPut"),
    "members twice": (b"vault.create", b'{"name":"a","name":"b"}', 400, "VaultPut"),
    "no such vault": (b"vault.show", b'{"name":"nowhere"}', 404, "VaultGet"),
    "no such operation": (b"vault.x", b"{}", 400, "ManagementOperation"),
    "too large": (b"vault.create", b"x" * 70_000, 413, "VaultPut"),
    "superscript digits": (b"audit.verify", '{"expect":"²:x"}'.encode(), 400, "AuditVerify"),
    "endless digits": (b"audit.verify", b'{"expect":"%s:x"}' % (b"9" * 5000), 400, "AuditVerify"),
}


@pytest.mark.parametrize("case", MANAGED)
def test_what_an_administrator_is_answered_is_recorded_once(
    service: Service, administrator: bytes, case: str
) -> None:
    operation, body, status, audited = MANAGED[case]
    since = len(service.records())
    answer = service.ask(
        b"POST /v1/" + operation + b" HTTP/1.1", ADMIN, administrator, length(body), body=body
    )
    assert answer.status == status, answer
    check_recorded(service, since, answer, audited)
    (record,) = new_records(service, since)
    assert record["identity"]["claim"], "the caller is known"


def test_subscriptions_are_recorded(service: Service, administrator: bytes) -> None:
    since = len(service.records())
    answer = service.ask(b"GET /subscriptions HTTP/1.1", ADMIN, administrator)
    check_recorded(service, since, answer, "SubscriptionList")


@pytest.mark.parametrize(
    ("line", "host"),
    [
        (b"GET /secrets/x?api-version=7.4 HTTP/1.1", DEV),
        (b"POST /v1/vault.list HTTP/1.1", ADMIN),
        (b"GET /subscriptions HTTP/1.1", ADMIN),
        (b"GET /adfs/discovery/keys HTTP/1.1", LOGIN),
        (b"GET / HTTP/1.1", b"Host: new." + DOMAIN.encode()),
    ],
)
def test_what_nobody_foresaw_is_recorded_as_the_failure_that_was_sent(
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    line: bytes,
    host: bytes,
) -> None:
    engine = service.engine

    def fail(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("with /a/path in it")

    monkeypatch.setattr(engine.management_validator, "validate", fail)
    monkeypatch.setattr(engine.issuer, "published_keys", fail)
    monkeypatch.setattr(type(engine), "accept", fail)
    monkeypatch.setattr(type(engine), "state", fail)
    since = len(service.records())
    answer = service.ask(line, host, b"Authorization: Bearer x.y.z")
    assert answer.status in {500, 503}
    assert b"path" not in answer.body
    assert b"Zero" not in answer.body
    (record,) = new_records(service, since)
    assert record["properties"]["httpStatusCode"] == answer.status
    assert record["resultType"] == "Failure"
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("case", STRANGERS)
def test_without_a_record_nothing_is_answered(
    service: Service, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    def fail(**_: Any) -> None:
        raise AuditError("the disk of /a/path is full")

    monkeypatch.setattr(service.application, "_record", fail)
    lines, body, _, _ = STRANGERS[case]
    answer = service.ask(*lines, body=body)
    assert answer.status == 503
    assert b"path" not in answer.body
    assert b"disk" not in answer.body


# input that is refused, and nothing more


def quiet(caplog: pytest.LogCaptureFixture) -> None:
    said = [r for r in caplog.records if r.levelno >= logging.ERROR or r.exc_info]
    assert said == [], caplog.text


@pytest.mark.parametrize(
    "credentials",
    [
        b"Basic \xff\xfe",
        "Basic pässword".encode(),
        b"Basic " + base64.b64encode(b"\xff:\xfe"),
        b"Basic =",
        b"Basic A===",
        b"\xff",
        b"Bearer \xff",
    ],
)
def test_credentials_that_are_not_ascii_are_a_refusal(
    service: Service, caplog: pytest.LogCaptureFixture, credentials: bytes
) -> None:
    body = b"grant_type=client_credentials&scope=x/.default"
    answer = service.ask(
        b"POST " + TENANT_TOKEN + b" HTTP/1.1", LOGIN, FORM, length(body),
        b"Authorization: " + credentials, body=body,
    )  # fmt: skip
    assert answer.status == 400
    for host, line in ((DEV, b"GET /secrets HTTP/1.1"), (ADMIN, b"POST /v1/vault.list HTTP/1.1")):
        assert service.ask(line, host, b"Authorization: " + credentials).status == 401
    quiet(caplog)


def test_a_body_that_does_not_arrive_is_a_timeout_on_every_host(
    service: Service,
    administrator: bytes,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(management, "BODY_SECONDS", 0.1)
    since = len(service.records())
    late = service.ask(
        b"POST /v1/vault.list HTTP/1.1", ADMIN, administrator, b"Content-Length: 9", body=b"{"
    )
    assert late.status == 408
    assert late.error["code"] == "RequestTimeout"
    check_recorded(service, since, late, "VaultList")
    quiet(caplog)


def test_a_client_that_leaves_in_the_middle_of_its_body_is_recorded(
    service: Service, administrator: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    head = (b"POST /v1/vault.list HTTP/1.1", ADMIN, administrator, b"Content-Length: 9")
    since = len(service.records())
    with service.connect() as connection:
        connection.sendall(b"\r\n".join(head) + b"\r\n\r\n{")
        time.sleep(0.2)
    for _ in range(100):
        if new_records(service, since):
            break
        time.sleep(0.05)
    (record,) = new_records(service, since)
    assert (record["operationName"], record["properties"]["httpStatusCode"]) == ("VaultList", 400)
    quiet(caplog)


HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                b"host", b"authorization", b"content-length", b"content-type", b"user-agent",
                b"x-ms-client-request-id", b"client-request-id", b"transfer-encoding",
                b"x-http-method", b"x-http-method-override", b"accept", b"x",
            ]
        ),
        st.one_of(
            st.binary(max_size=30),
            st.sampled_from(
                [
                    b"dev.vault.localhost", b"login.vault.localhost", b"management.vault.localhost",
                    b"Bearer a.b.c", b"Basic YTpi", b"Basic \xff", b"PUT", b"chunked", b"9" * 40,
                    b"\xb2", "²".encode(), b"0", b"7",
                ]
            ),
        ),
    ),
    max_size=5,
)  # fmt: skip
PATHS = st.one_of(
    st.text(max_size=30).map(lambda text: "/" + text),
    st.sampled_from(
        [
            "/v1/vault.list", "/v1/audit.verify", "/v1/", "/subscriptions", "/adfs/oauth2/token",
            "/adfs/discovery/keys", "/\ud800/oauth2/token", "/secrets/x", "/keys/x/sign", "*", "",
            "/adfs/.well-known/openid-configuration", "/rng", "/secrets/\ud800",
        ]
    ),
)  # fmt: skip


@settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    host=st.sampled_from(
        [b"dev.vault.localhost", b"login.vault.localhost", b"management.vault.localhost", b"x"]
    ),
    method=st.sampled_from(["GET", "POST", "PUT", "HEAD", "OPTIONS", "PATCH", "BREW", "\xff"]),
    path=PATHS,
    query=st.binary(max_size=40),
    headers=HEADERS,
    parts=st.lists(st.binary(max_size=20), max_size=3),
    leaves=st.booleans(),
)
def test_generated_requests_are_refused_and_recorded_and_no_more(
    fuzzed: tuple[Front, list[dict[str, Any]]],
    caplog: pytest.LogCaptureFixture,
    host: bytes,
    method: str,
    path: str,
    query: bytes,
    headers: list[tuple[bytes, bytes]],
    parts: list[bytes],
    leaves: bool,
) -> None:
    front, written = fuzzed
    written.clear()
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": part, "more_body": True} for part in parts
    ]
    last = {"type": "http.disconnect"} if leaves else {"type": "http.request", "body": b""}
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0) if messages else last

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "https",
        "path": path,
        "raw_path": path.encode("utf-8", "surrogatepass"),
        "query_string": query,
        "root_path": "",
        "client": ("192.0.2.1", 1),
        "server": ("127.0.0.1", 1),
        "headers": [(b"host", host), *headers],
    }
    asyncio.run(front(scope, receive, send))
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    status = sent[0]["status"]
    assert 200 <= status < 500, (status, sent)
    if path != "/healthz":
        assert [record["status"] for record in written] == [status]
    quiet(caplog)


@pytest.fixture
def fuzzed(service: Service, monkeypatch: pytest.MonkeyPatch) -> tuple[Front, list[dict[str, Any]]]:
    """The front, and what it has recorded."""
    keep = service.engine.audit.record
    written: list[dict[str, Any]] = []

    def record(**members: Any) -> None:
        keep(**members)
        written.append(members)

    monkeypatch.setattr(service.application, "_record", record)
    return service.application, written


# the words of an answer


def every_error(kind: type[VaultcoreError]) -> list[type[VaultcoreError]]:
    return [kind, *(found for sub in kind.__subclasses__() for found in every_error(sub))]


def failures() -> list[type[VaultcoreError]]:
    """The errors that are no refusal of what the caller did."""
    return [
        kind
        for kind in every_error(VaultcoreError)
        if not (issubclass(kind, VaultError) and kind.general is None)
        and kind is not TokenRefusedError
    ]


@pytest.mark.parametrize("kind", failures(), ids=lambda kind: kind.__name__)
def test_no_failure_of_this_machine_is_told_to_a_caller(kind: type[VaultcoreError]) -> None:
    detail = "the PIN file `/etc/vaultcore/pin` has mode 0644, so others can reach it"
    failure = kind(detail) if issubclass(kind, VaultError) else translate(kind(detail))
    assert isinstance(failure, VaultError)
    status, body = Routed("", []).refuse(Exchanging(), failure)  # type: ignore[arg-type]
    assert status in {500, 503}
    assert b"/etc" not in body
    assert b"0644" not in body
    assert json.loads(body)["error"]["message"]
    assert detail in failure.message, "the log and the record have it all"


class Exchanging:
    """As much of an exchange as a refusal needs."""

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
