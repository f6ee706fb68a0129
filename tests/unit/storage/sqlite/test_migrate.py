"""A database file is migrated whole or not at all."""

import sqlite3
from contextlib import closing

import pytest
from alembic.operations import Operations

from unit.storage.works import count
from vaultcore.errors import StorageError, UnavailableError
from vaultcore.storage.sqlite import migrate
from vaultcore.storage.sqlite.store import SqliteStore
from vaultcore.storage.tables import HEAD


def dump(path):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT type, name, sql FROM sqlite_schema").fetchall()


def test_a_migration_that_fails_leaves_nothing(path, clock, monkeypatch):
    create = Operations.create_table

    def fail(self, name, *columns, **options):
        if name == "documents":
            raise ZeroDivisionError
        return create(self, name, *columns, **options)

    monkeypatch.setattr(Operations, "create_table", fail)
    with pytest.raises(ZeroDivisionError):
        SqliteStore(path, clock=clock)
    monkeypatch.undo()
    assert dump(path) == []
    with SqliteStore(path, clock=clock) as store:
        assert store.write(count("c")) == 1


def test_a_database_that_somebody_holds_is_not_migrated_now(path, monkeypatch):
    connect = sqlite3.dbapi2.connect
    monkeypatch.setattr(
        sqlite3.dbapi2, "connect", lambda *args, **named: connect(*args, **{**named, "timeout": 0})
    )
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(UnavailableError, match=r"cannot migrate the store.*locked"):
            migrate.upgrade(path, None, HEAD)
        other.execute("COMMIT")
    assert dump(path) == []


def test_a_schema_that_is_not_known_is_refused_before_anything_is_opened(tmp_path):
    with pytest.raises(StorageError, match="does not know"):
        migrate.upgrade(tmp_path / "nowhere" / "v.db", "9999", HEAD)
