"""The audit over HTTPS: one record for each answered request, and what stands in it."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from driver import CANARY, DOMAIN, LATEST, b64, program, start, stop, unique
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driver import Service, Stranger, Vault

OID = "http://schemas.microsoft.com/identity/claims/objectidentifier"
UPN = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z")
TEXTS = {
    200: "OK", 204: "No Content", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden",
    404: "Not Found", 405: "Method Not Allowed", 409: "Conflict", 413: "Content Too Large",
}  # fmt: skip


class Step(NamedTuple):
    """A request, what is answered, and the operation that the record names."""

    operation: str
    method: str
    path: str
    body: Any = None
    status: int = 200


VERSION = "0" * 32
LIFE = [
    Step("SecretSet", "PUT", "/secrets/{}", {"value": CANARY}),
    Step("SecretGet", "GET", "/secrets/{}"),
    Step("SecretGet", "GET", "/secrets/{}/"),
    Step("SecretUpdate", "PATCH", "/secrets/{}/", {"tags": {CANARY: CANARY}}),
    Step("SecretList", "GET", "/secrets"),
    Step("SecretListVersions", "GET", "/secrets/{}/versions"),
    Step("SecretBackup", "POST", "/secrets/{}/backup"),
    Step("SecretDelete", "DELETE", "/secrets/{}"),
    Step("SecretListDeleted", "GET", "/deletedsecrets"),
    Step("SecretGetDeleted", "GET", "/deletedsecrets/{}"),
    Step("SecretSet", "PUT", "/secrets/{}", {"value": CANARY}, 409),
    Step("SecretGet", "GET", "/secrets/{}", None, 404),
    Step("SecretRecover", "POST", "/deletedsecrets/{}/recover"),
    Step("SecretUpdate", "PATCH", "/secrets/{}", {"attributes": {"enabled": False}}),
    Step("SecretGet", "GET", "/secrets/{}", None, 403),
    Step("SecretGet", "GET", f"/secrets/{{}}/{VERSION}", None, 404),
    Step("SecretSet", "PUT", "/secrets/{}", CANARY, 400),
    Step("SecretSet", "PUT", "/secrets/{}", "x" * 300_000, 413),
    Step("SecretRestore", "POST", "/secrets/restore", {"value": b64(CANARY.encode())}, 400),
    Step("SecretDelete", "DELETE", "/secrets/{}"),
    Step("SecretPurge", "DELETE", "/deletedsecrets/{}", None, 204),
    Step("SecretPurge", "DELETE", "/deletedsecrets/{}", None, 404),
    Step("KeyCreate", "POST", "/keys/{}/create", {"kty": "RSA"}),
    Step("KeyGet", "GET", "/keys/{}"),
    Step("KeyUpdate", "PATCH", "/keys/{}", {"tags": {"a": CANARY}}),
    Step("KeyList", "GET", "/keys"),
    Step("KeyListVersions", "GET", "/keys/{}/versions"),
    Step("KeySign", "POST", "/keys/{}//sign", {"alg": "RS256", "value": b64(bytes(32))}),
    Step("KeySign", "POST", "/keys/{}//sign", {"alg": CANARY, "value": CANARY}, 400),
    Step(
        *("KeyVerify", "POST", "/keys/{}//verify"),
        {"alg": "RS256", "digest": b64(bytes(32)), "value": b64(CANARY.encode())},
    ),
    Step("KeyEncrypt", "POST", "/keys/{}//encrypt", {"alg": "RSA-OAEP", "value": CANARY + "AA"}),
    Step("KeyDecrypt", "POST", "/keys/{}//decrypt", {"alg": "RSA-OAEP", "value": "AA"}, 400),
    Step("KeyWrap", "POST", "/keys/{}//wrapkey", {"alg": "RSA-OAEP", "value": CANARY + "AA"}),
    Step("KeyUnwrap", "POST", "/keys/{}//unwrapkey", {"alg": "RSA-OAEP", "value": "AA"}, 400),
    Step("KeyRotate", "POST", "/keys/{}/rotate"),
    Step("KeyBackup", "POST", "/keys/{}/backup"),
    Step("KeyRestore", "POST", "/keys/restore", {"value": b64(CANARY.encode())}, 400),
    Step("KeyImport", "PUT", "/keys/{}", {"key": {"kty": "oct", "k": CANARY}}, 400),
    Step("KeyDelete", "DELETE", "/keys/{}"),
    Step("KeyListDeleted", "GET", "/deletedkeys"),
    Step("KeyGetDeleted", "GET", "/deletedkeys/{}"),
    Step("KeyRecover", "POST", "/deletedkeys/{}/recover"),
    Step("KeyDelete", "DELETE", "/keys/{}"),
    Step("KeyPurge", "DELETE", "/deletedkeys/{}", None, 204),
    Step("RandomBytesGet", "POST", "/rng", {"count": 8}),
    Step("KeyRotationPolicyGet", "GET", "/keys/{}/rotationpolicy", None, 404),
    Step("KeyRelease", "POST", "/keys/{}//release", {"target": CANARY}, 404),
    Step("CertificateList", "GET", "/certificates", None, 404),
    Step("CertificateCreate", "POST", "/certificates/{}/create", {}, 404),
]
MALFORMED = [
    Step("", "GET", "/secrets/a.b", None, 400),
    Step("", "GET", "/secrets/x/notaversion", None, 400),
    Step("", "GET", "/nowhere", None, 404),
    Step("", "POST", "/storage", None, 404),
    Step("", "DELETE", "/secrets", None, 405),
    Step("", "GET", "/secrets?maxresults=26", None, 400),
    Step("", "GET", "/secrets?api-version=1", None, 400),
    Step("", "PUT", "/secrets/%0d%0aX", {"value": CANARY}, 400),
]


def only_record(service: Service, since: int) -> dict[str, Any]:
    """Returns the one record that was written since."""
    found = service.records(since)
    assert len(found) == 1, [record["operationName"] for record in found]
    return found[0]


def check_record(record: dict[str, Any], caller: Vault, step: Step, status: int, name: str) -> None:
    properties = record["properties"]
    assert TIME.fullmatch(record["time"])
    assert record["resourceId"].endswith(f"/VAULTS/{caller.name.upper()}")
    assert record["category"] == "AuditEvent"
    assert record["resultType"] == ("Success" if status < 400 else "Failure")
    assert record["resultSignature"] == TEXTS[status]
    assert bool(record["resultDescription"]) == (status >= 400)
    assert record["durationMs"] > 0
    assert record["callerIpAddress"] == "127.0.0.1"
    assert properties["httpStatusCode"] == status
    path = step.path.format(name).partition("?")[0]
    assert properties["requestUri"] == f"{caller.url}{path}"
    assert properties["clientInfo"].startswith("python-httpx/")
    assert CANARY not in json.dumps(record)


def test_every_route_is_on_record(api: Service, vault: Vault) -> None:
    name = unique("Audited")
    claim = None
    for step in LIFE:
        since = api.record_count()
        correlation = unique("corr")
        answer = vault.ask(
            *(step.method, step.path.format(name), step.body),
            headers={"x-ms-client-request-id": correlation},
        )
        assert answer.status_code == step.status, (step, answer.text)
        record = only_record(api, since)
        check_record(record, vault, step, step.status, name)
        assert record["operationName"] == step.operation
        assert record["operationVersion"] == LATEST
        assert record["correlationId"] == correlation
        kind = re.match(r"/(?:deleted)?([a-z]+)", step.path)
        expected = f"{vault.url}/{kind[1]}/{name}" if kind and "{}" in step.path else ""
        version = f"/{VERSION}" if VERSION in step.path else ""
        assert record["properties"]["id"] == expected + version
        # Always the same caller.
        claim = claim or record["identity"]["claim"]
        assert record["identity"]["claim"] == claim
        assert claim[UPN] == "administrator"
        assert claim["appid"] == api.environment["AZURE_CLIENT_ID"]
    assert claim is not None


def test_every_kind_of_operation_was_tried() -> None:
    from vaultcore.service.keyvault.faces import FACES

    assert {step.operation for step in LIFE} >= set(FACES)


@pytest.mark.parametrize("step", [s for s in LIFE if s.operation != "RandomBytesGet"])
def test_every_refusal_by_policy_is_on_record(api: Service, nobody: Stranger, step: Step) -> None:
    since = api.record_count()
    answer = nobody.ask(step.method, step.path.format("name"), step.body)
    assert answer.status_code == 403
    record = only_record(api, since)
    check_record(record, nobody, step, 403, "name")
    assert record["operationName"] == step.operation
    assert record["identity"]["claim"][OID] == nobody.object_id
    assert record["identity"]["claim"]["appid"] == nobody.client_id
    assert nobody.object_id in record["resultDescription"]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of its own: elsewhere so many strangers come that they are only counted."""
    service = start(tmp_path_factory.mktemp("audit"))
    yield service
    stop(service)


@pytest.fixture(scope="module")
def vault(api: Service) -> Vault:
    return api.vault()


@pytest.fixture(scope="module")
def nobody(api: Service) -> Stranger:
    return api.stranger()


@pytest.mark.parametrize("step", [*LIFE, *MALFORMED], ids=lambda step: f"{step[1]} {step[2]}")
def test_every_challenge_is_on_record(api: Service, vault: Vault, step: Step) -> None:
    for token in ("", "a.b.c"):
        since = api.record_count()
        answer = vault.ask(step.method, step.path.format("name"), step.body, token=token)
        assert answer.status_code == 401
        record = only_record(api, since)
        check_record(record, vault, step, 401, "name")
        # What Azure calls a request that shows no valid token.
        assert record["operationName"] == "Authentication"
        assert record["identity"] == {}


@pytest.mark.parametrize("step", MALFORMED, ids=lambda step: f"{step[1]} {step[2]}")
def test_every_malformed_request_is_on_record(api: Service, vault: Vault, step: Step) -> None:
    since = api.record_count()
    api_version = None if "api-version" in step.path else LATEST
    answer = vault.ask(step.method, step.path, step.body, api=api_version)
    assert answer.status_code == step.status
    record = only_record(api, since)
    check_record(record, vault, step, step.status, "")
    assert record["identity"]["claim"][UPN] == "administrator"
    assert record["properties"]["id"] == ""


def test_what_the_firewall_refuses_is_on_record(api: Service) -> None:
    made = api.make_vault()
    api.manage("firewall.set", vault=made.name, default_action="Deny")
    since = api.record_count()
    made.refuse(403, "Forbidden", "GET", "/secrets/x", inner="ForbiddenByFirewall")
    record = only_record(api, since)
    check_record(record, made, Step("", "GET", "/secrets/x"), 403, "")
    assert record["operationName"] == "SecretGet"
    # The token was not looked at.
    assert record["identity"] == {}


def test_the_algorithm_of_a_use_is_on_record(api: Service, vault: Vault) -> None:
    name = unique("k")
    vault.create(name, "EC")
    since = api.record_count()
    vault.do("POST", f"/keys/{name}//sign", {"alg": "ES256", "value": b64(bytes(32))})
    assert only_record(api, since)["properties"]["Algorithm"] == "ES256"


def test_administration_and_tokens_are_on_record(api: Service) -> None:
    since = api.record_count()
    made = api.make_vault()
    api.manage("firewall.list", vault=made.name)
    names = [record["operationName"] for record in api.records(since)]
    assert len(names) == 2
    assert names[0] == "VaultPut"
    since = api.record_count()
    answer = api.http.post(
        f"https://login.{DOMAIN}:{api.port}/adfs/oauth2/token",
        data={"grant_type": "client_credentials", "client_id": "x", "client_secret": CANARY},
    )
    assert answer.status_code in {400, 401}
    record = only_record(api, since)
    assert record["operationName"] == "TokenIssue"
    assert record["resultType"] == "Failure"


def test_what_the_issuer_publishes_is_recorded_and_health_is_not(
    api: Service, vault: Vault
) -> None:
    since = api.record_count()
    assert api.http.get(f"{vault.url}/healthz").json()["status"] == "ok"
    assert api.records(since) == []
    api.http.get(f"https://login.{DOMAIN}:{api.port}/adfs/discovery/keys")
    assert only_record(api, since)["operationName"] == "IssuerKeyList"


# log injection

NASTY = [
    *("\u2028", "\u2029", "\x85", "\x9b31mred", "\u202ereversed", '"},{"x":"', "\\", "\\u000a"),
    *("\xa0", "a" * 20_000, "${jndi:ldap://x}", "%0d%0a", "\ufeff", "\U0001f511", "a\tb"),
    *('","operationName":"Forged","x":"', "</script>", "=cmd|' /C calc'!A0", "\u001b[31m"),
]


def check_line(service: Service, since: int) -> dict[str, Any]:
    lines = (service.data / "audit" / "audit.jsonl").read_bytes().splitlines(keepends=True)[since:]
    assert len(lines) == 1
    (line,) = lines
    assert line.endswith(b"}\n")
    # Printable ASCII only: neither a terminal nor a reader of lines sees anything else.
    assert all(0x20 <= byte < 0x7F for byte in line[:-1])
    assert len(line) <= 64 * 1024
    record: dict[str, Any] = json.loads(line, object_pairs_hook=no_repeats)
    return record


def no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len({name for name, _ in pairs}) == len(pairs)
    return dict(pairs)


@pytest.mark.parametrize("text", NASTY, ids=ascii)
def test_nothing_gets_into_the_log_but_as_a_value(api: Service, vault: Vault, text: str) -> None:
    raw = text.encode()
    for headers, path in (
        ({"user-agent": raw}, "/secrets/x"),
        ({"x-ms-client-request-id": raw}, "/secrets/x"),
        ({}, "/secrets/" + "".join(f"%{byte:02x}" for byte in raw[:300])),
        ({}, f"/secrets/x?{'%22%0a' * 50}"),
        ({"user-agent": b"\xff\xfe\x80\xc0\xaf"}, "/secrets/x"),
    ):
        since = api.record_count()
        answer = vault.ask("GET", path, headers=headers)
        if "x-ms-request-id" not in answer.headers:
            # A control character makes it no HTTP at all, before there is a request.
            assert (answer.status_code, answer.content) == (400, b"")
            assert api.record_count() == since
            continue
        assert answer.status_code in {200, 400, 404}
        record = check_line(api, since)
        assert record["operationName"] in {"SecretGet", "Authentication"}
        assert record["properties"]["httpStatusCode"] == answer.status_code
        if headers.get("user-agent") == raw and len(text) < 100:
            assert record["properties"]["clientInfo"] == text


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    agent=st.binary(max_size=200).map(lambda raw: raw.translate(None, b"\r\n\0")),
    correlation=st.binary(max_size=100).map(lambda raw: raw.translate(None, b"\r\n\0")),
    path=st.binary(max_size=100).map(lambda raw: raw.translate(None, b"\r\n\0 \t?#")),
)
def test_generated_injection(api: Service, agent: bytes, correlation: bytes, path: bytes) -> None:
    since = api.record_count()
    head = b"GET /secrets/" + path + b"?api-version=7.4 HTTP/1.1\r\nHost: {host}\r\nUser-Agent: "
    head += agent + b"\r\nx-ms-client-request-id: " + correlation + b"\r\nAuthorization: Bearer "
    answer = api.raw(head + api.admin.encode() + b"\r\n\r\n")
    if any(name == "x-ms-request-id" for name, _ in answer.headers):
        assert check_line(api, since)["properties"]["httpStatusCode"] == answer.status
    else:
        # Refused as no HTTP at all, before there was a request.
        assert (answer.status, answer.body) == (400, b"")
        assert api.record_count() == since


# the whole log


def test_one_record_each_when_many_ask(api: Service, vault: Vault) -> None:
    vault.set("busy", "v")
    since = api.record_count()

    def ask(number: int) -> str:
        correlation = f"busy-{number}"
        path = ("/secrets/busy", "/secrets/none", "/secrets/a.b")[number % 3]
        vault.ask("GET", path, headers={"x-ms-client-request-id": correlation})
        return correlation

    with ThreadPoolExecutor(8) as pool:
        asked = list(pool.map(ask, range(150)))
    records = api.records(since)
    assert sorted(record["correlationId"] for record in records) == sorted(asked)
    numbers = [record["sequence"] for record in records]
    assert numbers == list(range(numbers[0], numbers[0] + 150))
    assert all(b["previous"] == a["hash"] for a, b in itertools.pairwise(records))


def test_the_log_verifies_while_the_service_runs(api: Service) -> None:
    done = subprocess.run(
        program("audit", "verify", "--data", str(api.data)),
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
