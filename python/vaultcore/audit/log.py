"""The audit log as the rest of the package uses it: records at once, checkpoints every second."""

import logging
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from vaultcore._core import AuditLog
from vaultcore.audit.checkpoints import Checkpoint, Checkpoints, Retired, timestamp
from vaultcore.audit.event import CLIENT, Event
from vaultcore.audit.outbox import Outbox
from vaultcore.audit.state import State, keep_state, load_state
from vaultcore.errors import (
    AuditError,
    AuditKeyError,
    StorageError,
    UnavailableError,
    UsageError,
)

if TYPE_CHECKING:
    from vaultcore._core import Key
    from vaultcore.clock import Clock
    from vaultcore.storage import Store, Transaction

T = TypeVar("T")

#: A folder beside the log, in which processes show that they are running.
WRITERS: Final = "writers"
#: For how long documents with the MAC of a retired key are accepted, in seconds.
OVERLAP_SECONDS: Final = 60

logger = logging.getLogger("vaultcore.audit")


class AuditKeys(NamedTuple):
    """The keys of a log.

    Attributes:
        signer: signs checkpoints, on P-256 or Ed25519.
        retired: the keys that signed before this one.
        macs: the keys of the MACs, each with the last record that it may have made; the current one
            comes first and has None.
        unkeyed: the last record from before there were MACs.
        changed: when the keys were changed last, in Unix seconds; 0 if never.
    """

    signer: "Key"
    retired: tuple[Retired, ...] = ()
    macs: tuple[tuple["Key", int | None], ...] = ()
    unkeyed: int = 0
    changed: int = 0


class Audit:
    """The audit log of a data folder. Several threads and processes may write to it.

    Args:
        directory: the folder of the log, created if it does not exist.
        clock: the time of records and checkpoints.
        keys: the keys for checkpoints and MACs; without them, there are none of these.
        reload: returns the keys that are stored now, because another process may change them.

    Attributes:
        directory: the folder of the log.
        outbox: commits changes together with their records, after :meth:`attach` gave it a store.
        now: returns the time, in Unix seconds.
        record: writes the record of an answered request; see :meth:`AuditLog.append`.
        refusing: whether :meth:`require` may refuse; reading it is cheaper than the call.

    Raises:
        AuditError: The log cannot be used, or does not contain the last record that was signed.
        UsageError: The keys cannot sign checkpoints or make MACs.
    """

    def __init__(
        self,
        directory: Path,
        clock: "Clock",
        keys: AuditKeys | None = None,
        reload: "Callable[[], AuditKeys] | None" = None,
    ) -> None:
        self.directory = directory
        self.outbox: Outbox | None = None
        self.refusing = False
        self._problem: str | None = None
        self._clock = clock
        self._keys = keys
        self._reload = reload
        self._closed = False
        self._signing = threading.Lock()
        self.now = clock.now
        self._checkpoints = None
        last = None
        if keys is not None:
            try:
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise AuditError(f"cannot create the audit log: {error.strerror}") from error
            self._checkpoints = Checkpoints(directory, keys.signer, keys.retired)
            last = self._checkpoints.last()
        self._log = self._opened(last)
        # Each answered request comes here, so this is the log's own method.
        self.record = self._log.append
        self.tag = self._log.tag
        self.require()

    def _opened(self, last: Checkpoint | None) -> AuditLog:
        signed = None if last is None else (last.sequence, last.hash, last.end, last.revision)
        keys = self._keys
        me = weakref.ref(self)

        def failed(error: Exception, attempt: int) -> bool:
            audit = me()
            return audit is not None and audit._failed(error, attempt)  # noqa: SLF001 - its own

        options: dict[str, Any] = {"now": self.now, "failed": failed, "signed": signed}
        if keys is not None:
            options |= {"keys": keys.macs, "unkeyed": keys.unkeyed}
        try:
            return AuditLog(str(self.directory), **options)
        except AuditKeyError:
            # The keys were read a moment ago, so what they did not sign is not from this vault.
            return AuditLog(str(self.directory), distrust=True, **options)

    def _failed(self, error: Exception, attempt: int) -> bool:
        """Handles a failed append; returns whether another attempt is worthwhile."""
        if isinstance(error, AuditKeyError) and attempt < len(_DOUBTS):
            _DOUBTS[attempt](self)
            return True
        if isinstance(error, AuditError):
            self._fails(error)
        return False

    def _load_keys(self) -> None:
        if self._reload is not None:
            self._log.set_keys(self._reload().macs)

    def _distrust(self) -> None:
        # Until the next checkpoint, records that no key of this vault made are moved aside.
        self._log.set_distrust(True)

    def tagged(self, document: bytes, tag: bytes) -> bool:
        """Returns whether a document has a MAC of this log.

        A retired key is accepted for a minute more, for what a process left behind that ended at
        that moment. A thief of the key has had it for longer than that.
        """
        keys = self._keys
        recent = keys is not None and self.now() - keys.changed < OVERLAP_SECONDS
        return self._log.tagged(document, tag, retired=recent)

    def attach(self, store: "Store") -> None:
        """Joins the log and a store, after checking that neither was restored alone.

        Args:
            store: the store whose changes the log records.

        Raises:
            AuditError: the log is older than the store, or the store is older than the log.
            TamperedError: the state of the log in the store was changed.
            StorageError: the store cannot be read or written.
        """
        self.compare(store)
        outbox = Outbox(store, self, self.directory.parent / WRITERS)
        try:
            adopted = outbox.adopt()
        except BaseException:
            outbox.close()
            raise
        self.outbox = outbox
        if adopted:
            logger.warning(
                "%d records of changes were adopted from processes that had ended", adopted
            )

    def compare(self, store: "Store") -> None:
        """Checks that the log and a store are from the same time.

        Raises:
            AuditError: the log is older than the store, or the store is older than the log.
            TamperedError: the state of the log in the store was changed.
            StorageError: the store cannot be read.
        """
        # In this order: both continue meanwhile, and the log must be compared with an older store.
        known = self.known(store)
        sequence, head, revision = self.reached()
        if known.sequence > sequence or (known.sequence == sequence and known.head != head):
            raise AuditError(
                f"the audit log ends with record {sequence}, and the store knows that it had "
                f"reached record {known.sequence}: it was removed, changed or restored without its "
                "database; see `vaultcore audit reconcile`"
            )
        # A feed that was repaired after a restore contains later revisions, but not this one.
        if revision > known.revision and not _has(store, revision):
            raise AuditError(
                f"the audit log names change {revision}, which the database does not contain: it "
                "was restored without its log; see `vaultcore audit reconcile`"
            )

    def known(self, store: "Store") -> State:
        """Returns how far the log had come, according to a store.

        Raises:
            TamperedError: the state of the log in the store was changed.
            StorageError: the store cannot be read.
        """
        return load_state(store, self.tagged)

    def keep(self, transaction: "Transaction", state: State) -> None:
        """Stores how far the log has come."""
        keep_state(transaction, self.tag, state)

    def reached(self) -> tuple[int, str, int]:
        """Returns number and hash of the last record, and the highest change that a record names.

        Raises:
            AuditError: the log cannot be read.
        """
        sequence, head, _, revision = self._position()
        return sequence, head, revision

    def require(self) -> None:
        """Checks, before something is done, that it can be recorded.

        Raises:
            AuditError: The log has no space in reserve, or refuses the record of an earlier change.
            ForkError: The log was opened by another process.
        """
        self._noting(self._ready)
        self._problem = None
        self.refusing = False

    def _ready(self) -> None:
        if self.outbox is not None and self.outbox.backlog:
            self.outbox.drain()
        self._with_new_keys(self._log.require)

    @property
    def changes(self) -> Outbox:
        """Commits changes together with their records.

        Raises:
            UsageError: the log was not joined with a store.
        """
        if self.outbox is None:
            raise UsageError("this audit log was not joined with a store")
        return self.outbox

    @property
    def problem(self) -> str | None:
        """Why the log refused the last record, or None while it accepts them."""
        return self._problem

    def checkpoint(self) -> Checkpoint | None:
        """Syncs the log to the disk and signs how far it has come, if there are new records.

        Raises:
            AuditError: The log or its checkpoints cannot be written.
            ForkError: The log was opened by another process.
            StorageError: The store cannot be written.
            UnavailableError: The database is not in its place.
        """
        with self._signing:
            return self._noting(self._checkpoint)

    def _checkpoint(self) -> Checkpoint | None:
        self._ready()
        outbox, checkpoints = self.outbox, self._checkpoints
        if outbox is not None:
            outbox.adopt()
        if checkpoints is not None and checkpoints.kept:
            self._record_kept(checkpoints)
        taken = 0 if outbox is None else outbox.taken()
        sequence, head, end, revision = self._position()
        self.sync()
        made = None
        if checkpoints is not None and sequence:
            time = timestamp(self.now())
            made = Checkpoint(sequence, head, time, end, revision)
            if not checkpoints.sign(made):
                made = None
        if outbox is not None:
            state = None if made is None else State(sequence, head, revision)
            outbox.settle(taken, state)
            outbox.look_up()
        self._log.set_distrust(False)
        backlog = outbox is not None and outbox.backlog > 0
        if not backlog:
            self._problem = None
        self.refusing = backlog or self._log.short
        return made

    def _record_kept(self, checkpoints: Checkpoints) -> None:
        while checkpoints.kept:
            self.record_own(
                "AuditCheckpointsRepaired",
                "the end of the checkpoints was not valid and was moved aside",
                {"keptIn": checkpoints.kept[0]},
            )
            checkpoints.kept.pop(0)

    def record_own(self, operation: str, what: str, extra: Mapping[str, str | int | bool]) -> int:
        """Records something that no caller requested.

        Raises:
            AuditError: It cannot be written.
        """
        event = Event()
        event.operation = operation
        event.reason = what
        event.client = CLIENT
        event.extra = extra
        return event.write(self.record, 200)

    def prune(self, until: int) -> None:
        """Removes the checkpoints of records that have expired.

        Args:
            until: the last record that was removed.

        Raises:
            AuditError: The checkpoints cannot be written.
        """
        if self._checkpoints is not None:
            self._checkpoints.prune(until)

    def sync(self) -> None:
        """Syncs what was recorded to the disk.

        Raises:
            AuditError: The log cannot be written, or was moved.
            ForkError: The log was opened by another process.
        """
        self._with_new_keys(self._log.sync)

    def _position(self) -> tuple[int, str, int, int]:
        return self._with_new_keys(self._log.position)

    def adopt_keys(self, keys: AuditKeys) -> None:
        """Adopts keys that this process or another one changed.

        It does not wait: the writer of the store calls it before it writes, and a checkpoint in
        progress waits for the writer. That checkpoint is still signed with the previous key.
        """
        self._keys = keys
        self._checkpoints = Checkpoints(self.directory, keys.signer, keys.retired)
        self._log.set_keys(keys.macs)

    def _with_new_keys(self, call: Callable[[], T]) -> T:
        """Calls again with keys that another process may have created, before doubting a record."""
        for doubt in _DOUBTS:
            try:
                return call()
            except AuditKeyError:
                doubt(self)
        return call()

    def _noting(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except AuditError as error:
            self._fails(error)
            raise

    def _fails(self, error: AuditError) -> None:
        if self._problem is None:
            logger.error("the audit log refuses records: %s", error)
        self._problem = str(error)
        self.refusing = True

    def public_key(self) -> dict[str, Any] | None:
        """Returns the key that verifies checkpoints, as a JWK."""
        return None if self._keys is None else dict(self._keys.signer.public_jwk())

    def retired_keys(self) -> Sequence[tuple[dict[str, Any], int]]:
        """Returns the earlier signing keys, as JWKs, with the last record of each."""
        keys = () if self._keys is None else self._keys.retired
        return [(dict(old.key.public_jwk()), old.until) for old in keys]

    def made(self, sequence: int, digest: str, mac: str | None) -> bool:
        """Returns whether this installation made the MAC of a record."""
        return self._log.made(sequence, digest, mac)

    @property
    def sequence(self) -> int:
        """The number of the last record that this process has seen."""
        return self._log.sequence

    def close(self) -> None:
        """Signs a last checkpoint; records can still be written, but are no longer signed.

        Raises:
            AuditError: The log or its checkpoints cannot be written.
        """
        if not self._closed:
            self._closed = True
            try:
                self.checkpoint()
            except (StorageError, UnavailableError, UsageError) as error:
                # Everything is on record and signed; only the state in the store is older.
                logger.error("the store does not know how far the audit log has come: %s", error)  # noqa: TRY400
            finally:
                if self.outbox is not None:
                    self.outbox.close()


#: The steps, in order, for a record whose MAC no known key made.
_DOUBTS: Final = (Audit._load_keys, Audit._distrust)  # noqa: SLF001 - its own


def _has(store: "Store", revision: int) -> bool:
    return [change.revision for change in store.changes(revision - 1, 1)] == [revision]
