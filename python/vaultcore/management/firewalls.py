"""Operations on firewalls: which addresses may talk to a vault."""

from collections.abc import Callable
from typing import Any

import msgspec

from vaultcore.errors import BadParameterError, NotFoundError
from vaultcore.management.operation import operation
from vaultcore.management.vaults import Vaults
from vaultcore.state import Firewall, VaultSettings


class Firewalls(Vaults):
    """The firewalls of vaults."""

    @operation("firewall.set", "VaultPatch")
    def firewall_set(self, *, vault: str, default_action: str) -> dict[str, Any]:
        """Sets what happens to addresses that no range holds: Allow or Deny."""
        action = default_action.capitalize()
        return self._firewall(
            vault, lambda wall: msgspec.structs.replace(wall, default_action=action)
        )

    @operation("firewall.add", "VaultPatch")
    def firewall_add(self, *, vault: str, address: str) -> dict[str, Any]:
        """Allows an address or a CIDR range."""

        def revise(wall: Firewall) -> Firewall:
            if address in wall.ranges:
                return wall
            if len(wall.ranges) >= 1000:  # noqa: PLR2004 - the contract's own number
                raise BadParameterError("a firewall holds at most 1000 ranges")
            return msgspec.structs.replace(wall, ranges=(*wall.ranges, address))

        return self._firewall(vault, revise)

    @operation("firewall.remove", "VaultPatch")
    def firewall_remove(self, *, vault: str, address: str) -> dict[str, Any]:
        """Takes an address or range off the list."""

        def revise(wall: Firewall) -> Firewall:
            if address not in wall.ranges:
                raise NotFoundError(f"`{address[:64]}` is not on the firewall's list")
            return msgspec.structs.replace(
                wall, ranges=tuple(r for r in wall.ranges if r != address)
            )

        return self._firewall(vault, revise)

    @operation("firewall.list", "VaultGet")
    def firewall_list(self, *, vault: str) -> dict[str, Any]:
        """Shows a vault's firewall."""
        return _shown(self._engine.state(vault).settings.firewall)

    def _firewall(self, vault: str, revise: Callable[[Firewall], Firewall]) -> dict[str, Any]:
        def revised(settings: VaultSettings) -> VaultSettings:
            wall = revise(settings.firewall)
            self._engine.check_firewall(wall)
            return msgspec.structs.replace(settings, firewall=wall)

        return _shown(self._revise(vault, revised).firewall)


def _shown(wall: Firewall) -> dict[str, Any]:
    return msgspec.to_builtins(wall)  # type: ignore[no-any-return]
