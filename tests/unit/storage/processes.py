"""Other processes that use a store, told what to do line by line."""

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import IO, cast

_FOLDER = str(Path(__file__).parents[2])
_PRELUDE = f"""
import sys, os, json, signal, threading, time
sys.path.insert(0, {_FOLDER!r})
from unit.storage.works import VAULT, KIND, add, count, update
from vaultcore.clock import SystemClock
from vaultcore.storage import open_store
"""


class Process:
    """A Python process with a store; ``run`` evaluates an expression there."""

    def __init__(self, url):
        script = (
            _PRELUDE
            + f"""
store = open_store({url!r}, clock=SystemClock())
print("null", flush=True)
for line in sys.stdin:
    print(json.dumps(eval(line)), flush=True)
store.close()
"""
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self._orders = cast("IO[str]", self.process.stdin)
        self._answers = cast("IO[str]", self.process.stdout)

    def ready(self):
        """Waits until the store is open."""
        self.answer()
        return self

    def ask(self, expression):
        """Starts to evaluate an expression."""
        self._orders.write(expression.replace("\n", " ") + "\n")

    def answer(self):
        """Waits for the value of the expression."""
        line = self._answers.readline()
        assert line, "the process ended"
        return json.loads(line)

    def run(self, expression):
        self.ask(expression)
        return self.answer()

    def died(self):
        """Waits for a process that ends itself, and returns its status."""
        self._orders.close()
        return self.process.wait(20)

    def close(self):
        with contextlib.suppress(BrokenPipeError):
            self._orders.close()
        self.process.wait(20)
        self._answers.close()


@contextlib.contextmanager
def processes(url, number):
    """Starts a number of processes on one store."""
    with contextlib.ExitStack() as stack:
        started = [Process(url) for _ in range(number)]
        for process in started:
            stack.callback(process.close)
        yield [process.ready() for process in started]
