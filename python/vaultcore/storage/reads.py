"""The queries of a store; the same outside and inside a transaction."""

from typing import Final, Protocol

from vaultcore.storage.rows import ChangeRow, Counts, ObjectRow, Place, Sealed, VersionRow

#: Sorts before every time of purge and every number of an object.
BEFORE_ALL_DUE: Final = (-(2**63), 0)


class Reads(Protocol):
    """Queries of one committed state, or of the state that a transaction sees."""

    def object(self, vault_id: str, kind: str, canonical: str) -> ObjectRow | None:
        """Returns an object, deleted or not.

        Raises:
            StorageError: the store cannot be read; UnavailableError if that may be temporary.
            TamperedError: the row is not as vaultcore writes it.
        """

    def current(
        self, vault_id: str, kind: str, canonical: str
    ) -> tuple[ObjectRow, VersionRow] | None:
        """Returns an object and its current version; None if it has no version, too.

        Raises:
            StorageError: the store cannot be read; UnavailableError if that may be temporary.
            TamperedError: a row is not as vaultcore writes it.
        """

    def version(
        self, vault_id: str, kind: str, canonical: str, version: str
    ) -> tuple[ObjectRow, VersionRow] | None:
        """Returns an object and one of its versions.

        Raises:
            StorageError: the store cannot be read; UnavailableError if that may be temporary.
            TamperedError: a row is not as vaultcore writes it.
        """

    def list_objects(
        self, vault_id: str, kind: str, *, deleted: bool, after: str = "", limit: int
    ) -> list[tuple[ObjectRow, VersionRow]]:
        """Returns a page of objects with their current versions, in the order of their keys.

        Args:
            vault_id: the vault.
            kind: the kind of object.
            deleted: True for the soft-deleted ones, False for those in use.
            after: the last canonical name of the previous page.
            limit: the longest page.

        Raises:
            StorageError: the store cannot be read; UnavailableError if that may be temporary.
            TamperedError: a row is not as vaultcore writes it.
        """

    def list_versions(
        self, object_id: int, *, before: int | None = None, limit: int
    ) -> list[VersionRow]:
        """Returns a page of the versions of an object, newest first.

        Args:
            object_id: the object.
            before: the last sequence of the previous page, or None for the first page.
            limit: the longest page.

        Raises:
            StorageError: the store cannot be read; UnavailableError if that may be temporary.
            TamperedError: a row is not as vaultcore writes it.
        """

    def versions(self, object_id: int) -> list[VersionRow]:
        """Returns all versions of an object, oldest first.

        Raises:
            StorageError: the store cannot be read; UnavailableError if that may be temporary.
            TamperedError: a row is not as vaultcore writes it.
        """

    def due_for_purge(
        self, now: int, limit: int, *, after: tuple[int, int] = BEFORE_ALL_DUE
    ) -> list[ObjectRow]:
        """Returns objects whose time of purge has come, the earliest first.

        A row that was changed into something that is not an object is left out: nothing is purged
        for it, and it does not delay others.

        Args:
            now: Unix seconds.
            limit: the longest page.
            after: the time of purge and the number of the last object of the previous page.

        Raises:
            StorageError: the store cannot be read; UnavailableError if that may be temporary.
        """

    def counts(self, vault_id: str) -> dict[str, Counts]:
        """Returns how many objects a vault contains, by kind; the cost grows with that number.

        Raises:
            StorageError: the store cannot be read; UnavailableError if that may be temporary.
        """

    def changes(self, after: int, limit: int) -> list[ChangeRow]:
        """Returns the entries of the feed that follow a revision, oldest first.

        Raises:
            StorageError: the store cannot be read; UnavailableError if that may be temporary.
        """

    def revision(self) -> int:
        """Returns the revision of the last change, or 0 if there is none.

        Raises:
            StorageError: the store cannot be read; UnavailableError if that may be temporary.
        """

    def sealed(
        self, kind: str, kek_id: str, generation: int, after: Place | None, limit: int
    ) -> list[Sealed]:
        """Returns a page of the envelopes of a key with other generations than the given one.

        Args:
            kind: the table; one of ``rows.SEALED_KINDS``.
            kek_id: the identifier of the key.
            generation: the generation to leave out.
            after: the last place of the previous page, or None for the first page.
            limit: the longest page.

        Raises:
            StorageError: the store cannot be read; UnavailableError if that may be temporary.
        """

    def sealed_count(self, kind: str, kek_id: str, generation: int) -> int:
        """Returns how many envelopes of a key have other generations than the given one.

        Raises:
            StorageError: the store cannot be read; UnavailableError if that may be temporary.
        """

    def document(self, collection: str, name: str) -> bytes | None:
        """Returns a document.

        Raises:
            StorageError: the store cannot be read; UnavailableError if that may be temporary.
        """

    def documents(self, collection: str) -> list[tuple[str, bytes]]:
        """Returns all documents of a collection, in the order of their keys.

        Raises:
            StorageError: the store cannot be read; UnavailableError if that may be temporary.
        """

    def collections(self, prefix: str) -> list[bytes]:
        """Returns the collections of documents whose names begin with an ASCII prefix, in UTF-8.

        A name that was changed outside the vault may be any bytes.

        Raises:
            StorageError: the store cannot be read; UnavailableError if that may be temporary.
        """
