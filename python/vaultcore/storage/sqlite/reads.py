"""The questions one can ask the store; the same outside and inside of a transaction."""

import contextlib
from abc import ABC, abstractmethod
from typing import Any, TypeVar

import msgspec

from vaultcore.errors import TamperedError
from vaultcore.storage import sealed, statements
from vaultcore.storage.rows import ChangeRow, Counts, ObjectRow, VersionRow

Row = TypeVar("Row", ObjectRow, VersionRow)
Parameters = tuple[str | int | bytes | None, ...]

# The columns of an object; those of a version follow in rows that hold both.
_WIDTH = len(ObjectRow.__struct_fields__)
_ID = ObjectRow.__struct_fields__.index("id")
_PURGE_AT = ObjectRow.__struct_fields__.index("purge_at")


class Reads(ABC):
    """Answers from one committed state, or from the state that a transaction sees."""

    @abstractmethod
    def _rows(self, sql: str, parameters: Parameters = ()) -> list[Any]:
        """Returns all rows of a statement; taking all of them ends its read transaction."""

    def object(self, vault_id: str, kind: str, key: str) -> ObjectRow | None:
        """Returns an object, deleted or not.

        Raises:
            StorageError: the store cannot be read; UnavailableError if that may pass.
            TamperedError: the row is not as vaultcore writes it.
        """
        rows = self._rows(statements.OBJECT, (vault_id, kind, key))
        return _record(rows[0], ObjectRow) if rows else None

    def current(self, vault_id: str, kind: str, key: str) -> tuple[ObjectRow, VersionRow] | None:
        """Returns an object and its current version; None also if it has no version.

        Raises:
            StorageError: the store cannot be read; UnavailableError if that may pass.
        """
        rows = self._rows(statements.CURRENT, (vault_id, kind, key))
        return _pair(rows[0]) if rows else None

    def version(
        self, vault_id: str, kind: str, key: str, version: str
    ) -> tuple[ObjectRow, VersionRow] | None:
        """Returns an object and one of its versions.

        Raises:
            StorageError: the store cannot be read; UnavailableError if that may pass.
        """
        rows = self._rows(statements.VERSION, (vault_id, kind, key, version))
        return _pair(rows[0]) if rows else None

    def list_objects(
        self, vault_id: str, kind: str, *, deleted: bool, after: str = "", limit: int
    ) -> list[tuple[ObjectRow, VersionRow]]:
        """Returns a page of objects with their current versions, in the order of their keys.

        Args:
            vault_id: the vault.
            kind: the kind of object.
            deleted: the soft-deleted ones, or else those in use.
            after: the last key of the page before.
            limit: the longest page.

        Raises:
            StorageError: the store cannot be read; UnavailableError if that may pass.
        """
        sql = statements.LIST_DELETED if deleted else statements.LIST_ACTIVE
        return [_pair(row) for row in self._rows(sql, (vault_id, kind, after, limit))]

    def list_versions(
        self, object_id: int, *, before: int | None = None, limit: int
    ) -> list[VersionRow]:
        """Returns a page of the versions of an object, newest first.

        Args:
            object_id: the object.
            before: the last sequence of the page before, or None for the first page.
            limit: the longest page.

        Raises:
            StorageError: the store cannot be read; UnavailableError if that may pass.
        """
        if before is None:
            rows = self._rows(statements.VERSIONS_NEWEST, (object_id, limit))
        else:
            rows = self._rows(statements.VERSIONS_BEFORE, (object_id, before, limit))
        return [_record(row, VersionRow) for row in rows]

    def versions(self, object_id: int) -> list[VersionRow]:
        """Returns all versions of an object, oldest first.

        Raises:
            StorageError: the store cannot be read; UnavailableError if that may pass.
        """
        rows = self._rows(statements.VERSIONS, (object_id,))
        return [_record(row, VersionRow) for row in rows]

    def due_for_purge(
        self, now: int, limit: int, *, after: tuple[int, int] = (-(2**63), 0)
    ) -> list[ObjectRow]:
        """Returns objects whose time to be purged has come, the longest overdue first.

        A row that was changed into what is no object is left out: nothing is purged for it, and it
        keeps no other from its turn.

        Args:
            now: Unix seconds.
            limit: the longest page.
            after: the time of purge and the number of the last object of the page before.

        Raises:
            StorageError: the store cannot be read; UnavailableError if that may pass.
        """
        found: list[ObjectRow] = []
        rows: list[Any] = [None]
        while rows and len(found) < limit:
            rows = self._rows(statements.DUE_FOR_PURGE, (now, *after, limit - len(found)))
            for row in rows:
                after = (row[_PURGE_AT], row[_ID])
                with contextlib.suppress(TamperedError):
                    found.append(_record(row, ObjectRow))
        return found

    def counts(self, vault_id: str) -> dict[str, Counts]:
        """Returns how many objects a vault holds, by kind; the cost grows with that number.

        Raises:
            StorageError: the store cannot be read; UnavailableError if that may pass.
        """
        rows = self._rows(statements.COUNTS, (vault_id,))
        return {kind: Counts(active, deleted) for kind, active, deleted in rows}

    def changes(self, after: int, limit: int) -> list[ChangeRow]:
        """Returns the entries of the feed that follow a revision, oldest first.

        Raises:
            StorageError: the store cannot be read; UnavailableError if that may pass.
        """
        return [ChangeRow(*row) for row in self._rows(statements.CHANGES, (after, limit))]

    def revision(self) -> int:
        """Returns the revision of the last change, or 0 if there is none.

        Raises:
            StorageError: the store cannot be read; UnavailableError if that may pass.
        """
        revision: int | None = self._rows(statements.REVISION)[0][0]
        return revision or 0

    def sealed(
        self,
        kind: str,
        kek_id: str,
        generation: int,
        after: sealed.Place | None,
        limit: int,
    ) -> list[sealed.Sealed]:
        """Returns a page of the envelopes of a key that are of other generations than one.

        Args:
            kind: the table; one of ``sealed.KINDS``.
            kek_id: the identifier of the key.
            generation: the generation that is left out.
            after: the last place of the page before, or None for the first page.
            limit: the longest page.

        Raises:
            StorageError: the store cannot be read; UnavailableError if that may pass.
        """
        place = sealed.start(kind) if after is None else after
        beyond = place[:1] if kind == "documents" else ()
        rows = self._rows(
            sealed.FIND[kind], (*beyond, *place, *sealed.header(kek_id, generation), limit)
        )
        return [sealed.Sealed(kind, tuple(place), blob) for *place, blob in rows]

    def sealed_count(self, kind: str, kek_id: str, generation: int) -> int:
        """Returns how many envelopes of a key are of other generations than one.

        Raises:
            StorageError: the store cannot be read; UnavailableError if that may pass.
        """
        rows = self._rows(sealed.COUNT[kind], sealed.header(kek_id, generation))
        return int(rows[0][0])

    def document(self, collection: str, key: str) -> bytes | None:
        """Returns a document.

        Raises:
            StorageError: the store cannot be read; UnavailableError if that may pass.
        """
        rows = self._rows(statements.DOCUMENT, (collection, key))
        return _blob(rows[0][0]) if rows else None

    def documents(self, collection: str) -> list[tuple[str, bytes]]:
        """Returns all documents of a collection, in the order of their keys.

        Raises:
            StorageError: the store cannot be read; UnavailableError if that may pass.
        """
        rows: list[tuple[bytes, Any]] = self._rows(statements.DOCUMENTS, (collection,))
        return [(key.decode(errors="replace"), _blob(blob)) for key, blob in rows]

    def collections(self, prefix: str) -> list[bytes]:
        """Returns the collections of documents whose names begin with an ASCII prefix, in UTF-8.

        A name that was changed outside of the vault may be any bytes.

        Raises:
            StorageError: the store cannot be read; UnavailableError if that may pass.
        """
        rows = self._rows(statements.COLLECTIONS, (prefix, f"{prefix}\x7f"))
        return [name for (name,) in rows]


def _pair(row: tuple[Any, ...]) -> tuple[ObjectRow, VersionRow]:
    return _record(row[:_WIDTH], ObjectRow), _record(row[_WIDTH:], VersionRow)


def _record(row: tuple[Any, ...], kind: type[Row]) -> Row:
    try:
        return msgspec.convert(row, kind)
    except msgspec.ValidationError as error:
        raise TamperedError(
            f"a row of the store is not as vaultcore writes it ({error}): it was changed outside "
            "the vault; restore it from a backup"
        ) from None


def _blob(value: Any) -> bytes:
    # What is not bytes was not written by us; empty, it verifies nowhere.
    return value if isinstance(value, bytes) else b""
