"""The schema of a database file: which one it has, and how to bring it up to date."""

import sqlite3
from pathlib import Path
from typing import Final

from vaultcore.errors import StorageError
from vaultcore.storage.sqlite.connection import connect
from vaultcore.storage.sqlite.errors import translated
from vaultcore.storage.tables import HEAD

# Written into the header of the file: "VLTC".
APPLICATION_ID: Final = 0x564C5443


def upgrade(path: Path) -> None:
    """Creates or migrates the schema; the caller holds the write lock.

    Raises:
        StorageError: the file is something else, or belongs to a newer version of vaultcore;
            UnavailableError if it cannot be opened now.
    """
    connection = connect(path, create=True)
    try:
        found = _version(connection)
    except sqlite3.Error as error:
        raise translated(error, "read the schema of the store") from error
    finally:
        connection.close()
    if found == HEAD:
        return
    # Alembic takes a quarter of a second to load, which an up-to-date store need not wait for.
    from vaultcore.storage.sqlite import migrate  # noqa: PLC0415

    migrate.upgrade(path, found, HEAD)


def _version(connection: sqlite3.Connection) -> str | None:
    tables = {
        name
        for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
    }
    (application_id,) = connection.execute("PRAGMA application_id").fetchall()[0]
    if not tables and application_id in (0, APPLICATION_ID):
        return None
    if application_id != APPLICATION_ID or "alembic_version" not in tables:
        raise StorageError("the database is not a vaultcore store: name another file")
    rows = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    return str(rows[0][0]) if rows else None
