"""Operations on firewalls: which addresses may talk to a vault."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from vaultcore.access.firewall import Firewall
from vaultcore.errors import BadParameterError, NotFoundError, UsageError
from vaultcore.installation.vault_settings import VaultSettings
from vaultcore.management.operation import operation
from vaultcore.management.vaults import Vaults

#: The contract's limit.
MAXIMUM_RANGES: Final = 1000


class Firewalls(Vaults):
    """The firewalls of vaults."""

    @operation("firewall.set", "VaultPatch")
    def firewall_set(self, *, vault: str, default_action: str) -> dict[str, Any]:
        """Sets what happens to addresses that are in no range: Allow or Deny."""
        return self._firewall(vault, lambda wall: with_action(wall, default_action))

    @operation("firewall.add", "VaultPatch")
    def firewall_add(self, *, vault: str, address: str) -> dict[str, Any]:
        """Allows an address or a CIDR range."""
        return self._firewall(vault, lambda wall: with_range(wall, address))

    @operation("firewall.remove", "VaultPatch")
    def firewall_remove(self, *, vault: str, address: str) -> dict[str, Any]:
        """Removes an address or a range from the list."""
        return self._firewall(vault, lambda wall: without_range(wall, address))

    @operation("firewall.list", "VaultGet")
    def firewall_list(self, *, vault: str) -> dict[str, Any]:
        """Shows a vault's firewall."""
        return shown(self._engine.state(vault).settings.firewall)

    def _firewall(self, vault: str, revise: Callable[[Firewall], Firewall]) -> dict[str, Any]:
        def revised(settings: VaultSettings) -> VaultSettings:
            wall = revise(settings.firewall)
            wall.check()
            return msgspec.structs.replace(settings, firewall=wall)

        return shown(self._revise(vault, revised).firewall)


def with_action(wall: Firewall, action: str) -> Firewall:
    """Returns a firewall with another default action."""
    return msgspec.structs.replace(wall, default_action=action.capitalize())


def with_range(wall: Firewall, address: str) -> Firewall:
    """Returns a firewall with one more address or range.

    Raises:
        BadParameterError: the list is full, or this is neither an address nor a range.
    """
    if address in wall.ranges:
        return wall
    try:
        Firewall(ranges=(address,)).check()
    except UsageError:
        # The list's own message counts ranges, and the caller named only one.
        raise BadParameterError(
            f"`{address[:64]}` is neither an address nor a range: 192.0.2.7, 2001:db8::/32"
        ) from None
    if len(wall.ranges) >= MAXIMUM_RANGES:
        raise BadParameterError(f"a firewall holds at most {MAXIMUM_RANGES} ranges")
    return msgspec.structs.replace(wall, ranges=(*wall.ranges, address))


def without_range(wall: Firewall, address: str) -> Firewall:
    """Returns a firewall without an address or range.

    Raises:
        NotFoundError: it is not in the list.
    """
    if address not in wall.ranges:
        raise NotFoundError(f"`{address[:64]}` is not on the firewall's list")
    return msgspec.structs.replace(wall, ranges=tuple(r for r in wall.ranges if r != address))


def shown(wall: Firewall) -> dict[str, Any]:
    """Returns a firewall as the answer of an operation."""
    return msgspec.to_builtins(wall)  # type: ignore[no-any-return]
