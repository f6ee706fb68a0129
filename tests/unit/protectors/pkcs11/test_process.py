"""One worker process: what it is told, and what becomes of it. No module is loaded here."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from vaultcore.protectors.pkcs11.messages import Failed, PublicPart
from vaultcore.protectors.pkcs11.process import (
    WorkerBehindError,
    WorkerLostError,
    WorkerProcess,
    WorkerSlowError,
)

REQUEST = PublicPart(key_id=b"id", thumbprint="t")  # of a worker that has no session


@pytest.fixture
def worker() -> Iterator[WorkerProcess]:
    made = WorkerProcess({})
    assert is_answered(made)
    yield made
    made.end()


def soon(seconds: float = 30.0) -> float:
    return time.monotonic() + seconds


def is_answered(worker: WorkerProcess) -> bool:
    return isinstance(worker.exchange(REQUEST, soon()), Failed)


def test_it_answers_until_it_is_closed(worker: WorkerProcess) -> None:
    assert is_answered(worker)
    assert worker.is_alive()
    worker.close()
    assert not worker.is_alive()
    with pytest.raises(WorkerLostError):
        worker.exchange(REQUEST, soon())


def test_it_finds_the_packages_of_the_service_and_gets_no_other_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CANARY", "of the service")
    monkeypatch.setenv("TZ", "Europe/Berlin")
    worker = WorkerProcess({"MODULE_CONFIGURATION": "file"})
    try:
        is_answered(worker)
        raw = Path(f"/proc/{worker.pid}/environ").read_bytes()
    finally:
        worker.close()
    environment = dict(entry.split("=", 1) for entry in raw.decode().split("\0") if entry)
    assert environment["MODULE_CONFIGURATION"] == "file"
    assert environment["TZ"] == "Europe/Berlin"
    assert "CANARY" not in environment
    path = environment["PYTHONPATH"].split(os.pathsep)
    assert set(filter(None, sys.path)) <= set(path)
    assert any((Path(entry) / "vaultcore" / "protectors").is_dir() for entry in path)


def test_one_that_was_killed_is_lost(worker: WorkerProcess) -> None:
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(WorkerLostError):
        worker.exchange(REQUEST, soon())
    assert not worker.is_alive()


def test_one_that_hangs_is_ended(worker: WorkerProcess) -> None:
    os.kill(worker.pid, signal.SIGSTOP)
    with pytest.raises(WorkerSlowError):
        worker.exchange(REQUEST, soon(0.1))
    assert not worker.is_alive()


def test_one_that_is_behind_can_be_used_again_when_it_has_finished(worker: WorkerProcess) -> None:
    os.kill(worker.pid, signal.SIGSTOP)
    hangs = soon()
    with pytest.raises(WorkerBehindError):
        worker.exchange(REQUEST, hangs, soon(0.05))
    assert worker.is_alive()
    os.kill(worker.pid, signal.SIGCONT)
    worker.finish(hangs)
    assert is_answered(worker)


def test_a_reply_that_nobody_waited_for_is_not_taken_for_the_next(worker: WorkerProcess) -> None:
    os.kill(worker.pid, signal.SIGSTOP)
    with pytest.raises(WorkerBehindError):
        worker.exchange(REQUEST, soon(), soon(0.05))
    os.kill(worker.pid, signal.SIGCONT)
    with pytest.raises(WorkerLostError):
        worker.exchange(REQUEST, soon())
    assert not worker.is_alive()


def test_one_that_does_not_finish_is_ended(worker: WorkerProcess) -> None:
    os.kill(worker.pid, signal.SIGSTOP)
    with pytest.raises(WorkerBehindError):
        worker.exchange(REQUEST, soon(), soon(0.05))
    with pytest.raises(WorkerSlowError):
        worker.finish(soon(0.05))
    assert not worker.is_alive()


def test_one_that_does_not_end_when_asked_is_ended(worker: WorkerProcess) -> None:
    os.kill(worker.pid, signal.SIGSTOP)
    worker.close()
    assert not worker.is_alive()
