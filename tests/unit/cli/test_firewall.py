"""`vaultcore firewall`: of a vault, or of another host."""

import pytest

from unit.cli.terminal import Terminal


def test_the_firewall_of_a_vault(terminal: Terminal) -> None:
    assert terminal.answer("firewall", "add", "192.0.2.0/24")["ranges"] == ["192.0.2.0/24"]
    assert terminal.answer("firewall", "set", "--default-action", "Deny") == {
        "default_action": "Deny",
        "ranges": ["192.0.2.0/24"],
    }
    assert terminal.lines("firewall", "list") == [
        ["default_action", "Deny"],
        ["ranges", "192.0.2.0/24"],
    ]
    assert terminal.answer("firewall", "remove", "192.0.2.0/24")["ranges"] == []
    assert terminal.answer("firewall", "list", "--host", "issuer")["default_action"] == "Allow"


@pytest.mark.parametrize("host", ["issuer", "management"])
def test_the_firewall_of_another_host(terminal: Terminal, host: str) -> None:
    # The vault of the environment is only a default.
    after = terminal.answer("firewall", "add", "192.0.2.7", "--host", host)
    assert after["ranges"] == ["192.0.2.7"]
    assert terminal.engine.installation.firewalls[host].ranges == ("192.0.2.7",)
    assert terminal.answer("firewall", "list")["ranges"] == []


def test_a_vault_and_another_host_are_not_one(terminal: Terminal) -> None:
    words = ("firewall", "list", "--host", "issuer", "--vault", "other")
    assert "choose one" in terminal.refused(2, *words)


def test_no_vault_is_named(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VAULTCORE_VAULT")
    assert "say which vault" in terminal.refused(2, "firewall", "list")
    assert terminal.run("firewall", "list", "--host", "issuer").exit_code == 0


def test_what_is_no_address(terminal: Terminal) -> None:
    assert "nonsense" in terminal.refused(1, "firewall", "add", "nonsense")
    assert "NotFound" in terminal.refused(3, "firewall", "remove", "192.0.2.7")
    assert terminal.run("firewall", "set", "--default-action", "Perhaps").exit_code == 2
