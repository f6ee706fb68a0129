"""What a record says about an operation is built in one place."""

from pathlib import Path
from typing import Any

from unit.audit.entries import records
from vaultcore._core import AuditLog, Principal
from vaultcore.audit.event import Event
from vaultcore.audit.record import Record
from vaultcore.clock import ManualClock
from vaultcore.errors import NotFoundError, StorageError


def filled() -> Event:
    event = Event()
    event.vault = "dev"
    event.operation = "SecretGet"
    event.api_version = "7.4"
    event.object_id = "https://dev/secrets/a"
    event.principal = Principal(object_id="o", app_id="a", tenant_id="t", issuer="i", name="n")
    event.address = "192.0.2.1"
    event.correlation = b"c-1"
    event.uri = b"https://dev/secrets/a"
    event.client = b"tests"
    event.reason = "why"
    return event


def test_the_log_and_the_outbox_take_the_same_members(folder: Path, clock: ManualClock) -> None:
    event = filled()
    log = AuditLog(str(folder), now=clock.now)
    event.write(log.append, 403)
    kept = event.write(Record.of, 403)
    (written,) = records(folder)
    assert written["operationName"] == kept.operation == "SecretGet"
    assert written["operationVersion"] == kept.api_version == "7.4"
    assert written["resultDescription"] == kept.result_description == "why"
    assert written["callerIpAddress"] == kept.address == "192.0.2.1"
    assert written["correlationId"] == kept.correlation_id == "c-1"
    properties = written["properties"]
    assert properties["httpStatusCode"] == kept.status == 403
    assert properties["id"] == kept.object_id == "https://dev/secrets/a"
    assert properties["requestUri"] == kept.request_uri == "https://dev/secrets/a"
    assert properties["clientInfo"] == kept.client_info == "tests"
    assert kept.principal is not None
    assert written["identity"]["claim"]["appid"] == kept.principal.app_id == "a"


def test_what_the_operation_and_its_way_add_is_put_together() -> None:
    event = filled()
    assert event.write(Record.of, 200).extra is None
    event.extra = {"Algorithm": "ES256"}
    assert event.write(Record.of, 200).extra == {"Algorithm": "ES256"}
    event.came_by = {"peerIpAddress": "10.0.0.1"}
    assert event.write(Record.of, 200).extra == {
        "Algorithm": "ES256",
        "peerIpAddress": "10.0.0.1",
    }
    event.extra = None
    assert event.write(Record.of, 200).extra == {"peerIpAddress": "10.0.0.1"}


def test_the_time_that_it_took_is_in_milliseconds() -> None:
    event = filled()
    event.started -= 2.0
    taken: list[Any] = event.write(lambda *members: list(members), 200)
    assert 2000.0 <= taken[5] < 3000.0


def test_a_failure_is_the_reason_and_comes_back_as_a_refusal() -> None:
    event = filled()
    missing = NotFoundError("no such secret")
    assert event.fail(missing) is missing
    assert event.reason == "no such secret"
    assert event.fail(StorageError("the disk is full")).status == 503
    assert event.reason == "the disk is full"
    # What nobody foresaw may hold anything.
    assert event.fail(ValueError("canary")).status == 500
    assert "canary" not in event.reason
