"""The schema of a file: brought up to date once, and never that of somebody else."""

import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from unit.storage.works import count
from vaultcore.errors import StorageError
from vaultcore.storage.sqlite import migrate, schema
from vaultcore.storage.sqlite.store import SqliteStore
from vaultcore.storage.tables import HEAD


def dump(path):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT type, name, sql FROM sqlite_schema").fetchall()


def test_opening_again_changes_nothing(path, clock):
    with SqliteStore(path, clock=clock) as store:
        store.write(count("c"))
        before = dump(path)
    with SqliteStore(path, clock=clock) as store:
        assert dump(path) == before
        # Also the long way, which an up-to-date store does not take.
        migrate.upgrade(path, HEAD, HEAD)
        assert dump(path) == before
        assert store.write(count("c")) == 2


def test_an_up_to_date_store_opens_without_alembic(path, url, clock):
    SqliteStore(path, clock=clock).close()
    script = (
        "import sys; from vaultcore.clock import SystemClock;"
        "from vaultcore.storage import open_store;"
        f"open_store({url!r}, clock=SystemClock()).close(); print('alembic' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def test_a_newer_schema_is_refused_and_untouched(path, clock):
    SqliteStore(path, clock=clock).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    before = dump(path)
    with pytest.raises(StorageError, match=r"schema `9999`.* install the version that wrote it"):
        SqliteStore(path, clock=clock)
    assert dump(path) == before


def test_a_file_of_somebody_else_is_refused(path, clock):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE photos (id INTEGER)")
    with pytest.raises(StorageError, match="not a vaultcore store"):
        SqliteStore(path, clock=clock)
    path.write_bytes(b"this is a letter to a friend, and no database\n" * 100)
    with pytest.raises(StorageError, match="damaged"):
        SqliteStore(path, clock=clock)


def test_a_file_that_is_named_ours_and_has_tables_of_others_is_refused(path, clock):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        connection.execute("CREATE TABLE photos (id INTEGER)")
    with pytest.raises(StorageError, match="not a vaultcore store"):
        schema.upgrade(path)
