"""Expired segments go, and the log that is left says so."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from unit.audit.entries import record
from vaultcore._core import AuditLog, Key
from vaultcore.audit import log as module
from vaultcore.audit.log import Audit, AuditKeys
from vaultcore.audit.retention import expire
from vaultcore.audit.verifier import verify
from vaultcore.errors import AuditError

DAY = 86_400


@pytest.fixture
def keys(signer: Any) -> AuditKeys:
    return AuditKeys(signer, macs=((Key.generate("oct", size=256), None),))


@pytest.fixture
def audit(folder: Path, clock: Any, keys: AuditKeys, monkeypatch: Any) -> Audit:
    def small(directory: str, **options: Any) -> AuditLog:
        return AuditLog(directory, segment_size=3000, **options)

    monkeypatch.setattr(module, "AuditLog", small)
    made = Audit(folder, clock, keys)
    for _ in range(10):
        for _ in range(5):
            record(made)
        made.checkpoint()
        clock.advance(10 * DAY)
    return made


def segments(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("audit-*.jsonl"))


def test_what_is_older_than_the_retention_goes_and_the_rest_verifies(
    audit: Audit, folder: Path, signer: Any
) -> None:
    before = segments(folder)
    checkpoints = (folder / "checkpoints.jsonl").read_bytes().count(b"\n")
    removed = expire(audit, 55, audit.now())
    assert 0 < removed < len(before)
    assert segments(folder)[: len(before) - removed] == before[removed:]
    assert expire(audit, 55, audit.now()) == 0
    audit.checkpoint()
    report = verify(folder, signer.public_jwk(), made=audit.made)
    assert report.problems == []
    assert any("have expired" in note for note in report.notes)
    assert (folder / "checkpoints.jsonl").read_bytes().count(b"\n") < checkpoints + removed + 1
    # It opens, goes on, and still verifies.
    again = Audit(folder, audit._clock, audit._keys)
    record(again)
    again.checkpoint()
    assert verify(folder, signer.public_jwk()).ok


def test_nothing_goes_before_its_time_or_without_end(audit: Audit, folder: Path) -> None:
    before = segments(folder)
    assert expire(audit, 0, audit.now()) == 0
    assert expire(audit, 1000, audit.now()) == 0
    assert segments(folder) == before


def test_what_was_cut_off_has_not_expired(audit: Audit, folder: Path, signer: Any) -> None:
    expire(audit, 55, audit.now())
    audit.checkpoint()
    (folder / segments(folder)[0]).unlink()
    report = verify(folder, signer.public_jwk())
    assert any("missing before record" in problem.what for problem in report.problems)


def test_the_removal_is_signed_before_anything_is_gone(
    audit: Audit, folder: Path, monkeypatch: Any
) -> None:
    before = segments(folder)

    def fail(_: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "unlink", fail)
    with pytest.raises(AuditError, match="cannot remove"):
        expire(audit, 55, audit.now())
    monkeypatch.undo()
    told = [
        json.loads(line)
        for path in folder.glob("audit*.jsonl")
        for line in path.read_bytes().splitlines()
        if b"AuditSegmentExpired" in line
    ]
    signed = (folder / "checkpoints.jsonl").read_bytes().splitlines()[-1]
    assert json.loads(signed)["sequence"] >= told[0]["sequence"]
    assert segments(folder)[: len(before)] == before
    assert expire(audit, 55, audit.now()) > 0


def test_a_line_that_is_no_checkpoint_does_not_keep_the_others_from_expiring(
    audit: Audit, folder: Path
) -> None:
    path = folder / "checkpoints.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], b"no checkpoint\n", *lines[2:]]))
    until = json.loads(lines[4])["sequence"]
    audit.prune(until)
    assert path.read_bytes() == b"".join(lines[5:])
    audit.prune(until)
    assert path.read_bytes() == b"".join(lines[5:])
    # The last one stays, whatever has expired.
    audit.prune(2**62)
    assert path.read_bytes() == lines[-1]
    audit.prune(2**62)
    record(audit)
    assert audit.checkpoint() is not None


def test_the_memory_that_expiring_takes_does_not_grow_with_the_checkpoints(
    audit: Audit, folder: Path
) -> None:
    path = folder / "checkpoints.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] * 50_000 + b"".join(lines[1:]))
    tracemalloc.start()
    audit.prune(json.loads(lines[1])["sequence"])
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert path.read_bytes() == b"".join(lines[2:])
    assert most < 1024 * 1024
