"""Writes that happen only if their caller may still make them when they do."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from vaultcore.clock import ManualClock
from vaultcore.engine import guarded
from vaultcore.engine.guarded import ATTEMPTS, OvertakenError
from vaultcore.errors import ForbiddenError
from vaultcore.storage import Store, Transaction, open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path / 'vault.db'}", clock=ManualClock()) as opened:
        yield opened


def may() -> None:
    pass


def change(kind: str) -> Callable[[Transaction], str]:
    def work(transaction: Transaction) -> str:
        transaction.changed("v", kind, "A", "", "set")
        return kind

    return work


class Overtaken:
    """A store whose rules change in every commit but the last one."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.tries = 0

    def write(self, _: object) -> str:
        self.tries += 1
        if self.tries <= self.times:
            raise OvertakenError("rules are being changed")
        return "done"

    async def write_async(self, work: object) -> str:
        return self.write(work)


def test_who_may_writes(store: Store) -> None:
    assert guarded.write(store, guarded.guarded(change("secrets"), may)) == "secrets"
    assert store.revision() == 1


def test_who_may_no_longer_writes_nothing(store: Store) -> None:
    def refuse() -> None:
        raise ForbiddenError("no longer")

    with pytest.raises(ForbiddenError):
        guarded.write(store, guarded.guarded(change("secrets"), refuse))
    assert store.revision() == 0


@pytest.mark.parametrize(
    ("first", "done"),
    [
        ("secrets", True),
        ("keys", True),
        ("rekey", True),
        ("vaults", False),
        ("applications", False),
    ],
)
def test_a_write_behind_a_change_of_the_rules_in_its_commit_steps_back(
    store: Store, first: str, done: bool
) -> None:
    go_on = threading.Event()

    def hold(transaction: Transaction) -> None:
        transaction.unnoticed()
        assert go_on.wait(30)

    held = store.submit(hold)  # the others gather behind it
    before = store.submit(change(first))
    behind = store.submit(guarded.guarded(change("secrets"), may))
    go_on.set()
    held.result(30)
    assert before.result(30) == first
    if done:
        assert behind.result(30) == "secrets"
    else:
        assert isinstance(behind.exception(30), OvertakenError)
        assert store.revision() == 1
        # In the next commit it may.
        assert guarded.write(store, guarded.guarded(change("secrets"), may)) == "secrets"


@pytest.mark.parametrize("way", ["write", "write_async"])
def test_one_that_was_overtaken_is_tried_again_and_gives_up_in_the_end(way: str) -> None:
    def write(store: Any) -> str:
        if way == "write":
            return cast("str", guarded.write(store, may))  # type: ignore[arg-type]
        return cast("str", asyncio.run(guarded.write_async(store, may)))  # type: ignore[arg-type]

    patient = Overtaken(ATTEMPTS - 1)
    assert write(patient) == "done"
    assert patient.tries == ATTEMPTS
    hopeless = Overtaken(ATTEMPTS)
    with pytest.raises(OvertakenError):
        write(hopeless)
    assert hopeless.tries == ATTEMPTS
