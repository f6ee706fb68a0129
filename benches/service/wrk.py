"""The load generator: `wrk`, as Debian packages it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benches.service.server import Load, Server

_LUA = Path(__file__).parent / "lua"


@dataclass(frozen=True)
class Sample:
    """What one run saw: latencies in ms, the server's CPU time per request in us."""

    rate: float
    requests: int
    p50: float
    p90: float
    p99: float
    worst: float
    cpu: float


def run(server: Server, load: Load, *, seconds: int, connections: int, threads: int) -> Sample:
    """Load one operation for some seconds.

    Raises:
        RuntimeError: wrk is not there, or an answer was missing or no success.
    """
    program = shutil.which("wrk")
    if program is None:
        raise RuntimeError("wrk is not installed: apt-get install wrk")
    script = _LUA / ("many.lua" if load.names > 1 else "one.lua")
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "LOAD_LUA": str(_LUA),
        "LOAD_METHOD": load.method,
        "LOAD_PATH": load.path,
        "LOAD_BODY": load.body,
        "LOAD_NAMES": str(load.names),
        "LOAD_HEADERS": "\n".join(f"{name}: {value}" for name, value in load.headers.items()),
    }
    arguments = [f"-d{seconds}s", f"-c{connections}", f"-t{threads}", "-s", str(script), server.url]
    before = server.processor_seconds()
    finished = subprocess.run(
        [program, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=False,
    )
    lines = [line for line in finished.stdout.splitlines() if line.startswith("RESULT ")]
    if finished.returncode or not lines:
        raise RuntimeError(f"wrk failed: {finished.stderr[-1000:]}{finished.stdout[-1000:]}")
    used = server.processor_seconds() - before
    seen = json.loads(lines[0].removeprefix("RESULT "))
    if seen["refused"] or seen["broken"]:
        raise RuntimeError(
            f"{seen['refused']} answers without success and {seen['broken']} broken exchanges "
            f"in {seen['requests']} requests of {load.method} {load.path}"
        )
    return Sample(
        rate=seen["requests"] / seen["microseconds"] * 1e6,
        requests=seen["requests"],
        p50=seen["p50"] / 1000,
        p90=seen["p90"] / 1000,
        p99=seen["p99"] / 1000,
        worst=seen["max"] / 1000,
        cpu=used / seen["requests"] * 1e6,
    )
