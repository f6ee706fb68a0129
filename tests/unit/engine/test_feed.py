"""The feed of changes under somebody who writes the database, restores it, or moves its file."""

import contextlib
import json
import shutil
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import vaultcore
from vaultcore import Engine
from vaultcore.errors import (
    AuditError,
    ForbiddenError,
    NotFoundError,
    StorageError,
    UnavailableError,
)
from vaultcore.library.opening import open_engine
from vaultcore.storage.sqlite.signal import Signal

READER = vaultcore.Principal(object_id="11111111-2222-3333-4444-555555555555")
HUGE = 2**63 - 1


@pytest.fixture
def other(engine: Engine) -> Iterator[Engine]:
    """A second engine on the same folder, as another process would have."""
    with open_engine(engine.data, clock=engine.clock, housekeeping=False) as opened:
        yield opened


@pytest.fixture
def granted(engine: Engine) -> Engine:
    grant(engine, "get")
    owner(engine).set("a", "first")
    assert read(engine) == "first"
    return engine


def grant(engine: Engine, *permissions: str) -> None:
    engine.management.access_set(
        vault="dev", principal=READER.object_id, secret_permissions=permissions
    )


def owner(engine: Engine) -> Any:
    return engine.vault("dev").acting_as(engine.administrator()).secrets


def read(engine: Engine) -> str:
    value: str = engine.vault("dev").acting_as(READER).secrets.get("a").value
    return value


def run(engine: Engine, sql: str, *parameters: object) -> None:
    """Does what somebody can do who writes the database."""
    with contextlib.closing(sqlite3.connect(engine.data / "vaultcore.db")) as connection:
        assert connection.execute(sql, parameters).rowcount > 0
        connection.commit()


def copy(source: Path, target: Path) -> None:
    """Does what an operator does who makes a backup, or puts it back, while others go on."""
    with (
        contextlib.closing(sqlite3.connect(source)) as reads,
        contextlib.closing(sqlite3.connect(target)) as writes,
    ):
        reads.backup(writes)


def forge(engine: Engine, revision: int) -> None:
    entry = "INSERT INTO changes VALUES (?, 'x', 'x', 'x', '', 'x', 0)"
    run(engine, entry, revision)


def resets(engine: Engine) -> list[tuple[int, int]]:
    lines = (engine.data / "audit" / "audit.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    return [
        (record["properties"]["seenRevision"], record["properties"]["foundRevision"])
        for record in records
        if record["operationName"] == "StoreReset"
    ]


def revoke(engine: Engine) -> None:
    engine.management.access_remove(vault="dev", principal=READER.object_id)


@pytest.mark.parametrize("revision", [10**6, 2**62 - 2, 2**62, HUGE])
def test_an_entry_far_ahead_makes_nobody_deaf(
    granted: Engine, other: Engine, revision: int
) -> None:
    seen = granted.store.revision()
    assert read(other) == "first"
    forge(granted, revision)
    owner(other).set("b", "moves the signal ahead")
    assert read(granted) == "first"
    run(granted, "DELETE FROM changes WHERE revision > ?", seen)
    owner(other).set("a", "second")
    revoke(other)
    with pytest.raises(ForbiddenError):
        read(granted)
    assert owner(granted).get("a").value == "second"
    assert resets(granted)
    assert seen < granted.store.revision() < 2**62


def test_an_entry_far_ahead_is_on_record_with_both_revisions(granted: Engine) -> None:
    seen = granted.store.revision()
    forge(granted, 10**6)
    granted.feed.look()
    assert resets(granted) == [(seen, 10**6)]
    granted.feed.look()
    assert resets(granted) == [(seen, 10**6)]


@pytest.mark.parametrize("revision", [HUGE, 2**62, -5, -(2**63)])
def test_revisions_go_on_where_they_were_whatever_the_feed_says(
    granted: Engine, revision: int
) -> None:
    seen = granted.store.revision()
    if revision < 0:
        run(granted, "DELETE FROM changes")
    forge(granted, revision)
    owner(granted).set("b", "value")
    assert granted.store.position() == granted.store.revision() == seen + 2
    assert read(granted) == "first"
    assert resets(granted)


def test_a_revision_that_was_seen_is_not_given_out_again(granted: Engine, other: Engine) -> None:
    granted.synchronise()
    seen = granted.store.revision()
    # Else what the other commits would stand where this one believes to have been.
    run(granted, "DELETE FROM changes WHERE revision > ?", seen - 2)
    owner(other).set("a", "second")
    revoke(other)
    with pytest.raises(ForbiddenError):
        read(granted)
    assert owner(granted).get("a").value == "second"
    assert resets(granted)
    assert granted.store.fsck() == []


def test_an_entry_that_was_put_in_the_place_of_another_is_noticed(granted: Engine) -> None:
    granted.feed.look()
    seen = granted.store.revision()
    assert read(granted) == "first"
    run(granted, "UPDATE changes SET kind = 'x' WHERE revision = ?", seen)
    granted.feed.look()
    assert resets(granted) == [(seen, seen)]
    assert granted.state("dev").rules["secrets"].cache.get(("A", "")) is None


def test_a_backup_restored_under_a_running_service_holds_at_the_next_look(
    granted: Engine, other: Engine, tmp_path: Path
) -> None:
    database = granted.data / "vaultcore.db"
    backup = tmp_path / "backup.db"
    copy(database, backup)
    backed_up = granted.store.revision()
    owner(granted).set("a", "second")
    granted.management.vault_create(name="later")
    grant(granted, "get", "set")
    assert read(other) == read(granted) == "second"
    seen = granted.store.revision()
    copy(backup, database)
    for engine in (granted, other):
        engine.feed.look()
        assert read(engine) == "first"
        with pytest.raises(ForbiddenError):
            engine.vault("dev").acting_as(READER).secrets.set("a", "third")
        with pytest.raises(NotFoundError):
            engine.vault("later")
    assert (seen, backed_up) in resets(granted)
    # No revision that somebody has seen is given out again, and both go on.
    wait_for(lambda: granted.store.position() == granted.store.revision() == seen + 1)
    owner(other).set("a", "fourth")
    assert read(granted) == "fourth"
    assert granted.store.revision() == seen + 2
    assert granted.store.fsck() == []


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_database_of_another_installation_is_refused(granted: Engine, tmp_path: Path) -> None:
    with vaultcore.create(tmp_path / "another", housekeeping=False):
        pass
    copy(tmp_path / "another" / "vaultcore.db", granted.data / "vaultcore.db")
    with pytest.raises(StorageError):
        granted.feed.look()
    for _ in range(2):
        with pytest.raises(StorageError):
            read(granted)


def test_a_broken_feed_is_refused_until_it_is_on_record(
    granted: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> int:
        raise AuditError("the disk is full")

    seen = granted.store.revision()
    forge(granted, 10**6)
    with monkeypatch.context() as patch:
        patch.setattr(granted.audit, "record", full)
        for _ in range(2):
            with pytest.raises(UnavailableError, match="audit log"):
                granted.feed.look()
        with pytest.raises(UnavailableError, match="audit log"):
            granted.synchronise()
    assert read(granted) == "first"
    assert resets(granted) == [(seen, 10**6)]


def test_a_vault_that_was_removed_and_made_again_is_another_one(
    engine: Engine, other: Engine
) -> None:
    before = other.state("dev")
    engine.management.vault_delete(name="dev")
    engine.management.vault_create(name="dev")
    after = other.state("dev")
    assert after.id != before.id
    assert before.removed
    assert not after.removed


class TestFiles:
    """The files of the database, moved under a running engine."""

    @pytest.mark.parametrize("name", ["vaultcore.db", "vaultcore.db-wal"])
    def test_a_file_that_was_moved_is_refused_until_it_is_back(
        self, granted: Engine, name: str
    ) -> None:
        place = granted.data / name
        place.rename(granted.data / "elsewhere")
        with pytest.raises(UnavailableError, match="moved or removed"):
            owner(granted).set("a", "lost")
        with pytest.raises(UnavailableError, match="moved or removed"):
            granted.feed.look()
        with pytest.raises(UnavailableError, match="moved or removed"):
            read(granted)
        # Nothing was put in its place.
        assert not place.exists()
        (granted.data / "elsewhere").rename(place)
        assert read(granted) == "first"
        owner(granted).set("a", "second")
        assert read(granted) == "second"

    def test_a_database_that_was_replaced_is_refused(self, granted: Engine) -> None:
        place = granted.data / "vaultcore.db"
        shutil.copy(place, granted.data / "copy")
        (granted.data / "copy").replace(place)
        with pytest.raises(UnavailableError, match="replaced"):
            owner(granted).set("a", "lost")
        with pytest.raises(UnavailableError, match="replaced"):
            granted.feed.look()
        with pytest.raises(UnavailableError, match="replaced"):
            read(granted)

    def test_what_is_written_while_the_file_is_moved_did_not_happen(self, granted: Engine) -> None:
        place = granted.data / "vaultcore.db"

        def work(transaction: Any) -> None:
            transaction.put_document("test", "a", b"lost")
            transaction.changed("", "test", "a", "", "put")
            place.rename(granted.data / "elsewhere")

        with pytest.raises(UnavailableError, match="moved or removed"):
            granted.store.write(work)
        (granted.data / "elsewhere").rename(place)
        assert granted.store.document("test", "a") is None

    def test_a_commit_to_a_file_that_was_moved_meanwhile_is_not_acknowledged(
        self, granted: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place = granted.data / "vaultcore.db"
        begin = Signal.begin

        def move(self: Signal) -> None:
            begin(self)
            place.rename(granted.data / "elsewhere")

        with monkeypatch.context() as patch:
            patch.setattr(Signal, "begin", move)
            with pytest.raises(UnavailableError, match="moved or removed"):
                owner(granted).set("a", "lost")
        (granted.data / "elsewhere").rename(place)
        owner(granted).set("a", "second")
        assert read(granted) == "second"

    def test_a_thread_that_is_new_reads_no_other_database(self, granted: Engine) -> None:
        place = granted.data / "vaultcore.db"
        shutil.copy(place, granted.data / "copy")
        (granted.data / "copy").replace(place)
        with ThreadPoolExecutor(1) as pool, pytest.raises(UnavailableError, match="replaced"):
            pool.submit(granted.store.revision).result()

    def test_a_database_that_was_removed_does_not_come_back_empty(self, granted: Engine) -> None:
        (granted.data / "vaultcore.db").unlink()
        with ThreadPoolExecutor(1) as pool, pytest.raises(UnavailableError):
            pool.submit(granted.store.revision).result()
        with pytest.raises(UnavailableError):
            granted.store.fsck()
        assert not (granted.data / "vaultcore.db").exists()
