"""The store: objects, their versions, and the feed of their changes, on disk."""

from vaultcore.storage.rows import ChangeRow, Counts, ObjectRow, VersionRow
from vaultcore.storage.sqlite.store import Store
from vaultcore.storage.sqlite.transaction import Transaction

__all__ = ["ChangeRow", "Counts", "ObjectRow", "Store", "Transaction", "VersionRow"]
