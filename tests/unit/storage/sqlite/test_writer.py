"""The thread that writes: one commit for many works, and nothing ends it."""

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from unit.storage.works import Held, add, count, fail
from vaultcore.errors import StorageError, UsageError
from vaultcore.storage.sqlite.store import SqliteStore


def test_works_that_wait_together_are_committed_together(store):
    log = Path(f"{store.path}-wal")
    before = log.stat().st_size
    with Held(store):
        jobs = [store.submit(count("c")) for _ in range(100)]
    assert [job.result(10) for job in jobs] == list(range(1, 101))
    # Each commit writes its pages again: a hundred commits would take hundreds of them.
    assert log.stat().st_size - before < 20 * 4096


def test_a_batch_is_synced_once(tmp_path):
    """Counts system calls of a whole process: three batches, three syncs."""
    script = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[3])!r})
from unit.storage.works import Held, count
from vaultcore.clock import SystemClock
from vaultcore.storage import open_store
from vaultcore.storage.sqlite import erasing
erasing._PAUSE = erasing._LONGEST = float("inf")  # it syncs too
store = open_store("sqlite:///{tmp_path}/v.db", clock=SystemClock())
store.write(count("c"))
print("start", flush=True)
for _ in range(3):
    with Held(store):
        jobs = [store.submit(count("c")) for _ in range(50)]
    [job.result(10) for job in jobs]
print("stop", flush=True)
"""
    trace = tmp_path / "trace"
    try:
        done = subprocess.run(
            [
                *("strace", "-f", "-o", trace, "-e", "trace=fdatasync,fsync,write"),
                *(sys.executable, "-c", script),
            ],
            capture_output=True,
            timeout=60,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip("strace is not installed")
    if b"ptrace" in done.stderr:
        pytest.skip("strace may not trace here")
    assert done.returncode == 0, done.stderr
    text = trace.read_text()
    between = text[text.index('"start') : text.index('"stop')]
    assert between.count("sync(") == 3


def test_acknowledged_means_synced(store):
    """A commit is asked for in the way that survives the loss of power."""
    asked = store.write(
        lambda transaction: transaction._connection.execute("PRAGMA synchronous").fetchone()
    )
    assert asked == (2,)


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), SystemExit(1), GeneratorExit(), StopIteration(), MemoryError()]
)
def test_the_writer_outlives_every_exception(store, error):
    with pytest.raises(type(error)):
        store.write(fail(error, before=False))
    assert store.write(count("c")) == 1


def test_the_writer_outlives_a_failure_of_its_own(store, monkeypatch):
    monkeypatch.setattr(store._writer, "_process", lambda jobs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        store.write(count("c"))
    monkeypatch.undo()
    assert store.write(count("c")) == 1


def test_each_caller_gets_an_exception_of_its_own(store, monkeypatch):
    def lose(transaction):
        transaction._connection.execute("ROLLBACK")

    with Held(store):
        jobs = [store.submit(add("A")), store.submit(lose), store.submit(add("B"))]
    errors = [job.exception(10) for job in jobs]
    assert len({id(error) for error in errors}) == 3
    assert all("the transaction was lost" in str(error) for error in errors)
    assert store.revision() == store.position() == 0
    assert store.write(count("c")) == 1


def test_a_work_that_hides_the_loss_of_its_transaction_commits_nothing(store):
    def work(transaction):
        transaction._connection.execute("ROLLBACK")
        with pytest.raises(StorageError):
            transaction._rows("SELECT * FROM nowhere")
        with pytest.raises(UsageError, match="over"):
            transaction.put_document("d", "d", b"")
        return "well"

    with pytest.raises(Exception, match="lost"):
        store.write(work)
    assert store.documents("d") == []


def test_a_store_that_nobody_closed_ends_its_thread(path, clock):
    store = SqliteStore(path, clock=clock)
    job = store.submit(count("c"))
    thread = store._writer._thread
    del store
    gc.collect()
    thread.join(10)
    assert not thread.is_alive()
    assert job.result(0) == 1
