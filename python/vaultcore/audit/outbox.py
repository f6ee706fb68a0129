"""The outbox: the record of a change is stored in the transaction of the change.

A change and its record are committed together, so neither exists without the other, whatever
fails. The record is appended to the log before the answer leaves. If the log refuses it, the
record stays in the store and is appended as soon as the log accepts records again: by this
process, by the next start or by another process. Until then nothing else is done. An entry is
removed after the log was synced to the disk.
"""

import logging
import threading
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from vaultcore._core import Principal
from vaultcore.audit.change import Change
from vaultcore.audit.entries import COLLECTION, Entries, is_tagged, record_of
from vaultcore.audit.genuine import is_genuine
from vaultcore.audit.query import newest_first
from vaultcore.audit.record import Record
from vaultcore.audit.state import State, keep_state
from vaultcore.audit.writers import Writers, names_a_process
from vaultcore.errors import AuditError, VaultcoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vaultcore.storage import Store, Transaction

logger = logging.getLogger("vaultcore.audit")


class Log(Protocol):
    """What the outbox needs from the log; :class:`~vaultcore.audit.log.Audit` implements it.

    Attributes:
        directory: its folder.
        record: writes a record; see :meth:`AuditLog.append`.
    """

    directory: "Path"
    record: "Callable[..., int]"

    @property
    def sequence(self) -> int:
        """The number of the last record that this process has seen."""

    def now(self) -> float:
        """Returns the time in Unix seconds."""

    def tag(self, document: bytes) -> bytes:
        """Computes the MAC of a document."""

    def require(self) -> None:
        """Checks that something can be recorded, or raises an AuditError."""

    def sync(self) -> None:
        """Syncs what was recorded to the disk, or raises an AuditError."""

    def tagged(self, document: bytes, tag: bytes) -> bool:
        """Returns whether a document has a MAC of this log."""

    def made(self, sequence: int, digest: str, mac: str | None) -> bool:
        """Returns whether this installation made the MAC of a record."""


class Outbox:
    """Commits changes together with their records.

    Args:
        store: where both are written.
        log: receives the records.
        directory: a folder in which processes show that they are running.

    Raises:
        AuditError: the folder cannot be used.
    """

    def __init__(self, store: "Store", log: Log, directory: "Path") -> None:
        self._store = store
        self._log = log
        self._writers = Writers(directory)
        self._entries = Entries(self._writers.name, log.tag)
        self._pending: set[Change] = set()
        self._backlog: list[tuple[Change, Record]] = []
        self._doubtful: list[Change] = []
        self._highest = 0
        self._removed = 0
        self._lock = threading.Lock()
        self._draining = threading.Lock()

    @property
    def backlog(self) -> int:
        """How many records of committed changes the log does not have yet."""
        return len(self._backlog)

    def begin(self, record: Record, guard: "Callable[[Transaction], None] | None" = None) -> Change:
        """Begins an operation that may change something.

        Args:
            record: the record if the change is committed and the process ends before :meth:`end`.
            guard: called inside each transaction, before anything is done in it; raises if the
                caller is no longer allowed to do it.

        Raises:
            AuditError: the log refuses records, so nothing may be done.
        """
        self._log.require()
        record.after = self._log.sequence
        record.time = record.time or self._log.now()
        change = Change(self._entries, record, guard)
        with self._lock:
            self._pending.add(change)
        return change

    def end(self, change: Change, record: Record) -> None:
        """Ends an operation: its record is appended to the log.

        Args:
            change: what :meth:`begin` returned.
            record: the outcome.

        Raises:
            AuditError: the log refuses the record, and nothing was changed.
        """
        record.time = record.time or self._log.now()
        self._give(change, lambda: self._append(record, change.revision), lambda: record)

    def finish(self, change: Change, *members: Any) -> None:
        """The same as :meth:`end`, given the members in the order of :meth:`Audit.record`.

        Raises:
            AuditError: the log refuses the record, and nothing was changed.
        """
        self._give(
            change,
            lambda: self._log.record(*members, revision=change.revision),
            lambda: Record.of(*members, time=self._log.now()),
        )

    def _give(
        self, change: Change, append: "Callable[[], object]", record: "Callable[[], Record]"
    ) -> None:
        """Appends a record to the log; what was committed gets there whatever fails."""
        try:
            append()
        except AuditError as error:
            self._not_taken(change, record(), error)
        except BaseException as error:
            if not self._doubt(change) or not isinstance(error, Exception):
                raise
            logger.exception("the record of a change is looked for in the audit log again")
        else:
            self._taken(change)

    def _not_taken(self, change: Change, record: Record, error: AuditError) -> None:
        if change.revision is None:
            self.abandon(change)
            raise error
        # The change happened, and it is on record in the store. Nothing else may happen before the
        # log has the record as well.
        logger.error("the audit log refuses the record of a change: %s", error)
        with self._lock:
            self._backlog.append((change, record))

    def _doubt(self, change: Change) -> bool:
        """Leaves a committed change to :meth:`look_up`, because the log may have its record.

        Returns:
            Whether the change was committed.
        """
        if change.revision is None:
            self._ended(change)
            return False
        change.candidate, change.revision = change.revision, None
        with self._lock:
            self._doubtful.append(change)
        return True

    def abandon(self, change: Change) -> None:
        """Ends an operation that changed nothing and needs no record."""
        self._ended(change)

    def _taken(self, change: Change) -> None:
        with self._lock:
            self._highest = max(self._highest, change.revision or 0)
        self._ended(change)

    def _ended(self, change: Change) -> None:
        doubtful = False
        if change.candidate is not None:
            # It failed at its commit or later. Most were not committed, and cost nothing more.
            try:
                doubtful = self._committed(change) is not None
            except VaultcoreError:
                doubtful = True
        with self._lock:
            if doubtful:
                self._doubtful.append(change)
            else:
                self._pending.discard(change)

    def _committed(self, change: Change) -> bytes | None:
        """Returns the entry of a change if it was committed."""
        if change.candidate is None:
            return None
        entry = self._entries.find(self._store, change.candidate)
        # A revision that was not committed is reused for the next change.
        return entry if entry == change.entry else None

    def look_up(self) -> None:
        """Records the changes that were committed although their callers got an error.

        Raises:
            AuditError: the log refuses the record.
            StorageError: the store cannot be read.
            UnavailableError: the database is not in its place.
        """
        while self._doubtful:
            change = self._doubtful[0]
            self._store.check_presence()
            entry = self._committed(change)
            if entry is not None:
                logger.error("a change was committed but answered as a failure; it is recorded")
                self._adopt(f"{change.candidate:020d}", entry)
                change.revision = change.candidate
            change.candidate = None
            self._doubtful.pop(0)
            self._taken(change)

    def drain(self) -> None:
        """Appends the records that the log does not have yet.

        Raises:
            AuditError: the log refuses them.
        """
        # One thread at a time: two would append the same record.
        with self._draining:
            while self._backlog:
                change, record = self._backlog[0]
                self._append(record, change.revision)
                with self._lock:
                    self._backlog.pop(0)
                self._taken(change)

    def taken(self) -> int:
        """Returns the revision up to which the log has every record of this process."""
        with self._lock:
            lacking = [change.lowest() for change in self._pending]
            return min([self._highest, *(low - 1 for low in lacking if low is not None)])

    def settle(self, taken: int, state: State | None) -> None:
        """Removes entries whose records are on the disk, and stores how far the log had come.

        Args:
            taken: what :meth:`taken` returned before the log was synced to the disk.
            state: how far the log has come, or None if another process stores that.

        Raises:
            StorageError: the store cannot be written.
        """
        if taken <= self._removed and state is None:
            return

        def work(transaction: "Transaction") -> None:
            transaction.unnoticed()
            if taken > self._removed:
                self._entries.remove(transaction, taken)
            if state is not None:
                keep_state(transaction, self._log.tag, state)

        self._store.write(work)
        self._removed = max(self._removed, taken)

    def adopt(self) -> int:
        """Adopts what ended processes left behind, and returns how many records there were.

        Raises:
            AuditError: the log refuses a record.
            StorageError: the store cannot be read or written.
        """
        names, strange = self._left_behind()
        if strange:
            # A name leads to a file, so a name that no process would choose is not followed.
            self._refuse(len(strange), "")
            self._remove(strange)
        adopted = 0
        for name in self._writers.ended(names):
            collection = COLLECTION + name
            entries = self._store.documents(collection)
            refused = [key for key, blob in entries if not self._made(collection, key, blob)]
            if refused:
                self._refuse(len(refused), refused[0])
            for key, blob in entries:
                if self._made(collection, key, blob):
                    adopted += self._adopt(key, blob)
            if entries:
                self._log.sync()
                self._remove([collection.encode()])
        return adopted

    def _left_behind(self) -> tuple[list[str], list[bytes]]:
        """Returns the processes that have entries, and collections that no process can create."""
        names, strange = [], []
        for collection in self._store.collections(COLLECTION):
            name = collection.decode("utf-8", "replace").removeprefix(COLLECTION)
            if names_a_process(name):
                names.append(name)
            else:
                strange.append(collection)
        return names, strange

    def _remove(self, collections: list[bytes]) -> None:
        def work(transaction: "Transaction") -> None:
            transaction.unnoticed()
            for collection in collections:
                transaction.delete_collection(COLLECTION, collection)

        self._store.write(work)

    def _refuse(self, count: int, first: str) -> None:
        logger.error("%d records in the outbox were changed outside the vault", count)
        self._append(
            Record(
                vault="",
                operation="OutboxEntryRefused",
                status=500,
                result_description="entries of the outbox were changed outside the vault",
                extra={"entry": first[:64], "count": count},
                time=self._log.now(),
            ),
            None,
        )

    def _made(self, collection: str, key: str, entry: bytes) -> bool:
        return is_tagged(collection, key, entry, self._log.tagged)

    def _adopt(self, key: str, blob: bytes) -> int:
        record = record_of(blob)
        revision = int(key)

        def ours(line: bytes) -> bool:
            # A line that a stranger put into the log must not count as the record.
            return is_genuine(line, self._log.made)

        for found in newest_first(self._log.directory, takes=ours):
            if found["sequence"] <= record.after:
                break
            if found["properties"].get("revision") == revision:
                return 0
        self._append(record, revision, recovered=True)
        return 1

    def _append(self, record: Record, revision: int | None, **extra: bool) -> None:
        caller = record.principal
        members = {
            name: getattr(record, name)
            for name in record.__struct_fields__
            if name not in {"after", "principal", "extra"}
        }
        self._log.record(
            **members,
            principal=None if caller is None else Principal(**msgspec.structs.asdict(caller)),
            extra={**(record.extra or {}), **extra} or None,
            revision=revision,
        )

    def close(self) -> None:
        """Marks this process as ended; other processes append what the log does not have yet."""
        self._writers.close()
