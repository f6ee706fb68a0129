"""The vaults of a folder, in memory: each with its settings, its key, its caches, and its gate."""

from typing import TYPE_CHECKING

from vaultcore.access.policies import flatten
from vaultcore.state import VaultState

if TYPE_CHECKING:
    from vaultcore._core import Gate
    from vaultcore.clock import Clock
    from vaultcore.installation import Installation, KeyRing
    from vaultcore.storage import Store


class Vaults:
    """What this process knows about each vault; the feed keeps it fresh.

    Args:
        store: where the vaults are stored.
        keys: opens their settings.
        clock: tells the time.
        gate: learns who may do what.
        installation: what the installation is called.
    """

    def __init__(
        self,
        store: "Store",
        keys: "KeyRing",
        clock: "Clock",
        gate: "Gate",
        installation: "Installation",
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._gate = gate
        self._installation = installation
        self._by_name: dict[str, VaultState] = {}
        self._by_id: dict[str, VaultState] = {}

    def find(self, name: str) -> VaultState | None:
        """Returns a vault by name, in any case."""
        return self._by_name.get(name.lower())

    def find_by_id(self, vault_id: str) -> VaultState | None:
        """Returns a vault by its identifier."""
        return self._by_id.get(vault_id)

    def all(self) -> list[VaultState]:
        """Returns every vault, by name."""
        return [self._by_name[name] for name in sorted(self._by_name)]

    def load_all(self) -> None:
        """Reads the settings of every vault that is stored.

        Raises:
            ProtectorError: no protector opens the key of a vault.
            StorageError: the store cannot be read, or settings do not verify.
        """
        for key, _ in self._store.documents("vaults"):
            self.load(key)

    def load(self, key: str) -> None:
        """Reads the settings of a vault, or forgets a vault that was removed.

        Args:
            key: the vault's name in lower case.

        Raises:
            ProtectorError: no protector opens its key.
            StorageError: the store cannot be read, or the settings do not verify.
        """
        found = self._keys.load_vault(key)
        if found is None:
            gone = self._by_name.pop(key, None)
            if gone is not None:
                gone.removed = True
                self._by_id.pop(gone.id, None)
                self._gate.remove_vault(gone.name)
            return
        vault_id, settings, kek = found
        state = self._by_id.get(vault_id)
        if state is None:
            state = VaultState(
                vault_id,
                settings,
                kek,
                store=self._store,
                clock=self._clock,
                location=self._installation.location,
                url=self._installation.vault_url(settings.name),
                token=self._keys.token(),
            )
        else:
            state.replace_key(kek)
            state.apply(settings)
        self._by_name[key] = state
        self._by_id[vault_id] = state
        self._gate.set_vault(
            settings.name,
            location=self._installation.location,
            default_action=settings.firewall.default_action,
            ranges=settings.firewall.ranges,
            policies=flatten(settings.policies),
        )
