"""The statements as SQLite takes them."""

from contextlib import closing

import pytest
from sqlalchemy import bindparam, select

from vaultcore.storage import tables
from vaultcore.storage.sqlite import schema, statements
from vaultcore.storage.sqlite.connection import connect
from vaultcore.storage.statements import Statement

OBJECTS = select(tables.objects).where(
    tables.objects.c.id == bindparam("number"), tables.objects.c.key == bindparam("key")
)


@pytest.fixture
def connection(path):
    schema.upgrade(path)
    with closing(connect(path)) as opened:
        yield opened


def plan(connection, sql):
    parameters = (1,) * sql.count("?")
    return " ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters))


def test_a_statement_whose_parameters_are_said_in_another_order_is_refused():
    assert "?" in statements.compiled(Statement(OBJECTS, "number", "key"))
    for names in (("key", "number"), ("number",), ()):
        with pytest.raises(LookupError, match="binds"):
            statements.compiled(Statement(OBJECTS, *names))


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("OBJECT", "sqlite_autoindex_objects_1"),
        ("CURRENT", "sqlite_autoindex_objects_1"),
        ("VERSION", "sqlite_autoindex_versions_1"),
        ("LIST_ACTIVE", "ix_objects_active"),
        ("LIST_DELETED", "ix_objects_deleted"),
        ("VERSIONS_NEWEST", "ix_versions_order"),
        ("VERSIONS_BEFORE", "ix_versions_order"),
        ("DUE_FOR_PURGE", "ix_objects_purge"),
        ("DOCUMENT", "sqlite_autoindex_documents_1"),
        ("DELETE_COLLECTION", "sqlite_autoindex_documents_1"),
    ],
)
def test_what_is_asked_often_is_found_by_an_index(connection, name, index):
    found = plan(connection, getattr(statements, name))
    assert index in found
    assert "SCAN" not in found


@pytest.mark.parametrize(
    "sql",
    [value for name, value in vars(statements).items() if name.isupper() and type(value) is str]
    + [*statements.FIND_SEALED.values(), *statements.COUNT_SEALED.values()]
    + [statements.update_object(("seal",)), statements.update_version(("payload",))],
)
def test_sqlite_understands_each_of_them(connection, sql):
    assert plan(connection, sql) or sql.startswith("INSERT")
