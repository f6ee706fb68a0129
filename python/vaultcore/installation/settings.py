"""The stored settings of the installation as a whole: its name, its administrators.

Everything here is a small document, sealed under the key that it concerns, so an attacker with
write access to the database can neither read it nor change it unnoticed.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Self, TypeVar

import msgspec

from vaultcore._core import KeyEncryptionKey
from vaultcore.access.firewall import Firewall
from vaultcore.audit.identity import AuditIdentity, create_keys
from vaultcore.documents import open_document, seal_document
from vaultcore.installation.hosts import management_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from vaultcore._core import Principal
    from vaultcore.storage import Store, Transaction

Document = TypeVar("Document")
DATABASE: Final = "vaultcore.db"
#: The identifier of the key that seals what does not belong to a vault.
SYSTEM: Final = "system"


class Installation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of the installation; sealed under the system key.

    Attributes:
        id: 32 hexadecimal characters.
        tenant_id: the tenant of the built-in issuer, a GUID.
        created: Unix seconds.
        domain: the parent domain of the vaults' host names, with a port unless that is 443.
        issuer_url: the URL of the built-in issuer.
        location: the contract's region.
        operator: the object id of the local administrator, who has the folder.
        audiences: accepted audiences of tokens, in addition to the resource.
        administrators: object ids that may use the management plane over HTTPS.
        audit: the keys of the audit log; None in folders of older versions, until they are opened.
        firewalls: which addresses may talk to the issuer and to the management plane.
    """

    id: str
    tenant_id: str
    created: int
    domain: str
    issuer_url: str
    location: str
    operator: str
    audiences: tuple[str, ...] = ()
    administrators: tuple[str, ...] = ()
    audit: AuditIdentity | None = None
    firewalls: Mapping[str, Firewall] = msgspec.field(default_factory=dict)

    @property
    def resource(self) -> str:
        """The audience of tokens (contract 3.2)."""
        return f"https://{self.domain}"

    @property
    def management_resource(self) -> str:
        """The audience of administrators' tokens; a token for a vault does not have it."""
        return management_url(self.domain)

    def obeys(self, principal: "Principal") -> bool:
        """Returns whether a principal may use the management plane."""
        return principal.object_id in {self.operator, *self.administrators}

    def vault_url(self, name: str) -> str:
        """Returns the base URL of a vault, without a slash at the end."""
        return f"https://{name.lower()}.{self.domain}"

    @classmethod
    def load(cls, store: "Store | Transaction", system: KeyEncryptionKey) -> Self:
        """Reads the installation.

        Raises:
            TamperedError: it does not verify.
        """
        return msgspec.json.decode(
            open_document(
                system, store.document("installation", "settings"), "installation", "settings"
            ),
            type=cls,
        )

    @classmethod
    def revise(
        cls,
        store: "Store",
        system: KeyEncryptionKey,
        change: "Callable[[Installation], Installation]",
    ) -> "Installation":
        """Changes the installation, starting from the stored one, and returns the new one.

        Args:
            store: the store.
            system: the system key.
            change: returns the new installation; it may be called again.

        Raises:
            TamperedError: the stored installation does not verify.
        """

        def work(transaction: "Transaction") -> Installation:
            after = change(cls.load(transaction, system))
            after.put(transaction, system)
            return after

        return store.write(work)

    def save(self, store: "Store", system: KeyEncryptionKey) -> "Installation":
        """Writes a new installation with the keys of its audit log, and returns it with these."""

        def work(transaction: "Transaction") -> "Installation":
            new = msgspec.structs.replace(self, audit=create_keys(transaction, system))
            new.put(transaction, system)
            return new

        return store.write(work)

    def put(self, transaction: "Transaction", system: KeyEncryptionKey) -> None:
        """Writes the installation, inside a transaction."""
        blob = seal_document(system, msgspec.json.encode(self), "installation", "settings")
        transaction.put_document("installation", "settings", blob)
        transaction.changed(SYSTEM, "installation", "settings", "", "set")
