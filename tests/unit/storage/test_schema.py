"""Migrations: from nothing, once, and never backwards."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine
from works import count

from vaultcore.errors import StorageError
from vaultcore.storage import Store, migrate
from vaultcore.storage.sqlite import schema
from vaultcore.storage.tables import metadata


def dump(path):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT type, name, sql FROM sqlite_schema").fetchall()


def test_the_scripts_lead_to_the_head_in_one_line():
    scripts = migrate.scripts()
    assert scripts.get_heads() == [schema.HEAD]
    assert len(scripts.get_bases()) == 1


def test_the_migrations_make_the_tables_of_the_code(store):
    engine = create_engine(f"sqlite:///{store.path}")
    try:
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, metadata) == []
    finally:
        engine.dispose()
    made = {name: sql for kind, name, sql in dump(store.path) if sql and kind != "table"}
    assert "deleted_at IS NULL" in made["ix_objects_active"]
    assert "deleted_at IS NOT NULL" in made["ix_objects_deleted"]
    tables = {name: sql for kind, name, sql in dump(store.path) if kind == "table"}
    assert "AUTOINCREMENT" in tables["objects"]
    assert "AUTOINCREMENT" in tables["versions"]


def test_opening_again_changes_nothing(url, clock):
    with Store.open(url, clock=clock) as store:
        store.write(count("c"))
        before = dump(store.path)
    with Store.open(url, clock=clock) as store:
        assert dump(store.path) == before
        # Also the long way, which an up-to-date store does not take.
        migrate.upgrade(store.path, schema.HEAD, schema.HEAD)
        assert dump(store.path) == before
        assert store.write(count("c")) == 2


def test_an_up_to_date_store_opens_without_alembic(url, clock):
    Store.open(url, clock=clock).close()
    script = (
        "import sys; from vaultcore.storage import Store; from vaultcore.clock import SystemClock;"
        f"Store.open({url!r}, clock=SystemClock()).close(); print('alembic' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def test_a_newer_schema_is_refused_and_untouched(url, clock):
    with Store.open(url, clock=clock) as store:
        path = store.path
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    before = dump(path)
    with pytest.raises(StorageError, match=r"schema `9999`.* install the version that wrote it"):
        Store.open(url, clock=clock)
    assert dump(path) == before


def test_a_migration_that_fails_leaves_nothing(url, clock, monkeypatch):
    from alembic.operations import Operations

    create = Operations.create_table

    def fail(self, name, *columns, **options):
        if name == "documents":
            raise ZeroDivisionError
        return create(self, name, *columns, **options)

    path = Path(url.removeprefix("sqlite:///"))
    monkeypatch.setattr(Operations, "create_table", fail)
    with pytest.raises(ZeroDivisionError):
        Store.open(url, clock=clock)
    monkeypatch.undo()
    assert dump(path) == []
    with Store.open(url, clock=clock) as store:
        assert store.write(count("c")) == 1


def test_a_file_of_somebody_else_is_refused(url, clock):
    path = Path(url.removeprefix("sqlite:///"))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE photos (id INTEGER)")
    with pytest.raises(StorageError, match="not a vaultcore store"):
        Store.open(url, clock=clock)
    path.write_bytes(b"this is a letter to a friend, and no database\n" * 100)
    with pytest.raises(StorageError, match="damaged"):
        Store.open(url, clock=clock)


def test_processes_that_open_an_empty_store_together_make_it_once(url):
    from processes import processes

    with processes(url, 4) as started:
        for process in started:
            process.ask("store.write(count('c'))")
        assert sorted(process.answer() for process in started) == [1, 2, 3, 4]
