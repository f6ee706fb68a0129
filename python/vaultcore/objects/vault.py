"""A vault in memory: its settings, its key, its HSM."""

from typing import TYPE_CHECKING, NoReturn, TypeVar

from vaultcore.errors import NotFoundError, VaultcoreError
from vaultcore.installation.vault_settings import MAXIMUM_RETENTION, VaultSettings

if TYPE_CHECKING:
    from vaultcore._core import KeyEncryptionKey
    from vaultcore.clock import Clock
    from vaultcore.protectors.hsm import Hsm
    from vaultcore.storage import Store

T = TypeVar("T")


class VaultState:
    """One vault in memory.

    Args:
        vault_id: 32 hexadecimal characters.
        settings: its settings.
        kek: the vault key.
        store: where it is stored.
        clock: the current time.
        location: the name of this installation, as the contract's region.
        url: the prefix of identifiers, if a request does not determine it.
        hsm: the HSM for keys of ``-HSM`` types, or None.
    """

    def __init__(
        self,
        vault_id: str,
        settings: VaultSettings,
        kek: "KeyEncryptionKey",
        *,
        store: "Store",
        clock: "Clock",
        location: str,
        url: str,
        hsm: "Hsm | None" = None,
    ) -> None:
        self.id = vault_id
        self.kek = kek
        self.store = store
        self.clock = clock
        self.location = location
        self.url = url
        self.removed = False
        self._failure: VaultcoreError | None = None
        self.hsm = hsm
        self.apply(settings)

    def apply(self, settings: VaultSettings) -> None:
        """Adopts new settings."""
        self.settings = settings
        self.name = settings.name
        self.retention_days = settings.retention_days
        self.purge_protection = settings.purge_protection
        self.enforces_expiry = settings.secret_expiry == "enforce"  # noqa: S105

    def replace_key(self, kek: "KeyEncryptionKey") -> None:
        """Adopts a vault key."""
        self.kek = kek

    def close(self, failure: "VaultcoreError | None" = None) -> None:
        """Makes this object unusable for every holder of it.

        Args:
            failure: why the vault can no longer be opened; None if it was removed.
        """
        self._failure = failure
        self.removed = True

    def refuse(self) -> NoReturn:
        """Raises the reason why this vault can no longer be used.

        Raises:
            NotFoundError: it was removed.
            ProtectorError: no protector opens its key.
            TamperedError: its settings or its key do not verify.
        """
        if self._failure is not None:
            # One for each caller: a traceback belongs to one thread.
            raise type(self._failure)(str(self._failure))
        raise NotFoundError("the vault was removed", code="VaultNotFound")

    def now(self) -> int:
        """Returns Unix seconds."""
        return int(self.clock.now())

    @property
    def recovery_level(self) -> str:
        """The contract's name for how deleted objects are kept (section 9.2)."""
        level = (
            "Recoverable" if self.retention_days == MAXIMUM_RETENTION else ("CustomizedRecoverable")
        )
        return level if self.purge_protection else f"{level}+Purgeable"
