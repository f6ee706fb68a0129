"""What a caller is told about an error of SQLite."""

import sqlite3

import pytest

from vaultcore.errors import StorageError, UnavailableError
from vaultcore.storage.sqlite.errors import translated


def error(code):
    made = sqlite3.OperationalError("the driver's words")
    if code is not None:
        made.sqlite_errorcode = code
    return made


@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        (sqlite3.SQLITE_FULL, UnavailableError, "cannot do it: the disk is full"),
        # An extended code says more than its kind.
        (sqlite3.SQLITE_IOERR_FSYNC, UnavailableError, "cannot do it: the disk reports an error"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, UnavailableError, "cannot do it: another program holds"),
        (sqlite3.SQLITE_CORRUPT, StorageError, "cannot do it: the database is damaged"),
        (sqlite3.SQLITE_NOTADB, StorageError, "cannot do it: the database is damaged"),
        (sqlite3.SQLITE_CONSTRAINT_UNIQUE, StorageError, "cannot do it: it exists already"),
        (sqlite3.SQLITE_ERROR, StorageError, "cannot do it: the driver's words"),
        (None, StorageError, "cannot do it: the driver's words"),
    ],
)
def test_an_error_says_what_to_do_and_whether_it_may_pass(code, kind, text):
    found = translated(error(code), "do it")
    assert type(found) is kind
    assert str(found).startswith(text)
