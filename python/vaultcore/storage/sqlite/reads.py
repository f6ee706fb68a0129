# ruff: noqa: D102 - the protocol documents the methods
"""The queries of a store, answered by rows of SQLite."""

import contextlib
from abc import ABC, abstractmethod
from typing import Any, Final

from vaultcore.errors import TamperedError
from vaultcore.storage import sealed
from vaultcore.storage.reads import BEFORE_ALL_DUE, Reads
from vaultcore.storage.rows import (
    ChangeRow,
    Counts,
    ObjectRow,
    Place,
    Sealed,
    VersionRow,
    pair,
    record,
)
from vaultcore.storage.sqlite import statements

Parameters = tuple[str | int | bytes | None, ...]

_ID: Final = ObjectRow.__struct_fields__.index("id")
_PURGE_AT: Final = ObjectRow.__struct_fields__.index("purge_at")


class SqliteReads(Reads, ABC):
    """Queries of one committed state, or of the state that a transaction sees."""

    @abstractmethod
    def _rows(self, sql: str, parameters: Parameters = ()) -> list[Any]:
        """Returns all rows of a statement; taking all of them ends its read transaction."""

    def object(self, vault_id: str, kind: str, canonical: str) -> ObjectRow | None:
        rows = self._rows(statements.OBJECT, (vault_id, kind, canonical))
        return record(rows[0], ObjectRow) if rows else None

    def current(
        self, vault_id: str, kind: str, canonical: str
    ) -> tuple[ObjectRow, VersionRow] | None:
        rows = self._rows(statements.CURRENT, (vault_id, kind, canonical))
        return pair(rows[0]) if rows else None

    def version(
        self, vault_id: str, kind: str, canonical: str, version: str
    ) -> tuple[ObjectRow, VersionRow] | None:
        rows = self._rows(statements.VERSION, (vault_id, kind, canonical, version))
        return pair(rows[0]) if rows else None

    def list_objects(
        self, vault_id: str, kind: str, *, deleted: bool, after: str = "", limit: int
    ) -> list[tuple[ObjectRow, VersionRow]]:
        sql = statements.LIST_DELETED if deleted else statements.LIST_ACTIVE
        return [pair(row) for row in self._rows(sql, (vault_id, kind, after, limit))]

    def list_versions(
        self, object_id: int, *, before: int | None = None, limit: int
    ) -> list[VersionRow]:
        if before is None:
            rows = self._rows(statements.VERSIONS_NEWEST, (object_id, limit))
        else:
            rows = self._rows(statements.VERSIONS_BEFORE, (object_id, before, limit))
        return [record(row, VersionRow) for row in rows]

    def versions(self, object_id: int) -> list[VersionRow]:
        rows = self._rows(statements.VERSIONS, (object_id,))
        return [record(row, VersionRow) for row in rows]

    def due_for_purge(
        self, now: int, limit: int, *, after: tuple[int, int] = BEFORE_ALL_DUE
    ) -> list[ObjectRow]:
        found: list[ObjectRow] = []
        rows: list[Any] = [None]
        while rows and len(found) < limit:
            rows = self._rows(statements.DUE_FOR_PURGE, (now, *after, limit - len(found)))
            for row in rows:
                after = (row[_PURGE_AT], row[_ID])
                with contextlib.suppress(TamperedError):
                    found.append(record(row, ObjectRow))
        return found

    def counts(self, vault_id: str) -> dict[str, Counts]:
        rows = self._rows(statements.COUNTS, (vault_id,))
        return {kind: Counts(active, deleted) for kind, active, deleted in rows}

    def changes(self, after: int, limit: int) -> list[ChangeRow]:
        return [ChangeRow(*row) for row in self._rows(statements.CHANGES, (after, limit))]

    def revision(self) -> int:
        revision: int | None = self._rows(statements.REVISION)[0][0]
        return revision or 0

    def sealed(
        self, kind: str, kek_id: str, generation: int, after: Place | None, limit: int
    ) -> list[Sealed]:
        place = sealed.start(kind) if after is None else after
        beyond = place[:1] if kind == "documents" else ()
        rows = self._rows(
            statements.FIND_SEALED[kind],
            (*beyond, *place, *sealed.header(kek_id, generation), limit),
        )
        return [Sealed(kind, tuple(place), blob) for *place, blob in rows]

    def sealed_count(self, kind: str, kek_id: str, generation: int) -> int:
        rows = self._rows(statements.COUNT_SEALED[kind], sealed.header(kek_id, generation))
        return int(rows[0][0])

    def document(self, collection: str, name: str) -> bytes | None:
        rows = self._rows(statements.DOCUMENT, (collection, name))
        return _blob(rows[0][0]) if rows else None

    def documents(self, collection: str) -> list[tuple[str, bytes]]:
        rows: list[tuple[bytes, Any]] = self._rows(statements.DOCUMENTS, (collection,))
        return [(name.decode(errors="replace"), _blob(blob)) for name, blob in rows]

    def collections(self, prefix: str) -> list[bytes]:
        rows = self._rows(statements.COLLECTIONS, (prefix, f"{prefix}\x7f"))
        return [name for (name,) in rows]


# vaultcore did not write what is not bytes; empty, it does not verify anywhere.
def _blob(value: Any) -> bytes:
    # What is not bytes was not written by us; empty, it verifies nowhere.
    return value if isinstance(value, bytes) else b""
