"""What somebody puts into the database or the folder of the log, who has no key of it."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import vaultcore
from unit.audit.changing import CHILD, created, records, secrets
from unit.audit.entries import record
from vaultcore._core import AuditLog, Key
from vaultcore.audit import log as module
from vaultcore.audit.log import Audit, AuditKeys
from vaultcore.audit.query import query_records
from vaultcore.audit.retention import expire
from vaultcore.audit.verifier import verify
from vaultcore.errors import AuditError

DAY = 86_400
NAME = "a" * 32
BLOB = b"x" * 40


def insert(data: Path, collection: str | bytes, key: str | bytes, blob: Any = BLOB) -> None:
    with sqlite3.connect(data / "vaultcore.db") as database:
        database.execute(
            "INSERT INTO documents VALUES (CAST(? AS TEXT), ?, ?)", (collection, key, blob)
        )
    database.close()


def refusals(data: Path) -> list[dict[str, Any]]:
    return [r for r in records(data) if r["operationName"] == "OutboxEntryRefused"]


def test_an_outbox_leads_to_no_file_elsewhere(tmp_path: Path) -> None:
    data, victim = tmp_path / "data", tmp_path / "victim"
    created(data)
    victim.write_text("still here")
    protectors = (data / "protectors.json").read_bytes()
    with vaultcore.open(data, housekeeping=False) as engine:
        insert(data, f"outbox/{victim}", "1")
        insert(data, "outbox/../protectors.json", "1")
        engine.audit.checkpoint()
        assert victim.read_text() == "still here"
        assert (data / "protectors.json").read_bytes() == protectors
        assert engine.store.collections("outbox/") == []
        assert secrets(engine).get("a").value == "old"
    assert [r["properties"]["count"] for r in refusals(data)] == [2]
    assert not refusals(data)[0]["time"].startswith("1970")


@pytest.mark.parametrize(
    ("collection", "key"),
    [
        ("outbox/..", "1"),
        ("outbox/", "1"),
        ("outbox/a\0b", "1"),
        ("outbox/" + "c" * 300, "1"),
        (b"outbox/a\xff", "1"),
        ("outbox/" + NAME, b"\xff\xfe"),
        ("outbox/" + NAME, "\xff"),
    ],
)
def test_whatever_lies_in_the_outbox_is_refused_once(
    tmp_path: Path, collection: str | bytes, key: str | bytes
) -> None:
    data = tmp_path / "data"
    created(data)
    with vaultcore.open(data, housekeeping=False) as engine:
        insert(data, collection, key)
        for _ in range(3):
            engine.audit.checkpoint()
        assert engine.store.collections("outbox/") == []
        secrets(engine).set("b", "value")
    assert len(refusals(data)) == 1
    insert(data, collection, key)
    with vaultcore.open(data, housekeeping=False) as engine:
        assert secrets(engine).get("b").value == "value"
    assert len(refusals(data)) == 2


def test_a_line_of_a_stranger_does_not_stand_for_a_record(tmp_path: Path) -> None:
    data = tmp_path / "data"
    created(data)
    with vaultcore.open(data, housekeeping=False) as engine:
        command = [sys.executable, "-c", CHILD, str(data), "after the commit", "set"]
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
        forged = [
            {
                "time": "2030-01-01T00:00:00.000000Z",
                "operationName": "SecretGet",
                "properties": {"revision": engine.store.revision()},
                "sequence": 10_000,
            },
            {"time": "2030-01-01T00:00:00.000000Z", "sequence": 10_000},
        ]
        with (data / "audit" / "audit.jsonl").open("a") as file:
            file.write("".join(json.dumps(line) + "\n" for line in forged))
        engine.audit.checkpoint()
        assert engine.management.audit_verify()["ok"]
    told = [r for r in records(data) if r["operationName"] == "SecretSet"]
    assert [r["properties"].get("recovered", False) for r in told] == [False, True]


@pytest.fixture
def keys(signer: Any) -> AuditKeys:
    return AuditKeys(signer, macs=((Key.generate("oct", size=256), None),))


@pytest.mark.parametrize(
    "line",
    [
        b'{"sequence":1e999,"hash":"x","time":"x","signature":"AAAA"}',
        b"[" * 100_000 + b',"signature":"AAAA"}',
    ],
)
def test_no_line_in_the_checkpoints_keeps_anybody_from_signing(
    folder: Path, clock: Any, keys: AuditKeys, line: bytes
) -> None:
    audit = Audit(folder, clock, keys)
    record(audit)
    assert audit.checkpoint() is not None
    with (folder / "checkpoints.jsonl").open("ab") as file:
        file.write(line + b"\n")
    record(audit)
    assert audit.checkpoint() is not None
    with (folder / "checkpoints.jsonl").open("ab") as file:
        file.write(line + b"\n")
    again = Audit(folder, clock, keys)
    record(again)
    assert again.checkpoint() is not None
    assert verify(folder, keys.signer.public_jwk(), made=again.made).ok


@pytest.fixture
def rolled(folder: Path, clock: Any, keys: AuditKeys, monkeypatch: Any) -> Audit:
    def small(directory: str, **options: Any) -> AuditLog:
        return AuditLog(directory, segment_size=3000, **options)

    monkeypatch.setattr(module, "AuditLog", small)
    audit = Audit(folder, clock, keys)
    for _ in range(20):
        record(audit)
        audit.checkpoint()
    return audit


@pytest.mark.parametrize("copied", ["the hash", "the line", "the line with another time"])
def test_a_segment_of_a_stranger_is_no_reason_to_call_records_expired(
    rolled: Audit, folder: Path, keys: AuditKeys, copied: str
) -> None:
    before = sorted(folder.glob("audit-*.jsonl"))
    line = before[1].read_bytes().splitlines()[-1]
    last = json.loads(line)
    old = "2001-01-01T00:00:00.000000Z"
    forged = {
        "the hash": json.dumps(
            {"time": old, "sequence": last["sequence"], "hash": last["hash"]}
        ).encode(),
        # It is genuine, and not old enough.
        "the line": line,
        "the line with another time": line.replace(last["time"].encode(), old.encode()),
    }[copied]
    for segment in before[:2]:
        segment.unlink()
    (folder / f"audit-{0:020d}.jsonl").write_bytes(forged + b"\n")
    with pytest.raises(AuditError, match="does not end as this vault closes"):
        expire(rolled, 365, rolled.now())
    (folder / f"audit-{0:020d}.jsonl").rename(before[1])
    if copied != "the line":
        with pytest.raises(AuditError, match="does not end as this vault closes"):
            expire(rolled, 365, rolled.now())
    else:
        assert expire(rolled, 365, rolled.now()) == 0
    before[1].unlink()
    rolled.checkpoint()
    report = verify(folder, keys.signer.public_jwk(), made=rolled.made)
    assert any("missing before record" in problem.what for problem in report.problems)
    assert not any("have expired" in note for note in report.notes)


def test_an_expiry_that_is_not_signed_is_not_believed(
    rolled: Audit, folder: Path, keys: AuditKeys
) -> None:
    first = min(folder.glob("audit-*.jsonl"))
    last = json.loads(first.read_bytes().splitlines()[-1])
    told = {"lastSequence": last["sequence"], "lastHash": last["hash"], "segment": first.name}
    # As a writer of the files can make it: right in the chain, behind the last checkpoint.
    rolled.record_own("AuditSegmentExpired", "", told)
    first.unlink()
    unsigned = verify(folder, keys.signer.public_jwk())
    assert any("missing before record" in problem.what for problem in unsigned.problems)
    # What the vault itself says is signed first.
    rolled.checkpoint()
    assert verify(folder, keys.signer.public_jwk(), made=rolled.made).ok


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_named_and_opened_by_nobody(
    rolled: Audit, folder: Path, keys: AuditKeys, make: Any
) -> None:
    strange = folder / f"audit-{0:020d}.jsonl"
    make(strange)
    report = verify(folder, keys.signer.public_jwk(), made=rolled.made)
    assert [problem.what for problem in report.problems] == [
        f"{strange.name} is not a regular file"
    ]
    assert len(query_records(folder, limit=1000)) == report.records
    with pytest.raises(AuditError, match="does not end as this vault closes"):
        expire(rolled, 365, rolled.now())
