"""Reads meet what somebody else wrote into the file, and only the row itself suffers."""

import sqlite3
from contextlib import closing

import pytest

from unit.storage.works import KIND, VAULT, add, update
from vaultcore.errors import TamperedError


def change(store, sql):
    with closing(sqlite3.connect(store.path)) as connection, connection:
        connection.execute(sql)


def test_a_row_of_another_type_is_refused(store):
    store.write(add("A"))
    store.write(add("B"))
    change(store, "UPDATE objects SET seal = 1 WHERE key = 'A'")
    for read in (
        lambda: store.object(VAULT, KIND, "A"),
        lambda: store.current(VAULT, KIND, "A"),
        lambda: store.version(VAULT, KIND, "A", "v1"),
        lambda: store.list_objects(VAULT, KIND, deleted=False, limit=9),
    ):
        with pytest.raises(TamperedError, match="restore it from a backup"):
            read()
    assert store.object(VAULT, KIND, "B").canonical == "B"
    change(store, "UPDATE versions SET payload = 1 WHERE sequence = 2")
    for read in (
        lambda: store.versions(2),
        lambda: store.list_versions(2, limit=9),
        lambda: store.list_versions(2, before=9, limit=9),
    ):
        with pytest.raises(TamperedError):
            read()


def test_a_row_that_is_not_an_object_keeps_no_other_from_its_purge(store):
    for number in range(5):
        store.write(add(f"K{number}"))
        store.write(update(f"K{number}", deleted_at=1, purge_at=number))
    change(store, "UPDATE objects SET seal = 1 WHERE key IN ('K0', 'K1', 'K3')")
    assert [row.canonical for row in store.due_for_purge(9, 2)] == ["K2", "K4"]
    found = store.due_for_purge(9, 1)
    assert [row.canonical for row in found] == ["K2"]
    after = (found[0].purge_at, found[0].id)
    assert [row.canonical for row in store.due_for_purge(9, 1, after=after)] == ["K4"]


def test_documents_with_odd_names_and_contents_are_read(store):
    def work(transaction):
        transaction.put_document("c", "good", b"blob")
        transaction.changed("", "c", "", "", "put")

    store.write(work)
    change(store, "INSERT INTO documents VALUES ('c', CAST(X'ff' AS TEXT), X'00')")
    change(store, "INSERT INTO documents VALUES ('c', 'text', 'text')")
    change(store, "INSERT INTO documents VALUES (CAST(X'6361ff' AS TEXT), 'k', X'00')")
    # What is not bytes was not written by us; empty, it verifies nowhere.
    assert store.document("c", "text") == b""
    assert store.documents("c") == [("good", b"blob"), ("text", b""), ("\ufffd", b"\0")]
    assert store.collections("c") == [b"c", b"ca\xff"]
    assert store.collections("d") == []


def test_a_collection_is_removed_by_its_exact_name(store):
    def work(transaction):
        transaction.put_document("out/a", "k", b"1")
        transaction.put_document("out/ab", "k", b"2")
        removed = transaction.delete_collection("out/", b"out/a")
        transaction.changed("", "c", "", "", "put")
        return removed

    assert store.write(work) == 1
    assert store.collections("out/") == [b"out/ab"]
    change(
        store,
        "INSERT INTO documents VALUES (CAST(X'6f75742f61ff' AS TEXT), X'ff', 1)",
    )
    assert store.collections("out/") == [b"out/ab", b"out/a\xff"]

    def remove(transaction):
        transaction.changed("", "c", "", "", "put")
        return transaction.delete_collection("out/", b"out/a\xff")

    assert store.write(remove) == 1
    assert store.collections("out/") == [b"out/ab"]
