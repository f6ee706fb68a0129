"""Connections: durable, quick to read, and left alone where they could do harm."""

import subprocess
import sys
from contextlib import closing

import pytest

from vaultcore.errors import UnavailableError
from vaultcore.storage.sqlite.connection import connect, empty_log, rows

LEAVING = """
import sys
from pathlib import Path
from vaultcore.storage.sqlite.connection import connect, leave_open

connection = connect(Path(sys.argv[1]))
connection.execute("INSERT INTO t VALUES ('y')")
leave_open(connection)
del connection
"""


@pytest.fixture
def connection(path):
    with closing(connect(path, create=True)) as opened:
        opened.execute("CREATE TABLE t (a TEXT)")
        yield opened


def test_a_file_that_is_not_there_is_created_only_when_asked(path):
    with pytest.raises(UnavailableError, match="cannot open the database"):
        connect(path)
    assert not path.exists()
    connect(path, create=True).close()
    connect(path).close()


@pytest.mark.parametrize(
    ("pragma", "value"),
    [
        ("journal_mode", "wal"),
        ("synchronous", 2),
        ("foreign_keys", 1),
        ("secure_delete", 1),
        ("trusted_schema", 0),
        ("busy_timeout", 10_000),
    ],
)
def test_a_connection_is_set_up_for_safety(connection, pragma, value):
    assert connection.execute(f"PRAGMA {pragma}").fetchall() == [(value,)]


def test_text_that_is_not_utf8_concerns_its_own_row(connection):
    connection.execute("INSERT INTO t VALUES ('good'), (CAST(X'ff41' AS TEXT))")
    assert rows(connection, "SELECT a FROM t ORDER BY rowid", ()) == [("good",), ("\ufffdA",)]
    assert connection.text_factory is str
    with pytest.raises(Exception, match="nowhere"):
        rows(connection, "SELECT a FROM nowhere", ())


def test_a_log_is_emptied_when_nobody_reads_from_it(path, connection):
    log = path.with_name("vaultcore.db-wal")
    connection.execute("INSERT INTO t VALUES ('x')")
    with closing(connect(path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT a FROM t").fetchall()
        connection.execute("INSERT INTO t VALUES ('y')")
        # It does not wait for the reader, as the timeout of the connection would have it.
        assert not empty_log(connection)
        assert log.stat().st_size
        reader.execute("COMMIT")
    assert empty_log(connection)
    assert log.stat().st_size == 0
    assert connection.execute("PRAGMA busy_timeout").fetchall() == [(10_000,)]


def test_a_connection_that_is_left_open_copies_nothing_at_the_end(path, connection):
    connection.execute("INSERT INTO t VALUES ('x')")
    connection.close()
    subprocess.run([sys.executable, "-c", LEAVING, path], check=True)
    # The last one that is closed would have removed it.
    assert path.with_name("vaultcore.db-wal").stat().st_size
