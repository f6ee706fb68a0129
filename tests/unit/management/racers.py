"""Management operations in another process, each in a thread of its own, all let go at once."""

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

import vaultcore
from vaultcore import Engine
from vaultcore.errors import VaultcoreError, VaultError

Call = tuple[str, dict[str, Any]]
Outcome = tuple[int, Any]


def race(engine: Engine, calls: list[Call]) -> list[Outcome]:
    """Makes all calls at once, and returns status and result of each."""
    if not calls:
        return []
    outcomes: list[Outcome] = [(0, None)] * len(calls)
    start = threading.Barrier(len(calls))

    def run(place: int, name: str, arguments: dict[str, Any]) -> None:
        start.wait()
        try:
            outcomes[place] = (200, engine.management.perform(name, arguments))
        except VaultError as refused:
            outcomes[place] = (refused.status, refused.message)
        except VaultcoreError as failure:
            outcomes[place] = (500, f"{type(failure).__name__}: {failure}")

    threads = [
        threading.Thread(target=run, args=(place, name, arguments))
        for place, (name, arguments) in enumerate(calls)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


class Racer:
    """A process with the folder open."""

    def __init__(self, data: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(data)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self._orders = cast("IO[str]", self._process.stdin)
        self._answers = cast("IO[str]", self._process.stdout)

    def ask(self, calls: list[Call]) -> None:
        """Starts a race there."""
        self._orders.write(json.dumps(calls) + "\n")

    def answer(self) -> list[Outcome]:
        """Returns how it ended."""
        line = self._answers.readline()
        assert line, "the process ended"
        return [(status, result) for status, result in json.loads(line)]

    def close(self) -> None:
        """Ends the process."""
        self._orders.close()
        assert self._process.wait(30) == 0
        self._answers.close()


@contextlib.contextmanager
def racer(data: Path) -> Iterator[Racer]:
    """Starts a process on a folder, and waits until it has opened it."""
    started = Racer(data)
    try:
        started.ask([])
        started.answer()
        yield started
    finally:
        started.close()


def _serve(data: str) -> None:
    with vaultcore.open(data, housekeeping=False) as engine:
        for line in sys.stdin:
            print(json.dumps(race(engine, json.loads(line)), default=str), flush=True)


if __name__ == "__main__":
    _serve(sys.argv[1])
