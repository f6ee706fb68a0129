"""The files of the audit log: segments, processes, torn ends, a full disk."""

import hashlib
import json
import multiprocessing
import os
import random
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from unit.audit.entries import append, records
from vaultcore._core import AuditLog
from vaultcore.audit.verifier import verify
from vaultcore.errors import AuditError, ForkError


def test_a_full_segment_is_closed_and_the_chain_goes_on(folder: Path) -> None:
    log = AuditLog(str(folder), segment_size=4096)
    for _ in range(40):
        append(log)
    report = verify(folder)
    assert report.ok, report.problems
    assert report.records == log.sequence
    segments = sorted(folder.glob("audit-*.jsonl"))
    assert len(segments) >= 5
    for segment in segments:
        last = json.loads(segment.read_bytes().splitlines()[-1])
        assert last["operationName"] == "AuditLogRotated"
        assert segment.name == f"audit-{last['sequence']:020}.jsonl"
    again = AuditLog(str(folder), segment_size=4096)
    assert again.position() == log.position()
    append(again)
    assert verify(folder).ok


def test_a_second_opener_follows_to_the_next_segment(folder: Path) -> None:
    first = AuditLog(str(folder), segment_size=3000)
    second = AuditLog(str(folder), segment_size=3000)
    numbers = []
    for _ in range(30):
        numbers.append(append(first))
        numbers.append(append(second))
    assert numbers == sorted(numbers)
    assert first.position() == second.position()
    assert verify(folder).ok


def test_a_crash_between_closing_and_renaming_is_finished_by_the_next(folder: Path) -> None:
    log = AuditLog(str(folder), segment_size=1)
    append(log)
    closed = next(folder.glob("audit-*.jsonl"))
    (folder / "audit.jsonl").unlink()
    closed.rename(folder / "audit.jsonl")
    again = AuditLog(str(folder))
    assert append(again) == 3
    assert closed.exists()
    assert verify(folder).ok


# Several processes and threads.


def _append_many(folder: str, count: Any, size: Any) -> None:
    log = AuditLog(folder, segment_size=size)
    for _ in range(count):
        append(log)


# With the smallest size every record closes a segment, so that those who wait are always too late.
@pytest.mark.parametrize("size", [1, 20_000, 1 << 30])
def test_processes_append_to_one_chain(folder: Path, size: Any) -> None:
    folder.mkdir()
    context = multiprocessing.get_context("fork")
    processes = [
        context.Process(target=_append_many, args=(str(folder), 400, size)) for _ in range(3)
    ]
    for process in processes:
        process.start()
    _append_many(str(folder), 400, size)
    for process in processes:
        process.join()
        assert process.exitcode == 0
    report = verify(folder)
    assert report.ok, report.problems
    closed = len(list(folder.glob("audit-*.jsonl")))
    assert report.records == 1600 + closed
    assert (closed > 10) is (size <= 20_000)


def test_threads_append_to_one_chain(folder: Path) -> None:
    log = AuditLog(str(folder), segment_size=30_000)
    numbers = []

    def work() -> None:
        numbers.extend([append(log) for _ in range(300)])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(numbers)) == 1200
    assert verify(folder).ok


HOLD = """
import fcntl, sys
file = open(sys.argv[1], "a")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_waiting_for_another_process_leaves_other_threads_alone(folder: Path) -> None:
    """The interpreter lock is not held while the log is."""
    log = AuditLog(str(folder))
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            HOLD,
            str(folder / "audit.jsonl"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        done = threading.Event()

        def work() -> None:
            append(log)
            done.set()

        thread = threading.Thread(target=work)
        thread.start()
        for _ in range(20):
            time.sleep(0.005)
        assert not done.is_set()
        holder.communicate(b"")
        assert done.wait(10)
        thread.join()
    finally:
        holder.kill()
        holder.communicate()
    assert log.sequence == 1


def test_a_child_process_is_told_to_open_it_again(folder: Path) -> None:
    log = AuditLog(str(folder))
    append(log)
    child = os.fork()
    if child == 0:
        try:
            append(log)
        except ForkError:
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    append(log)
    assert verify(folder).ok


def _append_forever(folder: str, ready: Any) -> None:
    log = AuditLog(folder, segment_size=200_000)
    ready.set()
    while True:
        append(log)


def test_killed_processes_leave_a_chain(folder: Path) -> None:
    folder.mkdir()
    chance = random.Random(4)
    context = multiprocessing.get_context("fork")
    survivor = AuditLog(str(folder), segment_size=200_000)
    for _ in range(25):
        ready = context.Event()
        process = context.Process(target=_append_forever, args=(str(folder), ready))
        process.start()
        assert ready.wait(10)
        time.sleep(chance.random() * 0.03)
        append(survivor)
        process.kill()
        process.join()
        append(survivor)
    report = verify(folder)
    assert report.ok, report.problems
    assert report.records > 100


# Torn ends, as a loss of power leaves them.


@pytest.mark.parametrize("cut", [1, 2, 50, 100, 400])
def test_a_torn_end_is_moved_aside_and_told(folder: Path, cut: Any) -> None:
    log = AuditLog(str(folder))
    for _ in range(3):
        append(log)
    whole = (folder / "audit.jsonl").read_bytes()
    os.truncate(folder / "audit.jsonl", len(whole) - cut)
    torn = whole[: len(whole) - cut].splitlines(keepends=True)[-1]
    unfinished = verify(folder)
    assert unfinished.ok
    assert "unfinished record" in unfinished.notes[0]
    again = AuditLog(str(folder))
    assert again.sequence == 2
    assert append(again) == 4
    report = verify(folder)
    assert report.ok, report.problems
    assert report.repairs == 1
    told = records(folder)[2]
    assert told["operationName"] == "AuditLogRepaired"
    assert told["properties"]["bytes"] == len(torn)
    kept = folder / told["properties"]["keptIn"]
    assert kept.read_bytes() == torn
    assert told["properties"]["sha256"] == hashlib.sha256(torn).hexdigest()


@pytest.mark.parametrize(
    "rubbish", [b"\x00" * 5000, b"\n" * 10, b"{}\n", b'{"time":"x"', b"\xff" * 3, b"x\n" * 1000]
)
def test_rubbish_at_the_end_is_moved_aside(folder: Path, rubbish: Any) -> None:
    log = AuditLog(str(folder))
    append(log)
    with (folder / "audit.jsonl").open("ab") as file:
        file.write(rubbish)
    # The running process finds it as well as the next one.
    append(log)
    report = verify(folder)
    assert report.ok, report.problems
    assert (report.repairs, report.records) == (1, 3)


def test_a_torn_first_record_is_moved_aside(folder: Path) -> None:
    folder.mkdir()
    (folder / "audit.jsonl").write_bytes(b'{"time":"20')
    assert append(AuditLog(str(folder))) == 2
    assert verify(folder).ok


@pytest.mark.parametrize("junk", [b"x", b"\0"])
def test_any_amount_of_junk_at_the_end_is_put_aside(folder: Path, junk: Any) -> None:
    append(AuditLog(str(folder)))
    with (folder / "audit.jsonl").open("ab") as file:
        file.write(junk * 2_000_000)
    assert append(AuditLog(str(folder))) == 3
    repaired = records(folder)[1]
    assert repaired["operationName"] == "AuditLogRepaired"
    assert repaired["properties"]["bytes"] == 2_000_000
    kept = folder / repaired["properties"]["keptIn"]
    assert kept.read_bytes() == junk * 2_000_000
    assert verify(folder).ok


def test_a_log_that_is_cut_under_a_running_process_stops_it(folder: Path) -> None:
    log = AuditLog(str(folder))
    for _ in range(3):
        append(log)
    os.truncate(folder / "audit.jsonl", 10)
    with pytest.raises(AuditError, match="became shorter"):
        append(log)


def test_a_log_that_is_moved_away_is_noticed(folder: Path) -> None:
    log = AuditLog(str(folder))
    append(log)
    (folder / "audit.jsonl").rename(folder / "elsewhere")
    with pytest.raises(AuditError, match="moved, removed or replaced"):
        log.sync()
    (folder / "audit.jsonl").write_bytes(b"")
    with pytest.raises(AuditError, match="moved, removed or replaced"):
        log.sync()


# A full disk.


def test_what_cannot_be_written_whole_is_not_written(folder: Path) -> None:
    """A limit on the size of files stands in for a disk that fills up in the middle of a write."""
    log = AuditLog(str(folder))
    for _ in range(3):
        append(log)
    size = (folder / "audit.jsonl").stat().st_size
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    for room in (0, 1, 100, 600):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + room, old[1]))
        try:
            with pytest.raises(AuditError, match="cannot append to the audit log"):
                append(log)
            with pytest.raises(AuditError, match="cannot append to the audit log"):
                append(log)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, old)
        assert (folder / "audit.jsonl").stat().st_size == size
    assert append(log) == 4
    report = verify(folder)
    assert report.ok, report.problems
    assert report.repairs == 0


def fill(log: AuditLog) -> int:
    """Appends until that is refused, and returns how many records are there."""
    for written in range(1000):
        try:
            append(log)
        except AuditError:
            return written
    return 1000


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system takes root")
def test_a_full_disk_refuses_and_recovers(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode != 0:
        pytest.skip("this machine does not let tests mount a file system")
    try:
        log = AuditLog(str(small / "audit"))
        written = fill(log)
        assert written > 10
        with pytest.raises(AuditError):
            append(log)
        assert log.sequence == written
        report = verify(small / "audit")
        assert (report.ok, report.records) == (True, written)
        subprocess.run(["mount", "-o", "remount,size=1m", str(small)], check=True)
        assert append(log) == written + 1
        report = verify(small / "audit")
        assert (report.ok, report.repairs) == (True, 0)
        del log
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.mark.parametrize("where", ["file", "under-a-file"])
def test_a_folder_that_cannot_be_is_told(tmp_path: Path, where: Any) -> None:
    (tmp_path / "file").write_text("x")
    target = tmp_path / "file" if where == "file" else tmp_path / "file" / "audit"
    with pytest.raises(AuditError):
        AuditLog(str(target))
