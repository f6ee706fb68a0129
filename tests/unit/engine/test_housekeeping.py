"""The housekeeping: each duty by itself, what fails said once, and requests refused in time."""

import json
import logging
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import vaultcore
from vaultcore import Engine
from vaultcore.engine import housekeeping
from vaultcore.engine.health import health
from vaultcore.engine.housekeeping import Duty
from vaultcore.errors import ProtectorError, StorageError, UnavailableError
from vaultcore.protectors.pkcs11.hsm_keys import HsmKeys
from vaultcore.protectors.pkcs11.token import Token


def wait_for(condition: Any, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Fault:
    """An act that fails as long as it is told to."""

    def __init__(self, failure: Exception | None) -> None:
        self.failure = failure

    def __call__(self) -> None:
        if self.failure is not None:
            raise self.failure


def test_the_first_failure_and_its_end_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    fault = Fault(StorageError("the disk is full"))
    duty = Duty("purge", fault, seconds=60, longest=60)
    with caplog.at_level(logging.WARNING):
        pauses = [duty.do() for _ in range(8)]
        assert duty.failing
        fault.failure = None
        assert duty.do() == 60
    assert not duty.failing
    assert pauses == [2, 4, 8, 16, 32, 60, 60, 60]
    first, last = [record.getMessage() for record in caplog.records]
    assert first.startswith("housekeeping: purge failed")
    assert first.endswith("the disk is full")
    assert "purge works again, after 8 failures in" in last


def test_what_nobody_foresaw_is_logged_with_its_origin_and_ends_no_thread(
    caplog: pytest.LogCaptureFixture,
) -> None:
    duty = Duty("issuer", Fault(ZeroDivisionError("not for the log")), seconds=60, longest=60)
    with caplog.at_level(logging.ERROR):
        duty.do()
    assert duty.failing
    assert caplog.records[0].exc_info
    assert "ZeroDivisionError" in caplog.records[0].getMessage()


def test_a_duty_that_hangs_is_failing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "HANG_SECONDS", 0.05)
    go_on, closing = threading.Event(), threading.Event()
    monkeypatch.setattr(housekeeping, "CHECKPOINT_SECONDS", 0.01)
    duty = Duty("purge", go_on.wait, seconds=60, longest=60)
    duty.start(closing)
    wait_for(lambda: duty.failing)
    go_on.set()
    wait_for(lambda: duty.done == 1)
    assert not duty.failing
    closing.set()
    duty.join()


def test_a_thread_that_ends_is_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    with vaultcore.create(tmp_path / "data", housekeeping=False) as engine:
        assert engine.housekeeper.alive
        engine.housekeeper.storage._act = Fault(SystemExit())  # type: ignore[arg-type]
        engine.start_housekeeping()
        wait_for(lambda: not engine.housekeeper.alive)
        assert not health(engine).serves
        assert "housekeeping" in health(engine).reasons


def test_one_duty_that_fails_keeps_no_other_from_its_turn(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(housekeeping, "CHECKPOINT_SECONDS", 0.05)
    with vaultcore.create(tmp_path / "data", housekeeping=False) as engine:
        # A folder in the place of the file: what a failing disk does, each time.
        checkpoints = engine.data / "audit" / "checkpoints.jsonl"
        checkpoints.unlink(missing_ok=True)
        checkpoints.mkdir()
        engine.start_housekeeping()
        housekeeper = engine.housekeeper
        wait_for(lambda: all(duty.done for duty in housekeeper._duties[1:]))
        assert housekeeper.failing == ["checkpoint"]
        assert health(engine) == (True, ["checkpoint"])
        checkpoints.rmdir()
        wait_for(lambda: not housekeeper.failing)
        assert health(engine) == (True, [])


def test_requests_are_refused_while_nothing_is_signed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(housekeeping, "CHECKPOINT_SECONDS", 0.05)
    monkeypatch.setattr(housekeeping, "STALE_SECONDS", 0.5)
    with vaultcore.create(tmp_path / "data", housekeeping=False) as engine:
        engine.management.vault_create(name="dev")
        secrets = engine.vault("dev").acting_as(engine.administrator()).secrets
        secrets.set("a", "value")
        checkpoints = engine.data / "audit" / "checkpoints.jsonl"
        checkpoints.unlink(missing_ok=True)
        checkpoints.mkdir()
        with caplog.at_level(logging.WARNING):
            engine.start_housekeeping()
            wait_for(lambda: engine.housekeeper.refusing)
            for _ in range(3):
                with pytest.raises(UnavailableError, match="has not been signed"):
                    secrets.get("a")
            assert health(engine) == (False, ["checkpoint"])
            checkpoints.rmdir()
            wait_for(lambda: not engine.housekeeper.refusing)
        assert secrets.get("a").value == "value"
        assert health(engine) == (True, [])
    said = [record.getMessage() for record in caplog.records]
    assert len([text for text in said if "requests are refused" in text]) == 1
    assert len([text for text in said if "requests are answered" in text]) == 1


def test_a_database_that_was_moved_is_told(engine: Engine) -> None:
    place = engine.data / "vaultcore.db"
    place.rename(engine.data / "elsewhere")
    engine.housekeeper.storage.do()
    assert health(engine) == (False, ["storage"])
    (engine.data / "elsewhere").rename(place)
    engine.housekeeper.storage.do()
    assert health(engine) == (True, [])


def test_a_restored_database_is_found_although_nobody_asks(tmp_path: Path) -> None:
    import contextlib
    import sqlite3

    with vaultcore.create(tmp_path / "data") as engine:
        engine.management.vault_create(name="dev")
        engine.synchronise()
        with contextlib.closing(sqlite3.connect(engine.data / "vaultcore.db")) as connection:
            connection.execute("DELETE FROM changes WHERE revision > 2")
            connection.commit()

        def found() -> bool:
            log = (engine.data / "audit" / "audit.jsonl").read_text().splitlines()
            return any(json.loads(line)["operationName"] == "StoreReset" for line in log)

        wait_for(found)


def test_nothing_is_wrong_with_a_folder_that_nobody_keeps(engine: Engine) -> None:
    assert engine.housekeeper.alive
    assert health(engine) == (True, [])


def test_a_token_that_cannot_be_opened_is_told_and_everything_else_goes_on(
    engine: Engine,
) -> None:
    token = Token(module="/nonexistent.so", label="away", pin="1234")
    engine.housekeeper.token = HsmKeys(token)
    assert health(engine) == (True, [])
    with pytest.raises(ProtectorError):
        engine.housekeeper.token.revive()
    assert health(engine) == (True, ["token"])
    token.close()
