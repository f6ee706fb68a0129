"""Failing system calls under the log: what is refused is not there, and nothing else is lost."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from unit.audit.entries import append
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


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_what_a_failed_sync_may_have_dropped_is_written_again(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    trace = tmp_path / "trace"
    script = (
        "import sys\n"
        f"sys.path.insert(0, {str(APPENDER.parents[2])!r})\n"
        "from unit.audit.entries import append\n"
        "from vaultcore._core import AuditLog\n"
        "from vaultcore.errors import AuditError\n"
        f"log = AuditLog({str(folder)!r})\n"
        "append(log); log.sync(); append(log); append(log)\n"
        "try:\n    log.sync()\nexcept AuditError:\n    print('refused')\n"
        "log.sync()\nlog.sync()\n"
    )
    command = [
        "strace", "-f", "-qq", "-o", str(trace), "-P", str(folder / "audit.jsonl"),
        "-e", "trace=write,pwrite64,fsync,fdatasync",
        "-e", "inject=fdatasync:error=EIO:when=2",
        sys.executable, "-c", script,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "refused\n"
    lines = (folder / "audit.jsonl").read_bytes().splitlines(keepends=True)
    first, lost = len(lines[0]), len(lines[1]) + len(lines[2])
    calls = [line.split(maxsplit=1)[1] for line in trace.read_text().splitlines()]
    failed = next(n for n, call in enumerate(calls) if "(INJECTED)" in call)
    # Only what was not known to be on the disk, to the same place, and brought there.
    again = calls[failed + 1]
    assert again.startswith("pwrite64(")
    assert again.endswith(f", {lost}, {first}) = {lost}")
    assert calls[failed + 2].startswith("fsync(")
    assert sum(call.startswith("pwrite64(") for call in calls) == 1
    assert verify(folder).ok
