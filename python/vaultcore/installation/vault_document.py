"""The stored form of a vault."""

from typing import TYPE_CHECKING, Self

import msgspec

from vaultcore.documents import decode_stored
from vaultcore.errors import NotFoundError

if TYPE_CHECKING:
    from vaultcore.storage import Transaction


class VaultDocument(msgspec.Struct, frozen=True):
    """The stored form of a vault.

    Attributes:
        id: 32 hexadecimal characters.
        settings: its settings, sealed under its key.
    """

    id: str
    settings: bytes

    @classmethod
    def decode(cls, blob: bytes, key: str) -> Self:
        """Reads the stored form.

        Raises:
            TamperedError: it cannot be read.
        """
        return decode_stored(blob, cls, f"settings of vault {key}")

    @classmethod
    def present(cls, transaction: "Transaction", vault_id: str, key: str) -> Self:
        """Returns the stored form of a vault.

        Raises:
            NotFoundError: the vault was removed meanwhile, and its name is free or reused.
        """
        blob = transaction.document("vaults", key)
        found = None if blob is None else cls.decode(blob, key)
        if found is None or found.id != vault_id:
            raise NotFoundError(f"vault {key} was removed meanwhile", code="VaultNotFound")
        return found
