"""Where work runs that would hold up the event loop, so that nothing waits behind what hangs.

Private operations of software keys have threads of their own. So has each token, whose calls wait
in a queue that is as long as its deadline allows. Fetches of issuers' keys hold no thread here.
"""

import asyncio
import enum
import logging
import os
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

from vaultcore.access.remote_keys import FLIGHT_SECONDS
from vaultcore.errors import ThrottledError, UnavailableError
from vaultcore.objects.key_use import refusals
from vaultcore.protectors.hsm import Hsm

if TYPE_CHECKING:
    from vaultcore.objects.vault import VaultState

#: Threads for private operations of software keys, and how many of these may wait or run.
PROCESSOR_THREADS: Final = max(2, os.cpu_count() or 2)
PROCESSOR_WAITING: Final = 512
#: How many calls may wait for one token; 503 beyond.
TOKEN_WAITING: Final = 512
#: The weight of the newest call in what a call of a token is expected to take.
_NEWEST: Final = 0.2

T = TypeVar("T")

logger = logging.getLogger("vaultcore.service")


class Where(enum.Enum):
    """Where a request is acted on."""

    LOOP = enum.auto()
    PROCESSOR = enum.auto()
    TOKEN = enum.auto()


class Pools:
    """The threads of one event loop, apart by what they may have to wait for."""

    def __init__(self) -> None:
        self._processor = ThreadPoolExecutor(
            PROCESSOR_THREADS, thread_name_prefix="vaultcore-crypto"
        )
        self._busy = 0
        self._tokens: weakref.WeakKeyDictionary[Hsm, _TokenQueue] = weakref.WeakKeyDictionary()

    async def run(
        self, where: Where, token: Hsm | None, act: Callable[[], T], *, changes: bool
    ) -> T:
        """Acts on a request where it belongs, and returns the result.

        Args:
            where: where that is.
            token: the token of the vault, if it has one.
            act: what to do.
            changes: whether that makes or destroys a key in the token.

        Raises:
            ThrottledError: too much work for the processors is waiting already.
            UnavailableError: the token does not answer, or would not in time.
        """
        if where is Where.PROCESSOR:
            return await self.compute(act)
        if where is Where.TOKEN and token is not None:
            return await self.ask(token, act, changes=changes)
        return act()  # without a token, what belongs there is refused, which takes no time

    async def settle(self, vault: "VaultState", left: Callable[[], None] | None) -> None:
        """Does what a write left to do in the token. The write stands, whatever becomes of it."""
        if left is None:
            return
        try:
            await self.run(Where.TOKEN, vault.key_rules.token, left, changes=True)
        except UnavailableError as failure:
            logger.warning(
                "vault %s: a purged key keeps its pairs in the token: %s", vault.name, failure
            )

    async def compute(self, work: Callable[[], T]) -> T:
        """Does what keeps a processor busy, and returns its result.

        Raises:
            ThrottledError: too much of it is waiting already.
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

    async def ask(self, token: Hsm, work: Callable[[], T], *, changes: bool) -> T:
        """Does what waits for a token, and returns its result.

        The token's deadline counts from now on, the queue included. Work that changes what the
        token holds may not be given up halfway: for that, the deadline is one for its start, and
        the token's own deadlines end it.

        Args:
            token: the token.
            work: what calls it.
            changes: whether the work makes or destroys a key in the token.

        Raises:
            UnavailableError: the token does not answer, or would not in time.
        """
        queue = self._tokens.get(token)
        if queue is None:
            queue = self._tokens[token] = _TokenQueue(token)
        return await queue.ask(work, changes=changes)

    def close(self) -> None:
        """Waits for what runs; what waits for a token is given up."""
        for queue in list(self._tokens.values()):
            queue.close()
        self._processor.shutdown(wait=True)


class _TokenQueue:
    """The calls of one token: as many at a time as it has workers, the others in their order."""

    def __init__(self, token: Hsm) -> None:
        # The token itself would keep the entry of the weak dictionary alive for good.
        self._token = weakref.ref(token)
        self._processes = token.processes
        self._turns = asyncio.Semaphore(token.processes)
        self._threads = ThreadPoolExecutor(token.processes, thread_name_prefix="vaultcore-token")
        self._waiting = 0
        self._expected = 0.0  # seconds that one call takes, smoothed

    async def ask(self, work: Callable[[], T], *, changes: bool) -> T:
        """Does the work when it is its turn; see :meth:`Pools.ask`."""
        token = self._token()
        if token is None:
            raise UnavailableError("the token was closed; try again later")
        with refusals():
            token.check()
        if (
            self._waiting >= TOKEN_WAITING
            or self._waiting * self._expected / self._processes > token.deadline
        ):
            raise _busy()
        loop = asyncio.get_running_loop()
        expires = loop.time() + token.deadline
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
        raise UnavailableError("the token did not answer in time; try again later")

    def close(self) -> None:
        """Waits for the calls that run."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _start(
        self, work: Callable[[], T], loop: asyncio.AbstractEventLoop, *, measured: bool
    ) -> Future[T]:
        def call() -> T:
            started = time.monotonic()
            result = work()
            if measured:
                # Only what succeeded says how long a call takes.
                took = time.monotonic() - started
                self._expected += _NEWEST * (took - self._expected)
            return result

        def release(_: object) -> None:
            # The turn ends when the thread is free, even if the caller has left long before.
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._turns.release)

        try:
            running = self._threads.submit(call)
        except RuntimeError:
            self._turns.release()
            raise UnavailableError("the service is closing; try again later") from None
        running.add_done_callback(release)
        return running


async def landed(flight: Future[None]) -> None:
    """Waits until the keys of an issuer have arrived or failed to, without holding a thread."""
    await asyncio.wait([asyncio.wrap_future(flight)], timeout=FLIGHT_SECONDS)


def _busy() -> UnavailableError:
    return UnavailableError("the token is busy and would not answer in time; try again later")
