"""Runs a management operation in a process that kills itself at one of its steps.

A step is a call that changes what is on the disk: of the database, of the list of protectors, of a
key file. The process ends before it, which is after the one before.

It has everything loaded and nothing open, so that a fork of it is a fresh process within
milliseconds. It reads lines ``[DATA, OPERATION, ARGUMENTS, STEP]`` and answers each with ``killed``
or ``done``.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, cast

import vaultcore
from vaultcore.installation import rekey
from vaultcore.storage.sqlite.writer import Writer


class Killer:
    """The process that makes those that kill themselves."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self._orders = cast("IO[str]", self._process.stdin)
        self._answers = cast("IO[str]", self._process.stdout)

    def kill(self, data: Path, operation: str, arguments: dict[str, Any], step: int) -> bool:
        """Returns whether the operation was killed; False if it has not so many steps."""
        self._orders.write(json.dumps([str(data), operation, arguments, step]) + "\n")
        answer = self._answers.readline().strip()
        assert answer in {"killed", "done"}, answer
        return answer == "killed"

    def close(self) -> None:
        """Ends the process."""
        self._orders.close()
        assert self._process.wait(30) == 0
        self._answers.close()


@contextlib.contextmanager
def killer() -> Iterator[Killer]:
    """Starts the process."""
    started = Killer()
    try:
        yield started
    finally:
        started.close()


def _stepping(step: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    count = 0

    def take() -> None:
        nonlocal count
        if count == step:
            os.kill(os.getpid(), signal.SIGKILL)
        count += 1

    def wrap(call: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*arguments: Any, **options: Any) -> Any:
            take()
            return call(*arguments, **options)

        return stepped

    return wrap


def _perform(data: str, operation: str, arguments: dict[str, Any], step: int) -> None:
    with vaultcore.open(data, housekeeping=False) as engine:
        wrap = _stepping(step)
        rekey.PAUSE = 0.0  # type: ignore[misc]
        Writer._commit = wrap(Writer._commit)  # type: ignore[method-assign]
        for name in ("link", "unlink", "rename", "replace"):
            setattr(os, name, wrap(getattr(os, name)))
        engine.management.perform(operation, arguments)


def _serve() -> None:
    for line in sys.stdin:
        data, operation, arguments, step = json.loads(line)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                _perform(data, operation, arguments, step)
                status = 0
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            print("killed", flush=True)
        else:
            print("done" if status == 0 else f"failed with {status}", flush=True)


if __name__ == "__main__":
    _serve()
