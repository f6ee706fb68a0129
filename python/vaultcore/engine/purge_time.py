"""Whether the clock may be believed when something is destroyed by date.

A clock that is wrong for a second would purge everything that was deleted. So the clock is
compared with one that nobody sets: how far both have moved since they were compared, and what was
believed last, which is kept sealed in the store. When the clock is further ahead than that allows,
nothing is purged until it has gone on steadily for an hour, or an operator confirms it with
``vaultcore clock confirm``. A clock that is behind purges less, and harms nothing.
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

#: How far ahead of what was believed the clock may be, a restart included, in seconds.
JUMP_SECONDS: Final = 7200.0
#: How long a clock that is further ahead has to go on steadily until it is believed, in seconds.
STEADY_SECONDS: Final = 3600.0
#: How far apart two steady clocks may drift in that time, in seconds.
DRIFT_SECONDS: Final = 60.0
#: How often the time that is believed is stored, in seconds.
MARK_SECONDS: Final = 3600.0
#: Where it is stored.
COLLECTION: Final = "clock"
_KEY: Final = "believed"

logger = logging.getLogger("vaultcore.housekeeping")


class BelievedTime(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The time that was believed last.

    Attributes:
        wall: Unix seconds.
    """

    wall: float


class PurgeTime:
    """Tells the time by which objects are purged, while the clock may be believed.

    Args:
        store: keeps what was believed last.
        system: seals that.
        clock: the clock that may be wrong.
        audit: records when it is doubted, and when it is believed again.
        created: when the installation was made, in Unix seconds.
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
        # By how much the clock may be ahead of the steady one: what is believed.
        self._believed: float | None = None
        # By how much it was ahead when it last jumped, and since when it has gone on steadily.
        self._held = 0.0
        self._since = 0.0
        #: Whether the clock is doubted, so that nothing is purged.
        self.doubted = False

    def now(self) -> float | None:
        """Returns Unix seconds, or None while the clock is not believed.

        Raises:
            AuditError: that the clock is doubted, or believed again, cannot be recorded.
            StorageError: what was believed last cannot be read or stored, or does not verify.
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
        # No more than is believed, or many small jumps would add up to a large one.
        self._remember(min(wall, believed + steady), is_steady=is_steady)
        return wall

    def confirm(self) -> float:
        """Believes the clock as it is, in every process, and returns its time.

        Raises:
            StorageError: the store cannot be written.
        """
        believed = BelievedTime(self._clock.now())
        self._write(believed)
        return believed.wall

    def _read(self, ahead: float, steady: float) -> None:
        stored = self._documents.get(self._store, _KEY)
        if stored is not None and stored != self._stored:
            # Another process believes it, or an operator has confirmed it.
            self._believed = stored.wall - steady
        if self._believed is None:
            self._believed = self._last_change() - steady
        if self._since == 0.0:
            self._held, self._since = ahead, steady
        self._stored = stored

    def _last_change(self) -> float:
        """Returns when the store was last written, for a folder that has stored no time yet."""
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
                f"has gone on steadily for {STEADY_SECONDS:g} seconds, or an operator confirms it "
                "with `vaultcore clock confirm`"
            )
        else:
            reason = f"the clock says {shown}, and is believed again: what is due is purged"
        self._audit.record_own(
            "ClockDoubted" if doubted else "ClockBelieved",
            reason,
            {"clock": int(wall), "expected": int(expected)},
        )
        logger.log(logging.ERROR if doubted else logging.WARNING, "%s", reason)
