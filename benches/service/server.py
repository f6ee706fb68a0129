"""What both servers under load have in common."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

READ_ONE = "read a secret"
READ_MANY = "read one of 1,000 secrets"
WRITE = "write a secret"
ENCRYPT = "AES-256-GCM encrypt 64 B"
SIGN_EC = "ES256 sign"
VERIFY_EC = "ES256 verify"
SIGN_RSA = "RSA-2048 sign"

OPERATIONS = (READ_ONE, READ_MANY, WRITE, ENCRYPT, SIGN_EC, VERIFY_EC, SIGN_RSA)

SECRETS = 1000
SECRET_VALUE = "a value of sixty-four characters, as a connection string may be."
PLAINTEXT = bytes(range(64))
MESSAGE = b"a message that both servers sign"


@dataclass(frozen=True)
class Load:
    """One operation as a request; `{n}` stands for the number of an object below `names`."""

    method: str
    path: str
    headers: dict[str, str] = field(repr=False)
    body: str = ""
    names: int = 1


@dataclass(frozen=True)
class Memory:
    """Resident and proportional memory of a server's processes, in bytes."""

    resident: int
    proportional: int


class Server(Protocol):
    """A server that can be loaded: started, filled and checked by its own class."""

    name: str
    version: str
    url: str
    loads: dict[str, Load]

    def start(self) -> float:
        """Start the server on its data; return the seconds until it answered a read."""

    def fill(self) -> None:
        """Make identity, policy, secrets and keys, and the loads that use them."""

    def check(self, operation: str) -> None:
        """Run one operation and check its answer, not only its status."""

    def audit_records(self) -> int:
        """How many audit records exist."""

    def memory(self) -> Memory:
        """Memory of the server and its worker processes now."""

    def processor_seconds(self) -> float:
        """CPU time that the server and its worker processes have used since their start."""

    def stop(self) -> None:
        """Stop the server; its data stays."""


class Process:
    """A server process with its workers, ended with everything it started."""

    def __init__(self, command: Sequence[str], log: Path, env: dict[str, str] | None = None):
        with log.open("ab") as sink:
            self._popen = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, env=env
            )
        self._log = log

    def alive(self) -> None:
        """Raise when the process has ended.

        Raises:
            RuntimeError: the process has ended; the message has the end of its log.
        """
        status = self._popen.poll()
        if status is not None:
            tail = self._log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"server ended with status {status}: {tail}")

    def memory(self) -> Memory:
        """Memory of the process and all its descendants."""
        resident = proportional = 0
        for pid in self._tree():
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Rss:"):
                        resident += int(line.split()[1]) * 1024
                    elif line.startswith("Pss:"):
                        proportional += int(line.split()[1]) * 1024
        return Memory(resident, proportional)

    def processor_seconds(self) -> float:
        """CPU time of the process and all its descendants, in user and in kernel mode."""
        ticks = 0
        for pid in self._tree():
            with contextlib.suppress(OSError):
                # A name may hold spaces and ends with `)`; fields 14 and 15 are the times.
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """End the process, politely at first."""
        self._popen.send_signal(signal.SIGTERM)
        try:
            self._popen.wait(20)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()

    def _tree(self) -> Iterator[int]:
        pending = [self._popen.pid]
        while pending:
            pid = pending.pop()
            yield pid
            with contextlib.suppress(OSError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    pending += [int(child) for child in (task / "children").read_text().split()]


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(answers: Callable[[], bool], process: Process, seconds: float = 60) -> None:
    """Ask until the server answers.

    Raises:
        TimeoutError: it did not in time.
    """
    deadline = time.monotonic() + seconds
    while not answers():
        process.alive()
        if time.monotonic() > deadline:
            raise TimeoutError("server did not answer in time: see its log")
        time.sleep(0.005)


def count_lines(paths: Sequence[Path]) -> int:
    """Lines of all the files together."""
    lines = 0
    for path in paths:
        with path.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                lines += chunk.count(b"\n")
    return lines
