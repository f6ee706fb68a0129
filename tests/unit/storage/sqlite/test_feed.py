"""The feed goes on where it ends, and is put right where somebody else changed it."""

from contextlib import closing

import pytest

from vaultcore.storage.rows import REPAIR
from vaultcore.storage.sqlite import feed, schema, statements
from vaultcore.storage.sqlite.connection import connect


@pytest.fixture
def connection(path):
    schema.upgrade(path)
    with closing(connect(path)) as opened:
        yield opened


def append(connection, *revisions):
    connection.executemany(
        statements.INSERT_CHANGE, [(number, "", "k", "", "", "set", 0) for number in revisions]
    )


def entries(connection):
    return connection.execute("SELECT revision, kind FROM changes ORDER BY revision").fetchall()


def test_a_feed_that_is_whole_stays_as_it_is(connection, caplog):
    assert feed.revision(connection) == feed.repair(connection, 0, 9) == 0
    append(connection, 1, 2)
    assert feed.revision(connection) == feed.plausible(connection) == 2
    assert feed.repair(connection, 2, 9) == 2
    assert feed.repair(connection, 1, 9) == 2  # as after a writer that died before it announced
    assert entries(connection) == [(1, "k"), (2, "k")]
    assert not caplog.records


def test_a_revision_that_was_announced_is_not_given_out_again(connection, caplog):
    append(connection, 1, 2)
    assert feed.repair(connection, 7, 9) == 8
    assert entries(connection) == [(1, "k"), (2, "k"), (8, REPAIR)]
    assert "ends at 2, and 7 was announced" in caplog.text


def test_entries_that_no_work_wrote_are_removed(connection):
    append(connection, -3, 1, 2, feed.HIGHEST_REVISION, feed.HIGHEST_REVISION + 5)
    assert feed.plausible(connection) == feed.HIGHEST_REVISION
    assert feed.repair(connection, 2, 9) == 3
    assert entries(connection) == [(1, "k"), (2, "k"), (3, REPAIR)]


def test_an_announcement_that_cannot_be_ours_is_not_gone_on_from(connection):
    append(connection, 1)
    assert feed.repair(connection, feed.HIGHEST_REVISION, 9) == 1


def test_a_feed_below_one_is_said_as_nothing(connection):
    append(connection, -3)
    assert feed.plausible(connection) == 0
