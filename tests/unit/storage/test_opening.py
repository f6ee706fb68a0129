"""A URL opens the store that it names, or is refused."""

import pytest
from sqlalchemy import URL

from unit.storage.works import add
from vaultcore.errors import ConfigurationError
from vaultcore.storage import open_store
from vaultcore.storage.sqlite.store import SqliteStore


def test_a_url_of_sqlite_opens_a_file(tmp_path, clock):
    with open_store(f"sqlite:///{tmp_path}/v.db", clock=clock) as store:
        assert isinstance(store, SqliteStore)
        assert store.path == tmp_path.resolve() / "v.db"


@pytest.mark.parametrize(
    "bad",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///x.db?mode=ro",
        "postgresql://localhost/x",
        "mysql://localhost/x",
        "nonsense",
        "",
    ],
)
def test_a_url_that_names_no_store_is_refused(bad, clock):
    with pytest.raises(ConfigurationError, match="sqlite:///PATH"):
        open_store(bad, clock=clock)


def test_a_folder_may_be_called_anything(tmp_path, clock):
    folder = tmp_path / "50% of #1 & {x}"
    folder.mkdir()
    with open_store(URL.create("sqlite", database=str(folder / "v.db")), clock=clock) as store:
        store.write(add("A"))
    assert {path.name for path in folder.iterdir()} == {
        "v.db",
        "v.lock",
        "v.lock-next",
        "v.signal",
    }
