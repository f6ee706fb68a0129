"""`vaultcore app`."""

from unit.cli.terminal import Terminal


def test_a_secret_is_shown_once(terminal: Terminal) -> None:
    made = terminal.answer("app", "create", "web")
    assert len(made["client_secret"]) > 40
    result = terminal.run("app", "list", "--json")
    assert made["client_id"] in result.stdout
    assert made["client_secret"] not in result.stdout
    ((name, client_id, object_id, *others),) = terminal.lines("app", "list")
    assert (name, client_id, object_id) == ("web", made["client_id"], made["object_id"])
    assert made["secret_id"] in " ".join(others)
    assert made["client_secret"] not in " ".join(others)


def test_secrets_come_and_go(terminal: Terminal) -> None:
    first = terminal.answer("app", "create", "web")
    second = terminal.answer("app", "add-secret", "web")
    assert second["client_secret"] != first["client_secret"]
    words = ("app", "remove-secret", "web", first["secret_id"])
    assert terminal.answer(*words) == {"removed": first["secret_id"]}
    assert "no such secret" in terminal.refused(3, *words)


def test_an_application_comes_and_goes(terminal: Terminal) -> None:
    terminal.answer("app", "create", "web")
    assert "exists already" in terminal.refused(5, "app", "create", "WEB")
    assert terminal.answer("app", "delete", "web") == {"deleted": "web"}
    assert "NotFound" in terminal.refused(3, "app", "delete", "web")
    assert terminal.lines("app", "list") == []


def test_the_groups_of_an_application_are_replaced_and_cleared(terminal: Terminal) -> None:
    terminal.answer("app", "create", "web")
    groups = ["0a0a0a0a-1111-2222-3333-44444444abcd", "0b0b0b0b-1111-2222-3333-44444444abcd"]
    assert terminal.answer("app", "set-groups", "web", *groups)["groups"] == groups
    ((*_, shown, _secrets),) = terminal.lines("app", "list")
    assert shown == " ".join(groups)
    assert terminal.answer("app", "set-groups", "web")["groups"] == []
    assert "object ids" in terminal.refused(1, "app", "set-groups", "web", "friends")
