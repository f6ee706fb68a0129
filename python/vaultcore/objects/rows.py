"""The rows of one kind of object in a vault: finds and verifies them, and binds them.

An object is a row that points at its current version. Both are sealed under the vault key; their
contexts contain everything that must not be changed unnoticed (design: keys and envelopes).
"""

from typing import TYPE_CHECKING, ClassVar, Final, NoReturn

import msgspec

from vaultcore._core import Context
from vaultcore.errors import DecryptionError, ObjectNotFoundError, TamperedError
from vaultcore.objects.attributes import Metadata, Version
from vaultcore.objects.vault import VaultState
from vaultcore.storage.rows import ObjectRow, VersionRow

if TYPE_CHECKING:
    from vaultcore.storage import Store, Transaction

_HELP: Final = "https://go.microsoft.com/fwlink/?linkid=2125182"

encode_metadata: Final = msgspec.json.Encoder(order="deterministic").encode
decode_metadata: Final = msgspec.json.Decoder(Metadata).decode


class SealedRows:
    """The rows of one kind in one vault.

    Args:
        vault: the vault's state.

    Attributes:
        kind: the collection, for example ``secrets``.
        noun: the kind's name in operations, codes and messages, for example ``Secret``.
    """

    kind: ClassVar[str]
    noun: ClassVar[str]

    def __init__(self, vault: VaultState) -> None:
        self.vault = vault

    @property
    def store(self) -> "Store":
        """The store that contains the vault."""
        return self.vault.store

    # reading

    def find(self, canonical: str, version: str = "") -> tuple[ObjectRow, VersionRow]:
        """Reads the current or a named version of an object that is not deleted.

        Args:
            canonical: the canonical name.
            version: 32 hexadecimal characters, or empty for the current one.

        Raises:
            ObjectNotFoundError: there is no such object or version.
            TamperedError: a row does not verify.
        """
        return self.find_in(self.store, canonical, version)

    def find_in(
        self, reader: "Store | Transaction", canonical: str, version: str = ""
    ) -> tuple[ObjectRow, VersionRow]:
        """Reads like :meth:`find`, from the store or inside a transaction."""
        if version:
            found = reader.version(self.vault.id, self.kind, canonical, version)
        else:
            found = reader.current(self.vault.id, self.kind, canonical)
        if found is None or found[0].deleted_at is not None:
            self.missing(canonical, version)
        self.verify_object(reader, found[0], None if version else found[1])
        return found

    def find_deleted(
        self, reader: "Store | Transaction", canonical: str
    ) -> tuple[ObjectRow, VersionRow]:
        """Reads a deleted object and its current version.

        Raises:
            ObjectNotFoundError: there is no deleted object of that name.
            TamperedError: a row does not verify.
        """
        found = reader.current(self.vault.id, self.kind, canonical)
        if found is None or found[0].deleted_at is None:
            noun = self.noun
            raise ObjectNotFoundError(
                f"Deleted {noun} not found: {{}}", code=f"{noun}NotFound", name=canonical
            )
        self.verify_object(reader, found[0], found[1])
        return found

    def describe(self, row: ObjectRow, version: VersionRow) -> Version:
        """Verifies a version's attributes against its payload and returns them.

        Raises:
            TamperedError: the version was changed outside the vault.
        """
        try:
            self.vault.kek.verify(
                version.payload,
                context=self.context(row.canonical, version.version, version.metadata),
            )
        except DecryptionError:
            self.tampered(row.name, version.version)
        return Version(
            row.name,
            version.version,
            decode_metadata(version.metadata),
            row.deleted_at,
            row.purge_at,
        )

    def missing(self, name: str, version: str) -> NoReturn:
        """Reports an object or version that does not exist.

        Raises:
            ObjectNotFoundError: always.
        """
        noun = self.noun
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
            return decode_metadata(version.metadata)
        except (msgspec.DecodeError, UnicodeEncodeError):
            self.tampered(name, version.version)

    def tampered(self, name: str, version: str) -> NoReturn:
        """Reports a row that does not verify.

        Raises:
            TamperedError: always.
        """
        noun = self.noun.lower()
        raise TamperedError(
            f"the stored {noun} {name}/{version} of vault {self.vault.name} does not verify: it "
            "was changed outside the vault; restore it from a backup"
        )

    # what each row is bound to

    def context(self, canonical: str, version: str, metadata: str) -> Context:
        """Returns the context that a version's payload is bound to."""
        return Context(
            {
                "purpose": "version",
                "vault": self.vault.id,
                "kind": self.kind,
                "name": canonical,
                "version": version,
                "metadata": metadata,
            }
        )

    def verify_object(
        self, reader: "Store | Transaction", row: ObjectRow, current: VersionRow | None
    ) -> None:
        """Verifies an object against its current version, which is read if it is not given.

        Raises:
            ObjectNotFoundError: it was purged meanwhile.
            TamperedError: it does not verify.
        """
        if current is None:
            self.verify_current(reader, row)
            return
        context = self._object_context(
            row.canonical, row.name, current.version, row.deleted_at, row.purge_at
        )
        try:
            self.vault.kek.verify(row.seal, context=context)
        except DecryptionError:
            self.tampered(row.name, current.version)

    def verify_current(self, reader: "Store | Transaction", row: ObjectRow) -> None:
        """Verifies an object against what is stored of it now.

        Raises:
            ObjectNotFoundError: it was purged meanwhile.
            TamperedError: it does not verify.
        """
        found = reader.current(self.vault.id, self.kind, row.canonical)
        if found is None:
            if reader.object(self.vault.id, self.kind, row.canonical) is None:
                self.missing(row.name, "")  # purged since the row was read
            self.tampered(row.name, "")
        # The current rows were read together; the given row may be older than another write.
        self.verify_object(reader, *found)

    def seal_object(
        self,
        canonical: str,
        name: str,
        current: str,
        deleted_at: int | None = None,
        purge_at: int | None = None,
    ) -> bytes:
        """Returns the seal of an object, which binds it to its current version and its state."""
        context = self._object_context(canonical, name, current, deleted_at, purge_at)
        return self.vault.kek.seal(b"", context=context)

    def _object_context(
        self, canonical: str, name: str, current: str, deleted_at: int | None, purge_at: int | None
    ) -> Context:
        return Context(
            {
                "purpose": "object",
                "vault": self.vault.id,
                "kind": self.kind,
                "name": canonical,
                "display": name,
                "current": current,
                "deleted": deleted_at,
                "purge": purge_at,
            }
        )
