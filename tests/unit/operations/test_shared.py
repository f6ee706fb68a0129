"""The operations that every kind has, and what they ask of its rules."""

from collections.abc import Callable
from typing import Any

import pytest

from vaultcore import Engine
from vaultcore.engine.caller import Caller
from vaultcore.objects.kinds import KINDS
from vaultcore.operations.call import Call
from vaultcore.operations.shared import ListPage, shared_actions
from vaultcore.operations.table import ACTIONS

READING = {"GetDeleted", "Backup", "List", "ListDeleted", "ListVersions"}


@pytest.fixture
def run(engine: Engine) -> Callable[..., Any]:
    def run(verb: str, name: str, arguments: Any) -> Any:
        call = Call(engine, engine.state("dev"), Caller(engine.administrator()), verb, name)
        call.admit()
        return ACTIONS[verb].run(call, arguments)

    return run


def test_every_kind_has_them_all() -> None:
    for kind in KINDS.values():
        assert set(shared_actions(kind.noun)) <= set(ACTIONS)


def test_what_changes_something_is_known() -> None:
    for name, action in shared_actions("").items():
        assert action.writes == (name not in READING), name
        assert action.status == (204 if name == "Purge" else 200), name


def test_a_page_goes_on_where_the_one_before_it_ended(
    engine: Engine, run: Callable[..., Any]
) -> None:
    secrets = engine.vault("dev").acting_as(engine.administrator()).secrets
    for name in ("a", "b", "c"):
        secrets.set(name, "value")
    secrets.set("a", "again")
    secrets.delete("c")
    first = run("SecretList", "", ListPage("", 1))
    assert [item.name for item in first.items] == ["a"]
    second = run("SecretList", "", ListPage(first.marker, 1))
    assert ([item.name for item in second.items], second.marker) == (["b"], None)
    deleted = run("SecretListDeleted", "", ListPage())
    assert [item.name for item in deleted.items] == ["c"]
    newest = run("SecretListVersions", "a", ListPage("", 1))
    oldest = run("SecretListVersions", "a", ListPage(newest.marker, 1))
    assert oldest.marker is None
    assert newest.items != oldest.items
