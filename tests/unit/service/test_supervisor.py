"""The supervisor keeps its workers running, whatever happens to them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROGRAM = Path(__file__).with_name("supervised.py")


class Supervised:
    """A supervisor and its workers, in processes of their own."""

    def __init__(self, folder: Path, workers: int) -> None:
        self.folder = folder
        with (folder / "log").open("wb") as sink:
            self.process = subprocess.Popen(
                [sys.executable, str(PROGRAM), str(folder), str(workers)], stderr=sink
            )
        wait_for(lambda: len(self.alive()) == workers)

    def started(self) -> list[int]:
        path = self.folder / "started"
        text = path.read_text() if path.exists() else ""
        return [int(line.split()[1]) for line in text.splitlines()]

    def alive(self) -> list[int]:
        return [pid for pid in self.started() if runs(pid)]

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def say(self, name: str) -> Path:
        path = self.folder / name
        path.touch()
        return path

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(10)


@pytest.fixture
def supervised(tmp_path: Path) -> Iterator[Callable[[int], Supervised]]:
    found: list[Supervised] = []

    def start(workers: int) -> Supervised:
        found.append(Supervised(tmp_path, workers))
        return found[-1]

    yield start
    for each in found:
        each.process.kill()
        each.process.wait()
        for pid in each.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_workers_are_replaced_however_often_they_die(
    supervised: Callable[[int], Supervised],
) -> None:
    service = supervised(2)
    for _ in range(4):
        first = service.alive()[0]
        os.kill(first, signal.SIGKILL)
        wait_for(lambda first=first: first not in service.alive() and len(service.alive()) == 2)  # type: ignore[misc]
    assert service.process.poll() is None
    assert service.stop() == 0
    assert service.alive() == []


def test_workers_that_cannot_start_are_tried_again_until_they_can(
    supervised: Callable[[int], Supervised],
) -> None:
    service = supervised(1)
    broken = service.say("broken")
    os.kill(service.alive()[0], signal.SIGKILL)
    wait_for(lambda: service.log().count("worker 1 cannot work: the pin file cannot be read") >= 3)
    assert service.process.poll() is None
    broken.unlink()
    wait_for(lambda: len(service.alive()) == 1)


def test_a_worker_that_does_not_answer_is_killed_and_replaced(
    supervised: Callable[[int], Supervised],
) -> None:
    service = supervised(2)
    stopped = service.alive()[0]
    os.kill(stopped, signal.SIGSTOP)
    wait_for(lambda: stopped not in service.alive() and len(service.alive()) == 2)
    hung = service.alive()[0]
    service.say(f"hung-{hung}")
    wait_for(lambda: hung not in service.alive() and len(service.alive()) == 2)
    assert service.log().count("did not answer for 1.5 seconds and was killed") == 2


def test_a_reload_replaces_each_worker(supervised: Callable[[int], Supervised]) -> None:
    service = supervised(2)
    before = set(service.alive())
    service.process.send_signal(signal.SIGHUP)
    wait_for(lambda: len(service.alive()) == 2 and not before & set(service.alive()))


def test_a_reload_of_what_is_wrong_touches_no_worker(
    supervised: Callable[[int], Supervised],
) -> None:
    service = supervised(2)
    before = service.alive()
    service.say("bad")
    service.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "nothing was reloaded" in service.log())
    assert service.alive() == before


@pytest.mark.parametrize("fault", ["broken", "mute"])
def test_the_old_workers_go_on_when_a_new_one_does_not_answer(
    supervised: Callable[[int], Supervised], fault: str
) -> None:
    service = supervised(2)
    before = service.alive()
    found = service.say(fault)
    service.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "the old workers continue" in service.log())
    found.unlink()
    wait_for(lambda: service.alive() == before)
    service.process.send_signal(signal.SIGHUP)
    wait_for(lambda: len(service.alive()) == 2 and not set(before) & set(service.alive()))


def test_workers_end_with_a_supervisor_that_is_killed(
    supervised: Callable[[int], Supervised],
) -> None:
    service = supervised(2)
    assert len(service.alive()) == 2
    service.process.kill()
    service.process.wait()
    wait_for(lambda: not service.alive())


def test_workers_that_do_not_end_are_killed(
    supervised: Callable[[int], Supervised], tmp_path: Path
) -> None:
    (tmp_path / "stubborn").touch()
    service = supervised(1)
    assert service.stop() == 0
    assert service.alive() == []
    assert "did not end in time" in service.log()


def runs(pid: int) -> bool:
    """Returns whether a process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(0.02)
