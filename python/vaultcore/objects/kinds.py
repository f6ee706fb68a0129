"""The table of kinds: one row for each kind of object in a vault.

A row is the class of the kind's rules. The class defines what differs between kinds: the names, the
limits, what is shown, what a purge leaves outside the store. A new kind is a class of its own and
one more row here.
"""

from typing import TYPE_CHECKING, Any, Final

from vaultcore.objects.keys import KeyRules
from vaultcore.objects.lifecycle import Lifecycle
from vaultcore.objects.secrets import SecretRules
from vaultcore.objects.vault import VaultState

if TYPE_CHECKING:
    from vaultcore._core import KeyEncryptionKey
    from vaultcore.clock import Clock
    from vaultcore.installation.vault_settings import VaultSettings
    from vaultcore.protectors.hsm import Hsm
    from vaultcore.storage import Store

#: Every kind, by the name of its collection.
KINDS: Final[dict[str, type[Lifecycle[Any]]]] = {
    rules.kind: rules
    for rules in (
        SecretRules,
        KeyRules,
    )
}


class OpenVault(VaultState):
    """A vault in memory with the rules of its objects.

    Args:
        vault_id: 32 hexadecimal characters.
        settings: its settings.
        kek: the vault key.
        clock: the current time.
        location: the name of this installation, as the contract's region.
        url: the prefix of identifiers, if a request does not determine it.
        hsm: the HSM for keys of ``-HSM`` types, or None.

    Attributes:
        rules: the rules of each kind, with its cache, by the name of its collection.
    """

    def __init__(
        self,
        vault_id: str,
        settings: "VaultSettings",
        kek: "KeyEncryptionKey",
        *,
        store: "Store",
        clock: "Clock",
        location: str,
        url: str,
        hsm: "Hsm | None" = None,
    ) -> None:
        super().__init__(
            vault_id, settings, kek, store=store, clock=clock, location=location, url=url, hsm=hsm
        )
        self.rules: dict[str, Any] = {kind: rules(self) for kind, rules in KINDS.items()}

    def invalidate(self, kind: str, canonical: str) -> None:
        """Removes an object that changed from the cache."""
        rules = self.rules.get(kind)
        if rules is not None:
            rules.cache.invalidate(canonical)

    def clear(self) -> None:
        """Empties every cache."""
        for rules in self.rules.values():
            rules.cache.clear()
