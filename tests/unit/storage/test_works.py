"""What works of one store owe each other and their callers, on every kind of store."""

import asyncio
import threading
import time
import traceback

import pytest

from unit.storage.works import KIND, VAULT, Held, add, count, fail
from vaultcore.errors import StorageError, UsageError
from vaultcore.storage import open_store


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
    assert [row.name for row in store.changes(0, 99)] == [f"K{number}" for number in range(20)]


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
    store = open_store(url, clock=clock)
    with Held(store):
        jobs = [store.submit(count("c")) for _ in range(2000)]
        closer = threading.Thread(target=store.close)
        closer.start()
    closer.join(30)
    assert [job.result(0) for job in jobs] == list(range(1, 2001))


def test_closing_while_others_use_it_loses_no_acknowledged_write(url, clock):
    store = open_store(url, clock=clock)
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
    with open_store(url, clock=clock) as again:
        counted = again.document("counters", "c")
        assert counted is not None
        assert int(counted) == len(acknowledged) == max(acknowledged)


def test_a_failed_write_keeps_nothing_alive(store):
    def work(transaction):
        raise ValueError("x")

    with pytest.raises(ValueError) as caught:
        store.write(work)
    text = "".join(traceback.format_exception(caught.value))
    assert "in work" in text
