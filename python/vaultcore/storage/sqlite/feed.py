"""The feed of changes in the database: where it ends, and how it is repaired."""

import logging
import sqlite3
from typing import Final

from vaultcore.storage.rows import REPAIR
from vaultcore.storage.sqlite import statements

# The feed never gets this far: an entry beyond was added by somebody else. Twice as much still
# fits the word of the signal, and a batch more still fits a column.
HIGHEST_REVISION: Final = 1 << 62

logger = logging.getLogger("vaultcore.storage")


def revision(connection: sqlite3.Connection) -> int:
    """Returns the last revision, or 0 if there is none.

    Raises:
        sqlite3.Error: the database cannot be read.
    """
    found: int | None = connection.execute(statements.REVISION).fetchall()[0][0]
    return found or 0


def plausible(connection: sqlite3.Connection) -> int:
    """Returns the last revision that the signal can express.

    An implausible entry stays in the feed until the next commit.

    Raises:
        sqlite3.Error: the database cannot be read.
    """
    return min(max(revision(connection), 0), HIGHEST_REVISION)


def repair(connection: sqlite3.Connection, told: int, now: int) -> int:
    """Returns the last revision, after repairing changes that vaultcore did not make to the feed.

    Entries that vaultcore did not write are removed. A revision that was announced before the feed
    went back is not reused: a reader who has seen it would confuse the two. Both repairs get an
    entry in the feed, so that every process reads everything again.

    Args:
        connection: a connection inside a transaction that holds the write lock.
        told: the revision that was announced last.
        now: the current time, in seconds since the Unix epoch.

    Raises:
        sqlite3.Error: the database cannot be read or written.
    """
    last = revision(connection)
    if told >= HIGHEST_REVISION:
        told = 0
    if told <= last < HIGHEST_REVISION:
        return last
    logger.error(
        "the feed of changes was changed outside vaultcore: it ends at %d, and %d was "
        "announced; it is repaired, and every process reads everything again",
        last,
        told,
    )
    connection.execute(statements.FORGET_CHANGES, (HIGHEST_REVISION - 1, 1))
    last = max(revision(connection), told) + 1
    connection.execute(statements.INSERT_CHANGE, (last, "", REPAIR, "", "", "repair", now))
    return last
