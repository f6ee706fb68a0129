"""`vaultcore vault`."""

import pytest

from unit.cli.terminal import Terminal


def test_one_is_made_as_the_options_say(terminal: Terminal) -> None:
    made = terminal.answer(
        "vault", "create", "--name", "Other", "--retention-days", "7",
        "--enable-purge-protection", "true", "--secret-expiry", "inform", "--sku", "premium",
    )  # fmt: skip
    assert made["softDeleteRetentionInDays"] == 7
    assert (made["enablePurgeProtection"], made["secretExpiry"]) == (True, "inform")
    assert made["sku"] == "premium"
    plain = terminal.answer("vault", "create", "-n", "plain")
    assert plain["softDeleteRetentionInDays"] == 90
    assert (plain["enablePurgeProtection"], plain["secretExpiry"]) == (False, "enforce")
    assert terminal.answer("vault", "show", "--vault-name", "OTHER") == made


def test_a_list_has_a_line_for_each(terminal: Terminal) -> None:
    assert terminal.lines("vault", "list") == [
        [
            "dev",
            "https://dev.vault.localhost/",
            "standard",
            "90",
            "false",
            "enforce",
            "2023-11-14T22:13:20Z",
        ]
    ]


def test_an_update_changes_what_is_named(terminal: Terminal) -> None:
    before = terminal.answer("vault", "show", "--name", "dev")
    after = terminal.answer("vault", "update", "--name", "dev", "--secret-expiry", "inform")
    assert after == {**before, "secretExpiry": "inform"}
    said = terminal.refused(2, "vault", "update", "--name", "dev")
    assert "--secret-expiry" in said
    assert terminal.answer("vault", "show", "--name", "dev") == after


def test_a_removal_asks_first(terminal: Terminal) -> None:
    for answer in ("n\n", "\n", ""):
        assert terminal.run("vault", "delete", "--name", "dev", given=answer).exit_code == 1
    assert terminal.run("vault", "show", "--name", "dev").exit_code == 0
    assert terminal.answer("vault", "delete", "--name", "dev", "--yes") == {"deleted": "dev"}
    assert "VaultNotFound" in terminal.refused(3, "vault", "show", "--name", "dev")


def test_what_is_not_empty_is_not_removed(terminal: Terminal) -> None:
    terminal.answer("secret", "set", "--name", "a", "--value", "v")
    assert "not empty" in terminal.refused(5, "vault", "delete", "--name", "dev", "--yes")


def test_a_rotation_shows_the_generation(terminal: Terminal) -> None:
    assert terminal.lines("vault", "rotate-key", "--name", "dev") == [
        ["name", "dev"],
        ["generation", "2"],
    ]


@pytest.mark.parametrize(
    "words",
    [
        ["create"],
        ["create", "--name", "x1", "--retention-days", "6"],
        ["create", "--name", "other", "--sku", "gold"],
        ["create", "--name", "other", "--enable-purge-protection", "yes"],
        ["show"],
    ],
)
def test_a_wrong_command_line(terminal: Terminal, words: list[str]) -> None:
    assert terminal.run("vault", *words).exit_code == 2
