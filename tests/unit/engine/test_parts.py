"""What an engine stands on: opened together, or closed again together."""

import contextlib
import gc
from pathlib import Path

import pytest

import vaultcore
from vaultcore.clock import ManualClock
from vaultcore.engine.parts import open_parts
from vaultcore.errors import ConfigurationError, ProtectorError, UsageError
from vaultcore.installation.settings import Installation


@pytest.fixture
def data(tmp_path: Path) -> Path:
    vaultcore.create(tmp_path / "data", passphrase="open sesame", housekeeping=False).close()
    return tmp_path / "data"


def descriptors() -> int:
    gc.collect()  # a mapping is closed when nobody can read it any more
    return len(list(Path("/proc/self/fd").iterdir()))


def test_the_keys_open_what_the_store_holds(data: Path, clock: ManualClock) -> None:
    with contextlib.ExitStack() as undo:
        store, ring = open_parts(data, undo, passphrase="open sesame", clock=clock)
        assert Installation.load(store, ring.system).domain == "vault.localhost"
    with pytest.raises(UsageError):
        store.write(lambda _: None)


def test_keys_that_do_not_open_leave_nothing_open(data: Path, clock: ManualClock) -> None:
    before = descriptors()
    for _ in range(3):
        with pytest.raises(ProtectorError), contextlib.ExitStack() as undo:
            open_parts(data, undo, passphrase="wrong", clock=clock)
    assert descriptors() == before


@pytest.mark.parametrize("there", ["nothing", "an empty folder", "another file"])
def test_where_there_is_no_vault_that_is_said(
    tmp_path: Path, clock: ManualClock, there: str
) -> None:
    folder = tmp_path / "data"
    if there != "nothing":
        folder.mkdir()
    if there == "another file":
        (folder / "notes.txt").touch()
    before = sorted(folder.glob("*"))
    with (
        pytest.raises(ConfigurationError, match="no vault in"),
        contextlib.ExitStack() as undo,
    ):
        open_parts(folder, undo, passphrase=None, clock=clock)
    assert sorted(folder.glob("*")) == before
