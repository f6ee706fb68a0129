"""Operations on the firewalls of the issuer and of the management plane itself.

They apply only to requests over the network. On the server, the command line works on the folder,
so an administrator cannot be locked out of the installation.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from vaultcore.access.firewall import Firewall
from vaultcore.installation.settings import Installation
from vaultcore.management.firewalls import shown, with_action, with_range, without_range
from vaultcore.management.operation import Operator, operation

Host = Literal["issuer", "management"]


class HostFirewalls(Operator):
    """The firewalls of the hosts that do not belong to a vault."""

    @operation("host_firewall.set", "InstallationPatch")
    def host_firewall_set(self, *, host: Host, default_action: str) -> dict[str, Any]:
        """Sets what happens to addresses that are in no range: Allow or Deny."""
        return self._revise_wall(host, lambda wall: with_action(wall, default_action))

    @operation("host_firewall.add", "InstallationPatch")
    def host_firewall_add(self, *, host: Host, address: str) -> dict[str, Any]:
        """Allows an address or a CIDR range."""
        return self._revise_wall(host, lambda wall: with_range(wall, address))

    @operation("host_firewall.remove", "InstallationPatch")
    def host_firewall_remove(self, *, host: Host, address: str) -> dict[str, Any]:
        """Removes an address or a range from the list."""
        return self._revise_wall(host, lambda wall: without_range(wall, address))

    @operation("host_firewall.list", "InstallationGet")
    def host_firewall_list(self, *, host: Host) -> dict[str, Any]:
        """Shows a host's firewall."""
        return shown(self._engine.installation.firewalls.get(host, Firewall()))

    def _revise_wall(self, host: Host, revise: Callable[[Firewall], Firewall]) -> dict[str, Any]:
        def revised(installation: Installation) -> Installation:
            wall = revise(installation.firewalls.get(host, Firewall()))
            wall.check()
            walls: Mapping[str, Firewall] = {**installation.firewalls, host: wall}
            return msgspec.structs.replace(installation, firewalls=walls)

        engine = self._engine
        after = Installation.revise(engine.store, engine.key_ring.system, revised)
        engine.synchronise()
        return shown(after.firewalls[host])
