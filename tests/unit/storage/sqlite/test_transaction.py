"""A transaction by itself: what it writes, when, and what ends it."""

from contextlib import closing

import pytest

from unit.storage.works import KIND, VAULT
from vaultcore.errors import StorageError, UsageError
from vaultcore.storage.rows import Sealed
from vaultcore.storage.sqlite import schema
from vaultcore.storage.sqlite.connection import connect
from vaultcore.storage.sqlite.transaction import Entry, SqliteTransaction


@pytest.fixture
def connection(path):
    schema.upgrade(path)
    with closing(connect(path)) as opened:
        opened.execute("BEGIN IMMEDIATE")
        yield opened


@pytest.fixture
def transaction(connection):
    """One that runs apart, so that it can be undone."""
    return SqliteTransaction(connection, 7, 1234, None)


def feed(connection):
    return connection.execute("SELECT revision, what, at FROM changes").fetchall()


def test_the_entries_of_works_that_run_together_are_gathered(connection):
    gathered: list[Entry] = []
    kinds: set[str] = set()
    transaction = SqliteTransaction(connection, 7, 1234, gathered, kinds)
    assert transaction.changed(VAULT, KIND, "A", "", "set") == 8
    assert transaction.revision() == 8
    assert transaction.finish() == 8
    assert gathered == [(8, VAULT, KIND, "A", "", "set", 1234)]
    assert kinds == {KIND}
    assert feed(connection) == []
    # Whoever asks for the feed sees what was gathered.
    following = SqliteTransaction(connection, 8, 1234, gathered, kinds)
    assert [row.revision for row in following.changes(0, 9)] == [8]
    assert feed(connection) == [(8, "set", 1234)]
    assert gathered == []


def test_a_work_that_runs_apart_writes_its_entries_itself(connection, transaction):
    transaction.put_document("c", "k", b"x")
    transaction.changed("", "c", "k", "", "put")
    assert transaction.wrote
    assert transaction.finish() == 8
    assert feed(connection) == [(8, "put", 1234)]
    assert connection.in_transaction


def test_what_a_work_did_apart_is_taken_back_alone(connection, transaction):
    connection.execute("INSERT INTO documents VALUES ('c', 'before', X'00')")
    transaction.put_document("c", "k", b"x")
    transaction.changed("", "c", "k", "", "put")
    transaction.undo()
    assert connection.execute("SELECT key FROM documents").fetchall() == [("before",)]
    with pytest.raises(UsageError, match="over"):
        transaction.document("c", "before")


def test_a_change_that_nobody_is_told_of_is_refused_unless_the_work_says_so(connection):
    for quiet in (False, True):
        transaction = SqliteTransaction(connection, 7, 1234, None)
        transaction.put_document("c", "k", b"x")
        if quiet:
            transaction.unnoticed()
            assert transaction.finish() == 7
        else:
            with pytest.raises(StorageError, match=r"call changed\(\)"):
                transaction.finish()


def test_a_feed_that_was_put_back_is_skipped_over(transaction):
    transaction.skip_to(3)
    assert transaction.revision() == 7
    transaction.skip_to(20)
    assert transaction.changed("", "c", "k", "", "put") == 21


def test_what_must_not_stay_readable_is_remembered(transaction):
    number = transaction.insert_object(VAULT, KIND, "A", "a")
    assert not transaction.erased
    transaction.delete_object(number)
    assert transaction.erased


def test_documents_are_removed_up_to_a_key(transaction):
    for key in "abc":
        transaction.put_document("c", key, b"x")
    transaction.put_document("d", "a", b"x")
    assert transaction.delete_documents("c", "b") == 2
    assert transaction.documents("c") == [("c", b"x")]
    assert transaction.documents("d") == [("a", b"x")]


@pytest.mark.parametrize(
    "row", [Sealed("versions", ("a", "b"), b""), Sealed("objects", ("a", "b"), b"")]
)
def test_an_envelope_is_put_into_a_table_by_its_number(transaction, row):
    """The place of a document must not be taken for that of a row of another table."""
    transaction.put_sealed(row, b"x")
    assert transaction.documents("a") == [("b", b"x")]


def test_there_are_no_envelopes_in_other_tables(transaction):
    with pytest.raises(UsageError, match="no envelopes in changes"):
        transaction.put_sealed(Sealed("changes", (1,), b""), b"x")


def test_a_transaction_that_sqlite_ended_takes_no_further_change(connection, transaction):
    transaction.put_document("c", "k", b"x")
    connection.execute("ROLLBACK")
    with pytest.raises(StorageError, match="cannot try it"):
        transaction._change("INSERT INTO nowhere VALUES (1)", (), "try it")
    with pytest.raises(UsageError, match="over"):
        transaction.put_document("c", "k", b"x")
