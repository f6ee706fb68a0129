"""The firewalls of vaults: what may stand on the list, and how it gets there and away."""

import pytest

from vaultcore import Engine
from vaultcore.access.firewall import Firewall
from vaultcore.errors import BadParameterError, NotFoundError, VaultcoreError
from vaultcore.management.firewalls import (
    MAXIMUM_RANGES,
    shown,
    with_action,
    with_range,
    without_range,
)


@pytest.mark.parametrize(
    "address", ["192.0.2.7", "192.0.2.0/24", "2001:db8::1", "2001:db8::/32", "0.0.0.0/0"]
)
def test_addresses_and_ranges_are_taken(address: str) -> None:
    wall = with_range(Firewall(), address)
    assert wall.ranges == (address,)
    assert with_range(wall, address) is wall
    assert without_range(wall, address) == Firewall()


@pytest.mark.parametrize(
    "address",
    ["", "nonsense", "192.0.2.256", "192.0.2.0/33", "192.0.2.0/", "fe80::1%eth0", "::/129"],
)
def test_what_is_neither_is_named(address: str) -> None:
    with pytest.raises(BadParameterError, match="neither an address nor a range") as caught:
        with_range(Firewall(), address)
    assert f"`{address}`" in str(caught.value)


def test_a_long_text_is_not_repeated_whole() -> None:
    with pytest.raises(BadParameterError) as caught:
        with_range(Firewall(), "x" * 5000)
    assert len(str(caught.value)) < 200
    with pytest.raises(NotFoundError) as missing:
        without_range(Firewall(), "x" * 5000)
    assert len(str(missing.value)) < 200


def test_a_list_that_is_full_takes_only_what_it_has() -> None:
    ranges = tuple(f"10.{n // 256}.{n % 256}.0/24" for n in range(MAXIMUM_RANGES))
    full = Firewall(ranges=ranges)
    assert with_range(full, ranges[7]) is full
    with pytest.raises(BadParameterError, match="at most 1000"):
        with_range(full, "192.0.2.1")
    assert len(with_range(without_range(full, ranges[0]), "192.0.2.1").ranges) == MAXIMUM_RANGES


@pytest.mark.parametrize("action", ["deny", "DENY", "Deny"])
def test_an_action_is_taken_in_any_case(action: str) -> None:
    wall = with_action(Firewall(), action)
    wall.check()
    assert shown(wall) == {"default_action": "Deny", "ranges": ()}


def test_the_operations_change_the_vault_and_refuse_what_it_cannot_have(engine: Engine) -> None:
    manage = engine.management
    assert manage.firewall_list(vault="dev") == {"default_action": "Allow", "ranges": ()}
    assert manage.firewall_add(vault="dev", address="192.0.2.7")["ranges"] == ("192.0.2.7",)
    wall = manage.firewall_set(vault="dev", default_action="deny")
    assert wall == {"default_action": "Deny", "ranges": ("192.0.2.7",)}
    with pytest.raises(VaultcoreError):
        manage.firewall_set(vault="dev", default_action="perhaps")
    with pytest.raises(NotFoundError, match="not on the firewall's list"):
        manage.firewall_remove(vault="dev", address="192.0.2.8")
    assert manage.firewall_list(vault="dev") == wall
    assert manage.vault_show(name="dev")["networkAcls"] == {
        "defaultAction": "Deny",
        "ipRules": [{"value": "192.0.2.7"}],
    }
    assert engine.gate.address_allowed("dev", "192.0.2.7")
    assert not engine.gate.address_allowed("dev", "192.0.2.8")
    assert manage.firewall_remove(vault="dev", address="192.0.2.7")["ranges"] == ()
    engine.synchronise()  # as the next request does
    assert not engine.gate.address_allowed("dev", "192.0.2.7")
