"""The key ring: the vault keys, and the settings of vaults that are sealed under them."""

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from vaultcore._core import Context, KeyEncryptionKey
from vaultcore.errors import ConflictError, DecryptionError, TamperedError
from vaultcore.installation.settings import SYSTEM
from vaultcore.installation.vault_document import VaultDocument
from vaultcore.installation.vault_keys import VaultKeys
from vaultcore.installation.vault_settings import VaultSettings
from vaultcore.protectors.wraps import COLLECTION, VaultKey

if TYPE_CHECKING:
    from vaultcore.storage import Transaction


class KeyRing(VaultKeys):
    """The vault keys, and the vaults that they are for; see :class:`~.vault_keys.VaultKeys`."""

    def load_vault(self, key: str) -> tuple[str, VaultSettings, KeyEncryptionKey] | None:
        """Reads a vault's settings.

        Args:
            key: the vault's name in lower case.

        Returns:
            Its identifier, settings and key; None if there is no such vault.

        Raises:
            ProtectorError: no protector opens its key.
            TamperedError: the settings do not verify.
        """
        blob = self._store.document("vaults", key)
        if blob is None:
            return None
        document = VaultDocument.decode(blob, key)
        kek = self.kek(document.id)
        return document.id, _open(kek, document, key), kek

    def create_vault(self, settings: VaultSettings) -> str:
        """Creates a vault with a key of its own and returns its identifier.

        Raises:
            ConflictError: the name is taken.
            ProtectorError: a protector is unavailable, or refuses.
        """
        vault_id = uuid.uuid4().hex
        made = VaultKey(KeyEncryptionKey.generate())
        key = settings.name.lower()
        document = _seal(made.kek, vault_id, key, settings)

        def work(transaction: "Transaction") -> bool:
            if transaction.document("vaults", key) is not None:
                raise ConflictError(
                    f"the vault name `{settings.name}` is already in use",
                    code="VaultAlreadyExists",
                )
            transaction.put_document("vaults", key, document)
            transaction.changed(vault_id, "vaults", key, "", "create")
            return True

        self.wrapped({SYSTEM}, lambda _: ({vault_id: made}, None), work)
        self._keks[vault_id] = made.kek
        return vault_id

    def save_vault(
        self, vault_id: str, key: str, revise: Callable[[VaultSettings], VaultSettings]
    ) -> VaultSettings:
        """Changes a vault's settings, starting from the stored ones.

        Args:
            vault_id: the vault.
            key: its name in lower case.
            revise: returns the new settings; it may be called again.

        Raises:
            NotFoundError: the vault was removed meanwhile.
            TamperedError: the stored settings do not verify.
        """
        kek = self.kek(vault_id)

        def work(transaction: "Transaction") -> VaultSettings:
            after = revise(_open(kek, VaultDocument.present(transaction, vault_id, key), key))
            after.check()
            transaction.put_document("vaults", key, _seal(kek, vault_id, key, after))
            transaction.changed(vault_id, "vaults", key, "", "update")
            return after

        return self._store.write(work)

    def remove_vault(self, vault_id: str, key: str) -> None:
        """Removes an empty vault with its key.

        Raises:
            ConflictError: it contains objects, deleted ones included.
            NotFoundError: the vault was removed meanwhile.
        """

        def work(transaction: "Transaction") -> None:
            # By now another vault may have the name.
            VaultDocument.present(transaction, vault_id, key)
            counts = transaction.counts(vault_id)
            if any(count.active or count.deleted for count in counts.values()):
                raise ConflictError(f"vault {key} is not empty; delete and purge its objects first")
            transaction.delete_document("vaults", key)
            for wrap_key, _ in transaction.documents(COLLECTION):
                if wrap_key.startswith(f"{vault_id}/"):
                    transaction.delete_document(COLLECTION, wrap_key)
            transaction.erase()
            transaction.changed(vault_id, "vaults", key, "", "delete")

        self._store.write(work)
        self.forget(vault_id)


def _context(vault_id: str, key: str) -> Context:
    return Context({"purpose": "vault", "vault": vault_id, "name": key})


def _seal(kek: KeyEncryptionKey, vault_id: str, key: str, settings: VaultSettings) -> bytes:
    sealed = kek.seal(msgspec.json.encode(settings), context=_context(vault_id, key))
    return msgspec.json.encode(VaultDocument(vault_id, sealed))


def _open(kek: KeyEncryptionKey, document: VaultDocument, key: str) -> VaultSettings:
    try:
        text = kek.open(document.settings, context=_context(document.id, key))
    except DecryptionError:
        raise TamperedError(
            f"the settings of vault {key} do not verify: they were changed outside the vault; "
            "restore the database from a backup"
        ) from None
    return msgspec.json.decode(text, type=VaultSettings)
