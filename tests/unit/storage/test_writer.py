"""Group commit: what works of one batch owe each other."""

import asyncio
import gc
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

import pytest
from works import KIND, VAULT, add, count

from vaultcore.errors import StorageError, UsageError
from vaultcore.storage import Store


class Held:
    """Keeps the writer busy with one work, so that the next works make one batch."""

    def __init__(self, store):
        self._store = store
        self._entered = threading.Event()
        self._released = threading.Event()

    def __enter__(self):
        def work(transaction):
            self._entered.set()
            self._released.wait(10)

        self.job = self._store.submit(work)
        assert self._entered.wait(10)

    def __exit__(self, *error):
        self._released.set()
        self.job.result(10)


def fail(error, *, before):
    """Raises an error, after having changed something or before."""

    def work(transaction):
        if not before:
            add("FAILED", f"{id(error)}")(transaction)
        raise error

    return work


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_work_that_fails_harms_no_other(store, before):
    errors = [ValueError("mine"), SystemExit("mine too")]
    with Held(store):
        good = [store.submit(add(f"K{number}")) for number in range(10)]
        bad = [store.submit(fail(error, before=before)) for error in errors]
        good += [store.submit(add(f"K{number}")) for number in range(10, 20)]
    for job, error in zip(bad, errors, strict=True):
        assert job.exception(10) is error
    sequences = [job.result(10) for job in good]
    assert sequences == sorted(sequences)
    assert store.object(VAULT, KIND, "FAILED") is None
    assert [row.key for row in store.changes(0, 99)] == [f"K{number}" for number in range(20)]


def test_a_work_sees_those_before_it_in_its_batch_but_not_those_that_failed(store):
    def peek(transaction):
        return (
            transaction.object(VAULT, KIND, "A") is not None,
            transaction.object(VAULT, KIND, "FAILED") is not None,
            transaction.revision(),
        )

    with Held(store):
        store.submit(add("A"))
        store.submit(fail(ValueError(), before=False))
        seen = store.submit(peek)
    assert seen.result(10) == (True, False, 1)


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
sys.path.insert(0, {str(Path(__file__).parent)!r})
from works import count
from test_writer import Held
from vaultcore.clock import SystemClock
from vaultcore.storage import Store
from vaultcore.storage.sqlite import writer
writer._ERASING_PAUSE = writer._LONGEST_LOG = float("inf")  # it syncs too
store = Store.open("sqlite:///{tmp_path}/v.db", clock=SystemClock())
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


def test_the_value_of_a_work_may_be_anything(store):
    assert store.write(lambda transaction: None) is None
    error = ValueError("a value like any other")
    assert store.write(lambda transaction: error) is error


def test_a_transaction_is_over_when_its_work_returns(store):
    leaked = store.write(lambda transaction: transaction)
    for use in (
        leaked.revision,
        lambda: leaked.object(VAULT, KIND, "A"),
        lambda: leaked.changed("", "", "", "", ""),
        lambda: leaked.put_document("a", "b", b""),
        lambda: leaked.changes(0, 1),
    ):
        with pytest.raises(UsageError, match="over"):
            use()


def test_a_work_may_not_wait_for_another(store):
    with pytest.raises(UsageError, match="through its transaction"):
        store.write(lambda transaction: store.write(count("c")))
    with pytest.raises(UsageError, match="through its transaction"):
        store.write(lambda transaction: store.submit(count("c")))


def test_a_cancelled_future_does_nothing(store):
    with Held(store):
        job = store.submit(count("c"))
        assert job.cancel()
    assert store.write(count("c")) == 1


def test_coroutines_write(store):
    async def main():
        numbers = await asyncio.gather(*(store.write_async(count("c")) for _ in range(50)))
        with pytest.raises(ValueError, match="mine"):
            await store.write_async(fail(ValueError("mine"), before=False))
        with pytest.raises(RuntimeError, match="StopIteration"):
            await store.write_async(fail(StopIteration(), before=True))
        return numbers

    assert sorted(asyncio.run(main())) == list(range(1, 51))


def test_a_coroutine_that_gives_up_harms_nobody(store):
    async def main():
        with Held(store):
            gone = asyncio.ensure_future(store.write_async(count("c")))
            await asyncio.sleep(0)
            gone.cancel()
            stays = asyncio.ensure_future(store.write_async(count("d")))
            await asyncio.sleep(0)
        return await stays

    assert asyncio.run(main()) == 1
    loop = asyncio.new_event_loop()
    with Held(store):
        waiting = loop.create_task(store.write_async(count("e")))
        loop.run_until_complete(asyncio.sleep(0))
        waiting.cancel()
        loop.run_until_complete(asyncio.gather(waiting, return_exceptions=True))
        loop.close()
    assert store.write(count("f")) == 1


def test_closing_finishes_what_was_submitted(url, clock):
    store = Store.open(url, clock=clock)
    with Held(store):
        jobs = [store.submit(count("c")) for _ in range(2000)]
        closer = threading.Thread(target=store.close)
        closer.start()
    closer.join(30)
    assert [job.result(0) for job in jobs] == list(range(1, 2001))


def test_closing_while_others_use_it_loses_no_acknowledged_write(url, clock):
    store = Store.open(url, clock=clock)
    acknowledged, refused = [], []

    def use():
        try:
            while True:
                acknowledged.append(store.write(count("c")))
                store.document("counters", "c")
        except (UsageError, StorageError) as error:
            refused.append(error)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    store.close()
    for thread in threads:
        thread.join(10)
    assert len(refused) == 8
    with Store.open(url, clock=clock) as again:
        counted = again.document("counters", "c")
        assert counted is not None
        assert int(counted) == len(acknowledged) == max(acknowledged)


def test_a_store_that_nobody_closed_ends_its_thread(url, clock):
    store = Store.open(url, clock=clock)
    job = store.submit(count("c"))
    thread = store._writer._thread
    del store
    gc.collect()
    thread.join(10)
    assert not thread.is_alive()
    assert job.result(0) == 1


def test_a_failed_write_keeps_nothing_alive(store):
    def work(transaction):
        raise ValueError("x")

    with pytest.raises(ValueError) as caught:
        store.write(work)
    text = "".join(traceback.format_exception(caught.value))
    assert "in work" in text
