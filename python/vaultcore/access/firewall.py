"""Firewalls: which addresses may talk to a vault, to the issuer or to the management plane."""

from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from vaultcore._core import Gate
from vaultcore.access import refusals

if TYPE_CHECKING:
    from collections.abc import Mapping

ISSUER: Final = "issuer"
MANAGEMENT: Final = "management"
#: The hosts of the installation that do not belong to a vault.
HOSTS: Final = (ISSUER, MANAGEMENT)


class Firewall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which addresses may talk to a host (contract 6.2, networkAcls).

    Attributes:
        default_action: ``Allow`` or ``Deny``, for addresses that are in no range.
        ranges: addresses and CIDR ranges, IPv4 or IPv6, that are allowed.
    """

    default_action: str = "Allow"
    ranges: tuple[str, ...] = ()

    def check(self) -> None:
        """Checks that a gate accepts it.

        Raises:
            UsageError: the action or a range is malformed; the message says which.
        """
        _put(Gate(), "check", self)


class Walled(Protocol):
    """An object with a firewall for each of :data:`HOSTS`."""

    @property
    def firewalls(self) -> "Mapping[str, Firewall]":
        """The firewalls that were set; the other hosts allow every address."""
        ...


class HostFirewalls:
    """The current firewalls of the issuer and of the management plane."""

    def __init__(self) -> None:
        self._compiled: tuple[Walled | None, Gate] = (None, Gate())

    def check(self, walled: Walled, host: str, address: str) -> None:
        """Checks that an address may talk to a host.

        Args:
            walled: the installation.
            host: one of :data:`HOSTS`.
            address: the client's.

        Raises:
            ForbiddenError: it is not allowed.
        """
        known, gate = self._compiled
        if known is not walled:
            gate = Gate()
            for name in HOSTS:
                _put(gate, name, walled.firewalls.get(name, Firewall()))
            # Replaced together: another thread has the old pair or the new one.
            self._compiled = (walled, gate)
        if not gate.address_allowed(host, address):
            raise refusals.by_host_firewall(host, address)


def _put(gate: Gate, name: str, wall: Firewall) -> None:
    gate.set_vault(
        name,
        location="",
        default_action=wall.default_action,
        ranges=wall.ranges,
        policies=(),
    )
