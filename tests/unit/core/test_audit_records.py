"""The records of the audit log: their fields, their chain, and what nobody gets into them."""

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unit.audit.entries import append, lines, records
from vaultcore._core import AuditLog, Principal
from vaultcore.audit.verifier import verify
from vaultcore.errors import UsageError

LABEL = b"vaultcore audit record 1\n"


def test_a_record_has_the_fields_of_an_audit_event(folder: Path) -> None:
    log = AuditLog(str(folder))
    principal = Principal(
        object_id="o", app_id="a", tenant_id="t", issuer="https://i", name="n", groups=["g"]
    )
    extra = {"algorithm": "ES256", "managed": True, "count": -3}
    number = append(log, time=1_451_957_521.269122, status=403, principal=principal, extra=extra)
    assert number == 1
    found = records(folder)[0]
    assert found.pop("hash") == log.head
    assert found == {
        "time": "2016-01-05T01:32:01.269122Z",
        "resourceId": (
            "/SUBSCRIPTIONS/00000000-0000-0000-0000-000000000000/RESOURCEGROUPS/VAULTCORE"
            "/PROVIDERS/MICROSOFT.KEYVAULT/VAULTS/DEV"
        ),
        "operationName": "SecretGet",
        "operationVersion": "7.4",
        "category": "AuditEvent",
        "resultType": "Failure",
        "resultSignature": "Forbidden",
        "resultDescription": "",
        "durationMs": 0.25,
        "callerIpAddress": "127.0.0.1",
        "correlationId": "c-1",
        "identity": {
            "claim": {
                "http://schemas.microsoft.com/identity/claims/objectidentifier": "o",
                "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn": "n",
                "appid": "a",
                "http://schemas.microsoft.com/identity/claims/tenantid": "t",
                "iss": "https://i",
            }
        },
        "properties": {
            "clientInfo": "tests",
            "requestUri": "https://dev.vault.localhost/secrets/a?api-version=7.4",
            "id": "https://dev.vault.localhost/secrets/a",
            "httpStatusCode": 403,
            "algorithm": "ES256",
            "managed": True,
            "count": -3,
        },
        "sequence": 1,
        "previous": "0" * 64,
    }


def test_each_record_holds_the_hash_of_the_one_before(folder: Path) -> None:
    log = AuditLog(str(folder))
    for _ in range(3):
        append(log)
    head = "0" * 64
    for number, line in enumerate(lines(folder), 1):
        found = json.loads(line)
        covered, _, rest = line.rpartition(b',"hash":"')
        assert (found["sequence"], found["previous"]) == (number, head)
        head = hashlib.sha256(LABEL + covered).hexdigest()
        assert rest == head.encode() + b'"}\n'
    assert (log.sequence, log.head) == (3, head)
    assert log.position()[:2] == (3, head)


def test_a_log_goes_on_where_it_ended(folder: Path) -> None:
    append(AuditLog(str(folder)))
    log = AuditLog(str(folder))
    assert log.sequence == 1
    assert append(log) == 2
    assert verify(folder).ok


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000000Z"),
        (951_782_399.999999, "2000-02-28T23:59:59.999999Z"),
        (951_782_400.0, "2000-02-29T00:00:00.000000Z"),
        (4_107_542_400.0, "2100-03-01T00:00:00.000000Z"),
        (1_709_164_800.0, "2024-02-29T00:00:00.000000Z"),
        (1_735_689_599.5, "2024-12-31T23:59:59.500000Z"),
        (253_402_300_799.0, "9999-12-31T23:59:59.000000Z"),
        (1e30, "9999-12-31T23:59:59.000000Z"),
        (-1.0, "1970-01-01T00:00:00.000000Z"),
        (float("nan"), "1970-01-01T00:00:00.000000Z"),
        (float("inf"), "1970-01-01T00:00:00.000000Z"),
    ],
)
def test_times(folder: Path, seconds: Any, text: Any) -> None:
    append(AuditLog(str(folder)), time=seconds)
    assert records(folder)[0]["time"] == text


def test_every_day_of_four_centuries_has_its_date(folder: Path) -> None:
    log = AuditLog(str(folder))
    days = range(0, 146_097, 37)
    for day in days:
        append(log, time=day * 86_400.0)
    for day, found in zip(days, records(folder), strict=True):
        expected = time.strftime("%Y-%m-%dT00:00:00.000000Z", time.gmtime(day * 86_400))
        assert found["time"] == expected


@pytest.mark.parametrize("duration", [float("nan"), float("inf"), -1.0, 0.0, 1e300, 12.3456])
def test_a_duration_is_always_a_number(folder: Path, duration: Any) -> None:
    append(AuditLog(str(folder)), duration_ms=duration)
    assert 0 <= records(folder)[0]["durationMs"] <= 1e12


NASTY = [
    "a\nb",
    "a\r\nb",
    "\x1b[2J\x1b]0;x\x07",
    "\u2028\u2029\u0085",
    "\u202e\u200b\ufeff",
    '"},"hash":"0"}',
    '","operationName":"AuditLogRotated","x":"',
    "\\",
    "\\u000a",
    "\x00\x7f\x9b",
    "\U0001f600\u00e9",
    "\ud800",
    b"\xff\xfe\x80",
    "{}%s${x}{{x}}",
    "x" * 1_048_576,
    "\n" * 1_048_576,
    "\U0001f600" * 100_000,
    b"\xff" * 1_048_576,
]
TEXTS = [
    "vault",
    "operation",
    "api_version",
    "result_description",
    "address",
    "correlation_id",
    "request_uri",
    "client_info",
    "object_id",
]


@pytest.mark.parametrize("nasty", NASTY, ids=range(len(NASTY)))
def test_nothing_that_is_sent_gets_out_of_its_field(folder: Path, nasty: Any) -> None:
    log = AuditLog(str(folder))
    for name in TEXTS:
        append(log, **{name: nasty})
    append(log, **dict.fromkeys(TEXTS, nasty), extra={"name": nasty, "x": 1})
    text = nasty if isinstance(nasty, str) else ""
    usable = text.encode("utf-8", "replace").decode()
    append(log, principal=Principal(object_id=usable, app_id=usable, name=usable, groups=[usable]))
    written = (folder / "audit.jsonl").read_bytes()
    assert all(byte == 10 or 32 <= byte <= 126 for byte in written)
    assert max(map(len, lines(folder))) <= 64 * 1024
    found = records(folder)
    assert len(found) == len(TEXTS) + 2
    assert all(list(one)[-3:] == ["sequence", "previous", "hash"] for one in found)
    report = verify(folder)
    assert report.ok, report.problems
    assert AuditLog(str(folder)).sequence == len(found)


def test_what_is_cut_off_is_counted(folder: Path) -> None:
    append(AuditLog(str(folder)), client_info="x" * 1000, correlation_id="\u00e9" * 1000)
    found = records(folder)[0]
    assert found["properties"]["clientInfo"] == "x" * 512 + "...(+488)"
    kept, _, cut = found["correlationId"].partition("...(+")
    assert len(kept) + int(cut[:-1]) == 1000
    assert set(kept) == {"\u00e9"}


@given(st.dictionaries(st.sampled_from(TEXTS), st.text() | st.binary(), max_size=4))
@settings(max_examples=150, deadline=None)
def test_as_many_lines_as_events(tmp_path_factory: Any, fields: Any) -> None:
    folder = tmp_path_factory.mktemp("audit")
    fields = {
        name: value
        for name, value in fields.items()
        if name != "operation" or not str(value).startswith("AuditLog")
    }
    append(AuditLog(str(folder)), **fields)
    assert len(records(folder)) == 1
    assert verify(folder).ok


def test_extra_cannot_replace_what_is_fixed(folder: Path) -> None:
    extra = {"httpStatusCode": 200, "id": "x", "requestUri": "x", "clientInfo": "x", "a": "b"}
    append(AuditLog(str(folder)), status=500, extra=extra)
    properties = records(folder)[0]["properties"]
    assert properties["httpStatusCode"] == 500
    assert properties["a"] == "b"
    assert properties["clientInfo"] == "tests"


def test_the_log_keeps_its_own_operations_to_itself(folder: Path) -> None:
    with pytest.raises(UsageError):
        append(AuditLog(str(folder)), operation="AuditLogRotated")


@pytest.mark.parametrize(
    "wrong", [{"vault": 1}, {"status": "x"}, {"extra": {"a": 1.5}}, {"time": None}]
)
def test_arguments_of_another_type_are_refused_and_nothing_is_written(
    folder: Path, wrong: Any
) -> None:
    log = AuditLog(str(folder))
    with pytest.raises(TypeError):
        append(log, **wrong)
    assert lines(folder) == []


def test_files_are_for_their_owner_alone(folder: Path) -> None:
    append(AuditLog(str(folder)))
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "audit.jsonl").stat().st_mode & 0o777 == 0o600
