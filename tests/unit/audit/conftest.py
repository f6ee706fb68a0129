"""A folder, a key and a clock for a log."""

from typing import Any

import pytest

from vaultcore._core import Key
from vaultcore.clock import ManualClock


@pytest.fixture
def folder(tmp_path: Any) -> Any:
    return tmp_path / "audit"


@pytest.fixture(scope="session")
def signer() -> Any:
    return Key.generate("EC", curve="P-256")


@pytest.fixture
def clock() -> Any:
    return ManualClock(1_700_000_000.5)
