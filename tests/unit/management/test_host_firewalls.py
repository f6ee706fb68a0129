"""The firewalls of the issuer and of the management plane: each its own."""

import pytest

from vaultcore import Engine
from vaultcore.errors import BadParameterError, ForbiddenError, NotFoundError, VaultcoreError

OPEN = {"default_action": "Allow", "ranges": ()}


def test_each_host_has_a_firewall_of_its_own(engine: Engine) -> None:
    manage = engine.management
    assert manage.host_firewall_list(host="issuer") == OPEN
    manage.host_firewall_add(host="issuer", address="192.0.2.0/24")
    assert manage.host_firewall_set(host="issuer", default_action="deny") == {
        "default_action": "Deny",
        "ranges": ("192.0.2.0/24",),
    }
    assert manage.host_firewall_list(host="management") == OPEN
    engine.check_address("issuer", "192.0.2.7")
    engine.check_address("management", "198.51.100.1")
    with pytest.raises(ForbiddenError, match=r"198\.51\.100\.1"):
        engine.check_address("issuer", "198.51.100.1")
    manage.host_firewall_remove(host="issuer", address="192.0.2.0/24")
    with pytest.raises(ForbiddenError):
        engine.check_address("issuer", "192.0.2.7")


def test_what_is_refused_changes_nothing(engine: Engine) -> None:
    manage = engine.management
    with pytest.raises(BadParameterError):
        manage.host_firewall_add(host="issuer", address="nonsense")
    with pytest.raises(NotFoundError):
        manage.host_firewall_remove(host="issuer", address="192.0.2.1")
    with pytest.raises(VaultcoreError):
        manage.host_firewall_set(host="issuer", default_action="perhaps")
    with pytest.raises(BadParameterError):
        manage.perform("host_firewall.list", {"host": "vault"})
    assert manage.host_firewall_list(host="issuer") == OPEN
    assert engine.installation.firewalls == {}


def test_whoever_is_on_the_server_is_not_locked_out(engine: Engine) -> None:
    engine.management.host_firewall_set(host="management", default_action="Deny")
    assert engine.management.host_firewall_set(host="management", default_action="Allow") == OPEN
