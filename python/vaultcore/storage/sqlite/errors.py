"""The meaning of SQLite's errors for a caller."""

import sqlite3
from typing import Final

from vaultcore.errors import StorageError, UnavailableError, VaultcoreError

# Temporary errors, and what to do about them.
_ADVICE: Final = {
    sqlite3.SQLITE_BUSY: "another program holds the database: end its transaction and try again",
    sqlite3.SQLITE_CANTOPEN: "the database cannot be opened: check its folder and its permissions",
    sqlite3.SQLITE_FULL: "the disk is full: free space and try again",
    sqlite3.SQLITE_IOERR: "the disk reports an error: check it and try again",
    sqlite3.SQLITE_LOCKED: "another program holds the database: end its transaction and try again",
    sqlite3.SQLITE_NOMEM: "there is not enough memory: free some and try again",
    sqlite3.SQLITE_PERM: "the database may not be opened: check its permissions",
    sqlite3.SQLITE_READONLY: "the database may not be written: check its permissions",
}


def translated(error: sqlite3.Error, action: str) -> VaultcoreError:
    """Returns the exception for an error of the driver.

    A temporary error is an ``UnavailableError``, any other a ``StorageError``.
    """
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in _ADVICE:
        return UnavailableError(f"cannot {action}: {_ADVICE[code]}")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StorageError(
            f"cannot {action}: the database is damaged: stop the service and restore a backup"
        )
    if code == sqlite3.SQLITE_CONSTRAINT:
        return StorageError(f"cannot {action}: it exists already, or refers to what does not exist")
    return StorageError(f"cannot {action}: {error}")
