"""Works that wait for their commit, and the three ways to wait for one."""

import asyncio
import concurrent.futures
import contextlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from vaultcore.storage.protocols import Work

T = TypeVar("T")


class Job(ABC):
    """A work that waits for the writer.

    Args:
        work: the function; it may be run more than once, so its only effect is on its transaction.
    """

    def __init__(self, work: Work[Any]) -> None:
        self.work = work
        self.result: Any = None
        self.error: BaseException | None = None
        self.erased = False  # whether it removed or replaced something that must become unreadable
        # Taken once: by the writer that begins the work, or by the caller who no longer wants it.
        self._claim = threading.Lock()

    def start(self) -> bool:
        """Returns whether the work is still wanted; after that it cannot be cancelled."""
        return self._claim.acquire(blocking=False)

    def withdraw(self) -> bool:
        """Returns whether the work has not begun; then it never will."""
        return self._claim.acquire(blocking=False)

    @abstractmethod
    def resolve(self) -> None:
        """Tells the caller that ``result`` or ``error`` is final; the writer calls it once."""


class BlockingJob(Job, Generic[T]):
    """A job that its thread waits for; a bare lock is the cheapest way to wait."""

    def __init__(self, work: Work[T]) -> None:
        super().__init__(work)
        self._done = threading.Lock()
        self._done.acquire()
        self._resolved = False
        #: What interrupted the wait for a work that was committed; the caller raises it.
        self.interruption: BaseException | None = None

    def resolve(self) -> None:
        """Wakes the thread."""
        self._resolved = True
        self._done.release()

    def wait(self) -> T:
        """Waits for the commit and returns what the work returned, or raises what it raised.

        An interruption ends the wait only if the work has not begun: its outcome has to be known.
        """
        # An interruption may come when the lock was taken already: the lock alone does not tell.
        while not self._resolved:
            try:
                self._done.acquire()
            except BaseException as interruption:
                if self.withdraw():
                    raise
                self.interruption = interruption
        if self.error is not None:
            try:
                if self.interruption is not None:
                    raise self.interruption from self.error
                raise self.error
            finally:
                # The traceback holds this frame, which would hold the error.
                self.error = self.interruption = None
        result: T = self.result
        return result


class FutureJob(Job, Generic[T]):
    """A job with a future for its result."""

    def __init__(self, work: Work[T]) -> None:
        super().__init__(work)
        self.future: concurrent.futures.Future[T] = concurrent.futures.Future()

    def start(self) -> bool:
        """Returns whether the future was not cancelled."""
        return self.future.set_running_or_notify_cancel()

    def resolve(self) -> None:
        """Resolves the future."""
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


class LoopJob(Job, Generic[T]):
    """A job that a coroutine waits for.

    An event loop is woken once for all its jobs of a batch: each wake-up is a system call.
    """

    def __init__(self, work: Work[T]) -> None:
        super().__init__(work)
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[T] = self.loop.create_future()
        self._resolved = False

    def start(self) -> bool:
        """Returns whether the coroutine was not cancelled."""
        return not self.future.cancelled() and super().start()

    async def wait(self) -> T:
        """Waits for the commit and returns what the work returned, or raises what it raised.

        A cancellation ends the wait only if the work has not begun: its outcome has to be known.

        Raises:
            CancelledError: the wait was cancelled, and the work will never begin.
        """
        try:
            return await self.future
        except asyncio.CancelledError:
            if self.withdraw():
                raise
        while not self._resolved:
            self.future = self.loop.create_future()
            with contextlib.suppress(asyncio.CancelledError):
                # It does not raise what the work raised; that is in `error`.
                await asyncio.wait([self.future])
                self.future.exception()  # seen: nobody needs to be told that it was not
        if self.error is not None:
            raise self.error
        result: T = self.result
        return result

    def resolve(self) -> None:
        """Resolves the future; only its loop may call it."""
        self._resolved = True
        if self.future.cancelled():
            return
        if self.error is None:
            self.future.set_result(self.result)
        elif isinstance(self.error, StopIteration):
            # A future refuses this one, because it would end the coroutine that awaits it.
            self.future.set_exception(RuntimeError("the work raised StopIteration"))
        else:
            self.future.set_exception(self.error)


def resolve(jobs: Sequence[Job]) -> None:
    """Resolves the jobs of a batch."""
    loops: dict[asyncio.AbstractEventLoop, list[Job]] = {}
    for job in jobs:
        if isinstance(job, LoopJob):
            loops.setdefault(job.loop, []).append(job)
        else:
            job.resolve()
    for loop, waiting in loops.items():
        try:
            loop.call_soon_threadsafe(_resolve_in_loop, waiting)
        except RuntimeError:
            # The loop was closed, so nobody waits any more.
            continue


def _resolve_in_loop(jobs: list[Job]) -> None:
    for job in jobs:
        job.resolve()
