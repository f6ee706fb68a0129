"""The records of changes in the store, each in the transaction of its change.

Entries carry a MAC: an attacker with write access to the database cannot create a record.
"""

from typing import TYPE_CHECKING, Final

import msgspec

from vaultcore.audit.record import Record
from vaultcore.audit.state import TAG

if TYPE_CHECKING:
    from collections.abc import Callable

    from vaultcore.storage import Store, Transaction

#: The entries of one process are a collection of documents; its name ends with the process's name.
COLLECTION: Final = "outbox/"


class Entries:
    """The entries of this process.

    Args:
        name: the name of the process; see :class:`~vaultcore.audit.writers.Writers`.
        tag: computes the MAC of a document.
    """

    def __init__(self, name: str, tag: "Callable[[bytes], bytes]") -> None:
        self._collection = COLLECTION + name
        self._tag = tag

    def put(self, transaction: "Transaction", revision: int, record: Record) -> bytes:
        """Puts the record of a change into its transaction, and returns the entry."""
        key = f"{revision:020d}"
        body = msgspec.json.encode(record)
        entry = self._tag(_tagged(self._collection, key, body)) + body
        transaction.put_document(self._collection, key, entry)
        return entry

    def withdraw(self, transaction: "Transaction", revision: int) -> None:
        """Withdraws the record of an earlier transaction of the same operation."""
        transaction.delete_document(self._collection, f"{revision:020d}")

    def remove(self, transaction: "Transaction", until: int) -> None:
        """Removes the entries up to a revision."""
        transaction.delete_documents(self._collection, f"{until:020d}")

    def find(self, store: "Store", revision: int) -> bytes | None:
        """Returns the entry of a revision, or None.

        Raises:
            StorageError: the store cannot be read.
        """
        return store.document(self._collection, f"{revision:020d}")


def is_tagged(
    collection: str, key: str, entry: bytes, tagged: "Callable[[bytes, bytes], bool]"
) -> bool:
    """Returns whether an entry of any process has a MAC of the log.

    Args:
        collection: its collection.
        key: its key.
        entry: its content.
        tagged: returns whether a document has a MAC of the log.
    """
    return tagged(_tagged(collection, key, entry[TAG:]), entry[:TAG])


def record_of(entry: bytes) -> Record:
    """Returns the record in an entry that has a MAC of the log."""
    return msgspec.json.decode(entry[TAG:], type=Record)


def _tagged(collection: str, key: str, body: bytes) -> bytes:
    return f"{collection}/{key}\n".encode() + body
