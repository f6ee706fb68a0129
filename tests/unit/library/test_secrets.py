"""Secrets in process: what is given is stored, and what is stored is given."""

import pytest

from vaultcore import Engine
from vaultcore.clock import ManualClock
from vaultcore.errors import NotFoundError
from vaultcore.library.secrets import Secrets


@pytest.fixture
def secrets(engine: Engine) -> Secrets:
    return engine.vault("dev").acting_as(engine.administrator()).secrets


def test_every_argument_reaches_what_is_stored(secrets: Secrets, clock: ManualClock) -> None:
    now = int(clock.now())
    made = secrets.set(
        "Name", "ä", content_type="text", enabled=True, not_before=now, expires=now + 5,
        tags={"a": "b"},
    )  # fmt: skip
    assert (made.content_type, made.enabled, made.not_before, made.expires, made.tags) == (
        *("text", True, now, now + 5, {"a": "b"}),
    )
    found = secrets.get("name")
    assert (found.value, found.name, found.version) == ("ä", "Name", made.version)
    assert found.metadata == made.metadata


def test_an_older_version_is_given_by_name(secrets: Secrets) -> None:
    old = secrets.set("a", "old")
    secrets.set("a", "new")
    assert secrets.get("a").value == "new"
    assert secrets.get("a", old.version.upper()).value == "old"
    with pytest.raises(NotFoundError):
        secrets.get("a", "0" * 32)


def test_an_update_changes_what_is_given_of_the_version_that_is_named(secrets: Secrets) -> None:
    old = secrets.set("a", "value", content_type="text", tags={"a": "b"})
    new = secrets.set("a", "value", content_type="text")
    changed = secrets.update("a", old.version, content_type="json", expires=5)
    assert (changed.version, changed.content_type, changed.expires) == (old.version, "json", 5)
    assert changed.tags == {"a": "b"}
    assert secrets.update("a", tags={}).version == new.version
    assert secrets.get("a").metadata.content_type == "text"
