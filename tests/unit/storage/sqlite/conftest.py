"""A store in a file."""

import pytest


@pytest.fixture
def path(tmp_path):
    """The path of a database that is not there yet."""
    return tmp_path / "vaultcore.db"


@pytest.fixture
def url(path):
    return f"sqlite:///{path}"
