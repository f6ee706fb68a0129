"""A store in a file: what it opens, what it asks, and what it refuses."""

import threading

import pytest

from unit.storage.works import add, count
from vaultcore.errors import StorageError, UnavailableError, UsageError
from vaultcore.storage.sqlite import store as module
from vaultcore.storage.sqlite.store import SqliteStore


def test_what_is_called_before_works_reads_what_they_will_find(store):
    seen = []
    store.before_works(lambda: seen.append((threading.current_thread().name, store.revision())))
    store.write(add("A"))
    store.write(add("B"))
    assert seen == [("vaultcore-writer", 0), ("vaultcore-writer", 1)]


def test_no_work_runs_if_what_is_called_before_fails(store):
    def refuse():
        raise StorageError("not now")

    ran: list[object] = []
    store.before_works(refuse)
    with pytest.raises(StorageError, match="not now"):
        store.write(ran.append)
    assert ran == []
    store.before_works(lambda: None)
    assert store.write(count("c")) == 1


def test_a_database_that_was_moved_is_noticed(store, tmp_path):
    store.check_presence()
    store.path.rename(tmp_path / "elsewhere")
    with pytest.raises(UnavailableError, match="moved or removed"):
        store.check_presence()
    with pytest.raises(UnavailableError, match="moved or removed"):
        store.write(count("c"))
    (tmp_path / "elsewhere").rename(store.path)
    store.check_presence()
    assert store.write(count("c")) == 1


def test_a_store_that_does_not_open_leaves_its_lock_free(path, clock, monkeypatch):
    with monkeypatch.context() as patches:
        patches.setattr(module, "Signal", lambda path: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            SqliteStore(path, clock=clock)
    with SqliteStore(path, clock=clock) as store:
        assert store.write(count("c")) == 1


def test_a_closed_store_stays_closed_for_every_thread(path, clock):
    store = SqliteStore(path, clock=clock)
    read, closed, told = threading.Event(), threading.Event(), []

    def ask():
        store.document("c", "k")
        read.set()
        closed.wait(10)
        try:
            store.document("c", "k")
        except UsageError as error:
            told.append(str(error))

    thread = threading.Thread(target=ask)
    thread.start()
    assert read.wait(10)
    store.close()
    closed.set()
    thread.join()
    assert told == ["the store is closed: open it again"]
