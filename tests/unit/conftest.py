"""An engine with a vault, and the clock that it goes by."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import vaultcore
from vaultcore import Engine
from vaultcore.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def engine(tmp_path: Path, clock: ManualClock) -> Iterator[Engine]:
    with vaultcore.create(tmp_path / "data", clock=clock, housekeeping=False) as opened:
        opened.management.vault_create(name="dev")
        opened.state("dev")  # what a test changes in the database was read before
        yield opened
