"""Answers to strangers: which are recorded, which are counted, and that none is lost."""

import threading
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultcore.audit.record import Record
from vaultcore.clock import ManualClock, SystemClock
from vaultcore.engine.strangers import (
    AT_ONCE,
    PER_MINUTE,
    RECORD_BYTES,
    SPAN_SECONDS,
    TOGETHER,
    Strangers,
    Verdict,
    network_of,
)
from vaultcore.errors import AuditError

NOW = 1_700_000_000.0


class Desk:
    """What a service does with the verdicts, and how much came to the disk by it."""

    def __init__(self, **limits: Any) -> None:
        self.clock = ManualClock(NOW)
        self.steady = 0.0
        self.strangers = Strangers(self.clock, steady=lambda: self.steady, **limits)
        self.verdicts: Counter[Verdict] = Counter()
        self.summaries: list[Any] = []
        self.bytes = 0

    def refuse(
        self, address: str = "192.0.2.1", status: int = 401, vault: str = "dev", size: int = 100
    ) -> Verdict:
        verdict = self.strangers.judge(address, status, vault, size)
        self.verdicts[verdict] += 1
        if verdict is not Verdict.COUNT:
            self.bytes += RECORD_BYTES + size
        return verdict

    def wait(self, seconds: float) -> None:
        self.steady += seconds
        self.clock.advance(seconds)

    def record(self, *members: Any) -> None:
        record = Record.of(*members)
        summary = SimpleNamespace(
            address=record.address, status=record.status, **record.extra or {}
        )
        self.summaries.append(summary)

    def flush(self, *, everything: bool = False) -> list[Any]:
        before = len(self.summaries)
        self.strangers.flush(self.record, everything=everything)
        self.bytes += RECORD_BYTES * (len(self.summaries) - before)
        return self.summaries[before:]

    @property
    def told(self) -> int:
        """How many refusals the log tells of."""
        recorded = self.verdicts[Verdict.RECORD] + self.verdicts[Verdict.ANNOUNCE]
        return recorded + sum(summary.count for summary in self.summaries)


def test_the_first_ones_are_recorded_and_then_they_are_counted() -> None:
    desk = Desk(per_minute=20, at_once=20)
    assert [desk.refuse() for _ in range(23)] == [
        *[Verdict.RECORD] * 20, Verdict.ANNOUNCE, Verdict.COUNT, Verdict.COUNT,
    ]  # fmt: skip
    desk.wait(SPAN_SECONDS - 1)
    desk.refuse(status=403, vault="prod")
    desk.refuse(status=404, vault="")
    assert desk.flush() == []
    desk.wait(1)
    (summary,) = desk.flush()
    assert vars(summary) == {
        "address": "192.0.2.1",
        "status": 401,
        "count": 4,
        "first": "2023-11-14T22:13:20.000000+00:00",
        "last": "2023-11-14T22:13:29.000000+00:00",
        "statuses": "401:2 403:1 404:1",
        "vaults": "dev prod",
    }
    # The rate of 20 a minute has allowed three more by now.
    assert [desk.refuse() for _ in range(5)] == [
        *[Verdict.RECORD] * 3, Verdict.ANNOUNCE, Verdict.COUNT,
    ]  # fmt: skip


def test_a_slow_stranger_is_always_recorded() -> None:
    desk = Desk(per_minute=20, at_once=20)
    for _ in range(1000):
        assert desk.refuse() is Verdict.RECORD
        desk.wait(3.0)


def test_addresses_have_a_rate_each() -> None:
    desk = Desk(per_minute=2, at_once=2)
    for address in ("192.0.2.1", "192.0.2.2", "2001:db8:0:1::1", "2001:db8:0:2::1"):
        assert [desk.refuse(address) for _ in range(4)] == [
            Verdict.RECORD, Verdict.RECORD, Verdict.ANNOUNCE, Verdict.COUNT,
        ]  # fmt: skip
    assert desk.refuse("::ffff:192.0.2.1") is Verdict.COUNT
    assert desk.refuse("2001:db8:0:1:ffff::7") is Verdict.COUNT
    assert {summary.address: summary.count for summary in desk.flush(everything=True)} == {
        "192.0.2.1": 2, "192.0.2.2": 1, "2001:db8:0:1::/64": 2, "2001:db8:0:2::/64": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("address", "network"),
    [("192.0.2.1", "192.0.2.1"), ("::ffff:192.0.2.1", "192.0.2.1"), ("", ""), ("x:y", "x:y"),
     ("fe80::1%eth0", "fe80::/64"), ("2001:db8::1", "2001:db8::/64"), ("unix", "unix")],
)  # fmt: skip
def test_what_an_address_is_counted_under(address: str, network: str) -> None:
    assert network_of(address) == network


def test_strangers_everywhere_are_counted_together_and_the_disk_is_spared() -> None:
    desk = Desk(bytes_per_second=8192, bytes_at_once=1 << 20)
    for second in range(60):
        for number in range(500):
            desk.refuse(f"2001:db8:{second:x}:{number:x}::1", size=4096)
        desk.wait(1.0)
        desk.flush()
    desk.flush(everything=True)
    assert desk.told == 30_000
    # What may come at once, what a minute allows, and what is told of those counted together.
    assert desk.bytes <= (1 << 20) + 60 * 8192 + 7 * (2 * RECORD_BYTES + 4096)
    together = [summary for summary in desk.summaries if summary.address == TOGETHER]
    assert sum(summary.count for summary in together) > 29_000


def test_a_flood_of_one_address_costs_a_few_records_a_minute() -> None:
    desk = Desk()
    for _ in range(600):
        for _ in range(100):
            desk.refuse()
        desk.wait(0.1)
        desk.flush()
    desk.flush(everything=True)
    assert desk.told == 60_000
    assert desk.verdicts[Verdict.RECORD] <= AT_ONCE + PER_MINUTE
    assert desk.verdicts[Verdict.ANNOUNCE] == len(desk.summaries) <= 7


def test_what_cannot_be_recorded_stays_counted() -> None:
    desk = Desk(per_minute=1, at_once=1)
    for address in ("192.0.2.1", "192.0.2.2"):
        for _ in range(5):
            desk.refuse(address)
    desk.wait(SPAN_SECONDS)

    def fail(*_: Any, **__: Any) -> None:
        desk.refuse("192.0.2.1", status=403)  # one comes meanwhile
        raise AuditError("the disk is full")

    for _ in range(3):
        with pytest.raises(AuditError):
            desk.strangers.flush(fail)
    (first, second) = desk.flush()
    assert (first.address, second.address) == ("192.0.2.1", "192.0.2.2")
    assert second.statuses == "401:3"
    assert desk.told == 13


def test_a_log_that_stays_full_fills_no_memory() -> None:
    desk = Desk(per_minute=1, at_once=1, addresses=16, bytes_per_second=1e9, bytes_at_once=1e9)
    for number in range(200):
        for _ in range(3):
            desk.refuse(f"192.0.2.{number}")
    assert len(desk.strangers._spans) <= 17
    assert len(desk.strangers._addresses) <= 16
    desk.flush(everything=True)
    assert desk.told == 600


def test_a_clock_that_is_set_changes_no_rate() -> None:
    desk = Desk(per_minute=2, at_once=2)
    for _ in range(5):
        desk.refuse()
    desk.clock.advance(-3600)
    assert desk.refuse() is Verdict.COUNT
    desk.clock.advance(7200)
    assert desk.refuse() is Verdict.COUNT
    assert desk.flush() == []
    desk.wait(SPAN_SECONDS)
    (summary,) = desk.flush()
    assert (summary.count, summary.first <= summary.last) == (4, True)


def test_many_threads_lose_none() -> None:
    strangers = Strangers(SystemClock(), per_minute=5, at_once=5)
    verdicts: list[Counter[Verdict]] = []
    counts: list[int] = []

    def record(*members: Any) -> None:
        extra = Record.of(*members).extra
        assert extra is not None
        counts.append(int(extra["count"]))

    def ask(number: int) -> None:
        mine: Counter[Verdict] = Counter()
        for _ in range(2000):
            mine[strangers.judge(f"192.0.2.{number % 3}", 401, "dev", 50)] += 1
            if number == 0:
                strangers.flush(record, everything=True)
        verdicts.append(mine)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    strangers.flush(record, everything=True)
    found = sum(verdicts, Counter())
    assert sum(counts) == found[Verdict.COUNT]
    assert found.total() == 12_000
    assert len(counts) == found[Verdict.ANNOUNCE]


@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.sampled_from([400, 401, 403, 404, 503]), st.floats(0, 30)),
        max_size=200,
    )
)
def test_every_refusal_is_told_once(steps: list[tuple[int, int, float]]) -> None:
    desk = Desk(per_minute=3, at_once=3, addresses=8, bytes_per_second=500, bytes_at_once=20_000)
    for number, status, pause in steps:
        desk.refuse(f"2001:db8:0:{number:x}::1", status)
        desk.wait(pause)
        desk.flush()
    desk.flush(everything=True)
    assert desk.told == len(steps)
