"""The audit log as an administrator reads it: queried, followed, verified."""

from typing import Any

import pytest

from unit.management.recording import Records, statuses
from vaultcore import Engine
from vaultcore.clock import ManualClock
from vaultcore.errors import BadParameterError
from vaultcore.management import Management
from vaultcore.management.records import TAIL_SECONDS


def act(engine: Engine, *names: str) -> None:
    secrets = engine.vault("dev").acting_as(engine.administrator()).secrets
    for name in names:
        secrets.set(name, "value")


def objects(records: list[dict[str, Any]]) -> list[str]:
    return [record["properties"]["id"].rpartition("/")[2] for record in records]


def test_the_newest_that_fit_are_returned_oldest_first(engine: Engine) -> None:
    act(engine, "a", "b", "c")
    found = engine.management.audit_query(vault="DEV", operation="secretset", limit=2)
    assert objects(found) == ["b", "c"]
    assert engine.management.audit_query(status=500) == []


def follow(engine: Engine, cursor: str) -> dict[str, Any]:
    answer: dict[str, Any] = engine.management.audit_follow(cursor=cursor)
    return answer


def test_following_is_recorded_at_its_start_and_once_an_hour(
    engine: Engine, records: Records, clock: ManualClock
) -> None:
    answer = engine.management.audit_tail(lines=2)
    assert len(answer["records"]) == 2
    for _ in range(5):
        answer = follow(engine, answer["cursor"])
    assert statuses(records()) == [("AuditTail", 200)]
    clock.advance(TAIL_SECONDS)
    for _ in range(5):
        answer = follow(engine, answer["cursor"])
    assert statuses(records()) == [("AuditTail", 200)]


def test_following_shows_each_record_once(engine: Engine) -> None:
    answer = engine.management.audit_tail(operation="VaultGet", lines=0)
    assert answer["records"] == []
    seen = []
    for count in (0, 1, 3, 0):
        for _ in range(count):
            engine.management.vault_show(name="dev")
        answer = follow(engine, answer["cursor"])
        seen.append(len(answer["records"]))
    assert seen == [0, 1, 3, 0]


def test_a_burst_longer_than_one_look_is_shown_whole(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vaultcore.management.records._LOOK", 4)
    answer = engine.management.audit_tail(operation="VaultGet")
    for _ in range(25):
        engine.management.vault_show(name="dev")
    assert len(follow(engine, answer["cursor"])["records"]) == 25


def test_another_principal_cannot_go_on_with_a_cursor_unrecorded(
    engine: Engine, records: Records
) -> None:
    made = engine.management.app_create(name="app")
    engine.management.access_administrator(principal="app")
    cursor = engine.management.audit_tail()["cursor"]
    records()
    other = Management(engine, engine.application(made["name"]))
    with pytest.raises(BadParameterError, match="not one of yours"):
        other.audit_follow(cursor=cursor)
    for made_up in ("", "AAAA", "\ud800", cursor[:-8]):
        with pytest.raises(BadParameterError, match="not one of yours"):
            engine.management.audit_follow(cursor=made_up)
    assert statuses(records()) == [("AuditTail", 400)] * 5


def test_what_an_earlier_verify_printed_must_still_be_there(engine: Engine) -> None:
    act(engine, "a")
    noted = engine.management.audit_verify()
    assert noted["ok"]
    act(engine, "b")
    verify = engine.management.audit_verify
    assert verify(expect=f"{noted['last']}:{noted['head']}")["ok"]
    wrong = verify(expect=f"{noted['last']}:{'f' * 64}")
    assert not wrong["ok"]
    assert not verify(expect=f"999999:{noted['head']}")["ok"]


@pytest.mark.parametrize(
    "expect", ["", "7", "7:", ":abc", "x:abc", "-1:a", "²:abc", "1" * 19 + ":a"]
)
def test_what_no_verify_printed_is_refused(engine: Engine, expect: str) -> None:
    with pytest.raises(BadParameterError, match="SEQUENCE:HASH"):
        engine.management.audit_verify(expect=expect)


def test_a_log_that_was_changed_does_not_verify(engine: Engine) -> None:
    act(engine, "a")
    engine.audit.checkpoint()
    log = engine.data / "audit" / "audit.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"SecretSet"', b'"SecretGet"', 1))
    found = engine.management.audit_verify()
    assert not found["ok"]
    assert found["problems"]


def test_a_rotation_names_both_keys(engine: Engine) -> None:
    before = engine.management.audit_verify()["key_id"]
    names = engine.management.audit_rotate_keys()
    assert names["previousKeyId"] == before != names["keyId"]
    after = engine.management.audit_verify()
    assert after["ok"]
    assert after["key_id"] == names["keyId"]
