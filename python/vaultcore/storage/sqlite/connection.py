"""Connections to SQLite: opening, reading, and leaving them open."""

import ctypes
import sqlite3
from pathlib import Path
from typing import Any, Final

from vaultcore.storage.sqlite.errors import translated

# How long a writer waits for another program that has locked the database, in seconds.
PATIENCE: Final = 10.0
# Pages of the write-ahead log after which a commit copies it into the database (16 MiB).
_CHECKPOINT_PAGES: Final = 4000
# The size to which a reset shrinks a log that a long reader has made grow, in bytes.
_LOG_LIMIT: Final = 32 * 1024 * 1024
# How much of the database each connection caches in memory, in KiB.
_CACHE: Final = 8192


def connect(path: Path, *, create: bool = False) -> sqlite3.Connection:
    """Opens a connection in autocommit mode that several threads may close.

    Args:
        path: the database.
        create: whether to create the file if it does not exist. Otherwise a file that was removed
            under a running service would come back empty.

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

    It does not wait: a reader that stays in an older snapshot keeps the log.

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
    """Prevents a connection from ever being closed, even at the end of the interpreter.

    When the last one is closed, it copies its log into the database and removes it. That must not
    happen to a log that belongs to another file now; the kernel closes the files without it.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


def rows(
    connection: sqlite3.Connection, sql: str, parameters: tuple[str | int | bytes | None, ...]
) -> list[Any]:
    """Returns all rows of a statement, even if it meets text that is not UTF-8.

    vaultcore did not write such text. Read with replacements it does not verify anywhere, so it
    affects its own row, and not all those that are read with it.

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
        # In WAL mode, anything less loses the last commits in a power failure.
        "synchronous = FULL",
        "foreign_keys = ON",
        "cell_size_check = ON",
        "trusted_schema = OFF",
        # What was purged leaves no bytes in free pages.
        "secure_delete = ON",
        "temp_store = MEMORY",
        f"cache_size = -{_CACHE}",
        f"wal_autocheckpoint = {_CHECKPOINT_PAGES}",
        f"journal_size_limit = {_LOG_LIMIT}",
    ):
        connection.execute(f"PRAGMA {pragma}")
