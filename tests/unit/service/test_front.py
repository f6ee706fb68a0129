"""Every answer of every host: one record, with the status that was sent; and no word too many."""

import asyncio
import base64
import json
import logging
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import vaultcore
from unit.service.running import DOMAIN, Said, Service
from vaultcore.audit.record import Record
from vaultcore.errors import AuditError, StorageError, VaultcoreError, VaultError, as_refusal
from vaultcore.service import front
from vaultcore.service.front import Front
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
    return administrator_of(service)


def administrator_of(service: Service) -> bytes:
    """Returns the header with the token of an application that may manage."""
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


def test_what_a_stranger_is_answered_is_recorded_once(service: Service) -> None:
    for case, (lines, body, status, operation) in STRANGERS.items():
        since = len(service.records())
        answer = service.ask(*lines, body=body)
        assert answer.status == status, (case, answer)
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


def test_what_an_administrator_is_answered_is_recorded_once(
    service: Service, administrator: bytes
) -> None:
    for case, (operation, body, status, audited) in MANAGED.items():
        since = len(service.records())
        answer = service.ask(
            b"POST /v1/" + operation + b" HTTP/1.1", ADMIN, administrator, length(body), body=body
        )
        assert answer.status == status, (case, answer)
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


def test_without_a_record_nothing_is_answered(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise AuditError("the disk of /a/path is full")

    monkeypatch.setattr(service.application, "_record", fail)
    for case, (lines, body, _, _) in STRANGERS.items():
        answer = service.ask(*lines, body=body)
        assert answer.status == 503, case
        assert b"path" not in answer.body
        assert b"disk" not in answer.body


# the host of a request (RFC 9112 section 3.2), alike on every plane

PLANES = {
    "vault": (b"dev." + DOMAIN.encode(), b"/secrets?api-version=7.4", 401),
    "issuer": (b"login." + DOMAIN.encode(), b"/adfs/discovery/keys", 200),
    "management": (b"management." + DOMAIN.encode(), b"/subscriptions", 401),
}
HOSTS: dict[str, tuple[bytes, tuple[bytes, ...], int]] = {
    "as it is": (b"", (b"%s",), 200),
    "in capitals": (b"", (b"%s",), 200),
    "with the default port": (b"", (b"%s:443",), 200),
    "with another port": (b"", (b"%s:8443",), 404),
    "with a dot": (b"", (b"%s.",), 404),
    "twice": (b"", (b"%s", b"%s"), 400),
    "with a stranger": (b"", (b"%s", b"x"), 400),
    "behind a stranger": (b"", (b"x", b"%s"), 400),
    "behind nothing": (b"", (b"", b"%s"), 400),
    "in a list": (b"", (b"%s, %s",), 400),
    "with a user": (b"", (b"a@%s",), 400),
    "with a port that is none": (b"", (b"%s:http",), 400),
    "with a path": (b"", (b"%s/x",), 400),
    "nothing": (b"", (b"",), 400),
    "none": (b"", (), 400),
    "in the target": (b"https://%s", (), 200),
    "in both": (b"https://%s", (b"%s",), 200),
    "in the target with a user": (b"https://a@%s", (), 400),
    "another in the target": (b"https://x", (), 404),
}


@pytest.mark.parametrize("plane", PLANES)
def test_a_host_counts_the_same_on_every_plane(service: Service, plane: str) -> None:
    named, path, usual = PLANES[plane]
    for case, (target, headers, expected) in HOSTS.items():
        host = named.upper() if case == "in capitals" else named
        since = len(service.records())
        answer = service.ask(
            b"GET " + target.replace(b"%s", host) + path + b" HTTP/1.1",
            *(b"Host: " + header.replace(b"%s", host) for header in headers),
        )
        assert answer.status == (usual if expected == 200 else expected), (case, answer)
        check_recorded(service, since, answer)


@pytest.mark.parametrize("plane", PLANES)
def test_two_credentials_count_as_none_on_every_plane(service: Service, plane: str) -> None:
    made = service.engine.management.app_create(name="two")
    service.engine.management.access_administrator(principal=made["object_id"])
    service.engine.management.access_set(
        vault="dev", principal=made["object_id"], secret_permissions=["list"]
    )
    host, path, _ = PLANES[plane]
    secret = (made["client_id"], made["client_secret"])
    head: tuple[bytes, ...] = (b"GET " + path + b" HTTP/1.1", b"Host: " + host)
    body = b""
    if plane == "issuer":
        pair = base64.b64encode(":".join(secret).encode())
        one, refusal = b"Authorization: Basic " + pair, 400
        body = b"grant_type=client_credentials&scope=https://vault.localhost/.default"
        head = (b"POST " + TENANT_TOKEN + b" HTTP/1.1", b"Host: " + host, FORM, length(body))
    else:
        resource = DOMAIN if plane == "vault" else host.decode()
        one, refusal = service.bearer(*secret, resource), 401
    assert service.ask(*head, one, body=body).status == 200
    for two in ((one, one), (one, b"Authorization: x"), (b"Authorization: x", one)):
        assert service.ask(*head, *two, body=body).status == refusal


def test_a_failure_that_everybody_meets_is_logged_once_a_minute(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise StorageError("cannot read the store: the disk is away")

    monkeypatch.setattr(service.engine, "synchronise", fail)
    since = len(service.records())
    for _ in range(20):
        assert service.ask(b"GET /secrets HTTP/1.1", DEV).status == 503
    assert caplog.text.count("the disk is away") == 1
    assert len(new_records(service, since)) == 20
    monkeypatch.setattr(front, "SILENT_SECONDS", 0.0)
    assert service.ask(b"GET /secrets HTTP/1.1", DEV).status == 503
    assert caplog.text.count("the disk is away") == 2


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
    application, written = fuzzed
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
    asyncio.run(application(scope, receive, send))
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

    def record(*members: Any) -> None:
        keep(*members)
        written.append(msgspec.structs.asdict(Record.of(*members)))

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
    failure = kind(detail) if issubclass(kind, VaultError) else as_refusal(kind(detail))
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


def test_protectors_are_shown_without_their_files_and_what_is_wrong_with_those(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = tmp_path / "kept.json"
    with vaultcore.create(tmp_path / "data", housekeeping=False) as engine:
        engine.management.protector_add(name="two", kind="file", options={"path": str(kept)})
    kept.chmod(0o644)
    with vaultcore.open(tmp_path / "data", housekeeping=False) as engine:
        service = Service(engine)
        try:
            admin = administrator_of(service)
            answers = [
                service.ask(b"POST /v1/%s HTTP/1.1" % operation, ADMIN, admin)
                for operation in (b"protector.list", b"protector.verify")
            ]
        finally:
            service.stop()
        told = [answer.body.decode() for answer in answers]
        assert [answer.status for answer in answers] == [200, 200]
        assert not [body for body in told if str(tmp_path) in body or "0644" in body]
        assert all("the service's log says why" in body for body in told)
        assert "has mode 0644" in caplog.text
        in_process = str(engine.management.protector_list())
        assert str(tmp_path) in in_process
        assert "0644" in in_process
