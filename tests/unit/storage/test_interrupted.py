"""A caller who stops waiting for a work that has begun still gets to know its outcome."""

import asyncio
import gc
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import vaultcore
from vaultcore import Engine
from vaultcore.audit.query import newest_first
from vaultcore.errors import AuditError, StorageError
from vaultcore.storage.jobs import BlockingJob


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with vaultcore.create(tmp_path / "data", housekeeping=False) as opened:
        opened.management.vault_create(name="dev")
        yield opened


def secrets(engine: Engine) -> Any:
    return engine.vault("dev").acting_as(engine.administrator()).secrets


def slow_commits(engine: Engine, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    writer = engine.store._writer  # type: ignore[attr-defined]
    monkeypatch.setattr(writer, "before", lambda: time.sleep(seconds))


def on_record(engine: Engine, operation: str) -> list[tuple[int, Any]]:
    found = newest_first(engine.audit.directory)
    return [
        (r["properties"]["httpStatusCode"], r["properties"].get("revision"))
        for r in found
        if r["operationName"] == operation
    ]


def test_an_interrupted_write_is_on_record_as_what_it_became(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_commits(engine, monkeypatch, 0.6)
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        secrets(engine).set("x", "v1")
    monkeypatch.undo()
    assert secrets(engine).get("x").value == "v1"
    ((status, revision),) = on_record(engine, "SecretSet")
    assert status == 200
    assert revision is not None
    secrets(engine).set("y", "v")
    engine.audit.checkpoint()
    assert len(on_record(engine, "SecretSet")) == 2


def test_a_cancelled_coroutine_waits_for_a_work_that_has_begun(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_commits(engine, monkeypatch, 0.5)

    async def go() -> int:
        task = asyncio.ensure_future(engine.store.write_async(lambda tx: tx.changed(*CHANGE)))
        for _ in range(2):
            await asyncio.sleep(0.1)
            task.cancel()
        return await task

    assert asyncio.run(go()) == engine.store.revision()


def test_a_cancelled_coroutine_withdraws_a_work_that_has_not_begun(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_commits(engine, monkeypatch, 0.4)
    before = engine.store.revision()

    async def go() -> None:
        first = asyncio.ensure_future(engine.store.write_async(lambda tx: tx.changed(*CHANGE)))
        await asyncio.sleep(0.1)
        second = asyncio.ensure_future(engine.store.write_async(lambda tx: tx.changed(*CHANGE)))
        await asyncio.sleep(0.1)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        await first

    asyncio.run(go())
    assert engine.store.revision() == before + 1


CHANGE = ("0" * 32, "rekey", "", "", "set")


def test_whatever_fails_after_the_commit_the_record_comes_into_the_log(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = engine.audit.record

    def fail(*members: Any, **named: Any) -> int:
        if members and members[1] == "SecretSet":
            raise MemoryError
        return append(*members, **named)

    with monkeypatch.context() as patch:
        patch.setattr(engine.audit, "record", fail)
        secrets(engine).set("x", "v")
    engine.audit.checkpoint()
    ((status, revision),) = on_record(engine, "SecretSet")
    assert (status, revision) == (200, engine.store.revision())


def test_a_checkpoint_does_not_let_requests_in_while_a_record_is_missing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, sync = engine.audit.record, engine.audit.sync

    def fail(*members: Any, **named: Any) -> int:
        if "SecretSet" in (*members, named.get("operation")):
            raise AuditError("the disk is full")
        return append(*members, **named)

    def write_meanwhile() -> None:
        monkeypatch.setattr(engine.audit, "record", fail)
        secrets(engine).set("x", "v")
        sync()

    monkeypatch.setattr(engine.audit, "sync", write_meanwhile)
    engine.audit.checkpoint()
    assert engine.audit.refusing
    monkeypatch.undo()
    assert secrets(engine).get("x").value == "v"
    assert on_record(engine, "SecretSet")


class LateInterruption:
    """A lock whose holder is interrupted in the moment after it has got the lock."""

    def __init__(self, job: BlockingJob[str], error: Exception | None) -> None:
        self.job = job
        self.error = error
        self.taken = False

    def acquire(self) -> None:
        if self.taken:
            self.job._claim.release()  # so that the wait ends here, and not never
            raise AssertionError("the lock was taken already: this would wait for ever")
        self.taken = True
        self.job.result, self.job.error = "done", self.error
        self.job.resolve()
        raise KeyboardInterrupt

    def release(self) -> None:
        """Nobody else waits for it."""


def begun(error: Exception | None) -> BlockingJob[str]:
    job: BlockingJob[str] = BlockingJob(lambda _: "done")
    assert job.start()
    job._done = LateInterruption(job, error)  # type: ignore[assignment]
    return job


def test_an_interruption_behind_the_outcome_does_not_wait_for_ever() -> None:
    job = begun(None)
    assert job.wait() == "done"
    assert isinstance(job.interruption, KeyboardInterrupt)


def test_an_interruption_is_not_lost_to_a_failure() -> None:
    with pytest.raises(KeyboardInterrupt) as told:
        begun(StorageError("the disk is full")).wait()
    assert isinstance(told.value.__cause__, StorageError)


def test_a_failure_that_a_cancelled_coroutine_hears_of_is_reported_once(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    slow_commits(engine, monkeypatch, 0.4)

    def fail(_: Any) -> None:
        raise StorageError("the disk is full")

    async def go() -> None:
        task = asyncio.ensure_future(engine.store.write_async(fail))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(StorageError):
            await task

    asyncio.run(go())
    gc.collect()
    assert "never retrieved" not in caplog.text
