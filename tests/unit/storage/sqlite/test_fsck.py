"""The check must find what is wrong, each kind of it."""

import sqlite3
from contextlib import closing

import pytest

from unit.storage.works import add, count
from vaultcore.errors import StorageError
from vaultcore.storage.sqlite import fsck
from vaultcore.storage.sqlite.store import SqliteStore

DAMAGE = {
    "revisions are missing": "DELETE FROM changes WHERE revision = 2",
    "is not positive": "UPDATE changes SET revision = revision - 1",
    "it is empty": "DELETE FROM changes",
    "does not exist": "UPDATE objects SET current = 4711 WHERE id = 1",
    "is of object 2": "UPDATE objects SET current = 2 WHERE id = 1",
    "its object 1 does not exist": "DELETE FROM objects WHERE id = 1",
    "refers to a missing row of objects": "UPDATE versions SET object_id = 4711 WHERE sequence = 1",
    "counter of versions": "UPDATE sqlite_sequence SET seq = 1 WHERE name = 'versions'",
    "counter of objects": "DELETE FROM sqlite_sequence WHERE name = 'objects'",
}


@pytest.fixture
def filled(path, clock):
    with SqliteStore(path, clock=clock) as store:
        for key in "ABC":
            store.write(add(key))
        store.write(count("c"))
        assert store.fsck() == []
    # Closed: an open store puts the feed right, and it shall be found as it is.
    return path


@pytest.mark.parametrize("finding", DAMAGE)
def test_each_kind_of_damage_is_found(filled, finding):
    with closing(sqlite3.connect(filled)) as connection, connection:
        connection.execute(DAMAGE[finding])
    assert finding in "\n".join(fsck.check(filled))


def test_names_that_are_taken_twice_are_found_although_the_index_is_gone(filled, clock):
    with closing(sqlite3.connect(filled)) as connection, connection:
        connection.executescript(
            """
            CREATE TABLE copy (id INTEGER PRIMARY KEY, vault_id, kind, key, name, current,
                deleted_at, purge_at, seal);
            INSERT INTO copy SELECT * FROM objects;
            INSERT INTO copy SELECT 3 + id, vault_id, kind, key, name, 0, NULL, NULL, seal
                FROM objects WHERE id = 1;
            DROP TABLE objects;
            ALTER TABLE copy RENAME TO objects;
            """
        )
    with SqliteStore(filled, clock=clock) as store:
        assert "its name is taken by 1 others" in "\n".join(store.fsck())


def test_a_schema_that_was_changed_is_found(filled, clock):
    with closing(sqlite3.connect(filled)) as connection, connection:
        connection.execute("CREATE TABLE copy AS SELECT * FROM objects")
        connection.execute("DROP TABLE objects")
        connection.execute("ALTER TABLE copy RENAME TO objects")
    with SqliteStore(filled, clock=clock) as store:
        assert "schema: foreign key mismatch" in "\n".join(store.fsck())


def test_a_page_that_was_overwritten_is_found(path, clock):
    with SqliteStore(path, clock=clock) as store:
        for number in range(200):
            store.submit(add(f"K{number}", payload=b"p" * 500))
        store.write(count("c"))
    content = bytearray(path.read_bytes())
    middle = len(content) // 8192 * 4096
    content[middle : middle + 512] = bytes(range(256)) * 2
    path.write_bytes(content)
    with SqliteStore(path, clock=clock) as store:
        try:
            findings = store.fsck()
        except StorageError as error:
            findings = [str(error)]
        assert findings


def test_the_number_of_findings_is_bounded(path, clock):
    with SqliteStore(path, clock=clock) as store:
        for number in range(300):
            store.submit(add(f"K{number}"))
        store.write(count("c"))
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE objects SET current = 4711")
        assert len(store.fsck()) == 100
