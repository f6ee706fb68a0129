"""Files that people name: read whole up to a limit, or refused in one line."""

import os
import threading
from pathlib import Path

import pytest

from vaultcore import inputs
from vaultcore.errors import UnreadableError
from vaultcore.inputs import read_input, read_text_input

LIMIT = 1000


@pytest.mark.parametrize("size", [0, 1, LIMIT])
def test_a_file_is_read_up_to_the_limit(tmp_path: Path, size: int) -> None:
    (tmp_path / "file").write_bytes(b"x" * size)
    assert read_input(tmp_path / "file", limit=LIMIT) == b"x" * size


@pytest.mark.parametrize("size", [LIMIT + 1, 10_000_000])
def test_a_larger_one_is_refused(tmp_path: Path, size: int) -> None:
    (tmp_path / "file").write_bytes(b"x" * size)
    with pytest.raises(UnreadableError, match="1000 bytes"):
        read_input(tmp_path / "file", limit=LIMIT)


@pytest.mark.parametrize("name", ["none", "folder", "file/below", "null\0byte", "loop"])
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UnreadableError) as caught:
        read_input(tmp_path / name, limit=LIMIT)
    assert f"`{tmp_path / name}`" in str(caught.value)


def test_a_device_without_an_end_ends_at_the_limit() -> None:
    with pytest.raises(UnreadableError, match="bytes"):
        read_input(Path("/dev/zero"), limit=LIMIT)


def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(b"slow",))
    writer.start()
    assert read_input(tmp_path / "pipe", limit=LIMIT) == b"slow"
    writer.join()


def test_a_pipe_that_stays_silent_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "PIPE_SECONDS", 0.05)
    os.mkfifo(tmp_path / "pipe")
    held = os.open(tmp_path / "pipe", os.O_RDWR)
    with pytest.raises(UnreadableError, match="pipe"):
        read_input(tmp_path / "pipe", limit=LIMIT)
    os.close(held)


def test_text_is_utf_8(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("ümlaut", encoding="utf-8")
    assert read_text_input(tmp_path / "file", limit=LIMIT) == "ümlaut"
    (tmp_path / "file").write_bytes(b"\xff")
    with pytest.raises(UnreadableError, match="UTF-8"):
        read_text_input(tmp_path / "file", limit=LIMIT)
