"""What secrets, keys and certificates share: versions, attributes, soft delete, backup.

An object is a row that points at its current version; both are sealed under the vault key with
everything that may not be changed unnoticed as their context (design: keys and envelopes). Rules
here are those of the contract, sections 1.0, 4.4 and 9.
"""

import secrets as random
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

import msgspec

from vaultcore._core import Context
from vaultcore.errors import (
    BadParameterError,
    ConflictError,
    DecryptionError,
    ForbiddenError,
    ObjectNotFoundError,
    TamperedError,
)
from vaultcore.objects.attributes import Metadata, Page, Version
from vaultcore.storage.rows import ObjectRow, VersionRow

if TYPE_CHECKING:
    from vaultcore.objects.vault import VaultState
    from vaultcore.storage import Store, Transaction

Row = TypeVar("Row")
T = TypeVar("T")
#: A write: runs inside a transaction, may be run again, has no effect outside it.
Work = Callable[["Transaction"], T]

MAXIMUM_TAGS: Final = 15
MAXIMUM_BACKUP_VERSIONS: Final = 500

_SINGULAR: Final = {"secrets": "Secret", "keys": "Key", "certificates": "Certificate"}
_HELP: Final = "https://go.microsoft.com/fwlink/?linkid=2125182"


class _BackupVersion(msgspec.Struct, frozen=True):
    version: str
    metadata: str
    payload: bytes


class _Backup(msgspec.Struct, frozen=True):
    kind: str
    name: str
    versions: list[_BackupVersion]


_encode = msgspec.json.Encoder(order="deterministic").encode
_decode_metadata = msgspec.json.Decoder(Metadata).decode
_decode_backup = msgspec.msgpack.Decoder(_Backup).decode


class Lifecycle:
    """The rules that hold for every kind of object in one vault.

    Args:
        vault: the vault's state.
        kind: ``secrets``, ``keys`` or ``certificates``.
    """

    kind: str
    maximum_tag_length = 512

    def __init__(self, vault: "VaultState", kind: str) -> None:
        self.vault = vault
        self.kind = kind

    @property
    def store(self) -> "Store":
        """The store that the vault lives in."""
        return self.vault.store

    # reading

    def find(self, key: str, version: str = "") -> tuple[ObjectRow, VersionRow]:
        """Reads the current or a named version of an object that is not deleted.

        Args:
            key: the canonical name.
            version: 32 hexadecimal characters, or empty for the current one.

        Raises:
            ObjectNotFoundError: there is no such object or version.
            TamperedError: a row does not verify.
        """
        return self.find_in(self.store, key, version)

    def find_in(
        self, reader: "Store | Transaction", key: str, version: str = ""
    ) -> tuple[ObjectRow, VersionRow]:
        """Reads like :meth:`find`, from the store or inside a transaction."""
        if version:
            found = reader.version(self.vault.id, self.kind, key, version)
        else:
            found = reader.current(self.vault.id, self.kind, key)
        if found is None or found[0].deleted_at is not None:
            self.missing(key, version)
        self._verify_object(reader, found[0], None if version else found[1])
        return found

    def find_deleted(self, reader: "Store | Transaction", key: str) -> tuple[ObjectRow, VersionRow]:
        """Reads a deleted object and its current version.

        Raises:
            ObjectNotFoundError: there is no deleted object of that name.
            TamperedError: a row does not verify.
        """
        found = reader.current(self.vault.id, self.kind, key)
        if found is None or found[0].deleted_at is None:
            noun = _SINGULAR[self.kind]
            raise ObjectNotFoundError(
                f"Deleted {noun} not found: {{}}", code=f"{noun}NotFound", name=key
            )
        self._verify_object(reader, found[0], found[1])
        return found

    def list_current(self, *, deleted: bool, after: str, limit: int) -> Page:
        """Lists objects by canonical name, with the attributes of their current versions.

        Args:
            deleted: whether to list deleted objects, or those that are not.
            after: the canonical name that the page starts behind.
            limit: how many at most.

        Raises:
            TamperedError: a row does not verify.
        """
        rows = self.store.list_objects(
            self.vault.id, self.kind, deleted=deleted, after=after, limit=limit + 1
        )
        items = []
        for row, version in rows[:limit]:
            self._verify_object(self.store, row, version)
            items.append(self.describe(row, version))
        return Page(items, rows[limit - 1][0].key if len(rows) > limit else None)

    def list_versions(self, key: str, *, before: int | None, limit: int) -> Page:
        """Lists the versions of an object, newest first.

        Args:
            key: the canonical name.
            before: the sequence that the page starts before, or None for the newest.
            limit: how many at most.

        Raises:
            ObjectNotFoundError: there is no such object.
            TamperedError: a row does not verify.
        """
        row, _ = self.find(key)
        rows = self.store.list_versions(row.id, before=before, limit=limit + 1)
        items = [self.describe(row, version) for version in rows[:limit]]
        return Page(items, str(rows[limit - 1].sequence) if len(rows) > limit else None)

    def describe(self, row: ObjectRow, version: VersionRow) -> Version:
        """Verifies a version's attributes against its payload and returns them.

        Raises:
            TamperedError: the version was changed outside the vault.
        """
        try:
            self.vault.kek.verify(
                version.payload, context=self.context(row.key, version.version, version.metadata)
            )
        except DecryptionError:
            self.tampered(row.name, version.version)
        return Version(
            row.name,
            version.version,
            _decode_metadata(version.metadata),
            row.deleted_at,
            row.purge_at,
        )

    # writing

    def add_version(
        self,
        transaction: "Transaction",
        name: str,
        key: str,
        metadata: Metadata,
        seal: Callable[[Context], bytes],
        *,
        what: str,
    ) -> Version:
        """Adds a version and makes it the current one, creating the object if need be.

        Args:
            transaction: the transaction.
            name: as the caller wrote it; an existing object keeps its own spelling.
            key: the canonical name.
            metadata: the attributes.
            seal: makes the payload for a context.
            what: what the change feed says.

        Raises:
            ConflictError: an object of that name is deleted but recoverable, or managed.
        """
        row = transaction.object(self.vault.id, self.kind, key)
        version = random.token_hex(16)
        text = _encode(metadata).decode()
        payload = seal(self.context(key, version, text))
        if row is None:
            row_id = transaction.insert_object(
                self.vault.id, self.kind, key, name, self._seal_object(key, name, version)
            )
        else:
            self.refuse_deleted(row)
            self._verify_current(transaction, row)
            row_id, name = row.id, row.name
        sequence = transaction.insert_version(row_id, version, text, payload)
        transaction.update_object(
            row_id, current=sequence, seal=self._seal_object(key, name, version)
        )
        transaction.changed(self.vault.id, self.kind, key, version, what)
        return Version(name, version, metadata)

    def change(
        self,
        key: str,
        version: str,
        revise: Callable[[Metadata], Metadata],
    ) -> Work[Version]:
        """Changes the attributes of a version; its payload is sealed again under them.

        Args:
            key: the canonical name.
            version: the version, or empty for the current one.
            revise: returns the new attributes.

        Raises:
            ObjectNotFoundError: there is no such object or version (when the work runs).
        """

        def work(transaction: "Transaction") -> Version:
            row, found = self.find_in(transaction, key, version)
            before = self.describe(row, found).metadata
            self.refuse_managed(before)
            after = revise(before)
            text = _encode(after).decode()
            payload = self.vault.kek.reseal(
                found.payload,
                context=self.context(key, found.version, found.metadata),
                new_context=self.context(key, found.version, text),
            )
            transaction.update_version(found.sequence, metadata=text, payload=payload)
            transaction.changed(self.vault.id, self.kind, key, found.version, "update")
            return Version(row.name, found.version, after)

        return work

    def delete(self, key: str) -> Work[Version]:
        """Deletes an object softly: it can be recovered until its purge date.

        Raises:
            ObjectNotFoundError: there is no such object (when the work runs).
        """

        def work(transaction: "Transaction") -> Version:
            row, current = self.find_in(transaction, key)
            found = self.describe(row, current)
            self.refuse_managed(found.metadata)
            now = self.vault.now()
            purge_at = now + self.vault.retention_days * 86_400
            transaction.update_object(
                row.id,
                deleted_at=now,
                purge_at=purge_at,
                seal=self._seal_object(key, row.name, current.version, now, purge_at),
            )
            transaction.changed(self.vault.id, self.kind, key, current.version, "delete")
            return Version(row.name, current.version, found.metadata, now, purge_at)

        return work

    def recover(self, key: str) -> Work[Version]:
        """Brings a deleted object back.

        Raises:
            ObjectNotFoundError: there is no deleted object of that name (when the work runs).
        """

        def work(transaction: "Transaction") -> Version:
            row, current = self.find_deleted(transaction, key)
            found = self.describe(row, current)
            transaction.update_object(
                row.id,
                deleted_at=None,
                purge_at=None,
                seal=self._seal_object(key, row.name, current.version),
            )
            transaction.changed(self.vault.id, self.kind, key, current.version, "recover")
            return Version(row.name, current.version, found.metadata)

        return work

    def purge(self, key: str, *, due: bool = False) -> Work[list[VersionRow]]:
        """Removes a deleted object for good.

        Args:
            key: the canonical name.
            due: whether the retention has passed, so that purge protection does not apply.

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
            row, current = self.find_deleted(transaction, key)
            if due and (row.purge_at is None or row.purge_at > self.vault.now()):
                self.missing(key, "")
            versions = transaction.versions(row.id)
            transaction.delete_object(row.id)
            transaction.changed(self.vault.id, self.kind, key, current.version, "purge")
            return versions

        return work

    # backup

    def backup(self, key: str) -> bytes:
        """Returns an object with all its versions, sealed for this vault only.

        Raises:
            ObjectNotFoundError: there is no such object.
            BadParameterError: there are more versions than a backup may hold.
        """
        row, _ = self.find(key)
        versions = self.store.versions(row.id)
        if len(versions) > MAXIMUM_BACKUP_VERSIONS:
            raise BadParameterError(
                f"{row.name} has more than {MAXIMUM_BACKUP_VERSIONS} versions and cannot be "
                "backed up as one object"
            )
        for version in versions:
            self.refuse_backup(self.describe(row, version).metadata)
        body = msgspec.msgpack.encode(
            _Backup(
                self.kind,
                row.name,
                # All under the newest generation, like the backup itself.
                [
                    _BackupVersion(v.version, v.metadata, self.vault.kek.rewrap(v.payload))
                    for v in versions
                ],
            )
        )
        return self.vault.kek.seal(body, context=self._backup_context())

    def restore(self, blob: bytes, parse_name: Callable[[str], tuple[str, str]]) -> Work[Version]:
        """Restores a backup under its own name, with its own version identifiers.

        Args:
            blob: what :meth:`backup` returned.
            parse_name: the one parser of names.

        Raises:
            BadParameterError: the blob was changed, or is another vault's or another kind's.
            ConflictError: the name is taken, or deleted but recoverable (when the work runs).
        """
        try:
            body = self.vault.kek.open(blob, context=self._backup_context())
            backup = _decode_backup(body)
        except (DecryptionError, msgspec.DecodeError):
            raise BadParameterError(
                "the backup blob is malformed, was changed, is older than a rekey, or belongs to "
                f"another vault or another kind of object; restore it as one of the {self.kind} of "
                "the vault that made it"
            ) from None
        name, key = parse_name(backup.name)

        def work(transaction: "Transaction") -> Version:
            row = transaction.object(self.vault.id, self.kind, key)
            if row is not None:
                self.refuse_deleted(row)
                raise ConflictError(
                    f"{_SINGULAR[self.kind]} {name} already exists in this vault; delete and "
                    "purge it before restoring"
                )
            newest = backup.versions[-1]
            seal = self._seal_object(key, name, newest.version)
            row_id = transaction.insert_object(self.vault.id, self.kind, key, name, seal)
            sequence = 0
            for version in backup.versions:
                try:
                    # Older generations go when a rekey ends, perhaps while it was on its way.
                    payload = self.vault.kek.rewrap(version.payload)
                except DecryptionError:
                    raise BadParameterError(
                        "the backup blob is older than a rekey of the vault, or was changed"
                    ) from None
                sequence = transaction.insert_version(
                    row_id, version.version, version.metadata, payload
                )
            transaction.update_object(row_id, current=sequence, seal=seal)
            transaction.changed(self.vault.id, self.kind, key, newest.version, "restore")
            return Version(name, newest.version, _decode_metadata(newest.metadata))

        return work

    # what kinds may refuse

    def refuse_deleted(self, row: ObjectRow) -> None:
        """Refuses a name that a deleted object holds (contract 2.2).

        Raises:
            ConflictError: the object is deleted but recoverable.
        """
        if row.deleted_at is not None:
            noun = _SINGULAR[self.kind]
            raise ConflictError(
                f"{noun} {row.name} is currently in a deleted but recoverable state, and its "
                "name cannot be reused; in this state, the "
                f"{noun.lower()} can only be recovered or purged.",
                inner="ObjectIsDeletedButRecoverable",
            )

    def refuse_managed(self, metadata: Metadata) -> None:
        """Refuses to change what a certificate owns.

        Raises:
            ForbiddenError: the object is managed.
        """
        if metadata.managed:
            raise ForbiddenError("the object is managed by a certificate; change that instead")

    def refuse_backup(self, metadata: Metadata) -> None:
        """Refuses a backup that could not be restored."""
        self.refuse_managed(metadata)

    def missing(self, name: str, version: str) -> NoReturn:
        """Reports an object or version that is not there.

        Raises:
            ObjectNotFoundError: always.
        """
        noun = _SINGULAR[self.kind]
        named = "{}/" + version if version else "{}"
        raise ObjectNotFoundError(
            f"A {noun.lower()} with (name/id) {named} was not found in this key vault. If you "
            f"recently deleted this {noun.lower()} you may be able to recover it using the "
            f"correct recovery command. For help resolving this issue, please see {_HELP}",
            code=f"{noun}NotFound",
            name=name,
        )

    def metadata(self, name: str, version: VersionRow) -> Metadata:
        """Reads the attributes of a version, before or after they are verified.

        Raises:
            TamperedError: they cannot be read.
        """
        try:
            return _decode_metadata(version.metadata)
        except (msgspec.DecodeError, UnicodeEncodeError):
            self.tampered(name, version.version)

    def tampered(self, name: str, version: str) -> NoReturn:
        """Reports a row that does not verify.

        Raises:
            TamperedError: always.
        """
        noun = _SINGULAR[self.kind].lower()
        raise TamperedError(
            f"the stored {noun} {name}/{version} of vault {self.vault.name} does not verify: it "
            "was changed outside the vault; restore it from a backup"
        )

    # contexts

    def context(self, key: str, version: str, metadata: str) -> Context:
        """Returns what a version's payload is bound to."""
        return Context(
            {
                "purpose": "version",
                "vault": self.vault.id,
                "kind": self.kind,
                "name": key,
                "version": version,
                "metadata": metadata,
            }
        )

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
                    f"names of tags hold 1 to {limit} characters, and their values at most {limit}"
                )
        return dict(tags)

    def _verify_object(
        self, reader: "Store | Transaction", row: ObjectRow, current: VersionRow | None
    ) -> None:
        if current is None:
            self._verify_current(reader, row)
            return
        context = self._object_context(
            row.key, row.name, current.version, row.deleted_at, row.purge_at
        )
        try:
            self.vault.kek.verify(row.seal, context=context)
        except DecryptionError:
            self.tampered(row.name, current.version)

    def _verify_current(self, reader: "Store | Transaction", row: ObjectRow) -> None:
        found = reader.current(self.vault.id, self.kind, row.key)
        if found is None:
            if reader.object(self.vault.id, self.kind, row.key) is None:
                self.missing(row.name, "")  # purged since the row was read
            self.tampered(row.name, "")
        # What was read just now belongs together; the row may be from before another's write.
        self._verify_object(reader, *found)

    def _seal_object(
        self,
        key: str,
        name: str,
        current: str,
        deleted_at: int | None = None,
        purge_at: int | None = None,
    ) -> bytes:
        context = self._object_context(key, name, current, deleted_at, purge_at)
        return self.vault.kek.seal(b"", context=context)

    def _object_context(
        self, key: str, name: str, current: str, deleted_at: int | None, purge_at: int | None
    ) -> Context:
        return Context(
            {
                "purpose": "object",
                "vault": self.vault.id,
                "kind": self.kind,
                "name": key,
                "display": name,
                "current": current,
                "deleted": deleted_at,
                "purge": purge_at,
            }
        )

    def _backup_context(self) -> Context:
        return Context({"purpose": "backup", "vault": self.vault.id, "kind": self.kind})
