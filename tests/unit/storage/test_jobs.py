"""The three ways to wait for a commit."""

import asyncio
import threading

import pytest

from vaultcore.storage.jobs import BlockingJob, FutureJob, LoopJob, resolve


def nothing(transaction):
    return None


@pytest.mark.parametrize("error", [None, ValueError("mine")])
def test_a_thread_waits_for_the_result_or_the_error(error):
    job = BlockingJob(nothing)
    assert job.start()
    job.result, job.error = "result", error
    thread = threading.Timer(0.02, resolve, ([job],))
    thread.start()
    if error is None:
        assert job.wait() == "result"
    else:
        with pytest.raises(ValueError, match="mine"):
            job.wait()
        # The traceback of the error would keep it alive.
        assert job.error is None
    thread.join()


def test_a_future_has_the_result_or_the_error():
    good, bad, gone = FutureJob(nothing), FutureJob(nothing), FutureJob(nothing)
    assert gone.future.cancel()
    assert [job.start() for job in (good, bad, gone)] == [True, True, False]
    assert not good.future.cancel()
    good.result, bad.error = "result", ValueError("mine")
    resolve([good, bad])
    assert good.future.result(0) == "result"
    assert bad.future.exception(0) is bad.error


def test_coroutines_are_woken_once_for_a_batch(monkeypatch):
    async def main():
        jobs = [LoopJob(nothing) for _ in range(3)]
        jobs[0].result = "result"
        jobs[1].error = StopIteration()
        jobs[2].future.cancel()
        assert [job.start() for job in jobs] == [True, True, False]
        calls = []
        loop = asyncio.get_running_loop()
        wake = loop.call_soon_threadsafe

        def counted(*args):
            calls.append(args)
            return wake(*args)

        monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
        resolve(jobs)
        monkeypatch.undo()
        assert len(calls) == 1
        assert await jobs[0].future == "result"
        with pytest.raises(RuntimeError, match="StopIteration"):
            await jobs[1].future
        jobs[2].resolve()  # harms nothing
        assert jobs[2].future.cancelled()

    asyncio.run(main())


def test_a_loop_that_was_closed_keeps_nobody_else_waiting():
    async def start():
        return LoopJob(nothing)

    orphan = asyncio.run(start())
    job = FutureJob(nothing)
    resolve([orphan, job])
    assert job.future.result(0) is None
