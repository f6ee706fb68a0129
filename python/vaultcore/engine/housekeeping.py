"""The housekeeping of an open folder: its periodic duties, each by itself.

Each duty has a thread of its own, so one that fails or hangs does not delay the others. It is tried
again, less and less often. The log reports the first failure and its end.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from vaultcore.audit.retention import RETENTION_DAYS, expire
from vaultcore.errors import VaultcoreError
from vaultcore.protectors.pkcs11.protector import Pkcs11Protector
from vaultcore.protectors.protector import AbsentProtector

if TYPE_CHECKING:
    from vaultcore.access.issuer import Issuer
    from vaultcore.audit.log import Audit
    from vaultcore.engine.feed import Feed
    from vaultcore.engine.purge_time import PurgeTime
    from vaultcore.engine.purging import Purger
    from vaultcore.engine.strangers import Strangers
    from vaultcore.installation.key_ring import KeyRing
    from vaultcore.protectors.hsm import Hsm

#: How often the audit log is signed, and the database checked, in seconds.
CHECKPOINT_SECONDS: Final = 1.0
#: How often expired objects are purged, and the issuer's keys maintained, in seconds.
PURGE_SECONDS: Final = 60.0
RETENTION_SECONDS: Final = 3600.0
#: How long after the last checkpoint requests are still answered, in seconds.
STALE_SECONDS: Final = 60.0
#: After how long an unfinished duty counts as failing, in seconds.
HANG_SECONDS: Final = 60.0
#: The longest pauses before a failing duty is tried again, in seconds.
_SHORT_PAUSE: Final = 5.0
_LONG_PAUSE: Final = 60.0
_STALE: Final = (
    "the audit log has not been signed for too long, so no request is answered; try again later"
)

logger = logging.getLogger("vaultcore.housekeeping")


class Duty:
    """A periodic task, and its state.

    Args:
        name: one general word, which anybody may read.
        act: performs it.
        seconds: the pause between two runs, in seconds.
        longest: the longest pause after a failure, in seconds.

    Attributes:
        name: as above.
        done: how many runs succeeded.
    """

    def __init__(
        self, name: str, act: Callable[[], object], *, seconds: float, longest: float
    ) -> None:
        self.name = name
        self.done = 0
        self._act = act
        self._seconds = seconds
        self._longest = longest
        self._failures = 0
        self._failing_since = 0.0
        self._started: float | None = None
        self._thread: threading.Thread | None = None

    @property
    def failing(self) -> bool:
        """Whether the last run failed, or does not end."""
        started = self._started
        hangs = started is not None and time.monotonic() - started > HANG_SECONDS
        return self._failures > 0 or hangs

    @property
    def dead(self) -> bool:
        """Whether its thread has ended, which it only does when the folder is closed."""
        return self._thread is not None and not self._thread.is_alive()

    def start(self, closing: threading.Event) -> None:
        """Starts its thread."""
        self._thread = threading.Thread(
            target=self._run, args=(closing,), name=f"vaultcore-{self.name}", daemon=True
        )
        self._thread.start()

    def join(self) -> None:
        """Waits for the current run to end."""
        if self._thread is not None:
            self._thread.join()

    def _run(self, closing: threading.Event) -> None:
        pause = CHECKPOINT_SECONDS
        while not closing.wait(pause):
            pause = self.do()

    def do(self) -> float:
        """Runs it once, and returns the pause until the next run, in seconds."""
        self._started = time.monotonic()
        try:
            self._act()
        except Exception as failure:  # noqa: BLE001 - whatever it is, the thread must not end
            return self._failed(failure)
        finally:
            self._started = None
        self._went_well()
        return self._seconds

    def _went_well(self) -> None:
        self.done += 1
        if self._failures:
            logger.warning(
                "housekeeping: %s works again, after %d failures in %.0f seconds",
                self.name,
                self._failures,
                time.monotonic() - self._failing_since,
            )
            self._failures = 0

    def _failed(self, failure: Exception) -> float:
        if self._failures == 0:
            self._failing_since = time.monotonic()
            foreseen = isinstance(failure, (VaultcoreError, OSError))
            logger.error(
                "housekeeping: %s failed, and is tried until it works again: %s",
                self.name,
                failure if foreseen else type(failure).__name__,
                exc_info=None if foreseen else failure,
            )
        self._failures += 1
        return float(min(2**self._failures, self._longest))


class Housekeeper:
    """The duties of an open folder.

    Args:
        audit: the log that is signed, and whose old records are removed.
        feed: checks the database, and refuses requests while nothing is signed.
        issuer: the issuer whose keys are maintained.
        keys: the vault keys whose protectors are checked.
        purger: purges expired objects.
        purge_time: the time by which they are purged, while the clock is trusted.
        strangers: the counts of answers to strangers, which are recorded.

    Attributes:
        audit_days: for how long the audit log is kept, in days; 0 for ever.
        checkpoint: signs how far the audit log has come.
        storage: checks the database itself.
        absent: whether a protector could not be opened at the last check.
        token: the HSM with keys of the vaults, if there was one at the last check.
    """

    def __init__(
        self,
        *,
        audit: "Audit",
        feed: "Feed",
        issuer: "Issuer",
        keys: "KeyRing",
        purger: "Purger",
        purge_time: "PurgeTime",
        strangers: "Strangers",
    ) -> None:
        self._audit = audit
        self._feed = feed
        self._keys = keys
        self._purger = purger
        self._purge_time = purge_time
        self._strangers = strangers
        self.audit_days = RETENTION_DAYS
        self._closing = threading.Event()
        self._watch: threading.Thread | None = None
        self._refusing = False
        self.absent = False
        self.token: Hsm | None = None
        self.checkpoint = Duty(
            "checkpoint", self._sign, seconds=CHECKPOINT_SECONDS, longest=_SHORT_PAUSE
        )
        self.storage = Duty("storage", feed.look, seconds=CHECKPOINT_SECONDS, longest=_SHORT_PAUSE)
        self._others = [
            Duty("strangers", self._count, seconds=CHECKPOINT_SECONDS, longest=_LONG_PAUSE),
            Duty("purge", self._purge, seconds=PURGE_SECONDS, longest=_LONG_PAUSE),
            Duty("retention", self._expire, seconds=RETENTION_SECONDS, longest=_LONG_PAUSE),
            Duty("issuer", issuer.maintain, seconds=PURGE_SECONDS, longest=_LONG_PAUSE),
            Duty("protector", self._revive, seconds=PURGE_SECONDS, longest=_LONG_PAUSE),
        ]

    def start(self) -> None:
        """Starts the threads, unless they run."""
        if self._watch is None:
            self._watch = threading.Thread(
                target=self._keep_watch, name="vaultcore-watch", daemon=True
            )
            for duty in self._duties:
                duty.start(self._closing)
            self._watch.start()

    def close(self) -> None:
        """Ends the threads, after the current run of each."""
        self._closing.set()
        for duty in self._duties:
            duty.join()
        if self._watch is not None:
            self._watch.join()

    @property
    def alive(self) -> bool:
        """Whether every thread that was started is still running."""
        watching = self._watch is None or self._watch.is_alive()
        return watching and not any(duty.dead for duty in self._duties)

    @property
    def refusing(self) -> bool:
        """Whether requests are refused, because the last checkpoint is too old."""
        return self._refusing

    @property
    def failing(self) -> list[str]:
        """The names of the duties that fail."""
        return [duty.name for duty in self._duties if duty.failing]

    @property
    def _duties(self) -> list[Duty]:
        return [self.checkpoint, self.storage, *self._others]

    def _sign(self) -> None:
        audit = self._audit
        known = audit.problem is not None
        try:
            audit.checkpoint()
        except VaultcoreError:
            # Records may be accepted all the same: the next write shows it.
            if audit.problem is not None and not known:
                audit.require()
            raise
        # No requests are sent to a service that is not ready, so its recovery is noticed here.
        if audit.problem is not None:
            audit.require()

    def _count(self) -> None:
        self._strangers.flush(self._audit.record)

    def _purge(self) -> None:
        now = self._purge_time.now()
        if now is not None:
            self._purger.purge_due(now)

    def _expire(self) -> None:
        now = self._purge_time.now()
        if now is not None:
            expire(self._audit, self.audit_days, now)

    def _revive(self) -> None:
        protectors = self._keys.protectors
        self.absent = any(isinstance(protector, AbsentProtector) for protector in protectors)
        self.token = next((p.keys for p in protectors if isinstance(p, Pkcs11Protector)), None)
        if self.token is not None and not self.token.available:
            self.token.revive()

    def _keep_watch(self) -> None:
        """Refuses requests while no checkpoint succeeds; does nothing that can hang."""
        done, age, last = self.checkpoint.done, 0.0, time.monotonic()
        while not self._closing.wait(CHECKPOINT_SECONDS):
            now = time.monotonic()
            # A process that was stopped for a while did not fail during that time.
            age += min(now - last, 2 * CHECKPOINT_SECONDS)
            last = now
            if self.checkpoint.done != done:
                done, age = self.checkpoint.done, 0.0
            self._judge(stale=age > STALE_SECONDS)

    def _judge(self, *, stale: bool) -> None:
        if stale and not self._refusing:
            logger.error(
                "the audit log was not signed for %g seconds: requests are refused until it is",
                STALE_SECONDS,
            )
            self._feed.refuse(_STALE)
        elif self._refusing and not stale:
            logger.warning("the audit log is signed again: requests are answered")
            self._feed.accept()
        self._refusing = stale
