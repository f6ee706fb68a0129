"""How an open folder is: what fails is named, and what concerns all keeps it from serving."""

from pathlib import Path

import pytest

import vaultcore
from vaultcore import Engine
from vaultcore.clock import ManualClock
from vaultcore.engine.health import health
from vaultcore.engine.housekeeping import Duty
from vaultcore.errors import AuditError, StorageError


def duty(engine: Engine, name: str) -> Duty:
    return next(found for found in engine.housekeeper._duties if found.name == name)


def fail() -> None:
    raise StorageError("the disk is full")


def test_a_folder_that_is_well(engine: Engine) -> None:
    assert health(engine) == (True, [])


@pytest.mark.parametrize("name", ["purge", "issuer", "retention", "strangers", "checkpoint"])
def test_a_duty_that_fails_is_named_and_requests_go_on(engine: Engine, name: str) -> None:
    found = duty(engine, name)
    act, found._act = found._act, fail
    found.do()
    assert health(engine) == (True, [name])
    found._act = act
    found.do()
    assert health(engine) == (True, [])


def test_a_log_that_takes_no_records_keeps_from_serving(engine: Engine) -> None:
    place, elsewhere = engine.data / "audit", engine.data / "elsewhere"
    place.rename(elsewhere)
    with pytest.raises(AuditError):
        engine.audit.checkpoint()
    assert health(engine) == (False, ["audit"])
    elsewhere.rename(place)
    engine.audit.checkpoint()
    assert health(engine) == (True, [])


def test_a_database_that_is_not_there_keeps_from_serving(engine: Engine) -> None:
    place = engine.data / "vaultcore.db"
    place.rename(engine.data / "elsewhere")
    with pytest.raises(vaultcore.UnavailableError):
        engine.feed.look()
    assert health(engine) == (False, ["storage"])


def test_while_requests_are_refused_the_database_is_not_asked(engine: Engine) -> None:
    engine.housekeeper._judge(stale=True)
    assert health(engine) == (False, [])
    engine.housekeeper._judge(stale=False)
    assert health(engine) == (True, [])


def test_a_clock_that_is_doubted_is_named(engine: Engine, clock: ManualClock) -> None:
    duty(engine, "purge").do()
    clock.advance(100 * 86_400)
    duty(engine, "purge").do()
    assert health(engine) == (True, ["clock"])


def test_a_protector_that_is_absent_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with vaultcore.create(folder, housekeeping=False) as engine:
        engine.management.protector_add(name="second", kind="file")
    (folder / "keys" / "second.json").rename(tmp_path / "hidden")
    with vaultcore.open(folder, housekeeping=False) as engine:
        duty(engine, "protector").do()
        assert health(engine) == (True, ["protector"])
