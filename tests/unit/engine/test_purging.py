"""The purge of what is due."""

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import vaultcore
from vaultcore import Engine
from vaultcore.clock import ManualClock
from vaultcore.engine import purging
from vaultcore.errors import AuditError, ForbiddenError, NotFoundError
from vaultcore.storage.rows import ObjectRow

DAY = 86_400


def test_what_is_due_is_purged_even_under_purge_protection(
    tmp_path: Path, clock: ManualClock
) -> None:
    with vaultcore.create(tmp_path / "data", clock=clock, housekeeping=False) as engine:
        engine.management.vault_create(name="dev", retention_days=7, purge_protection=True)
        vault = engine.vault("dev").acting_as(engine.administrator())
        vault.secrets.set("a", "value")
        vault.secrets.delete("a")
        with pytest.raises(ForbiddenError):
            vault.secrets.purge("a")
        clock.advance(7 * 86_400 - 1)
        assert engine.purge_due() == 0
        clock.advance(1)
        assert engine.purge_due() == 1
        with pytest.raises(NotFoundError):
            vault.secrets.recover("a")


class Deleted(NamedTuple):
    """A folder with a vault of short retention."""

    engine: Engine
    clock: ManualClock
    vault: Any

    def delete(self, kind: str, name: str) -> None:
        if kind == "secrets":
            self.vault.secrets.set(name, "value")
        else:
            self.vault.keys.create(name, "oct")
        getattr(self.vault, kind).delete(name)

    def names(self) -> list[str]:
        listed = [*self.vault.secrets.list_deleted(), *self.vault.keys.list_deleted()]
        return [found.name for found in listed]

    def told(self) -> list[dict[str, Any]]:
        lines = (self.engine.data / "audit" / "audit.jsonl").read_text().splitlines()
        records = [json.loads(line) for line in lines]
        return [r for r in records if r["operationName"] in {"SecretPurge", "KeyPurge"}]


@pytest.fixture
def deleted(engine: Engine, clock: ManualClock) -> Deleted:
    engine.management.vault_create(name="short", retention_days=7)
    return Deleted(engine, clock, engine.vault("short").acting_as(engine.administrator()))


def test_each_purge_is_on_record_with_its_reason(deleted: Deleted) -> None:
    deleted.delete("secrets", "A-secret")
    deleted.delete("keys", "a-key")
    deleted.clock.advance(7 * DAY)
    assert deleted.engine.purge_due() == 2
    assert deleted.names() == []
    secret, key = deleted.told()
    assert (secret["operationName"], key["operationName"]) == ("SecretPurge", "KeyPurge")
    assert secret["properties"]["id"] == "https://short.vault.localhost/secrets/A-secret"
    for record in (secret, key):
        assert record["properties"]["httpStatusCode"] == 204
        assert "retention" in record["resultDescription"]
        assert record["properties"]["clientInfo"] == "vaultcore housekeeping"


def test_one_round_purges_so_many_and_the_next_one_the_rest(
    deleted: Deleted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purging, "PURGE_BATCH", 3)
    monkeypatch.setattr(purging, "_PAGE", 2)
    for number in range(5):
        deleted.delete("secrets", f"s{number}")
    deleted.clock.advance(7 * DAY)
    assert [deleted.engine.purge_due() for _ in range(3)] == [3, 2, 0]


def test_what_cannot_be_recorded_is_not_purged(deleted: Deleted) -> None:
    deleted.delete("secrets", "a")
    deleted.clock.advance(7 * DAY)
    log = deleted.engine.data / "audit"
    log.rename(log.with_name("elsewhere"))
    with pytest.raises(AuditError):
        deleted.engine.audit.checkpoint()
    with pytest.raises(AuditError):
        deleted.engine.purge_due()
    log.with_name("elsewhere").rename(log)
    deleted.engine.audit.checkpoint()
    assert deleted.names() == ["a"]
    assert deleted.engine.purge_due() == 1


def test_one_that_another_process_was_quicker_with_is_not_on_record_twice(
    deleted: Deleted, monkeypatch: pytest.MonkeyPatch
) -> None:
    deleted.delete("secrets", "a")
    deleted.delete("secrets", "b")
    deleted.clock.advance(7 * DAY)
    due = deleted.engine.purger._due

    def overtaken(now: int) -> Iterator[ObjectRow]:
        rows = list(due(now))
        monkeypatch.undo()
        with vaultcore.open(deleted.engine.data, clock=deleted.clock, housekeeping=False) as other:
            assert other.purge_due() == 2
        return iter(rows)

    monkeypatch.setattr(deleted.engine.purger, "_due", overtaken)
    assert deleted.engine.purge_due() == 0
    assert len(deleted.told()) == 2
    assert deleted.engine.management.audit_verify()["ok"]


def test_a_date_that_was_moved_in_the_database_destroys_nothing(deleted: Deleted) -> None:
    deleted.delete("secrets", "a")
    with contextlib.closing(sqlite3.connect(deleted.engine.data / "vaultcore.db")) as connection:
        connection.execute("UPDATE objects SET purge_at = 1")
        connection.commit()
    for _ in range(3):
        assert deleted.engine.purge_due() == 0
    (record,) = deleted.told()
    assert record["properties"]["httpStatusCode"] == 500
    assert "changed outside the vault" in record["resultDescription"]
    with contextlib.closing(sqlite3.connect(deleted.engine.data / "vaultcore.db")) as connection:
        assert connection.execute("SELECT count(*) FROM versions").fetchone() == (1,)


def test_rows_of_no_vault_and_of_no_kind_are_passed(deleted: Deleted) -> None:
    for name in ("a", "b", "c"):
        deleted.delete("secrets", name)
    with contextlib.closing(sqlite3.connect(deleted.engine.data / "vaultcore.db")) as connection:
        connection.execute("UPDATE objects SET vault_id = 'none' WHERE name = 'a'")
        connection.execute("UPDATE objects SET kind = 'certificates' WHERE name = 'b'")
        connection.commit()
    deleted.clock.advance(7 * DAY)
    assert deleted.engine.purge_due() == 1
    assert len(deleted.told()) == 1
