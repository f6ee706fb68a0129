"""The answers to strangers: recorded one by one, and beyond a rate only counted.

A stranger is a caller without a valid token. Strangers can be answered faster than a disk can take
records, and would fill it. So the first answers to an address are recorded one by one; beyond
a rate, they are counted. The first counted answer is recorded with a note that counting begins
there, and a summary follows 10 seconds later: a process that is killed loses a count, but never the
fact that there was something to count.

Callers with a valid token are never counted: each of their requests has its record.
"""

import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from vaultcore.audit.event import Event

if TYPE_CHECKING:
    from vaultcore.clock import Clock

#: How many answers to an address are recorded in a minute, and how many at once: all clients of a
#: site that restarts may come from one address, and each begins without a token.
PER_MINUTE: Final = 20
AT_ONCE: Final = 500
#: How many bytes of records all strangers may cause, each second and at once, in each process.
BYTES_PER_SECOND: Final = 8 * 1024
BYTES_AT_ONCE: Final = 4 * 1024 * 1024
#: For how long answers are counted before their summary is written, in seconds.
SPAN_SECONDS: Final = 10.0
#: How many addresses are remembered, each with the rest of its allowance.
MAXIMUM_ADDRESSES: Final = 4096

#: The size of a record without what the stranger sent, in bytes; and the size of a summary.
RECORD_BYTES: Final = 1024
#: The address in a summary of those that could not be counted separately.
TOGETHER: Final = "several"
#: The operation of a summary in the audit log.
OPERATION: Final = "AnonymousRequestsCounted"
#: The member that an announcement adds to its record.
ANNOUNCEMENT: Final[Mapping[str, bool]] = MappingProxyType({"countingBegan": True})
_MAXIMUM_VAULTS: Final = 8
_IPV4_MAPPED: Final = bytes(10) + b"\xff\xff"
_SECONDS: Final = 60.0


class Verdict(Enum):
    """What to do with an answer."""

    RECORD = 1
    """Record it."""
    ANNOUNCE = 2
    """Record it, and note that the following ones are counted."""
    COUNT = 3
    """It was counted; there is nothing to record."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The counted answers of a span of time.

    Attributes:
        address: the address, the IPv6 network of 64 bits, or :data:`TOGETHER`.
        count: how many were counted, without the one that announced it.
        first: when counting began, in Unix seconds.
        last: when the last one came, in Unix seconds.
        status: the HTTP status that most of them had.
        statuses: how many had which HTTP status.
        vaults: the vaults in the requests, up to 8 of them; empty for the other hosts.
    """

    address: str
    count: int
    first: float
    last: float
    status: int
    statuses: dict[int, int]
    vaults: tuple[str, ...]

    def record(self, write: Callable[..., object]) -> None:
        """Writes its record, whose duration is the span.

        Args:
            write: see :meth:`Event.write`.
        """
        event = Event()
        event.started -= self.last - self.first
        event.operation = OPERATION
        event.reason = (
            f"{self.count} answers to callers without a valid token were counted, and have no "
            "record of their own"
        )
        event.address = self.address
        event.extra = {
            "count": self.count,
            "first": _date(self.first),
            "last": _date(self.last),
            "statuses": " ".join(f"{code}:{n}" for code, n in sorted(self.statuses.items())),
            "vaults": " ".join(self.vaults),
        }
        event.write(write, self.status)


class _Span:
    """The count in progress of an address, or of several together."""

    __slots__ = ("announced", "count", "due", "first", "last", "statuses", "vaults")

    def __init__(self, announced: int, now: float, due: float) -> None:
        self.announced = announced
        self.count = 0
        self.due = due
        self.first = self.last = now
        self.statuses: dict[int, int] = {}
        self.vaults: set[str] = set()

    def add(self, status: int, vault: str, now: float) -> None:
        self.count += 1
        # The clock may have been set back meanwhile.
        self.last = max(self.last, now)
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if len(self.vaults) < _MAXIMUM_VAULTS:
            self.vaults.add(vault)

    def take_over(self, later: "_Span") -> None:
        self.count += later.count
        self.last = max(self.last, later.last)
        for status, count in later.statuses.items():
            self.statuses[status] = self.statuses.get(status, 0) + count
        self.vaults.update(sorted(later.vaults)[: _MAXIMUM_VAULTS - len(self.vaults)])


class _Bucket:
    """An allowance that is used up and refills at a rate."""

    __slots__ = ("_at", "_left", "_most", "_rate")

    def __init__(self, most: float, rate: float, now: float) -> None:
        self._most = most
        self._rate = rate
        self._left = most
        self._at = now

    def pay(self, price: float, now: float) -> bool:
        self._left = min(self._most, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < price:
            return False
        self._left -= price
        return True


class Strangers:
    """Decides which answers to strangers to record, and counts the others.

    Several threads may use it. Its memory is bounded: nothing that a stranger sends is kept.

    Args:
        clock: the time in summaries.
        steady: a clock in seconds that nobody sets, for rates and spans.
        per_minute: how many answers to an address are recorded in a minute.
        at_once: how many of them may come at once.
        bytes_per_second: how many bytes of records all of them together may cause.
        bytes_at_once: how much of that may come at once.
        addresses: how many addresses are remembered.
    """

    def __init__(
        self,
        clock: "Clock",
        *,
        steady: Callable[[], float] = time.monotonic,
        per_minute: float = PER_MINUTE,
        at_once: float = AT_ONCE,
        bytes_per_second: float = BYTES_PER_SECOND,
        bytes_at_once: float = BYTES_AT_ONCE,
        addresses: int = MAXIMUM_ADDRESSES,
    ) -> None:
        self._clock = clock
        self._steady = steady
        self._per_minute = per_minute
        self._at_once = at_once
        self._maximum = addresses
        self._lock = threading.Lock()
        # The least recently used one comes first.
        self._addresses: OrderedDict[str, _Bucket] = OrderedDict()
        # The one whose summary is written first comes first.
        self._spans: OrderedDict[str, _Span] = OrderedDict()
        self._bytes = _Bucket(bytes_at_once, bytes_per_second, steady())

    def judge(self, address: str, status: int, vault: str, size: int) -> Verdict:
        """Returns what to do with an answer, and counts it unless it is to be recorded.

        Args:
            address: the address of the stranger.
            status: the HTTP status of the answer.
            vault: the vault in the request; empty for another host.
            size: how many bytes of the record the stranger determines.
        """
        now, steady = self._clock.now(), self._steady()
        price = RECORD_BYTES + size
        network = network_of(address)
        with self._lock:
            if self._add(network, status, vault, now):
                return Verdict.COUNT
            bucket = self._find(network, steady)
            if bucket.pay(1, steady):
                if self._bytes.pay(price, steady):
                    return Verdict.RECORD
            # The summary is paid for with the announcement, so that it can always be written. There
            # are many spans only if none can be written.
            elif len(self._spans) < self._maximum and self._bytes.pay(price + RECORD_BYTES, steady):
                self._spans[network] = _Span(status, now, steady + SPAN_SECONDS)
                return Verdict.ANNOUNCE
            if self._add(TOGETHER, status, vault, now):
                return Verdict.COUNT
            self._spans[TOGETHER] = _Span(status, now, steady + SPAN_SECONDS)
            return Verdict.ANNOUNCE

    def flush(self, record: Callable[..., object], *, everything: bool = False) -> None:
        """Records the summaries whose time has come.

        Args:
            record: writes one, see :meth:`Event.write`; an exception ends the flush, and the rest
                stays counted.
            everything: whether to write all summaries now, as when the folder is closed.
        """
        while (found := self._take_due(everything=everything)) is not None:
            network, span = found
            try:
                _summary(network, span).record(record)
            except BaseException:
                self._put_back(network, span)
                raise

    def _add(self, network: str, status: int, vault: str, now: float) -> bool:
        """Counts an answer, if those to its address are being counted."""
        span = self._spans.get(network)
        if span is not None:
            span.add(status, vault, now)
        return span is not None

    def _find(self, network: str, steady: float) -> _Bucket:
        """Returns the allowance of an address; the least recently used one may be forgotten."""
        bucket = self._addresses.get(network)
        if bucket is not None:
            self._addresses.move_to_end(network)
            return bucket
        if len(self._addresses) >= self._maximum:
            self._addresses.popitem(last=False)
        bucket = _Bucket(self._at_once, self._per_minute / _SECONDS, steady)
        self._addresses[network] = bucket
        return bucket

    def _take_due(self, *, everything: bool) -> tuple[str, _Span] | None:
        with self._lock:
            for network, span in self._spans.items():
                if not everything and span.due > self._steady():
                    break
                del self._spans[network]
                return network, span
        return None

    def _put_back(self, network: str, span: _Span) -> None:
        with self._lock:
            later = self._spans.get(network)
            if later is not None:
                span.take_over(later)
            self._spans[network] = span
            self._spans.move_to_end(network, last=False)


def network_of(address: str) -> str:
    """Returns what an address is counted under: itself, or the 64 bits of an IPv6 network.

    A host with one IPv6 address usually has the whole network.
    """
    if ":" not in address:
        return address
    try:
        # As bytes: the module `ipaddress` would take longer than the rest of a refusal.
        packed = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    except (OSError, ValueError):
        return address
    if packed.startswith(_IPV4_MAPPED):
        return socket.inet_ntop(socket.AF_INET, packed[len(_IPV4_MAPPED) :])
    return f"{socket.inet_ntop(socket.AF_INET6, packed[:8] + bytes(8))}/64"


def _summary(network: str, span: _Span) -> Summary:
    vaults = tuple(sorted(vault for vault in span.vaults if vault))
    most = max(span.statuses.items(), key=lambda item: item[1], default=(span.announced, 0))[0]
    return Summary(network, span.count, span.first, span.last, most, dict(span.statuses), vaults)


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
