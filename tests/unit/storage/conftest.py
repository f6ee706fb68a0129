"""A store of each kind that the contract suite runs on."""

import pytest

from vaultcore.clock import ManualClock
from vaultcore.storage import open_store

BACKENDS = ["sqlite"]


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture(params=BACKENDS)
def url(request, tmp_path):
    """The URL of an empty store."""
    return f"sqlite:///{tmp_path}/vaultcore.db"


@pytest.fixture
def store(url, clock):
    with open_store(url, clock=clock) as opened:
        yield opened
        assert opened.fsck() == []
