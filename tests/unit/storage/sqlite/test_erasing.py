"""The log is emptied when something was erased, and when it has been long."""

import sqlite3
import time

import pytest

from vaultcore.errors import UnavailableError
from vaultcore.storage.sqlite import erasing, writer
from vaultcore.storage.sqlite.erasing import Erasing
from vaultcore.storage.sqlite.store import SqliteStore


class Log:
    """Empties a log in the way that it is told to."""

    def __init__(self, path):
        self.file = path.with_name("vaultcore.db-wal")
        self.file.write_bytes(b"x")
        self.answer = True
        self.tried = 0

    def empty(self):
        self.tried += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def log(path):
    return Log(path)


@pytest.fixture
def passing(monkeypatch):
    """Lets time pass."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def wait(seconds):
        now[0] += seconds

    return wait


def test_it_is_emptied_at_first_and_then_when_something_was_erased(path, log, passing):
    found = Erasing(path)
    found.run(log.empty, last=False)
    assert (log.tried, found.pending) == (1, False)
    passing(2)
    found.run(log.empty, last=False)
    assert log.tried == 1
    found.pending = True
    found.run(log.empty, last=False)
    assert (log.tried, found.pending) == (2, False)


def test_it_is_not_emptied_more_often_than_once_a_second_but_at_the_end(path, log, passing):
    found = Erasing(path)
    found.run(log.empty, last=False)
    found.pending = True
    passing(0.5)
    found.run(log.empty, last=False)
    assert log.tried == 1
    found.run(log.empty, last=True)
    assert log.tried == 2


def test_it_is_emptied_now_and_then_for_those_that_died(path, log, passing):
    found = Erasing(path)
    found.run(log.empty, last=False)
    passing(61)
    found.run(log.empty, last=False)
    assert log.tried == 2


def test_an_empty_log_is_left_alone(path, log, passing):
    found = Erasing(path)
    log.file.write_bytes(b"")
    found.run(log.empty, last=False)
    assert (log.tried, found.pending) == (0, False)
    log.file.unlink()
    found.pending = True
    passing(2)
    found.run(log.empty, last=False)
    assert (log.tried, found.pending) == (0, False)


@pytest.mark.parametrize("trouble", [UnavailableError("a bad disk"), OSError("a bad disk"), False])
def test_what_could_not_be_emptied_is_said_once_and_tried_again(
    path, log, passing, caplog, trouble
):
    found = Erasing(path)
    log.answer = trouble
    for turn in range(1, 4):
        found.run(log.empty, last=False)
        assert (log.tried, found.pending) == (turn, True)
        passing(2)
    # A reader in an old snapshot is not a trouble.
    assert len(caplog.records) == (1 if trouble else 0)
    log.answer = True
    found.run(log.empty, last=False)
    assert not found.pending


def test_a_store_says_it_once_and_goes_on(path, clock, monkeypatch, caplog):
    monkeypatch.setattr(erasing, "_PAUSE", 0.0)
    tried = []

    def fail(connection):
        tried.append(connection)
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(writer, "empty_log", fail)
    with SqliteStore(path, clock=clock) as store:

        def work(transaction):
            transaction.put_document("test", "a", b"x")
            transaction.erase()
            transaction.changed("", "test", "a", "", "put")

        for _ in range(3):
            store.write(work)
        deadline = time.monotonic() + 30
        while len(tried) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        monkeypatch.undo()
        store.write(work)
    assert len([r for r in caplog.records if "write-ahead log" in r.getMessage()]) == 1
