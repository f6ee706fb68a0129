# ruff: noqa: D102 - the protocol documents the methods of a work
"""A transaction of SQLite: the reads of the store, and every way to change it."""

import sqlite3
from typing import Any

from msgspec import UNSET, UnsetType

from vaultcore.errors import StorageError, UsageError
from vaultcore.storage.protocols import Transaction
from vaultcore.storage.rows import ChangeRow, Sealed
from vaultcore.storage.sqlite import statements
from vaultcore.storage.sqlite.connection import rows
from vaultcore.storage.sqlite.errors import translated
from vaultcore.storage.sqlite.reads import Parameters, SqliteReads

# A row of the feed.
Entry = tuple[int, str, str, str, str, str, int]


class SqliteTransaction(SqliteReads, Transaction):
    """The part of an SQLite transaction that one work sees and changes.

    Args:
        connection: a connection inside a transaction that holds the write lock.
        revision: the last revision of the feed.
        now: the time that the feed records.
        feed: collects the entries of works that run together, to be written at once; None for a
            work that runs apart and can be undone without touching others' changes.
        kinds: collects the kinds of the changes of one commit.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        revision: int,
        now: int,
        feed: list[Entry] | None,
        kinds: set[str] | None = None,
    ) -> None:
        self._connection: sqlite3.Connection | None = connection
        self._start = revision
        self._last = revision
        self._now = now
        self._feed = feed
        self.kinds: set[str] = set() if kinds is None else kinds
        self._entries: list[Entry] = []
        self._wrote = False
        #: Whether something was removed or replaced that must not stay readable in the log.
        self.erased = False
        self._unnoticed = False

    def _rows(self, sql: str, parameters: Parameters = ()) -> list[Any]:
        connection = self._living()
        try:
            return rows(connection, sql, parameters)
        except sqlite3.Error as error:
            self._end_if_lost(connection)
            raise translated(error, "read the store") from error

    def _change(self, sql: str, parameters: Parameters, action: str) -> sqlite3.Cursor:
        connection = self._living()
        try:
            if not self._wrote:
                if self._feed is None:
                    connection.execute("SAVEPOINT work")
                self._wrote = True
            return connection.execute(sql, parameters)
        except sqlite3.Error as error:
            self._end_if_lost(connection)
            raise translated(error, action) from error

    def insert_object(
        self,
        vault_id: str,
        kind: str,
        canonical: str,
        name: str,
        seal: bytes = b"",
        *,
        current: int = 0,
        deleted_at: int | None = None,
        purge_at: int | None = None,
    ) -> int:
        cursor = self._change(
            statements.INSERT_OBJECT,
            (vault_id, kind, canonical, name, current, deleted_at, purge_at, seal),
            "add the object",
        )
        return cursor.lastrowid or 0

    def update_object(
        self,
        object_id: int,
        *,
        current: int | UnsetType = UNSET,
        deleted_at: int | UnsetType | None = UNSET,
        purge_at: int | UnsetType | None = UNSET,
        seal: bytes | UnsetType = UNSET,
    ) -> None:
        columns = {
            "current": current,
            "deleted_at": deleted_at,
            "purge_at": purge_at,
            "seal": seal,
        }
        given = _given(columns, "object")
        self._update(statements.update_object(tuple(given)), given, object_id, "object")

    def delete_object(self, object_id: int) -> None:
        self.erase()
        self._change(statements.DELETE_VERSIONS, (object_id,), "remove the object")
        cursor = self._change(statements.DELETE_OBJECT, (object_id,), "remove the object")
        if cursor.rowcount != 1:
            raise StorageError("cannot remove the object: it does not exist")

    def insert_version(self, object_id: int, version: str, metadata: str, payload: bytes) -> int:
        cursor = self._change(
            statements.INSERT_VERSION, (object_id, version, metadata, payload), "add the version"
        )
        return cursor.lastrowid or 0

    def update_version(
        self,
        sequence: int,
        *,
        metadata: str | UnsetType = UNSET,
        payload: bytes | UnsetType = UNSET,
    ) -> None:
        given = _given({"metadata": metadata, "payload": payload}, "version")
        self._update(statements.update_version(tuple(given)), given, sequence, "version")

    def put_sealed(self, row: Sealed, blob: bytes) -> None:
        match row.kind, row.place:
            case "versions", (int(sequence),):
                self.update_version(sequence, payload=blob)
            case "objects", (int(number),):
                self.update_object(number, seal=blob)
            case _, (str(collection), str(name)):
                self.put_document(collection, name, blob)
            case _:
                raise UsageError(f"there are no envelopes in {row.kind}")

    def put_document(self, collection: str, name: str, blob: bytes) -> None:
        self._change(statements.PUT_DOCUMENT, (collection, name, blob), "put the document")

    def delete_document(self, collection: str, name: str) -> bool:
        cursor = self._change(statements.DELETE_DOCUMENT, (collection, name), "remove the document")
        return cursor.rowcount == 1

    def delete_documents(self, collection: str, last: str) -> int:
        cursor = self._change(statements.DELETE_DOCUMENTS, (collection, last), "remove documents")
        return cursor.rowcount

    def delete_collection(self, prefix: str, collection: bytes) -> int:
        parameters = (prefix, f"{prefix}\x7f", collection)
        cursor = self._change(statements.DELETE_COLLECTION, parameters, "remove documents")
        return cursor.rowcount

    def changed(self, vault_id: str, kind: str, canonical: str, version: str, what: str) -> int:
        self._living()
        self._last = revision = self._last + 1
        self._entries.append((revision, vault_id, kind, canonical, version, what, self._now))
        return revision

    def skip_to(self, revision: int) -> None:
        self._last = max(self._last, revision)

    def erase(self) -> None:
        self.erased = True

    def unnoticed(self) -> None:
        self._unnoticed = True

    def changes(self, after: int, limit: int) -> list[ChangeRow]:
        self._write_feed()
        return super().changes(after, limit)

    def revision(self) -> int:
        self._living()
        return self._last

    @property
    def wrote(self) -> bool:
        """Whether the work left anything in the database."""
        return self._wrote

    def finish(self) -> int:
        """Ends the work successfully and returns the last revision; only the writer calls it.

        Raises:
            StorageError: the work changed something and did not call ``changed``, or the feed
                cannot be written.
        """
        if self._wrote and self._last == self._start and not self._unnoticed:
            raise StorageError(
                "the work changed the store without an entry in the feed: call changed()"
            )
        for entry in self._entries:
            self.kinds.add(entry[2])
        if self._feed is not None:
            self._feed += self._entries
        else:
            self._write_feed()
            if self._wrote:
                self._living().execute("RELEASE work")
        self._connection = None
        return self._last

    def undo(self) -> None:
        """Ends the work; undoes its changes if it runs apart. Only the writer calls it."""
        connection, self._connection = self._connection, None
        if self._wrote and self._feed is None and connection and connection.in_transaction:
            connection.execute("ROLLBACK TO work")
            connection.execute("RELEASE work")

    def _write_feed(self) -> None:
        for entries in (self._feed or [], self._entries):
            for entry in entries:
                self._change(statements.INSERT_CHANGE, entry, "append to the feed")
            entries.clear()

    def _update(self, sql: str, given: dict[str, Any], number: int, what: str) -> None:
        cursor = self._change(sql, (*given.values(), number), f"update the {what}")
        if cursor.rowcount != 1:
            raise StorageError(f"cannot update the {what}: it does not exist")

    def _end_if_lost(self, connection: sqlite3.Connection) -> None:
        # After some errors SQLite has rolled back everything. A work that continues nevertheless
        # would commit each of its further changes by itself.
        if not connection.in_transaction:
            self._connection = None

    def _living(self) -> sqlite3.Connection:
        if self._connection is None:
            raise UsageError("the transaction is over: use it only inside its work")
        return self._connection


def _given(columns: dict[str, Any], what: str) -> dict[str, Any]:
    given = {name: value for name, value in columns.items() if value is not UNSET}
    if not given:
        raise UsageError(f"nothing to update: name a column of the {what}")
    return given
