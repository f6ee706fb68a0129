"""The vaults of a folder, in memory: each with its settings, its key, its caches, and its gate.

A vault whose rows do not verify is set aside: it is refused, and the others continue.
"""

import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vaultcore.access.policies import flatten
from vaultcore.errors import ProtectorError, TamperedError
from vaultcore.objects.kinds import OpenVault

if TYPE_CHECKING:
    from vaultcore._core import Gate
    from vaultcore._core import KeyEncryptionKey as Kek
    from vaultcore.clock import Clock
    from vaultcore.installation.key_ring import KeyRing
    from vaultcore.installation.settings import Installation
    from vaultcore.installation.vault_settings import VaultSettings
    from vaultcore.protectors.hsm import Hsm
    from vaultcore.storage import Store

#: For how long a vault that could not be opened is refused before the next attempt, in seconds.
RETRY_SECONDS: Final = 5.0

logger = logging.getLogger("vaultcore.vaults")


@dataclass
class _Aside:
    """Why a vault is not served, and when it was last tried."""

    failure: TamperedError | ProtectorError
    tried: float


class Vaults:
    """What this process knows about each vault; the feed keeps it up to date.

    Args:
        store: where the vaults are stored.
        keys: the keys that open their settings.
        clock: the current time.
        gate: the gate that decides who may do what.
        installation: the settings of the installation.
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
        self._by_name: dict[str, OpenVault] = {}
        self._by_id: dict[str, OpenVault] = {}
        self._aside: dict[str, _Aside] = {}
        # A later read must not be overwritten by an earlier one.
        self._loading = threading.Lock()

    def find(self, name: str) -> OpenVault | None:
        """Returns a vault by name, ignoring case.

        Raises:
            ProtectorError: the vault exists, and no protector opens its key.
            StorageError: the store cannot be read.
            TamperedError: the vault exists, and its settings or its key do not verify.
        """
        key = name.lower()
        found = self._by_name.get(key)
        if found is None and (aside := self._aside.get(key)) is not None:
            # The cause may have gone, and nothing is written to the feed then.
            if abs(self._clock.now() - aside.tried) >= RETRY_SECONDS:
                self.load(key)
                found = self._by_name.get(key)
            if found is None and (aside := self._aside.get(key)) is not None:
                raise type(aside.failure)(str(aside.failure))
        return found

    def find_by_id(self, vault_id: str) -> OpenVault | None:
        """Returns a vault by its identifier."""
        return self._by_id.get(vault_id)

    def all(self) -> list[OpenVault]:
        """Returns every vault, by name."""
        return [self._by_name[name] for name in sorted(self._by_name)]

    def use_hsm(self, hsm: "Hsm | None") -> None:
        """Uses another HSM for the keys of ``-HSM`` types."""
        for state in self._by_id.values():
            state.hsm = hsm

    def load_all(self) -> None:
        """Reads the settings of every vault that is stored.

        Raises:
            StorageError: the store cannot be read.
        """
        for key, _ in self._store.documents("vaults"):
            self.load(key)

    def reload(self, installation: "Installation") -> None:
        """Reads the settings of every vault again, and forgets what is cached of its objects.

        Args:
            installation: the current settings of the installation.

        Raises:
            StorageError: the store cannot be read.
        """
        self._installation = installation
        for state in self.all():
            state.clear()
        stored = {key for key, _ in self._store.documents("vaults")}
        for key in sorted(stored.union(self._by_name, self._aside)):
            self.load(key)

    def load(self, key: str) -> None:
        """Reads the settings of a vault; forgets a removed one, and sets aside a broken one.

        Args:
            key: the vault's name in lower case.

        Raises:
            StorageError: the store cannot be read.
        """
        with self._loading:
            try:
                found = self._keys.load_vault(key)
            except (TamperedError, ProtectorError) as failure:
                self._set_aside(key, failure)
                return
            if self._aside.pop(key, None) is not None:
                logger.warning("vault %s can be opened again", key)
            if found is None:
                self._forget(key)
            else:
                self._serve(key, *found)

    def _set_aside(self, key: str, failure: TamperedError | ProtectorError) -> None:
        before = self._aside.get(key)
        if before is None or str(before.failure) != str(failure):
            logger.error("vault %s is refused, the others continue: %s", key, failure)
        self._aside[key] = _Aside(failure, self._clock.now())
        self._forget(key, failure)

    def _forget(self, key: str, failure: TamperedError | ProtectorError | None = None) -> None:
        gone = self._by_name.pop(key, None)
        if gone is not None:
            gone.close(failure)
            self._by_id.pop(gone.id, None)
            self._gate.remove_vault(gone.name)

    def _serve(self, key: str, vault_id: str, settings: "VaultSettings", kek: "Kek") -> None:
        before = self._by_name.get(key)
        if before is not None and before.id != vault_id:
            self._forget(key)  # removed, and another one was created under its name
        state = self._by_id.get(vault_id)
        if state is None:
            state = OpenVault(
                vault_id,
                settings,
                kek,
                store=self._store,
                clock=self._clock,
                location=self._installation.location,
                url=self._installation.vault_url(settings.name),
                hsm=self._keys.hsm(),
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
