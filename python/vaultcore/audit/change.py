"""One operation that may change something, and the outcome of its transactions."""

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from vaultcore.audit.entries import Entries
    from vaultcore.audit.record import Record
    from vaultcore.storage import Transaction

T = TypeVar("T")


class Change:
    """One operation that may change something: a witness of its transactions.

    Use it with :func:`vaultcore.storage.witness.witnessed`, between :meth:`Outbox.begin` and
    :meth:`Outbox.end`. If there are several transactions, the last one carries the record.

    Attributes:
        candidate: what a transaction that may or may not have been committed did, or None.
        revision: the revision of the last committed transaction, or None.
        entry: the entry in the outbox if the candidate was committed.
    """

    def __init__(
        self,
        entries: "Entries",
        record: "Record",
        guard: "Callable[[Transaction], None] | None" = None,
    ) -> None:
        self._entries = entries
        self._record = record
        self._guard = guard
        self.candidate: int | None = None
        self.revision: int | None = None
        self.entry = b""

    def joined(self, work: "Callable[[Transaction], T]") -> "Callable[[Transaction], T]":
        """Returns the work with the record added to it."""

        def run(transaction: "Transaction") -> T:
            if self._guard is not None:
                self._guard(transaction)
            before = transaction.revision()
            self.candidate = None
            result = work(transaction)
            revision = transaction.revision()
            if revision != before:
                self.entry = self._entries.put(transaction, revision, self._record)
                if self.revision is not None:
                    self._entries.withdraw(transaction, self.revision)
                self.candidate = revision
            return result

        return run

    def committed(self) -> None:
        """Adopts the revision of the transaction that was committed."""
        if self.candidate is not None:
            self.revision, self.candidate = self.candidate, None

    def lowest(self) -> int | None:
        """Returns the lowest revision that the log may still lack, or None."""
        found = [revision for revision in (self.revision, self.candidate) if revision is not None]
        return min(found, default=None)
