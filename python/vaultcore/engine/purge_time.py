"""Decides whether the clock can be trusted when something is destroyed by date.

A clock that is wrong for a second would purge everything that was deleted. So the clock is compared
with one that nobody sets: with how far both have advanced since the last comparison, and with the
last trusted time, which is sealed in the store. If the clock is further ahead than that allows,
nothing is purged until it has advanced steadily for an hour, or an operator confirms it with
``vaultcore clock confirm``. A clock that is behind purges less, and does no harm.
"""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from vaultcore.access.documents import SealedDocuments

if TYPE_CHECKING:
    from vaultcore._core import KeyEncryptionKey
    from vaultcore.audit.log import Audit
    from vaultcore.clock import Clock
    from vaultcore.storage import Store, Transaction

#: How far ahead of the trusted time the clock may be, including a restart, in seconds.
JUMP_SECONDS: Final = 7200.0
#: For how long a clock that is further ahead must advance steadily to be trusted, in seconds.
STEADY_SECONDS: Final = 3600.0
#: How far apart two steady clocks may drift in that time, in seconds.
DRIFT_SECONDS: Final = 60.0
#: How often the trusted time is stored, in seconds.
MARK_SECONDS: Final = 3600.0
#: Where it is stored.
COLLECTION: Final = "clock"
_KEY: Final = "believed"

logger = logging.getLogger("vaultcore.housekeeping")


class BelievedTime(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The last trusted time.

    Attributes:
        wall: Unix seconds.
    """

    wall: float


class PurgeTime:
    """The time by which objects are purged, while the clock is trusted.

    Args:
        store: keeps the last trusted time.
        system: the key that seals it.
        clock: the clock that may be wrong.
        audit: records when the clock is doubted, and when it is trusted again.
        created: when the installation was created, in Unix seconds.
        steady: seconds of a clock that nobody sets.
    """

    def __init__(
        self,
        store: "Store",
        system: "KeyEncryptionKey",
        clock: "Clock",
        audit: "Audit",
        *,
        created: int,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._clock = clock
        self._audit = audit
        self._created = created
        self._steady = steady
        self._documents = SealedDocuments(COLLECTION, BelievedTime, system)
        self._stored: BelievedTime | None = None
        # How far the clock may be ahead of the steady one: the trusted offset.
        self._believed: float | None = None
        # How far it was ahead at its last jump, and since when it has advanced steadily.
        self._held = 0.0
        self._since = 0.0
        #: Whether the clock is doubted, so that nothing is purged.
        self.doubted = False

    def now(self) -> float | None:
        """Returns Unix seconds, or None while the clock is not trusted.

        Raises:
            AuditError: the record that the clock is doubted, or trusted again, cannot be written.
            StorageError: the trusted time cannot be read or stored, or does not verify.
        """
        wall, steady = self._clock.now(), self._steady()
        ahead = wall - steady
        self._read(ahead, steady)
        believed = self._believed
        if believed is None:
            return None
        if abs(ahead - self._held) > DRIFT_SECONDS:
            self._held, self._since = ahead, steady
        is_steady = steady - self._since >= STEADY_SECONDS
        if is_steady:
            believed = self._believed = ahead
        doubted = ahead > believed + JUMP_SECONDS
        if doubted != self.doubted:
            self._tell(wall, believed + steady, doubted=doubted)
            self.doubted = doubted
        if doubted:
            return None
        # Only the trusted offset, or many small jumps would add up to a large one.
        self._remember(min(wall, believed + steady), is_steady=is_steady)
        return wall

    def confirm(self) -> float:
        """Trusts the clock as it is, in every process, and returns its time.

        Raises:
            StorageError: the store cannot be written.
        """
        believed = BelievedTime(self._clock.now())
        self._write(believed)
        return believed.wall

    def _read(self, ahead: float, steady: float) -> None:
        stored = self._documents.get(self._store, _KEY)
        if stored is not None and stored != self._stored:
            # Another process trusts it, or an operator has confirmed it.
            self._believed = stored.wall - steady
        if self._believed is None:
            self._believed = self._last_change() - steady
        if self._since == 0.0:
            self._held, self._since = ahead, steady
        self._stored = stored

    def _last_change(self) -> float:
        """Returns when the store was last written, for a folder without a stored time."""
        entries = self._store.changes(self._store.revision() - 1, 1)
        return float(entries[0].at if entries else self._created)

    def _remember(self, wall: float, *, is_steady: bool) -> None:
        stored = self._stored
        if stored is not None:
            forward = wall - stored.wall
            if forward < MARK_SECONDS and not (is_steady and forward < -MARK_SECONDS):
                return
        self._write(BelievedTime(wall))

    def _write(self, believed: BelievedTime) -> None:
        def work(transaction: "Transaction") -> None:
            self._documents.put(transaction, _KEY, believed, "believed")

        self._store.write(work)

    def _tell(self, wall: float, expected: float, *, doubted: bool) -> None:
        shown = datetime.fromtimestamp(wall, UTC).isoformat(timespec="seconds")
        believed = datetime.fromtimestamp(expected, UTC).isoformat(timespec="seconds")
        if doubted:
            reason = (
                f"the clock says {shown}, and {believed} was expected: nothing is purged until it "
                f"has advanced steadily for {STEADY_SECONDS:g} seconds, or an operator confirms it "
                "with `vaultcore clock confirm`"
            )
        else:
            reason = f"the clock says {shown}, and is trusted again: expired objects are purged"
        self._audit.record_own(
            "ClockDoubted" if doubted else "ClockBelieved",
            reason,
            {"clock": int(wall), "expected": int(expected)},
        )
        logger.log(logging.ERROR if doubted else logging.WARNING, "%s", reason)
