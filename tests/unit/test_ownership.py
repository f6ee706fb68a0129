"""Who may reach a data folder: closed to others when it is opened, refused if it is not ours."""

import contextlib
import fcntl
import os
import stat
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import vaultcore
from vaultcore.errors import ConfigurationError, ProtectorError, VaultcoreError
from vaultcore.ownership import check_code
from vaultcore.protectors.options import ProtectorOptions
from vaultcore.service.development.ready import read_ready

NOBODY = 65534
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with vaultcore.create(tmp_path / "data", housekeeping=False) as engine:
        engine.management.vault_create(name="dev")
    return tmp_path / "data"


def open_up(folder: Path) -> None:
    """Leaves a folder as one that was made before, with the permissions of an ordinary umask."""
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        if path.parent.name != "keys":
            path.chmod(0o755 if path.is_dir() else 0o644)


def reachable(folder: Path) -> list[str]:
    return [
        str(path)
        for path in (folder, *folder.rglob("*"))
        if stat.S_IMODE(path.stat().st_mode) & 0o077
    ]


def test_a_folder_that_was_open_is_closed_and_that_is_said_once(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    open_up(folder)
    for _ in range(2):
        with vaultcore.open(folder, housekeeping=False) as engine:
            assert engine.vault("dev").name == "dev"
            assert reachable(folder) == []
    assert [r.getMessage() for r in caplog.records if "was open to other users" in r.message]
    assert len([r for r in caplog.records if r.name == "vaultcore.ownership"]) == 1


@only_root
def test_another_user_reads_no_name_and_stops_no_write() -> None:
    # Not below the folder of pytest, where no other user gets in anyway.
    with tempfile.TemporaryDirectory() as parent:
        Path(parent).chmod(0o755)
        vaultcore.create(Path(parent) / "data", housekeeping=False).close()
        refuse_stranger(Path(parent) / "data")


def refuse_stranger(folder: Path) -> None:
    open_up(folder)
    names = ("vaultcore.lock", "vaultcore.db", "vaultcore.signal")
    assert held_by_a_stranger(folder, names) == list(names)
    with vaultcore.open(folder, housekeeping=False) as engine:
        assert held_by_a_stranger(folder, names) == []
        engine.management.vault_create(name="other")


def held_by_a_stranger(folder: Path, names: Sequence[str]) -> list[str]:
    """Returns which files another user can lock."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            for name in names:
                with contextlib.suppress(PermissionError):
                    fcntl.flock(os.open(folder / name, os.O_RDONLY), fcntl.LOCK_EX)
                    os.write(writer, f"{name} ".encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as answer:
        return answer.read().split()


@only_root
@pytest.mark.parametrize("name", ["", "vaultcore.db", "vaultcore.lock", "audit", "protectors.json"])
def test_what_belongs_to_another_user_is_refused(folder: Path, name: str) -> None:
    os.chown(folder / name, NOBODY, NOBODY)
    with pytest.raises(ConfigurationError, match=f"belongs to user {NOBODY}"):
        vaultcore.open(folder)


def test_a_folder_that_everybody_shares_is_refused_and_left_alone(folder: Path) -> None:
    folder.chmod(0o1777)
    with pytest.raises(ConfigurationError, match="all users share"):
        vaultcore.open(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o1777


def linked(path: Path) -> None:
    path.rename(path.with_name("elsewhere.json"))
    path.symlink_to("elsewhere.json")


def piped(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (linked, "symbolic link"),
        (piped, "not a file"),
        (lambda path: path.chmod(0o620), "written by other users"),
        (lambda path: path.chmod(0o602), "written by other users"),
        (lambda path: path.parent.parent.chmod(0o777), "write the folder"),
    ],
    ids=["link", "pipe", "group", "world", "parent"],
)
def test_the_list_of_protectors_is_looked_at_like_a_key_file(
    folder: Path, spoil: Callable[[Path], None], words: str
) -> None:
    spoil(folder / "protectors.json")
    with pytest.raises(ConfigurationError, match=words):
        vaultcore.open(folder)


def test_a_module_that_others_can_write_is_not_loaded(tmp_path: Path) -> None:
    module = tmp_path / "module.so"
    module.write_bytes(b"")
    module.chmod(0o755)
    (tmp_path / "pin").write_text("1234")
    (tmp_path / "pin").chmod(0o600)
    check_code(module, "PKCS#11 module")
    module.chmod(0o757)
    options = ProtectorOptions(
        "hsm",
        "pkcs11",
        {"module": str(module), "token_label": "t", "pin_file": str(tmp_path / "pin")},
    )
    with pytest.raises(ConfigurationError, match=r"PKCS#11 module .* written by other users"):
        vaultcore.create(tmp_path / "data", protectors=[options])


def test_a_folder_on_a_file_system_without_permissions_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No such file system can be mounted here, so the change of mode is made to do nothing."""
    open_up(folder)
    monkeypatch.setattr(Path, "chmod", lambda *_, **__: None)
    with pytest.raises(ConfigurationError, match=r"cannot be closed|keeps it so"):
        vaultcore.open(folder)


def test_the_ready_file_of_another_user_is_not_believed(tmp_path: Path) -> None:
    """It says which authority to trust, and where to send the administrator's secret."""
    path = tmp_path / "dev.json"
    path.write_text("{}")
    path.chmod(0o666)
    with pytest.raises(ProtectorError, match="others can reach it"):
        read_ready(tmp_path)


def test_a_vault_in_a_folder_of_root_that_others_write_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.chmod(0o770)
    owner = folder.stat().st_uid
    if owner != 0:
        pytest.skip("the folder does not belong to root")
    monkeypatch.setattr(os, "geteuid", lambda: NOBODY)
    with pytest.raises(VaultcoreError, match="belongs to root"):
        vaultcore.open(folder)
