import os
import stat
from pathlib import Path

import pytest

from vaultcore.errors import ProtectorError, ProtectorUnavailableError
from vaultcore.protectors.private_file import create_private, read_private


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    create_private(path, b"content", "key file")
    return path


def test_what_was_created_is_read_and_its_owners_alone(file: Path) -> None:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert read_private(file, "key file", 7) == b"content"
    assert list(file.parent.iterdir()) == [file]


def test_a_file_is_never_overwritten(file: Path) -> None:
    with pytest.raises(ProtectorError, match=r"the key file .* exists already"):
        create_private(file, b"other", "key file")
    assert file.read_bytes() == b"content"
    assert list(file.parent.iterdir()) == [file]


def test_a_disk_that_is_full_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(ProtectorError, match="cannot be written: No space left"):
            create_private(tmp_path / "file", b"content", "key file")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_file_that_others_can_reach_is_refused(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(ProtectorError, match=f"has mode {mode:04o}"):
        read_private(file, "key file", 100)


def test_a_larger_file_than_makes_sense_is_refused(file: Path) -> None:
    with pytest.raises(ProtectorError, match="is larger than any key file"):
        read_private(file, "key file", 6)


def test_an_absent_file_may_come_back(tmp_path: Path) -> None:
    with pytest.raises(ProtectorUnavailableError, match=r"the PIN file .* is absent"):
        read_private(tmp_path / "absent", "PIN file", 100)


def test_what_is_not_a_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "folder").mkdir(0o700)
    for name in ("pipe", "folder"):
        with pytest.raises(ProtectorError, match="is not a file"):
            read_private(tmp_path / name, "key file", 100)


def test_a_link_is_followed_only_where_that_is_said(file: Path) -> None:
    link = file.with_name("link")
    link.symlink_to(file)
    assert read_private(link, "key file", 100) == b"content"
    with pytest.raises(ProtectorError, match="cannot be read"):
        read_private(link, "key file", 100, follow=False)
