"""The write lock: one holder, a deadline, and turns."""

import fcntl
import threading
import time

import pytest

from unit.storage.processes import processes
from unit.storage.works import count
from vaultcore.errors import UnavailableError
from vaultcore.storage.sqlite.lock import WriteLock
from vaultcore.storage.sqlite.store import SqliteStore


@pytest.fixture
def lock(tmp_path):
    made = WriteLock(tmp_path / "v.lock", patience=0.05)
    yield made
    made.close()


@pytest.fixture
def other(tmp_path):
    made = WriteLock(tmp_path / "v.lock", patience=0.05)
    yield made
    made.close()


def taken(path):
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def test_one_holds_it_and_the_other_waits_to_the_deadline(lock, other):
    with lock:
        assert not other.try_enter()
        began = time.monotonic()
        with pytest.raises(UnavailableError, match="another process holds it"):
            other.__enter__()
        assert 0.05 <= time.monotonic() - began < 5
    # The one that gave up left no place taken at the head of the queue.
    with lock:
        pass
    assert other.try_enter()
    other.leave()
    with other:
        pass


def test_an_error_of_the_holder_releases_it(lock, other):
    with pytest.raises(ZeroDivisionError), lock:
        raise ZeroDivisionError
    assert other.try_enter()


def test_closing_releases_it(tmp_path, other):
    lock = WriteLock(tmp_path / "v.lock", patience=0.05)
    assert lock.try_enter()
    lock.close()
    assert other.try_enter()


def test_the_one_that_waits_goes_before_the_one_that_comes_again(tmp_path, lock):
    waiting = WriteLock(tmp_path / "v.lock", patience=10)
    again = WriteLock(tmp_path / "v.lock", patience=0.1)
    order = []

    def wait():
        with waiting:
            order.append("waiting")
            time.sleep(0.05)

    lock.__enter__()
    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    # It has the place at the head of the queue, and the lock not yet.
    deadline = time.monotonic() + 5
    while not taken(tmp_path / "v.lock-next"):
        assert time.monotonic() < deadline
        time.sleep(0.001)
    lock.leave()
    with again:
        order.append("again")
    thread.join()
    waiting.close()
    again.close()
    assert order == ["waiting", "again"]


def test_a_lock_that_cannot_be_made_is_reported(tmp_path):
    with pytest.raises(UnavailableError, match="cannot open the lock"):
        WriteLock(tmp_path / "nowhere" / "v.lock", patience=1)
    (tmp_path / "v.lock").mkdir()
    with pytest.raises(UnavailableError, match="cannot open the lock"):
        WriteLock(tmp_path / "v.lock", patience=1)


def test_a_writer_that_hangs_is_not_waited_for_without_end(path, url, clock, monkeypatch):
    with SqliteStore(path, clock=clock) as store, processes(url, 1) as (other,):
        monkeypatch.setattr(store._writer._lock, "_patience", 0.3)
        other.ask("store.write(lambda t: time.sleep(1.5))")
        time.sleep(0.4)
        with pytest.raises(UnavailableError, match="another process holds it"):
            store.write(count("c"))
        assert store.document("counters", "c") is None
        other.answer()
        assert store.write(count("c")) == 1
