"""What the library returns of any kind of object, and that lists are read page by page."""

from typing import Any

import pytest

from vaultcore import Engine
from vaultcore.clock import ManualClock
from vaultcore.errors import ForbiddenError, NotFoundError
from vaultcore.library.results import Properties
from vaultcore.objects.attributes import Page
from vaultcore.operations.shared import ListPage
from vaultcore.operations.table import ACTIONS

KINDS = ("secrets", "keys")
DAY = 86_400


def objects(engine: Engine, kind: str) -> Any:
    """Returns one kind of objects, with one in it that is called ``Name``."""
    found = getattr(engine.vault("dev").acting_as(engine.administrator()), kind)
    if kind == "secrets":
        found.set("Name", "value", tags={"a": "b"})
    else:
        found.create("Name", "oct", tags={"a": "b"})
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_version_is_named_as_in_the_contract(engine: Engine, kind: str) -> None:
    (found,) = objects(engine, kind).list()
    assert isinstance(found, Properties)
    assert found.id == f"https://dev.vault.localhost/{kind}/Name/{found.version}"
    assert (found.name, found.tags, found.recovery_level) == (
        *("Name", {"a": "b"}, "Recoverable+Purgeable"),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_life(engine: Engine, clock: ManualClock, kind: str) -> None:
    of = objects(engine, kind)
    (current,) = of.list_versions("name")
    blob = of.backup("name")
    deleted = of.delete("name")
    now = int(clock.now())
    assert (deleted.version, deleted.deleted_at, deleted.purge_at) == (
        *(current.version, now, now + 90 * DAY),
    )
    assert of.get_deleted("NAME") == deleted
    assert list(of.list_deleted()) == [deleted]
    assert list(of.list()) == []
    assert of.recover("name") == current
    of.delete("name")
    assert of.purge("name") is None
    with pytest.raises(NotFoundError):
        of.get_deleted("name")
    assert of.restore(blob) == current


@pytest.mark.parametrize("kind", KINDS)
def test_each_page_of_a_list_is_asked_for_when_it_is_reached(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    of = objects(engine, kind)
    verb = of._kind.noun + "List"
    (only,) = ACTIONS[verb].run(_asked(engine, verb), ListPage()).items
    asked: list[str] = []

    def pages(_: object, page: ListPage) -> Page:
        asked.append(page.marker)
        return Page([only], {"": "B", "B": "C", "C": None}[page.marker])

    monkeypatch.setattr(ACTIONS[verb], "run", pages)
    listing = of.list()
    assert asked == [], "nothing is asked before anything is wanted"
    assert next(listing).name == "Name"
    assert asked == [""]
    assert len(list(listing)) == 2
    assert asked == ["", "B", "C"]


def test_each_page_goes_through_the_gate(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    of = objects(engine, "secrets")
    (only,) = ACTIONS["SecretList"].run(_asked(engine, "SecretList"), ListPage()).items
    monkeypatch.setattr(ACTIONS["SecretList"], "run", lambda *_: Page([only], "B"))
    listing = of.list()
    next(listing)
    operator = engine.administrator().object_id
    engine.management.access_remove(vault="dev", principal=operator)
    with pytest.raises(ForbiddenError):
        next(listing)


def _asked(engine: Engine, verb: str) -> Any:
    from vaultcore.engine.caller import Caller
    from vaultcore.operations.call import Call

    call = Call(engine, engine.state("dev"), Caller(engine.administrator()), verb)
    call.admit()
    return call
