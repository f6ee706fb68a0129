"""Wraps of vault keys: a vault key with all its generations, wrapped by one protector."""

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from vaultcore._core import Context, KeyEncryptionKey
from vaultcore.errors import DecryptionError, ProtectorError, TamperedError

if TYPE_CHECKING:
    from vaultcore.protectors.protector import Protector

#: The collection of wraps in the store; keys are ``VAULT-ID/PROTECTOR``.
COLLECTION: Final = "vault-keys"
_REKEY: Final = Context({"purpose": "rekey"})


class _Wrap(msgspec.Struct, frozen=True, omit_defaults=True):
    """A vault key under one protector.

    Attributes:
        outer: 32 random bytes, wrapped by the protector, base64.
        kek: the vault key with all its generations, sealed under those bytes, base64.
        rekey: present during a rekey: an empty message sealed under those bytes, so that only a
            holder of the protector can create it.
    """

    outer: bytes
    kek: bytes
    rekey: bytes | None = None


@dataclass(frozen=True)
class VaultKey:
    """A vault key, as stored in its wraps.

    Attributes:
        kek: the key with all its generations.
        rekeying: whether what is sealed under its older generations is being moved to the newest.
    """

    kek: KeyEncryptionKey
    rekeying: bool = False

    def wrap(self, protector: "Protector") -> bytes:
        """Returns the key in a form that only this protector can open.

        Raises:
            ProtectorError: the protector refuses, or is unavailable.
        """
        raw = secrets.token_bytes(32)
        outer = KeyEncryptionKey.danger_from_bytes(raw)
        mark = outer.seal(b"", context=_REKEY) if self.rekeying else None
        return msgspec.json.encode(_Wrap(protector.wrap(raw), self.kek.wrap_under(outer), mark))

    @classmethod
    def unwrap(cls, protector: "Protector", wrap: bytes) -> "VaultKey":
        """Opens what :meth:`wrap` returned.

        Raises:
            ProtectorError: the protector refuses, or the wrap was changed.
            TamperedError: it is not a wrap.
        """
        try:
            found = msgspec.json.decode(wrap, type=_Wrap)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise TamperedError(
                "the stored wrap of a vault key cannot be read: it was changed outside the vault; "
                "restore the database from a backup"
            ) from None
        outer = KeyEncryptionKey.danger_from_bytes(protector.unwrap(found.outer))
        try:
            kek = KeyEncryptionKey.unwrap_under(outer, found.kek)
            if found.rekey is not None:
                outer.open(found.rekey, context=_REKEY)
        except DecryptionError:
            raise ProtectorError(
                "its wrap of the vault key was changed outside the vault"
            ) from None
        return cls(kek, rekeying=found.rekey is not None)

    def rotated(self, *, rekeying: bool) -> "VaultKey":
        """Returns a copy with one more generation."""
        kek = self._copy()
        kek.rotate()
        return VaultKey(kek, rekeying=rekeying)

    def retired(self) -> "VaultKey":
        """Returns a copy with its newest generation only."""
        kek = self._copy()
        kek.retire()
        return VaultKey(kek)

    def _copy(self) -> KeyEncryptionKey:
        outer = KeyEncryptionKey.generate()
        return KeyEncryptionKey.unwrap_under(outer, self.kek.wrap_under(outer))
