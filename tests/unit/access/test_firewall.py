"""Firewalls: which addresses may talk to a host, and that a new one holds at once."""

from typing import TYPE_CHECKING

import pytest

from vaultcore.access.firewall import ISSUER, MANAGEMENT, Firewall, HostFirewalls
from vaultcore.errors import ForbiddenError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

INSIDE, OUTSIDE = "192.0.2.7", "198.51.100.1"
CLOSED = Firewall("Deny", ("192.0.2.0/24", "2001:db8::/32"))


class Hosts:
    """An installation, as far as firewalls are concerned."""

    def __init__(self, **firewalls: Firewall) -> None:
        self.firewalls: Mapping[str, Firewall] = firewalls


def allowed(walls: HostFirewalls, hosts: Hosts, host: str, address: str) -> bool:
    try:
        walls.check(hosts, host, address)
    except ForbiddenError:
        return False
    return True


def test_a_refusal_names_the_host_and_the_address() -> None:
    with pytest.raises(ForbiddenError) as caught:
        HostFirewalls().check(Hosts(issuer=CLOSED), ISSUER, OUTSIDE)
    assert OUTSIDE in caught.value.message
    assert ISSUER in caught.value.message
    assert caught.value.inner_code == "ForbiddenByFirewall"


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        (INSIDE, True),
        (OUTSIDE, False),
        ("2001:db8::1", True),
        ("2001:db9::1", False),
        ("::ffff:192.0.2.7", True),
        ("nonsense", False),
        ("", False),
    ],
)
def test_an_address_is_let_in_by_a_range(address: str, inside: bool) -> None:
    assert allowed(HostFirewalls(), Hosts(issuer=CLOSED), ISSUER, address) is inside


def test_a_host_without_a_firewall_lets_everybody_in() -> None:
    walls = HostFirewalls()
    assert allowed(walls, Hosts(), ISSUER, OUTSIDE)
    assert allowed(walls, Hosts(issuer=CLOSED), MANAGEMENT, OUTSIDE)
    assert allowed(walls, Hosts(issuer=Firewall(ranges=("192.0.2.0/24",))), ISSUER, OUTSIDE)


def test_a_new_installation_holds_at_once() -> None:
    walls = HostFirewalls()
    before, after = Hosts(issuer=CLOSED), Hosts(management=CLOSED)
    for _ in range(2):
        assert not allowed(walls, before, ISSUER, OUTSIDE)
        assert allowed(walls, before, MANAGEMENT, OUTSIDE)
        assert allowed(walls, after, ISSUER, OUTSIDE)
        assert not allowed(walls, after, MANAGEMENT, OUTSIDE)


@pytest.mark.parametrize(
    "wall",
    [
        Firewall("perhaps"),
        Firewall(""),
        Firewall(ranges=("nonsense",)),
        Firewall(ranges=("::/129",)),
    ],
)
def test_one_that_no_gate_takes_is_refused(wall: Firewall) -> None:
    with pytest.raises(UsageError):
        wall.check()
    CLOSED.check()
