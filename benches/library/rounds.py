"""Rounds that alternate: every peer's turn comes within milliseconds of ours.

A machine is faster in one second than in the next, by more than what is compared here. So a ratio
is the median of the ratios of single rounds, and its quartiles tell how much to believe it.
"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pytest_benchmark.fixture import BenchmarkFixture

    Work = Callable[[], Any]

_BLOCK = 0.01  # seconds: long against the clock, short against the moods of a machine
_WARM = 4  # a turn begins with a quarter of its calls untimed: the one before had the caches


class Comparison:
    """Times the works of one row in alternating rounds.

    Args:
        benchmark: the fixture; its own figures are those of the first work.
        rounds: how many.
        block: how many seconds a work takes in a round, at least.
    """

    def __init__(self, benchmark: BenchmarkFixture, *, rounds: int, block: float = _BLOCK) -> None:
        self._benchmark = benchmark
        self._rounds = rounds
        self._block = block

    def run(
        self,
        row: str,
        works: Mapping[str, Work],
        *,
        items: int | Mapping[str, int] = 1,
        size: int | None = None,
        rounds: int | None = None,
    ) -> dict[str, Any]:
        """Measures, and leaves the figures with the benchmark.

        Args:
            row: the row of the table.
            works: what each peer does; the first is the one that is compared with the others.
            items: how many items a call works on, for all or for each.
            size: of a point on a curve, the bytes of the message.
            rounds: how many, if other than usual.

        Returns:
            What each work gave when it was called the first time.
        """
        found = {peer: work() for peer, work in works.items()}
        counts = {peer: self._calls(work) for peer, work in works.items()}
        seconds: dict[str, list[float]] = {peer: [] for peer in works}

        def turn(peer: str) -> None:
            work, calls = works[peer], counts[peer]
            _time(work, -(-calls // _WARM))
            seconds[peer].append(_time(work, calls) / calls)

        subject, *others = works

        def turns_of_the_others() -> None:
            for peer in others:
                turn(peer)

        self._benchmark.pedantic(
            turn, args=(subject,), setup=turns_of_the_others, rounds=rounds or self._rounds
        )
        self.record(row, seconds, items=items, size=size)
        return found

    def record(
        self,
        row: str,
        seconds: Mapping[str, list[float]],
        *,
        items: int | Mapping[str, int] = 1,
        size: int | None = None,
        **more: Any,
    ) -> None:
        """Leaves the figures of rounds with the benchmark.

        Args:
            row: the row of the table.
            seconds: of each peer, the seconds of one call in each round.
            items: how many items a call works on.
            size: of a point on a curve, the bytes of the message.
            more: what else the table shows of it.
        """
        each = {
            peer: [one / (items if isinstance(items, int) else items[peer]) for one in times]
            for peer, times in seconds.items()
        }
        subject = next(iter(each))
        figures = {peer: dict(_figures(times, each[subject])) for peer, times in each.items()}
        self._benchmark.group = row
        self._benchmark.extra_info.update({"row": row, "peers": figures, "size": size, **more})

    def _calls(self, work: Work) -> int:
        """How often a work is called in a round."""
        calls = 1
        while (taken := _time(work, calls)) < self._block:
            calls = max(calls + 1, min(10 * calls, int(1.1 * calls * self._block / taken)))
        return calls


def _figures(times: list[float], subject: list[float]) -> Iterator[tuple[str, float]]:
    ratios = [one / ours for one, ours in zip(times, subject, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    yield "seconds", statistics.median(times)
    yield "ratio", middle
    yield "low", low
    yield "high", high


def _time(work: Work, calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        work()
    return time.perf_counter() - start
