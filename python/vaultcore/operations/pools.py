"""Where work runs that would hold up the event loop, so that nothing waits for what hangs.

Private operations of software keys have threads of their own. So has each HSM; its calls wait in a
queue whose length follows from its deadline.
"""

import asyncio
import os
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

from vaultcore.errors import ThrottledError, UnavailableError
from vaultcore.objects.contract_errors import contract_errors
from vaultcore.operations.action import Where
from vaultcore.protectors.hsm import Hsm

#: Threads for private operations of software keys, and how many of these may wait or run.
PROCESSOR_THREADS: Final = max(2, os.cpu_count() or 2)
PROCESSOR_WAITING: Final = 512
#: How many calls may wait for one HSM; 503 beyond.
HSM_WAITING: Final = 512
#: The weight of the newest call in the expected duration of an HSM's calls.
_NEWEST: Final = 0.2

T = TypeVar("T")


class Pools:
    """The threads of one event loop, separated by what they may have to wait for."""

    def __init__(self) -> None:
        self._processor = ThreadPoolExecutor(
            PROCESSOR_THREADS, thread_name_prefix="vaultcore-crypto"
        )
        self._busy = 0
        self._hsms: weakref.WeakKeyDictionary[Hsm, _HsmQueue] = weakref.WeakKeyDictionary()

    async def run(self, where: Where, hsm: Hsm | None, act: Callable[[], T], *, changes: bool) -> T:
        """Runs work where it belongs, and returns the result.

        Args:
            where: the place.
            hsm: the HSM of the vault, if it has one.
            act: the work.
            changes: whether it creates or destroys a key in the HSM.

        Raises:
            ThrottledError: too much work for the processors is waiting already.
            UnavailableError: the HSM does not answer, or would not answer in time.
        """
        if where is Where.PROCESSOR:
            return await self.compute(act)
        if where is Where.HSM and hsm is not None:
            return await self.ask(hsm, act, changes=changes)
        return act()  # without an HSM, work for it is refused, which takes no time

    async def compute(self, work: Callable[[], T]) -> T:
        """Runs work that keeps a processor busy, and returns its result.

        Raises:
            ThrottledError: too much of this work is waiting already.
        """
        if self._busy >= PROCESSOR_WAITING:
            raise ThrottledError(
                "Request was not processed because too many requests were received. Reason: "
                "VaultOperationLimitReached"
            )
        self._busy += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._processor, work)
        finally:
            self._busy -= 1

    async def ask(self, hsm: Hsm, work: Callable[[], T], *, changes: bool) -> T:
        """Runs work that waits for an HSM, and returns its result.

        The HSM's deadline counts from now on, including the queue. Work that changes keys in the
        HSM must not be abandoned halfway: its deadline is one for its start, and the HSM's own
        deadlines end it.

        Args:
            hsm: the HSM.
            work: the function that calls the HSM.
            changes: whether the work creates or destroys a key in the HSM.

        Raises:
            UnavailableError: the HSM does not answer, or would not answer in time.
        """
        queue = self._hsms.get(hsm)
        if queue is None:
            queue = self._hsms[hsm] = _HsmQueue(hsm)
        return await queue.ask(work, changes=changes)

    def close(self) -> None:
        """Waits for running work; abandons what waits for an HSM."""
        for queue in list(self._hsms.values()):
            queue.close()
        self._processor.shutdown(wait=True)


class _HsmQueue:
    """The calls of one HSM: as many at a time as it has workers, the others in order."""

    def __init__(self, hsm: Hsm) -> None:
        # A reference to the HSM itself would keep the entry of the weak dictionary alive forever.
        self._hsm = weakref.ref(hsm)
        self._processes = hsm.processes
        self._turns = asyncio.Semaphore(hsm.processes)
        self._threads = ThreadPoolExecutor(hsm.processes, thread_name_prefix="vaultcore-hsm")
        self._waiting = 0
        self._expected = 0.0  # seconds that one call takes, smoothed

    async def ask(self, work: Callable[[], T], *, changes: bool) -> T:
        """Runs the work when it is its turn; see :meth:`Pools.ask`."""
        hsm = self._hsm()
        if hsm is None:
            raise UnavailableError("the HSM was closed; try again later")
        with contract_errors():
            hsm.check()
        if (
            self._waiting >= HSM_WAITING
            or self._waiting * self._expected / self._processes > hsm.deadline
        ):
            raise _busy()
        loop = asyncio.get_running_loop()
        expires = loop.time() + hsm.deadline
        self._waiting += 1
        try:
            async with asyncio.timeout_at(expires):
                await self._turns.acquire()
        except TimeoutError:
            raise _busy() from None
        finally:
            self._waiting -= 1
        running = self._start(work, loop, measured=not changes)
        answer = asyncio.wrap_future(running)
        done, _ = await asyncio.wait([answer], timeout=None if changes else expires - loop.time())
        if done:
            return answer.result()
        # Nobody waits for the result any more; without this, a failure would be reported as lost.
        answer.add_done_callback(lambda late: late.cancelled() or late.exception())
        raise UnavailableError("the HSM did not answer in time; try again later")

    def close(self) -> None:
        """Waits for running calls."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _start(
        self, work: Callable[[], T], loop: asyncio.AbstractEventLoop, *, measured: bool
    ) -> Future[T]:
        def call() -> T:
            started = time.monotonic()
            result = work()
            if measured:
                # Only a call that succeeded shows how long a call takes.
                took = time.monotonic() - started
                self._expected += _NEWEST * (took - self._expected)
            return result

        def release(_: object) -> None:
            # The turn ends when the thread is free, even if the caller left long before.
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._turns.release)

        try:
            running = self._threads.submit(call)
        except RuntimeError:
            self._turns.release()
            raise UnavailableError("the service is closing; try again later") from None
        running.add_done_callback(release)
        return running


def _busy() -> UnavailableError:
    return UnavailableError("the HSM is busy and would not answer in time; try again later")
