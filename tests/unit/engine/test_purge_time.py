"""A clock that jumps destroys nothing, and keeps nothing from being purged for good."""

import contextlib
import json
import logging
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

from vaultcore import Engine
from vaultcore.clock import ManualClock
from vaultcore.engine.purge_time import PurgeTime
from vaultcore.errors import NotFoundError, TamperedError

DAY = 86_400.0


def purge_time(engine: Engine, steady: Callable[[], float]) -> PurgeTime:
    return PurgeTime(
        engine.store,
        engine.key_ring.system,
        engine.clock,
        engine.audit,
        created=engine.installation.created,
        steady=steady,
    )


class Machine:
    """A machine with a clock that can be set, and one that cannot."""

    def __init__(self, engine: Engine, clock: ManualClock) -> None:
        self.engine = engine
        self.clock = clock
        self.steady = 1000.0
        self.restart()

    def restart(self, *, off: float = 0.0) -> None:
        """Starts the process again, perhaps on a machine that was off for some seconds."""
        self.clock.advance(off)
        self.steady += 3.0 if off else 0.0
        self.time = purge_time(self.engine, lambda: self.steady)

    def live(self, seconds: float) -> float | None:
        """Lives on with a look each minute, the first one now."""
        self.time.now()
        for _ in range(int(seconds // 60)):
            self.clock.advance(60)
            self.steady += 60
            self.time.now()
        return self.time.now()

    def told(self) -> list[str]:
        lines = (self.engine.data / "audit" / "audit.jsonl").read_text().splitlines()
        names = [json.loads(line)["operationName"] for line in lines]
        return [name for name in names if name.startswith("Clock")]


@pytest.fixture
def machine(engine: Engine, clock: ManualClock) -> Machine:
    made = Machine(engine, clock)
    assert made.live(600) == clock.now()
    return made


def test_a_clock_that_goes_on_is_believed(machine: Machine, clock: ManualClock) -> None:
    assert machine.live(3 * DAY) == clock.now()
    assert machine.told() == []


def test_two_seconds_a_hundred_days_ahead_are_not_believed(
    machine: Machine, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    clock.advance(100 * DAY)
    with caplog.at_level(logging.WARNING):
        assert machine.live(0) is None
        assert machine.time.doubted
        clock.advance(-100 * DAY)
        assert machine.live(0) == clock.now()
    assert not machine.time.doubted
    assert machine.told() == ["ClockDoubted", "ClockBelieved"]
    assert "vaultcore clock confirm" in caplog.text


def test_a_clock_that_stays_ahead_is_believed_after_an_hour(
    machine: Machine, clock: ManualClock
) -> None:
    clock.advance(100 * DAY)
    assert machine.live(3540) is None
    assert machine.live(60) == clock.now()
    assert machine.live(DAY) == clock.now()
    machine.restart()
    assert machine.live(0) == clock.now()


def test_a_clock_that_jumps_again_is_not_believed_after_an_hour(
    machine: Machine, clock: ManualClock
) -> None:
    for _ in range(5):
        clock.advance(10 * DAY)
        assert machine.live(3000) is None
    assert machine.live(600) == clock.now()


def test_many_small_jumps_are_one_large_one(machine: Machine, clock: ManualClock) -> None:
    for _ in range(100):
        clock.advance(1800)
        machine.live(60)
    assert machine.time.doubted
    machine.restart()
    assert machine.live(0) is None


def test_a_clock_behind_and_back_is_believed(machine: Machine, clock: ManualClock) -> None:
    clock.advance(-100 * DAY)
    assert machine.live(600) == clock.now()
    clock.advance(100 * DAY)
    assert machine.live(600) == clock.now()
    assert machine.told() == []


def test_a_machine_that_starts_a_hundred_days_ahead_purges_nothing(
    machine: Machine, clock: ManualClock
) -> None:
    machine.restart(off=100 * DAY)
    assert machine.live(3540) is None
    machine.restart(off=60)
    assert machine.live(3540) is None
    assert machine.live(60) == clock.now()


@pytest.mark.parametrize("off", [10.0, 3500.0])
def test_a_machine_that_was_off_for_a_while_is_believed(
    machine: Machine, clock: ManualClock, off: float
) -> None:
    machine.live(3600)
    machine.restart(off=off)
    assert machine.live(0) == clock.now()


def test_an_operator_confirms_for_every_process(machine: Machine, clock: ManualClock) -> None:
    other = purge_time(machine.engine, lambda: machine.steady - 500.0)
    assert other.now() == clock.now()
    clock.advance(100 * DAY)
    assert machine.live(0) is None
    assert other.now() is None
    assert machine.engine.management.clock_confirm() == {"clock": int(clock.now())}
    assert machine.live(0) == clock.now()
    assert other.now() == clock.now()
    clock.advance(100 * DAY)
    assert machine.live(0) is None


def test_a_folder_that_has_stored_no_time_goes_by_its_last_change(
    engine: Engine, clock: ManualClock
) -> None:
    clock.advance(30 * DAY)
    machine = Machine(engine, clock)
    assert machine.live(3540) is None
    assert machine.live(60) == clock.now()


def test_a_time_that_was_changed_in_the_database_purges_nothing(machine: Machine) -> None:
    database = sqlite3.connect(machine.engine.data / "vaultcore.db")
    with contextlib.closing(database) as connection:
        forged = connection.execute(
            "UPDATE documents SET blob = x'00' WHERE collection = 'clock'"
        ).rowcount
        connection.commit()
    assert forged == 1
    with pytest.raises(TamperedError):
        machine.time.now()
    machine.engine.management.clock_confirm()
    assert machine.time.now() == machine.clock.now()


class TestPurging:
    """What the clock is asked for."""

    @pytest.fixture
    def secrets(self, engine: Engine) -> Any:
        engine.management.vault_create(name="short", retention_days=7)
        return engine.vault("short").acting_as(engine.administrator()).secrets

    def test_housekeeping_purges_nothing_while_the_clock_is_doubted(
        self, engine: Engine, clock: ManualClock, secrets: Any
    ) -> None:
        secrets.set("a", "value")
        secrets.delete("a")
        purge = next(d for d in engine.housekeeper._duties if d.name == "purge")
        purge.do()
        clock.advance(100 * DAY)
        purge.do()
        assert engine.purge_time.doubted
        assert secrets.get_deleted("a")
        engine.management.clock_confirm()
        purge.do()
        with pytest.raises(NotFoundError):
            secrets.get_deleted("a")

    def test_what_cannot_be_purged_keeps_nothing_else_from_its_turn(
        self, engine: Engine, clock: ManualClock, secrets: Any
    ) -> None:
        for number in range(120):
            secrets.set(f"forged{number}", "value")
            secrets.delete(f"forged{number}")
        clock.advance(60)
        secrets.set("due", "value")
        secrets.delete("due")
        database = sqlite3.connect(engine.data / "vaultcore.db")
        with contextlib.closing(database) as connection:
            connection.execute("UPDATE objects SET purge_at = 1 WHERE name LIKE 'forged%'")
            connection.commit()
        clock.advance(7 * DAY)
        log = engine.data / "audit" / "audit.jsonl"
        before = len(log.read_text().splitlines())
        assert engine.purge_due() == 1
        assert engine.purge_due() == 0
        # Each is on record once, and not again with every round.
        assert len(log.read_text().splitlines()) - before == 121
