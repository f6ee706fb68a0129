"""The store: objects, their versions, small documents, and the feed of their changes, on disk.

Code in the layers above imports from here, from ``rows``, ``protocols`` and ``witness``, and never
from the package of one kind of database.
"""

from vaultcore.storage.opening import open_store
from vaultcore.storage.protocols import Store, Transaction, Work
from vaultcore.storage.rows import ChangeRow, Counts, ObjectRow, VersionRow

__all__ = [
    "ChangeRow",
    "Counts",
    "ObjectRow",
    "Store",
    "Transaction",
    "VersionRow",
    "Work",
    "open_store",
]
