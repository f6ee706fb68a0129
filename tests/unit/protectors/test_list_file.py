import json
import os
import stat
from pathlib import Path

import pytest

from vaultcore.errors import ConfigurationError
from vaultcore.protectors.list_file import read_list, write_list
from vaultcore.protectors.options import ProtectorOptions

KEPT = [
    ProtectorOptions("file", "file", {"path": "keys/file.json"}),
    ProtectorOptions("spare", "softhsm", {"folder": "token"}, state="adding"),
]


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write_list(tmp_path, KEPT)
    assert read_list(tmp_path) == KEPT
    write_list(tmp_path, KEPT[:1])
    assert read_list(tmp_path) == KEPT[:1]
    file = tmp_path / "protectors.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text()) == [
        {"name": "file", "kind": "file", "options": {"path": "keys/file.json"}}
    ]


def test_what_somebody_left_who_was_killed_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".protectors.json.abc").write_text("half")
    write_list(tmp_path, KEPT)
    assert [path.name for path in tmp_path.iterdir()] == ["protectors.json"]


def test_a_list_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_list(tmp_path, KEPT)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(ConfigurationError, match="cannot be written"):
            write_list(tmp_path, [])
    assert read_list(tmp_path) == KEPT


def test_a_missing_list_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="names what opens the vault keys; restore it"):
        read_list(tmp_path)


@pytest.mark.parametrize(
    "text",
    ["", "{}", '[{"name": "a"}]', '[{"name": "a", "kind": "file", "more": 1}]', "\udcff"],
)
def test_a_damaged_list_is_named(tmp_path: Path, text: str) -> None:
    write_list(tmp_path, [])
    (tmp_path / "protectors.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_list(tmp_path)


def test_a_list_that_others_could_have_changed_is_refused(tmp_path: Path) -> None:
    write_list(tmp_path, KEPT)
    (tmp_path / "protectors.json").chmod(0o666)
    with pytest.raises(ConfigurationError, match="others can reach it"):
        read_list(tmp_path)


def test_a_link_in_its_place_is_refused(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    write_list(elsewhere, KEPT)
    (tmp_path / "protectors.json").symlink_to(elsewhere / "protectors.json")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_list(tmp_path)
