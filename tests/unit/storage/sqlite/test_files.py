"""The files of a store are named after its database."""

from pathlib import Path

import pytest
from sqlalchemy import make_url

from vaultcore.errors import ConfigurationError
from vaultcore.storage.sqlite import files


def test_a_url_names_a_database():
    assert files.database(make_url("sqlite:////var/v.db")) == Path("/var/v.db")
    assert files.database(make_url("sqlite:///v.db")) == Path.cwd() / "v.db"


@pytest.mark.parametrize("bad", ["sqlite://", "sqlite:///:memory:", "sqlite:///x.db?mode=ro"])
def test_a_url_without_a_file_is_refused(bad):
    with pytest.raises(ConfigurationError, match="names no file"):
        files.database(make_url(bad))


@pytest.mark.parametrize(
    ("name", "lock", "signal", "log"),
    [
        ("v.db", "v.lock", "v.signal", "v.db-wal"),
        ("v", "v.lock", "v.signal", "v-wal"),
        ("v.data", "v.data.lock", "v.data.signal", "v.data-wal"),
    ],
)
def test_what_stands_beside_a_database_has_its_name(name, lock, signal, log):
    path = Path("/var") / name
    found = [files.lock(path), files.signal(path), files.log(path)]
    assert found == [Path("/var") / lock, Path("/var") / signal, Path("/var") / log]
