"""Connections to SQLite: how they are opened, read, and left."""

import ctypes
import sqlite3
from pathlib import Path
from typing import Any, Final

from vaultcore.storage.sqlite.errors import translated

# How long a writer waits for another program that holds the database, in seconds.
PATIENCE: Final = 10.0
# Pages of the write-ahead log after which a commit copies it into the database (16 MiB).
_CHECKPOINT_PAGES: Final = 4000
# What a reset leaves of a log that a long reader made grow, in bytes.
_LOG_LIMIT: Final = 32 * 1024 * 1024
# What each connection keeps of the database in memory, in KiB.
_CACHE: Final = 8192


def connect(path: Path, *, create: bool = False) -> sqlite3.Connection:
    """Opens a connection in autocommit mode that several threads may close.

    Args:
        path: the database.
        create: whether to create the file if it is not there. Else a file that was removed under a
            running service would come back empty.

    Raises:
        StorageError: the file is not a database.
        UnavailableError: the file cannot be opened now.
    """
    mode = "rwc" if create else "rw"
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            timeout=PATIENCE,
            isolation_level=None,
            check_same_thread=False,
            uri=True,
        )
        try:
            _configure(connection)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise translated(error, "open the database") from error
    return connection


def empty_log(connection: sqlite3.Connection) -> bool:
    """Copies the write-ahead log into the database and empties it; returns whether it is empty.

    It waits for nobody: a reader that stays in an older snapshot keeps the log.

    Raises:
        sqlite3.Error: the database or the log cannot be written.
    """
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        ((busy, _, _),) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        connection.execute(f"PRAGMA busy_timeout = {int(PATIENCE * 1000)}")
    return not busy


def leave_open(connection: sqlite3.Connection) -> None:
    """Keeps a connection from ever being closed, also by the end of the interpreter.

    The last one that is closed copies its log into the database, and removes it. That must not be
    done with a log that has become another one's; the kernel closes the files without it.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


def rows(
    connection: sqlite3.Connection, sql: str, parameters: tuple[str | int | bytes | None, ...]
) -> list[Any]:
    """Returns all rows of a statement, also of one that meets text that is not UTF-8.

    Such text was not written by us. Read with replacements it verifies nowhere, so that it
    concerns its own row, and not all those that are read with it.

    Raises:
        sqlite3.Error: the statement failed.
    """
    try:
        return connection.execute(sql, parameters).fetchall()
    except sqlite3.OperationalError as error:
        if not str(error).startswith("Could not decode to UTF-8"):
            raise
    connection.text_factory = _replacing
    try:
        return connection.execute(sql, parameters).fetchall()
    finally:
        connection.text_factory = str


def _replacing(text: bytes) -> str:
    return text.decode(errors="replace")


def _configure(connection: sqlite3.Connection) -> None:
    for pragma in (
        # Readers never wait for the writer, and a commit is one sync of one file.
        "journal_mode = WAL",
        # In WAL mode anything less loses the last commits with the power.
        "synchronous = FULL",
        "foreign_keys = ON",
        "cell_size_check = ON",
        "trusted_schema = OFF",
        # What was purged leaves no bytes behind in free pages.
        "secure_delete = ON",
        "temp_store = MEMORY",
        f"cache_size = -{_CACHE}",
        f"wal_autocheckpoint = {_CHECKPOINT_PAGES}",
        f"journal_size_limit = {_LOG_LIMIT}",
    ):
        connection.execute(f"PRAGMA {pragma}")
