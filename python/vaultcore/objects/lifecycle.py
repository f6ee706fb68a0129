"""What every kind of object shares: versions, attributes, lists, soft delete.

The rules here are those of the contract, sections 1.0, 4.4 and 9.
"""

import secrets as random
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar

from vaultcore._core import Context
from vaultcore.errors import BadParameterError, ConflictError, ForbiddenError
from vaultcore.objects.attributes import Metadata, Page, Version
from vaultcore.objects.cache import Cache
from vaultcore.objects.rows import SealedRows, encode_metadata
from vaultcore.objects.vault import VaultState
from vaultcore.storage.rows import ObjectRow, VersionRow

if TYPE_CHECKING:
    from vaultcore.storage import Transaction

T = TypeVar("T")
Cached = TypeVar("Cached")
#: A write: runs inside a transaction, may be run again, has no effect outside it.
Work = Callable[["Transaction"], T]

MAXIMUM_TAGS: Final = 15


class Lifecycle(SealedRows, Generic[Cached]):
    """The rules of one kind of object in one vault.

    A kind is a subclass of this class: its class attributes are the kind's row in the
    table of kinds (:mod:`vaultcore.objects.kinds`).

    Args:
        vault: the vault's state.

    Attributes:
        maximum_tag_length: the limit for a tag's name, and for its value, in characters.
        cache: versions that were read, ready for use.
    """

    maximum_tag_length: ClassVar[int] = 512

    def __init__(self, vault: VaultState) -> None:
        super().__init__(vault)
        self.cache: Cache[Cached] = Cache()

    # defined by each kind

    @staticmethod
    @abstractmethod
    def shown(identifier: str, found: Version, *, whole: bool) -> dict[str, Any]:
        """Returns the members that only this kind shows of a version (contract section 4).

        Args:
            identifier: the version's identifier, or the object's in lists that name no version.
            found: the version.
            whole: whether a single version is shown, or an item of a list.
        """

    @staticmethod
    def shown_attributes(metadata: Metadata) -> Iterator[tuple[str, str, Any]]:  # noqa: ARG004
        """Yields attributes that only this kind shows, with the first api-version that has them."""
        return iter(())

    def discard(self, versions: Sequence[VersionRow], canonical: str) -> Callable[[], None] | None:  # noqa: ARG002
        """Returns a function that removes what purged versions kept outside the store.

        Args:
            versions: the purged versions.
            canonical: the canonical name of the object.

        Returns:
            The function, which never fails; None if there is nothing to remove.
        """
        return None

    # lists

    def list_current(self, *, deleted: bool, after: str, limit: int) -> Page:
        """Lists objects by canonical name, with the attributes of their current versions.

        Args:
            deleted: whether to list deleted objects, or those that are not.
            after: the canonical name after which the page starts.
            limit: how many at most.

        Raises:
            TamperedError: a row does not verify.
        """
        rows = self.store.list_objects(
            self.vault.id, self.kind, deleted=deleted, after=after, limit=limit + 1
        )
        items = []
        for row, version in rows[:limit]:
            self.verify_object(self.store, row, version)
            items.append(self.describe(row, version))
        return Page(items, rows[limit - 1][0].canonical if len(rows) > limit else None)

    def list_versions(self, canonical: str, *, before: int | None, limit: int) -> Page:
        """Lists the versions of an object, newest first.

        Args:
            canonical: the canonical name.
            before: the sequence that the page starts before, or None for the newest.
            limit: how many at most.

        Raises:
            ObjectNotFoundError: there is no such object.
            TamperedError: a row does not verify.
        """
        row, _ = self.find(canonical)
        rows = self.store.list_versions(row.id, before=before, limit=limit + 1)
        items = [self.describe(row, version) for version in rows[:limit]]
        return Page(items, str(rows[limit - 1].sequence) if len(rows) > limit else None)

    # writing

    def add_version(
        self,
        transaction: "Transaction",
        name: str,
        canonical: str,
        metadata: Metadata,
        seal: Callable[[Context], bytes],
        *,
        what: str,
    ) -> Version:
        """Adds a version as the current one, and creates the object if it does not exist.

        Args:
            transaction: the transaction.
            name: as the caller wrote it; an existing object keeps its own spelling.
            canonical: the canonical name.
            metadata: the attributes.
            seal: returns the payload for a context.
            what: the kind in the change feed.

        Raises:
            ConflictError: an object of that name is deleted but recoverable, or managed.
        """
        row = transaction.object(self.vault.id, self.kind, canonical)
        version = random.token_hex(16)
        text = encode_metadata(metadata).decode()
        payload = seal(self.context(canonical, version, text))
        if row is None:
            row_id = transaction.insert_object(
                self.vault.id,
                self.kind,
                canonical,
                name,
                self.seal_object(canonical, name, version),
            )
        else:
            self.refuse_deleted(row)
            self.verify_current(transaction, row)
            row_id, name = row.id, row.name
        sequence = transaction.insert_version(row_id, version, text, payload)
        transaction.update_object(
            row_id, current=sequence, seal=self.seal_object(canonical, name, version)
        )
        transaction.changed(self.vault.id, self.kind, canonical, version, what)
        return Version(name, version, metadata)

    def change(
        self,
        canonical: str,
        version: str,
        revise: Callable[[Metadata], Metadata],
    ) -> Work[Version]:
        """Changes the attributes of a version; its payload is sealed again under them.

        Args:
            canonical: the canonical name.
            version: the version, or empty for the current one.
            revise: returns the new attributes.

        Raises:
            ObjectNotFoundError: there is no such object or version (when the work runs).
        """

        def work(transaction: "Transaction") -> Version:
            row, found = self.find_in(transaction, canonical, version)
            before = self.describe(row, found).metadata
            self.refuse_managed(before)
            after = revise(before)
            text = encode_metadata(after).decode()
            payload = self.vault.kek.reseal(
                found.payload,
                context=self.context(canonical, found.version, found.metadata),
                new_context=self.context(canonical, found.version, text),
            )
            transaction.update_version(found.sequence, metadata=text, payload=payload)
            transaction.changed(self.vault.id, self.kind, canonical, found.version, "update")
            return Version(row.name, found.version, after)

        return work

    def delete(self, canonical: str) -> Work[Version]:
        """Deletes an object softly: it can be recovered until its purge date.

        Raises:
            ObjectNotFoundError: there is no such object (when the work runs).
        """

        def work(transaction: "Transaction") -> Version:
            row, current = self.find_in(transaction, canonical)
            found = self.describe(row, current)
            self.refuse_managed(found.metadata)
            now = self.vault.now()
            purge_at = now + self.vault.retention_days * 86_400
            transaction.update_object(
                row.id,
                deleted_at=now,
                purge_at=purge_at,
                seal=self.seal_object(canonical, row.name, current.version, now, purge_at),
            )
            transaction.changed(self.vault.id, self.kind, canonical, current.version, "delete")
            return Version(row.name, current.version, found.metadata, now, purge_at)

        return work

    def recover(self, canonical: str) -> Work[Version]:
        """Recovers a deleted object.

        Raises:
            ObjectNotFoundError: there is no deleted object of that name (when the work runs).
        """

        def work(transaction: "Transaction") -> Version:
            row, current = self.find_deleted(transaction, canonical)
            found = self.describe(row, current)
            transaction.update_object(
                row.id,
                deleted_at=None,
                purge_at=None,
                seal=self.seal_object(canonical, row.name, current.version),
            )
            transaction.changed(self.vault.id, self.kind, canonical, current.version, "recover")
            return Version(row.name, current.version, found.metadata)

        return work

    def purge(self, canonical: str, *, due: bool = False) -> Work[list[VersionRow]]:
        """Removes a deleted object permanently.

        Args:
            canonical: the canonical name.
            due: whether the retention has expired, so that purge protection does not apply.

        Returns:
            The work, which returns the versions that it removed.

        Raises:
            ForbiddenError: the vault is protected against purging.
            ObjectNotFoundError: there is no deleted object of that name (when the work runs).
        """
        if self.vault.purge_protection and not due:
            raise ForbiddenError(
                f"Operation purge is not allowed: purge protection is enabled on vault "
                f"{self.vault.name}; the object is purged when its retention ends",
                inner="ForbiddenByPolicy",
            )

        def work(transaction: "Transaction") -> list[VersionRow]:
            row, current = self.find_deleted(transaction, canonical)
            if due and (row.purge_at is None or row.purge_at > self.vault.now()):
                self.missing(canonical, "")
            versions = transaction.versions(row.id)
            transaction.delete_object(row.id)
            transaction.changed(self.vault.id, self.kind, canonical, current.version, "purge")
            return versions

        return work

    # refusals that a kind may override

    def refuse_deleted(self, row: ObjectRow) -> None:
        """Refuses a name that a deleted object has (contract 2.2).

        Raises:
            ConflictError: the object is deleted but recoverable.
        """
        if row.deleted_at is not None:
            noun = self.noun
            raise ConflictError(
                f"{noun} {row.name} is currently in a deleted but recoverable state, and its "
                "name cannot be reused; in this state, the "
                f"{noun.lower()} can only be recovered or purged.",
                inner="ObjectIsDeletedButRecoverable",
            )

    def refuse_managed(self, metadata: Metadata) -> None:
        """Refuses to change an object that a certificate owns.

        Raises:
            ForbiddenError: the object is managed.
        """
        if metadata.managed:
            raise ForbiddenError("the object is managed by a certificate; change that instead")

    def refuse_backup(self, metadata: Metadata) -> None:
        """Refuses a backup that could not be restored."""
        self.refuse_managed(metadata)

    def validate_tags(self, tags: Mapping[str, str] | None) -> dict[str, str] | None:
        """Checks tags against the contract's limits (section 7).

        Raises:
            BadParameterError: there are too many, or one is too long.
        """
        if tags is None:
            return None
        if len(tags) > MAXIMUM_TAGS:
            raise BadParameterError(f"at most {MAXIMUM_TAGS} tags are allowed, found {len(tags)}")
        limit = self.maximum_tag_length
        for name, value in tags.items():
            if not name or len(name) > limit or len(value) > limit:
                raise BadParameterError(
                    f"names of tags have 1 to {limit} characters, and their values at most {limit}"
                )
        return dict(tags)
