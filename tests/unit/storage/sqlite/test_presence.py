"""Files that were moved, replaced or removed under a process are noticed."""

import pytest

from vaultcore.errors import UnavailableError
from vaultcore.storage.sqlite.presence import Presence


@pytest.fixture
def files(tmp_path):
    made = [tmp_path / name for name in ("v.db", "v.db-wal", "v.db-shm")]
    for path in made:
        path.write_bytes(b"x")
    return made


@pytest.fixture
def presence(files):
    made = Presence(files[0])
    made.opened()
    return made


def replace(path):
    # Both exist for a moment, so that they are two files.
    path.rename(path.with_name("elsewhere"))
    path.write_bytes(b"x")


def test_files_in_their_place_are_well(presence):
    presence.check()
    assert presence.in_place()


@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize("harm", ["moved", "replaced"])
def test_a_file_that_comes_back_is_gone_on_with(files, presence, at, harm):
    path = files[at]
    if harm == "moved":
        path.rename(path.with_name("elsewhere"))
    else:
        replace(path)
    with pytest.raises(UnavailableError, match="put the files"):
        presence.check()
    assert not presence.in_place()
    path.with_name("elsewhere").replace(path)
    presence.check()


@pytest.mark.parametrize("harm", ["moved", "replaced"])
def test_an_index_that_comes_back_is_not_gone_on_with(files, presence, harm):
    index = files[2]
    if harm == "moved":
        index.rename(index.with_name("elsewhere"))
    else:
        replace(index)
    with pytest.raises(UnavailableError, match="restart every process"):
        presence.check()
    index.with_name("elsewhere").replace(index)
    with pytest.raises(UnavailableError, match="restart every process"):
        presence.check()


def test_a_log_may_be_another_after_connecting_again_but_not_the_database(files, presence):
    replace(files[1])
    presence.opened()
    presence.check()
    replace(files[0])
    with pytest.raises(UnavailableError, match="was replaced"):
        presence.opened()


def test_a_database_that_is_not_there_cannot_have_been_opened(tmp_path):
    with pytest.raises(UnavailableError, match="moved or removed"):
        Presence(tmp_path / "v.db").opened()
