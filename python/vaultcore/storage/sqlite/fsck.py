"""An independent check of a database file.

It shares neither a connection nor a statement with the code that writes, so that one mistake
cannot hide in both.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from vaultcore.storage.sqlite.connection import PATIENCE
from vaultcore.storage.sqlite.errors import translated

# A damaged file can have a finding for each of its rows.
_MOST: Final = 100

_FEED = """
    SELECT 'feed: ' || sum(revision - before - 1) || ' revisions are missing' FROM (
        SELECT revision, kind, lag(revision, 1, revision - 1) OVER (ORDER BY revision) AS before
        FROM changes
    )
    -- Before a repair there may be a gap: a revision is not given out twice.
    WHERE revision <> before + 1 AND kind <> 'feed' HAVING count(*) > 0
    UNION ALL
    SELECT 'feed: revision ' || revision || ' is not positive' FROM changes WHERE revision < 1
    UNION ALL
    SELECT 'feed: it is empty, but there are objects' FROM objects
    WHERE NOT EXISTS (SELECT 1 FROM changes) GROUP BY 1
"""
_CURRENT = """
    SELECT 'object ' || o.id || ': its current version ' || o.current || ' does not exist'
    FROM objects AS o LEFT JOIN versions AS v ON v.sequence = o.current
    WHERE o.current <> 0 AND v.sequence IS NULL
    UNION ALL
    SELECT 'object ' || o.id || ': its current version ' || o.current || ' is of object '
        || v.object_id
    FROM objects AS o JOIN versions AS v ON v.sequence = o.current WHERE v.object_id <> o.id
"""
_ORPHANS = """
    SELECT 'version ' || v.sequence || ': its object ' || v.object_id || ' does not exist'
    FROM versions AS v LEFT JOIN objects AS o ON o.id = v.object_id WHERE o.id IS NULL
"""
_NAMES = """
    SELECT 'object ' || min(id) || ': its name is taken by ' || (count(*) - 1) || ' others'
    FROM objects NOT INDEXED GROUP BY vault_id, kind, "key" HAVING count(*) > 1
    UNION ALL
    SELECT 'version ' || min(sequence) || ': its identifier is taken by ' || (count(*) - 1)
        || ' others'
    FROM versions NOT INDEXED GROUP BY object_id, version HAVING count(*) > 1
"""
# If a number could be reused, an old payload could pass for a new one.
_COUNTERS = """
    SELECT 'counter of objects: behind its table'
    WHERE (SELECT coalesce(max(id), 0) FROM objects)
        > coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'objects'), 0)
    UNION ALL
    SELECT 'counter of versions: behind its table'
    WHERE (SELECT coalesce(max(sequence), 0) FROM versions)
        > coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'versions'), 0)
"""


def check(path: Path) -> list[str]:
    """Returns what is wrong with a database, at most a hundred findings; none if it is sound.

    The check reads the whole file in one snapshot; the store may be in use.

    Raises:
        StorageError: the file cannot be read at all; UnavailableError if that may be temporary.
    """
    try:
        # A file that does not exist is not created.
        name = f"{path.absolute().as_uri()}?mode=rw"
        with closing(
            sqlite3.connect(name, timeout=PATIENCE, isolation_level=None, uri=True)
        ) as connection:
            return _findings(connection)
    except sqlite3.Error as error:
        raise translated(error, "check the store") from error


def _findings(connection: sqlite3.Connection) -> list[str]:
    connection.execute("PRAGMA query_only = ON")
    connection.execute("BEGIN")
    findings = [
        f"file: {text}"
        for (text,) in connection.execute(f"PRAGMA integrity_check({_MOST})")
        if text != "ok"
    ]
    if findings:
        # Queries of a damaged file have meaningless answers.
        return findings
    try:
        findings += [
            f"reference: row {row} of {table} refers to a missing row of {parent}"
            for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check")
        ]
        for question in (_FEED, _CURRENT, _ORPHANS, _NAMES, _COUNTERS):
            findings += [text for (text,) in connection.execute(question).fetchmany(_MOST)]
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
            raise
        # The query does not fit the tables, so vaultcore did not create these.
        findings.append(f"schema: {error}")
    return findings[:_MOST]
