"""The migrations: one line, from nothing to the tables of the code."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, inspect, text

from vaultcore.errors import StorageError
from vaultcore.storage import migrate
from vaultcore.storage.migrations.versions import m0001_first_schema
from vaultcore.storage.tables import HEAD, metadata


@pytest.fixture
def connection():
    engine = create_engine("sqlite://")
    with engine.connect() as opened:
        yield opened
    engine.dispose()


def test_the_scripts_lead_to_the_head_in_one_line():
    scripts = migrate.scripts()
    assert scripts.get_heads() == [HEAD]
    assert len(scripts.get_bases()) == 1


def test_the_migrations_make_the_tables_of_the_code(connection):
    migrate.run(connection, HEAD)
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    assert compare_metadata(context, metadata) == []
    rows = connection.execute(text("SELECT type, name, sql FROM sqlite_schema")).fetchall()
    made = {name: sql for kind, name, sql in rows if sql}
    assert "deleted_at IS NULL" in made["ix_objects_active"]
    assert "deleted_at IS NOT NULL" in made["ix_objects_deleted"]
    assert "AUTOINCREMENT" in made["objects"]
    assert "AUTOINCREMENT" in made["versions"]


def test_a_database_that_is_up_to_date_stays_as_it_is(connection):
    migrate.run(connection, HEAD)
    tables = inspect(connection).get_table_names()
    migrate.run(connection, HEAD)
    assert inspect(connection).get_table_names() == tables


def test_only_a_migration_that_is_known_is_gone_on_from():
    migrate.check_known(None)
    migrate.check_known(HEAD)
    with pytest.raises(StorageError, match=r"schema `9999`.* install the version that wrote it"):
        migrate.check_known("9999")


def test_nothing_goes_back_before_the_first_schema():
    with pytest.raises(StorageError, match="no schema before the first one"):
        m0001_first_schema.downgrade()
