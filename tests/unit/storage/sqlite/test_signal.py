"""The signal: never stale, whoever dies and whenever."""

import signal as signals
import time

import pytest

from unit.storage.processes import Process, processes
from unit.storage.works import count
from vaultcore.errors import StorageError, UnavailableError
from vaultcore.storage.sqlite import files
from vaultcore.storage.sqlite.signal import UNKNOWN, Signal
from vaultcore.storage.sqlite.store import SqliteStore


def wait_for(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_position_follows_each_commit_and_only_commits(store):
    assert store.position() == 0
    store.write(count("c"))
    assert store.position() == 1
    store.write(lambda transaction: transaction.document("counters", "c"))
    with pytest.raises(ZeroDivisionError):
        store.write(lambda transaction: count("c")(transaction) / 0)
    assert store.position() == 1


def test_the_position_is_unknown_during_a_commit(store, monkeypatch):
    seen = []
    settle = Signal.settle

    def look_first(self, revision):
        seen.append(self.position())
        settle(self, revision)

    monkeypatch.setattr(Signal, "settle", look_first)
    store.write(count("c"))
    assert seen == [UNKNOWN]
    assert store.position() == 1


def test_other_processes_see_a_commit_at_once(path, url, clock):
    with SqliteStore(path, clock=clock) as store, processes(url, 2) as (first, second):
        for turn in range(1, 30):
            writer = (first, second)[turn % 2]
            assert writer.run("store.write(count('c'))") == turn
            # The writer has answered, so nobody may still see the position before.
            assert store.position() == turn
            assert first.run("store.position()") == second.run("store.position()") == turn


AFTER = "store._writer._signal.settle = lambda revision: os.kill(os.getpid(), 9)"
BEFORE = """
begin = store._writer._signal.begin
store._writer._signal.begin = lambda: (begin(), os.kill(os.getpid(), 9))
"""


@pytest.mark.parametrize(
    ("point", "committed"),
    [
        (AFTER, True),
        (BEFORE, False),
    ],
    ids=["after the commit", "before the commit"],
)
def test_a_writer_that_dies_around_its_commit_leaves_nobody_stale(
    path, url, clock, point, committed
):
    with SqliteStore(path, clock=clock) as store:
        assert store.write(count("c")) == 1
        victim = Process(url).ready()
        victim.run(f"exec({point!r}, globals())")
        victim.ask("store.write(count('c'))")
        assert victim.died() == -signals.SIGKILL
        victim.process.stdout.close()
        expected = 2 if committed else 1
        # Either nobody trusts the word, or it is right already; it is never the old one.
        assert store.position() in (UNKNOWN, expected)
        assert store.revision() == expected
        # An idle process repairs it.
        wait_for(lambda: store.position() == expected)
        assert store.write(count("c")) == store.position() == expected + 1


def test_the_next_to_open_repairs_the_word(path, clock):
    with SqliteStore(path, clock=clock) as store:
        store.write(count("c"))
    word = Signal(files.signal(path))
    assert word.position() == 1
    word.begin()
    with SqliteStore(path, clock=clock) as store:
        assert store.position() == word.position() == 1


def test_a_word_ahead_of_the_database_is_not_announced_twice(path, clock):
    with SqliteStore(path, clock=clock) as store:
        store.write(count("c"))
    # As after a restored backup: a process that has seen 4711 must not take another for it.
    Signal(files.signal(path)).settle(4711)
    with SqliteStore(path, clock=clock) as store:
        assert store.position() == store.revision() == 4712
        assert [change.kind for change in store.changes(1, 10)] == ["feed"]
        assert store.fsck() == []
    Signal(files.signal(path)).settle(2**62)
    with SqliteStore(path, clock=clock) as store:
        assert store.position() == store.revision() == 4712


def test_the_word_is_taken_from_the_database_not_from_an_old_file(path, clock):
    with SqliteStore(path, clock=clock) as store:
        store.write(count("c"))
    Signal(files.signal(path)).settle(0)
    with SqliteStore(path, clock=clock) as store:
        assert store.position() == 1
    files.signal(path).unlink()
    with SqliteStore(path, clock=clock) as store:
        assert store.position() == 1


def test_a_removed_file_is_noticed(path, clock):
    with SqliteStore(path, clock=clock) as store:
        store.write(count("c"))
        files.signal(path).unlink()
        with SqliteStore(path, clock=clock) as other:
            other.write(count("c"))
            wait_for(lambda: store.position() == 2)
            other.write(count("c"))
            assert store.position() == 3


def test_a_file_that_is_something_else_is_refused(tmp_path):
    path = tmp_path / "v.signal"
    path.write_bytes(b"x" * 4096)
    with pytest.raises(StorageError, match="not a signal file"):
        Signal(path)
    path.write_bytes(b"")
    with pytest.raises(StorageError, match="not a signal file"):
        Signal(path)
    with pytest.raises(UnavailableError, match="cannot map"):
        Signal(tmp_path / "nowhere" / "v.signal")


def test_a_new_file_is_not_trusted_before_somebody_asked_the_database(tmp_path):
    signal = Signal(tmp_path / "v.signal")
    assert signal.position() == UNKNOWN
    assert [path.name for path in tmp_path.iterdir()] == ["v.signal"]
