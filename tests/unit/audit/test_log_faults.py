"""Failing system calls under the log: what is refused is not there, and nothing else is lost."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from entries import append

from vaultcore._core import AuditLog
from vaultcore.audit.verifier import verify

APPENDER = Path(__file__).with_name("appender.py")
SEGMENT = 4000  # bytes: every fourth record closes one
COUNT = 60
#: Which call fails, and how: the first number, and then every so many.
FAULTS = [
    ("fsync,fdatasync", "EIO", "2+3"),
    ("fsync,fdatasync", "EIO", "3+4"),
    ("renameat2", "EIO", "1+2"),
    ("renameat2", "ENOSPC", "2+3"),
    ("ftruncate", "EIO", "1+2"),
    ("write", "ENOSPC", "3+5"),
    ("write", "EIO", "4+4"),
    ("fallocate", "ENOSPC", "1+2"),
    ("openat", "EMFILE", "3+2"),
    ("openat", "EIO", "2+3"),
    ("fsync,renameat2,ftruncate,write,openat", "EIO", "3+4"),
    ("fsync,renameat2,ftruncate,write,openat", "EIO", "4+5"),
]


def injected(folder: Path, calls: str, error: str, when: str, name: str) -> list[str]:
    return [
        "strace", "-f", "-qq", "-o", str(folder.parent / f"{name}.trace"),
        "-P", str(folder), "-P", str(folder / "audit.jsonl"),
        "-e", f"inject={calls}:error={error}:when={when}",
        sys.executable, str(APPENDER), str(folder), str(COUNT), str(SEGMENT), name,
    ]  # fmt: skip


def told(output: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(output)
    return found


def check(folder: Path, outcomes: dict[str, dict[str, Any]]) -> None:
    """What was acknowledged is there once, under its number; what was refused is not there."""
    # Somebody goes on, and finishes what is left to finish.
    append(AuditLog(str(folder), segment_size=SEGMENT))
    report = verify(folder)
    assert report.problems == []
    found = {}
    for path in folder.glob("audit*.jsonl"):
        for line in path.read_bytes().splitlines():
            record = json.loads(line)
            assert record["sequence"] not in found
            found[record["sequence"]] = record["properties"]["id"]
    for name, outcome in outcomes.items():
        acknowledged = {sequence: f"{name}-{n}" for sequence, n in outcome["acknowledged"]}
        assert len(acknowledged) == len(outcome["acknowledged"])
        assert {s: i for s, i in found.items() if i.startswith(f"{name}-")} == acknowledged
        assert outcome["refused"] + len(acknowledged) >= COUNT


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize(("calls", "error", "when"), FAULTS)
def test_a_failing_call_refuses_and_never_forks_the_chain(
    tmp_path: Path, calls: Any, error: Any, when: Any
) -> None:
    folder = tmp_path / "audit"
    append(AuditLog(str(folder), segment_size=SEGMENT))
    commands = [
        injected(folder, calls, error, when, "one"),
        [sys.executable, str(APPENDER), str(folder), str(COUNT), str(SEGMENT), "two"],
    ]
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for command in commands
    ]
    outcomes = {}
    for name, process in zip(("one", "two"), started, strict=True):
        output, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        outcomes[name] = told(output)
    trace = (tmp_path / "one.trace").read_text()
    assert "(INJECTED)" in trace
    check(folder, outcomes)
