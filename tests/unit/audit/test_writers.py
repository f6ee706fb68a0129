"""Which processes write to a folder: each as long as it lives, however it ends."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from vaultcore.audit.writers import Writers, names_a_process
from vaultcore.errors import AuditError

LIVING = """
import sys
from pathlib import Path
from vaultcore.audit.writers import Writers
writers = Writers(Path(sys.argv[1]))
print(writers.name, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "writers"


def test_one_that_lives_has_not_ended_and_one_that_closed_has(folder: Path) -> None:
    me, other = Writers(folder), Writers(folder)
    assert list(me.ended([other.name])) == []
    other.close()
    assert list(me.ended([])) == [other.name]
    assert not (folder / other.name).exists()
    assert list(me.ended([])) == []
    me.close()


def test_a_process_that_was_killed_has_ended(folder: Path) -> None:
    me = Writers(folder)
    child = subprocess.Popen(
        [sys.executable, "-c", LIVING, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout is not None
        name = child.stdout.readline().strip()
        assert list(me.ended([name])) == []
        child.send_signal(signal.SIGKILL)
        child.wait(30)
        assert list(me.ended([])) == [name]
    me.close()


def test_what_came_from_a_backup_without_its_file_has_ended(folder: Path) -> None:
    me = Writers(folder)
    assert list(me.ended(["0" * 32, me.name])) == ["0" * 32]
    me.close()


def test_a_child_does_not_hold_the_lock_of_its_parent(folder: Path) -> None:
    me, parent = Writers(folder), Writers(folder)
    here, there = socket.socketpair()
    child = os.fork()
    if child == 0:  # it lives on, with everything that it inherited
        here.close()
        there.send(b"alive")
        there.recv(1)
        os._exit(0)
    there.close()
    try:
        assert here.recv(5) == b"alive"
        parent.close()
        assert list(me.ended([])) == [parent.name]
    finally:
        here.close()
        os.waitpid(child, 0)
        me.close()


def test_one_whose_remains_were_not_taken_over_is_found_again(folder: Path) -> None:
    me, first, second = Writers(folder), Writers(folder), Writers(folder)
    first.close()
    second.close()
    ended = me.ended([])
    one = next(ended)
    ended.close()  # type: ignore[attr-defined]
    # What it left behind was not taken over: the next look finds it again.
    assert one in set(me.ended([]))
    me.close()


@pytest.mark.parametrize(
    "name", ["", "0" * 31, "0" * 33, "G" * 32, "A" * 32, "../" + "0" * 29, "0" * 32 + "\n"]
)
def test_what_no_process_calls_itself_is_no_name(name: str) -> None:
    assert not names_a_process(name)


def test_a_process_calls_itself_by_such_a_name(folder: Path) -> None:
    me = Writers(folder)
    assert names_a_process(me.name)
    assert (folder / me.name).stat().st_mode & 0o777 == 0o600
    me.close()


def test_a_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AuditError, match="cannot use `file`"):
        Writers(tmp_path / "file")
