"""`vaultcore access`."""

from unit.cli.terminal import Terminal


def test_a_grant_is_made_shown_and_taken(terminal: Terminal) -> None:
    made = terminal.answer("app", "create", "web")
    after = terminal.answer(
        "access", "set", "--principal", "web", "--secret-permissions", "get", "list",
        "--key-permissions", "sign",
    )  # fmt: skip
    assert after == {
        "object_id": made["object_id"],
        "secrets": ["get", "list"],
        "keys": ["sign"],
    }
    shown = next(row for row in terminal.lines("access", "list") if row[0] == made["object_id"])
    assert shown == [made["object_id"], "", "web", "get list", "sign", ""]
    assert terminal.answer("access", "remove", "--principal", "web") == {"removed": "web"}
    assert made["object_id"] not in str(terminal.lines("access", "list"))


def test_an_empty_word_takes_all_of_a_kind(terminal: Terminal) -> None:
    terminal.answer("app", "create", "web")
    terminal.answer(
        "access", "set", "--principal", "web", "--secret-permissions", "get",
        "--key-permissions", "sign", "--certificate-permissions", "list",
    )  # fmt: skip
    after = terminal.answer("access", "set", "--principal", "web", "--key-permissions", "")
    assert (after["secrets"], after["certificates"]) == (["get"], ["list"])
    assert "keys" not in after


def test_a_grant_of_nothing_is_refused(terminal: Terminal) -> None:
    terminal.answer("app", "create", "web")
    assert "--secret-permissions" in terminal.refused(2, "access", "set", "--principal", "web")


def test_whom_nobody_knows(terminal: Terminal) -> None:
    words = ("access", "set", "--principal", "web", "--secret-permissions", "get")
    assert "`web`" in terminal.refused(3, *words)
    assert "NotFound" in terminal.refused(3, "access", "remove", "--principal", "web")


def test_an_administrator_is_made_and_unmade(terminal: Terminal) -> None:
    terminal.answer("app", "create", "web")
    assert terminal.answer("access", "administrator", "--principal", "web")["administrator"]
    installation = terminal.engine.installation
    assert len(installation.administrators) == 1
    after = terminal.answer("access", "administrator", "--principal", "web", "--remove")
    assert after["administrator"] is False
    assert len(terminal.engine.installation.administrators) == 0


def test_an_application_may_not_manage_unless_it_was_let(terminal: Terminal) -> None:
    terminal.answer("app", "create", "web")
    assert "Forbidden" in terminal.refused(4, "access", "list", "--as", "web")
    terminal.answer("access", "administrator", "--principal", "web")
    assert terminal.run("access", "list", "--as", "web").exit_code == 0
