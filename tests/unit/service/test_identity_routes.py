"""The issuer over HTTP: what Azure clients send and must not get, and azure-identity itself."""

import asyncio
import base64
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import httpx
import jwt
import msgspec
import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ClientSecretCredential, EnvironmentCredential
from azure.identity.aio import ClientSecretCredential as AsyncClientSecretCredential
from granian.constants import Interfaces
from granian.server.embed import Server
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vaultcore._core import KeyEncryptionKey
from vaultcore.access.issuer import Issuer
from vaultcore.access.tokens import TokenValidator
from vaultcore.audit.record import Record
from vaultcore.clock import Clock, ManualClock, SystemClock
from vaultcore.engine.strangers import Strangers
from vaultcore.errors import AuditError
from vaultcore.service.development.authority import ensure_certificates
from vaultcore.service.front import Front
from vaultcore.service.identity.routes import issuer_place
from vaultcore.storage import open_store

if TYPE_CHECKING:
    from vaultcore.access.applications import NewSecret

BASE = "https://login.vault.localhost:8443"
TENANT = "11111111-2222-3333-4444-555555555555"
VAULT = "https://vault.localhost:8443"
GUID = "99999999-8888-7777-6666-555555555555"
TOKEN_PATHS = (
    f"/{TENANT}/oauth2/v2.0/token",
    f"/{TENANT}/oauth2/token",
    "/adfs/oauth2/token",
    "/adfs/oauth2/v2.0/token",
    f"/{TENANT.upper()}/oauth2/v2.0/token",
)


class Http:
    """A client that calls an application without a network."""

    def __init__(self, application: Any) -> None:
        self._transport = httpx.ASGITransport(application, client=("192.0.2.7", 1))

    def request(self, method: str, url: str, **options: Any) -> httpx.Response:
        async def call() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url=BASE) as client:
                return await client.request(method, url, **options)

        return asyncio.run(call())

    def get(self, url: str, **options: Any) -> httpx.Response:
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> httpx.Response:
        return self.request("POST", url, **options)


def serve(issuer: Issuer, clock: Clock, record: Callable[..., object]) -> Front:
    """Returns the issuer as an application that answers at every host."""
    place = issuer_place(issuer, clock)

    def end(_change: object, *_members: object) -> None:
        raise AssertionError("the issuer changes nothing")

    strangers = Strangers(clock, at_once=1_000_000, bytes_at_once=1e9)
    return Front({}, lambda _: place, place, record, end, strangers)


class World:
    """An issuer over HTTP, without a network."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.store = open_store(f"sqlite:///{folder / 'vault.db'}", clock=self.clock)
        self.issuer = Issuer(
            self.store,
            KeyEncryptionKey.generate(),
            self.clock,
            base_url=BASE,
            tenants=[TENANT],
            resources=[VAULT],
        )
        self.app: NewSecret = self.issuer.applications.create("web")
        self.events: list[dict[str, Any]] = []

        def record(*members: Any) -> None:
            self.events.append(msgspec.structs.asdict(Record.of(*members)))

        self.http = Http(serve(self.issuer, self.clock, record))
        self.validator = TokenValidator(self.issuer.trust([VAULT]), clock=self.clock)

    def form(self, **changes: str | None) -> dict[str, str]:
        form: dict[str, str | None] = {
            "client_id": self.app.application.client_id,
            "client_secret": self.app.client_secret,
            "grant_type": "client_credentials",
            "scope": f"{VAULT}/.default",
        }
        return {name: value for name, value in {**form, **changes}.items() if value is not None}

    def post(self, path: str = TOKEN_PATHS[0], **changes: str | None) -> Any:
        return self.http.post(path, data=self.form(**changes))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("issuer"))
    with made.store:
        yield made


def refused(answer: Any, status: int, error: str, code: int) -> dict[str, Any]:
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body["error"], body["error_codes"]) == (status, error, [code])
    assert set(body) == {
        "error",
        "error_description",
        "error_codes",
        "timestamp",
        "trace_id",
        "correlation_id",
    }
    assert body["error_description"].startswith(f"AADSTS{code}: ")
    assert answer.headers["cache-control"].startswith("no-store")
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert "retry-after" not in answer.headers
    return body


# Tokens


@pytest.mark.parametrize("path", TOKEN_PATHS)
def test_each_address_gives_a_token_that_the_gate_accepts(world: World, path: str) -> None:
    answer = world.post(path)
    assert answer.status_code == 200
    body = answer.json()
    found = world.validator.validate(body["access_token"])
    assert found.principal.object_id == world.app.application.object_id
    assert body["token_type"] == "Bearer"
    assert int(body["expires_in"]) == 3600
    assert answer.headers["cache-control"] == "no-store, no-cache"
    assert answer.headers["pragma"] == "no-cache"


def test_the_first_version_writes_numbers_as_text(world: World) -> None:
    body = world.post(f"/{TENANT}/oauth2/token", scope=None, resource=VAULT).json()
    assert body["expires_in"] == "3600"
    assert body["expires_on"] == str(int(world.clock.now()) + 3600)
    assert body["resource"] == VAULT
    assert world.post("/adfs/oauth2/token").json()["expires_in"] == 3600


@pytest.mark.parametrize(
    "changes",
    [
        {"scope": f"openid profile offline_access {VAULT}/.default"},
        {"scope": f"{VAULT}//.default"},
        {"scope": None, "resource": VAULT},
        {"scope": None, "resource": VAULT + "/"},
        {"claims": '{"access_token":{"xms_cc":{"values":["CP1"]}}}', "client_info": "1"},
        {"x-client-SKU": "msal.js.node", "x-client-VER": "1", "x-ms-lib-capability": "retry"},
        {"client_id": "UPPER"},
    ],
)
def test_what_the_client_libraries_send_is_understood(
    world: World, changes: dict[str, str | None]
) -> None:
    if "client_id" in changes:
        changes["client_id"] = world.app.application.client_id.upper()
    body = world.http.post(TOKEN_PATHS[0], data=world.form(**changes)).json()
    claims = jwt.decode(body["access_token"], options={"verify_signature": False})
    assert claims["aud"] == VAULT


def test_a_request_id_in_the_address_comes_back(world: World) -> None:
    answer = world.post(f"{TOKEN_PATHS[0]}?client-request-id={GUID}")
    assert answer.status_code == 200
    assert answer.headers["client-request-id"] == GUID
    answer = world.http.post(
        TOKEN_PATHS[0], data=world.form(client_secret="x"), headers={"client-request-id": GUID}
    )
    assert refused(answer, 401, "invalid_client", 7000215)["correlation_id"] == GUID
    answer = world.post(f"{TOKEN_PATHS[0]}?client-request-id=<script>", client_secret="x")
    assert "<script>" not in answer.text + str(answer.headers)


def basic(user: str, password: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def test_credentials_may_come_in_the_header(world: World) -> None:
    form = world.form(client_id=None, client_secret=None)
    right = basic(world.app.application.client_id, world.app.client_secret)
    assert world.http.post(TOKEN_PATHS[0], data=form, headers=right).status_code == 200
    wrong = basic(world.app.application.client_id, "wrong")
    answer = world.http.post(TOKEN_PATHS[0], data=form, headers=wrong)
    refused(answer, 401, "invalid_client", 7000215)
    both = world.http.post(TOKEN_PATHS[0], data=world.form(), headers=right)
    refused(both, 400, "invalid_request", 9002313)
    for bad in ("Basic", "Basic ?", "Basic AAA", "Basic " + base64.b64encode(b"x").decode()):
        answer = world.http.post(TOKEN_PATHS[0], data=form, headers={"authorization": bad})
        refused(answer, 400, "invalid_request", 9002313)
    answer = world.http.post(TOKEN_PATHS[0], data=form, headers={"authorization": "Basic /////w=="})
    refused(answer, 400, "invalid_request", 9002313)


# Refusals


REFUSED: dict[str, tuple[dict[str, str | None], int, str, int]] = {
    "wrong secret": ({"client_secret": "wrong"}, 401, "invalid_client", 7000215),
    "unknown application": ({"client_id": GUID}, 401, "invalid_client", 7000215),
    "id that is no id": ({"client_id": "web"}, 401, "invalid_client", 7000215),
    "id with sql": ({"client_id": "' OR '1'='1"}, 401, "invalid_client", 7000215),
    "no application": ({"client_id": None}, 400, "invalid_request", 900144),
    "empty application": ({"client_id": ""}, 400, "invalid_request", 900144),
    "no secret": ({"client_secret": None}, 400, "invalid_request", 900144),
    "empty secret": ({"client_secret": ""}, 400, "invalid_request", 900144),
    "no grant": ({"grant_type": None}, 400, "invalid_request", 900144),
    "password": ({"grant_type": "password"}, 400, "unsupported_grant_type", 70003),
    "assertion": (
        {"client_secret": None, "client_assertion": "x.y.z"},
        400,
        "invalid_request",
        900144,
    ),
    "refresh": ({"grant_type": "refresh_token"}, 400, "unsupported_grant_type", 70003),
    "no scope": ({"scope": None}, 400, "invalid_request", 900144),
    "empty scope": ({"scope": ""}, 400, "invalid_scope", 1002012),
    "scope without default": ({"scope": VAULT}, 400, "invalid_scope", 1002012),
    "only openid": ({"scope": "openid profile"}, 400, "invalid_scope", 1002012),
    "two resources": (
        {"scope": f"{VAULT}/.default https://x.example/.default"},
        400,
        "invalid_scope",
        1002012,
    ),
    "other resource": (
        {"scope": "https://graph.microsoft.com/.default"},
        400,
        "invalid_resource",
        500011,
    ),
    "subdomain": ({"scope": f"{VAULT}.evil/.default"}, 400, "invalid_resource", 500011),
    "no resource": ({"scope": "/.default"}, 400, "invalid_resource", 500011),
    "other v1 resource": (
        {"scope": None, "resource": "https://x.example"},
        400,
        "invalid_resource",
        500011,
    ),
}


@pytest.mark.parametrize("path", [TOKEN_PATHS[0], TOKEN_PATHS[1], TOKEN_PATHS[2]])
@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_has_the_shape_that_clients_parse(world: World, path: str, case: str) -> None:
    changes, status, error, code = REFUSED[case]
    answer = world.http.post(path, data=world.form(**changes))
    refused(answer, status, error, code)
    for value in world.form(**changes).values():
        assert len(value) < 8 or value not in answer.text or value == "client_credentials"


def test_an_expired_secret_is_told_apart_only_to_its_owner(world: World) -> None:
    short = world.issuer.applications.create("short", secret_lifetime=10)
    wrong = world.post(client_id=short.application.client_id, client_secret="wrong")
    refused(wrong, 401, "invalid_client", 7000215)
    before = world.clock.now()
    world.clock.advance(10)
    answer = world.post(client_id=short.application.client_id, client_secret=short.client_secret)
    world.clock.set(before)
    refused(answer, 401, "invalid_client", 7000222)


def test_who_has_shown_no_secret_learns_nothing_of_applications_and_resources(
    world: World,
) -> None:
    answers = [
        world.post(client_secret="wrong"),
        world.post(client_id=GUID),
        world.post(client_secret="wrong", scope="https://other.example/.default"),
        world.post(client_id=GUID, scope="https://other.example/.default"),
    ]
    bodies = [{k: v for k, v in a.json().items() if k in {"error", "error_codes"}} for a in answers]
    texts = {a.json()["error_description"].split(" Trace ID")[0] for a in answers}
    assert all(body == bodies[0] for body in bodies)
    assert len(texts) == 1
    assert {a.status_code for a in answers} == {401}


@pytest.mark.parametrize("tenant", ["common", "organizations", GUID, "x" * 3000, "%00", "ad%20fs"])
def test_an_unknown_tenant_is_refused(world: World, tenant: str) -> None:
    for rest in (
        "/oauth2/v2.0/token",
        "/oauth2/token",
    ):
        refused(world.post(f"/{tenant}{rest}"), 400, "invalid_request", 90002)
    for rest in (
        "/v2.0/.well-known/openid-configuration",
        "/.well-known/openid-configuration",
        "/discovery/v2.0/keys",
        "/discovery/keys",
    ):
        refused(world.http.get(f"/{tenant}{rest}"), 400, "invalid_request", 90002)


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_another_method_is_refused(world: World, method: str) -> None:
    answer = world.http.request(method, TOKEN_PATHS[0])
    refused(answer, 405, "invalid_request", 900561)


@pytest.mark.parametrize("path", ["/", "/adfs", f"/{TENANT}", "/adfs/oauth2/authorize", "/a/b/c"])
def test_an_unknown_address_is_refused(world: World, path: str) -> None:
    for method in ("GET", "POST"):
        refused(world.http.request(method, path), 404, "invalid_request", 90002)


BODIES: dict[str, tuple[bytes, str]] = {
    "json": (b'{"client_id":"x"}', "application/json"),
    "multipart": (b"--x\r\n\r\n--x--", "multipart/form-data; boundary=x"),
    "no type": (b"grant_type=client_credentials", ""),
    "text": (b"grant_type=client_credentials", "text/plain"),
    "not ascii": (b"grant_type=\xff", "application/x-www-form-urlencoded"),
    "not utf-8": (b"grant_type=%ff", "application/x-www-form-urlencoded"),
    "no equals": (b"grant_type", "application/x-www-form-urlencoded"),
    "nul": (b"\0", "application/x-www-form-urlencoded"),
    "twice": (
        b"grant_type=client_credentials&grant_type=client_credentials",
        "application/x-www-form-urlencoded",
    ),
    "escaped twice": (b"scope=a&%73cope=b", "application/x-www-form-urlencoded"),
    "many": (
        b"&".join(b"f%d=1" % n for n in range(100)),
        "application/x-www-form-urlencoded",
    ),
    "compressed": (b"\x1f\x8b" + bytes(50), "application/x-www-form-urlencoded"),
}


@pytest.mark.parametrize("case", BODIES)
def test_a_body_that_is_no_form_is_refused(world: World, case: str) -> None:
    body, kind = BODIES[case]
    answer = world.http.post(TOKEN_PATHS[0], content=body, headers={"content-type": kind})
    refused(answer, 400, "invalid_request", 9002313)


def test_the_type_may_have_parameters_and_the_body_may_be_empty(world: World) -> None:
    kind = {"content-type": "Application/X-WWW-Form-Urlencoded; charset=utf-8"}
    body = urlencode(world.form())
    assert world.http.post(TOKEN_PATHS[0], content=body, headers=kind).status_code == 200
    answer = world.http.post(TOKEN_PATHS[0], content=b"", headers=kind)
    refused(answer, 400, "invalid_request", 900144)


@pytest.mark.parametrize("announced", [True, False])
def test_a_large_body_is_refused(world: World, announced: bool) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(70):
            yield b"a" * 1024

    body: Any = b"a" * (65 * 1024) if announced else chunks()
    answer = world.http.post(
        TOKEN_PATHS[0], content=body, headers={"content-type": "application/x-www-form-urlencoded"}
    )
    refused(answer, 413, "invalid_request", 90015)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.dictionaries(
        st.sampled_from(["client_id", "client_secret", "grant_type", "scope", "resource", "x"]),
        st.text(max_size=40)
        | st.sampled_from(["client_credentials", f"{VAULT}/.default", TENANT, "\0", "a b"]),
    ),
    st.binary(max_size=20),
)
def test_no_form_breaks_the_endpoint(world: World, form: dict[str, str], extra: bytes) -> None:
    answer = world.http.post(
        TOKEN_PATHS[0],
        content=urlencode(form, errors="replace").encode() + extra,
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    assert answer.status_code in {400, 401}
    assert answer.json()["error"]


# Discovery


@pytest.mark.parametrize(
    ("path", "issuer", "token", "keys"),
    [
        (f"/{TENANT}/v2.0", f"/{TENANT}/v2.0", "oauth2/v2.0/token", "discovery/v2.0/keys"),
        (f"/{TENANT}", f"/{TENANT}/", "oauth2/token", "discovery/v2.0/keys"),
        ("/adfs", "/adfs", "oauth2/token", "discovery/keys"),
        ("/adfs/v2.0", "/adfs", "oauth2/token", "discovery/keys"),
    ],
)
def test_discovery_leads_to_addresses_that_work(
    world: World, path: str, issuer: str, token: str, keys: str
) -> None:
    root = f"{BASE}/adfs" if path.startswith("/adfs") else f"{BASE}/{TENANT}"
    answer = world.http.get(f"{path}/.well-known/openid-configuration")
    document = answer.json()
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "public, max-age=300"
    assert document["issuer"] == BASE + issuer
    assert document["token_endpoint"] == f"{root}/{token}"
    assert document["jwks_uri"] == f"{root}/{keys}"
    assert document["authorization_endpoint"].startswith(root)
    assert "none" not in json.dumps(document)
    body = world.http.post(document["token_endpoint"], data=world.form()).json()
    (key,) = world.http.get(document["jwks_uri"]).json()["keys"]
    claims = jwt.decode(body["access_token"], jwt.PyJWK(key), audience=VAULT, options=LAX)
    assert claims["iss"] == document["issuer"], "the token comes from whom discovery names"


LAX: Any = {"verify_exp": False, "verify_iat": False, "verify_nbf": False}


def test_the_host_of_the_request_changes_nothing(world: World) -> None:
    answer = world.http.get(
        f"/{TENANT}/v2.0/.well-known/openid-configuration",
        headers={"host": "evil.example", "x-forwarded-host": "evil.example"},
    )
    assert "evil" not in answer.text


# The record


def test_each_token_request_is_on_the_record_before_its_answer(world: World) -> None:
    world.events.clear()
    world.post()
    world.post(client_secret="wrong", client_id="not an id")
    world.post("/common/oauth2/token")
    good, bad, lost = world.events
    application = world.app.application
    assert (good["status"], good["result_description"]) == (200, "")
    principal = good["principal"]
    assert (good["object_id"], principal.object_id) == (
        application.client_id,
        application.object_id,
    )
    assert (principal.tenant_id, good["request_uri"]) == (TENANT, BASE + TOKEN_PATHS[0])
    assert (bad["status"], bad["result_description"]) == (401, "invalid_client")
    assert (bad["principal"], bad["object_id"]) == (None, ""), "what a caller makes up is no id"
    assert (lost["status"], lost["principal"]) == (400, None)
    for event in world.events:
        assert event["operation"] == "TokenIssue"
        assert event["address"] == "192.0.2.7"
        assert world.app.client_secret not in repr(event)


def test_without_a_record_there_is_no_token(world: World) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise AuditError("the disk is full")

    answer = Http(serve(world.issuer, world.clock, fail)).post(TOKEN_PATHS[0], data=world.form())
    assert answer.status_code == 503
    assert "access_token" not in answer.text
    assert "disk" not in answer.text


def test_a_store_that_does_not_verify_is_a_503_without_details(tmp_path: Path) -> None:
    world = World(tmp_path)
    with world.store:
        blob = dict(world.store.documents("applications"))[world.app.application.client_id]

        def spoil(transaction: Any) -> None:
            key = world.app.application.client_id
            transaction.put_document("applications", key, blob[:-1] + bytes([blob[-1] ^ 1]))
            transaction.changed("", "applications", key, "", "updated")

        world.store.write(spoil)
        answer = world.post()
        refused(answer, 503, "temporarily_unavailable", 90033)
        assert world.app.application.client_id not in answer.text


# azure-identity against a running server


class Running:
    """The issuer behind granian with TLS, on a port of this machine."""

    def __init__(self, folder: Path) -> None:
        self.clock = SystemClock()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"https://localhost:{self.port}"
        self.files = ensure_certificates(folder / "tls", ["localhost"], clock=self.clock)
        self.store = open_store(f"sqlite:///{folder / 'vault.db'}", clock=self.clock)
        self.issuer = Issuer(
            self.store,
            KeyEncryptionKey.generate(),
            self.clock,
            base_url=self.url,
            tenants=[TENANT],
            resources=[VAULT],
        )
        self.app = self.issuer.applications.create("web")
        self.validator = TokenValidator(self.issuer.trust([VAULT]), clock=self.clock)
        self.thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self.thread.start()
        self._wait()

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.server = Server(
            serve(self.issuer, self.clock, lambda *_: None),
            port=self.port,
            interface=Interfaces.ASGINL,
            ssl_cert=self.files.certificate,
            ssl_key=self.files.key,
            log_enabled=False,
        )
        await self.server.serve()

    def _wait(self) -> None:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError("the server did not start")

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.server.stop)
        self.thread.join(20)
        self.store.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    made = Running(tmp_path_factory.mktemp("running"))
    yield made
    made.stop()


@pytest.fixture
def trusting(running: Running, monkeypatch: pytest.MonkeyPatch) -> Running:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(running.files.authority))
    monkeypatch.setenv("SSL_CERT_FILE", str(running.files.authority))
    return running


def accepted(running: Running, token: str) -> None:
    found = running.validator.validate(token)
    assert found.principal.object_id == running.app.application.object_id


@pytest.mark.parametrize("tenant", ["adfs", TENANT])
def test_client_secret_credential_gets_a_token(trusting: Running, tenant: str) -> None:
    with ClientSecretCredential(
        tenant,
        trusting.app.application.client_id,
        trusting.app.client_secret,
        authority=trusting.url,
        disable_instance_discovery=tenant != "adfs",
    ) as credential:
        accepted(trusting, credential.get_token(f"{VAULT}/.default").token)


def test_environment_variables_alone_are_enough(
    trusting: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", trusting.url)
    monkeypatch.setenv("AZURE_TENANT_ID", "adfs")
    monkeypatch.setenv("AZURE_CLIENT_ID", trusting.app.application.client_id)
    monkeypatch.setenv("AZURE_CLIENT_SECRET", trusting.app.client_secret)
    with EnvironmentCredential() as credential:
        accepted(trusting, credential.get_token(f"{VAULT}/.default").token)


def test_the_asynchronous_credential_gets_a_token(trusting: Running) -> None:
    async def get() -> str:
        async with AsyncClientSecretCredential(
            "adfs",
            trusting.app.application.client_id,
            trusting.app.client_secret,
            authority=trusting.url,
        ) as credential:
            return (await credential.get_token(f"{VAULT}/.default")).token

    accepted(trusting, asyncio.run(get()))


def test_the_clients_own_error_says_what_is_wrong(trusting: Running) -> None:
    with (
        ClientSecretCredential(
            "adfs", trusting.app.application.client_id, "wrong", authority=trusting.url
        ) as credential,
        pytest.raises(ClientAuthenticationError, match="AADSTS7000215"),
    ):
        credential.get_token(f"{VAULT}/.default")
