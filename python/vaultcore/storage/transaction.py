"""A transaction: the reads of the store, and every way to change it."""

import sqlite3
from typing import Any

from msgspec import UNSET, UnsetType

from vaultcore.errors import StorageError, UsageError
from vaultcore.storage import statements
from vaultcore.storage.connection import translated
from vaultcore.storage.reads import Parameters, Reads


class Transaction(Reads):
    """What a work sees and changes; valid until the work returns.

    The changes of a work become visible together, or not at all. A work that changes something
    says so with ``changed`` at least once: everybody who caches lives on the feed.

    Args:
        connection: inside of a transaction that holds the write lock.
        revision: the last revision of the feed.
        now: the time that the feed records.
    """

    def __init__(self, connection: sqlite3.Connection, revision: int, now: int) -> None:
        self._connection: sqlite3.Connection | None = connection
        self._start = revision
        self._last = revision
        self._now = now
        self._marked = False

    def _rows(self, sql: str, parameters: Parameters = ()) -> list[Any]:
        if self._connection is None:
            raise UsageError("the transaction is over: use it only inside of its work")
        try:
            return self._connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise translated(error, "read the store") from error

    def _change(self, sql: str, parameters: Parameters, action: str) -> sqlite3.Cursor:
        if self._connection is None:
            raise UsageError("the transaction is over: use it only inside of its work")
        try:
            if not self._marked:
                # Only a work that writes pays for the possibility to take its writes back.
                self._connection.execute("SAVEPOINT work")
                self._marked = True
            return self._connection.execute(sql, parameters)
        except sqlite3.Error as error:
            raise translated(error, action) from error

    def insert_object(
        self,
        vault_id: str,
        kind: str,
        key: str,
        name: str,
        seal: bytes = b"",
        *,
        current: int = 0,
        deleted_at: int | None = None,
        purge_at: int | None = None,
    ) -> int:
        """Adds an object and returns its number.

        Raises:
            StorageError: the name is taken, or the store cannot be written; UnavailableError if
                that may pass.
        """
        cursor = self._change(
            statements.INSERT_OBJECT,
            (vault_id, kind, key, name, current, deleted_at, purge_at, seal),
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
        """Changes what is given of an object.

        Raises:
            StorageError: there is no such object, or the store cannot be written;
                UnavailableError if that may pass.
        """
        given = {
            "current": current,
            "deleted_at": deleted_at,
            "purge_at": purge_at,
            "seal": seal,
        }
        self._update(statements.update_object, given, object_id, "object")

    def delete_object(self, object_id: int) -> None:
        """Removes an object and all its versions.

        Raises:
            StorageError: there is no such object, or the store cannot be written;
                UnavailableError if that may pass.
        """
        self._change(statements.DELETE_VERSIONS, (object_id,), "remove the object")
        cursor = self._change(statements.DELETE_OBJECT, (object_id,), "remove the object")
        if cursor.rowcount != 1:
            raise StorageError("cannot remove the object: it does not exist")

    def insert_version(self, object_id: int, version: str, metadata: str, payload: bytes) -> int:
        """Adds a version to an object and returns its sequence.

        Raises:
            StorageError: the object has such a version or does not exist, or the store cannot be
                written; UnavailableError if that may pass.
        """
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
        """Changes what is given of a version.

        Raises:
            StorageError: there is no such version, or the store cannot be written;
                UnavailableError if that may pass.
        """
        given = {"metadata": metadata, "payload": payload}
        self._update(statements.update_version, given, sequence, "version")

    def put_document(self, collection: str, key: str, blob: bytes) -> None:
        """Adds or replaces a document.

        Raises:
            StorageError: the store cannot be written; UnavailableError if that may pass.
        """
        self._change(statements.PUT_DOCUMENT, (collection, key, blob), "put the document")

    def delete_document(self, collection: str, key: str) -> bool:
        """Removes a document and returns whether there was one.

        Raises:
            StorageError: the store cannot be written; UnavailableError if that may pass.
        """
        cursor = self._change(statements.DELETE_DOCUMENT, (collection, key), "remove the document")
        return cursor.rowcount == 1

    def changed(self, vault_id: str, kind: str, key: str, version: str, what: str) -> int:
        """Appends to the feed what this work changed, and returns the new revision.

        Raises:
            StorageError: the store cannot be written; UnavailableError if that may pass.
        """
        revision = self._last + 1
        self._change(
            statements.INSERT_CHANGE,
            (revision, vault_id, kind, key, version, what, self._now),
            "append to the feed",
        )
        self._last = revision
        return revision

    def _update(self, statement: Any, given: dict[str, Any], number: int, what: str) -> None:
        names = tuple(name for name, value in given.items() if value is not UNSET)
        if not names:
            raise UsageError(f"nothing to update: name a column of the {what}")
        values = (*(given[name] for name in names), number)
        cursor = self._change(statement(names), values, f"update the {what}")
        if cursor.rowcount != 1:
            raise StorageError(f"cannot update the {what}: it does not exist")

    def finish(self) -> int:
        """Ends the work well and returns the last revision; only the writer calls it.

        Raises:
            StorageError: the work changed something and did not say so in the feed.
        """
        if self._marked and self._last == self._start:
            raise StorageError("the work changed the store and did not say so: call changed()")
        if self._marked and self._connection is not None:
            self._connection.execute("RELEASE work")
        self._connection = None
        return self._last

    def undo(self) -> None:
        """Ends the work and takes its changes back; only the writer calls it."""
        if self._marked and self._connection is not None:
            self._connection.execute("ROLLBACK TO work")
            self._connection.execute("RELEASE work")
        self._connection = None
