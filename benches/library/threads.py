"""Batches on threads, and as a control on processes, which share nothing but the machine."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from typing import TYPE_CHECKING

from benches.library import rows
from benches.library.envelopes import Vaultcore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_BATCHES = 300
_SIZE = 100
_MESSAGE = bytes(1024)

#: Of each way, how many messages one call seals.
ITEMS = {
    rows.TWO_THREADS: 2 * _BATCHES * _SIZE,
    rows.ONE_THREAD: _BATCHES * _SIZE,
    rows.TWO_PROCESSES: 2 * _BATCHES * _SIZE,
}


@contextmanager
def ways() -> Iterator[dict[str, Callable[[], None]]]:
    """Gives the same work on two threads, on one, and in two processes."""
    with ExitStack() as pools:
        one = pools.enter_context(ThreadPoolExecutor(1))
        two = pools.enter_context(ThreadPoolExecutor(2))
        alone = [
            pools.enter_context(ProcessPoolExecutor(1, mp_context=get_context("spawn")))
            for _ in range(2)
        ]
        shared = Work()

        def in_processes() -> None:
            for task in [pool.submit(_in_process) for pool in alone]:
                task.result()

        yield {
            rows.TWO_THREADS: lambda: _all(two, [shared, shared]),
            rows.ONE_THREAD: lambda: _all(one, [shared]),
            rows.TWO_PROCESSES: in_processes,
        }


class Work:
    """Seals batches under one key."""

    def __init__(self) -> None:
        self._envelope = Vaultcore()
        self._batch = [bytes([number]) + _MESSAGE[1:] for number in range(_SIZE)]

    def __call__(self) -> None:
        kek, context = self._envelope.kek, self._envelope.context
        for _ in range(_BATCHES):
            kek.seal_many(self._batch, context=context)


def _all(pool: ThreadPoolExecutor, works: list[Work]) -> None:
    for task in [pool.submit(work) for work in works]:
        task.result()


_own: list[Work] = []


def _in_process() -> None:
    if not _own:
        _own.append(Work())
    _own[0]()
