"""A writer of the files has no key: what he adds is put aside, what he removes is missed."""

import hashlib
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import vaultcore
from unit.audit.folders import created, log, opened, records, report, secrets
from vaultcore.clock import ManualClock
from vaultcore.errors import AuditError, TamperedError


@pytest.fixture
def clock() -> Any:
    return ManualClock(1_700_000_000.0)


@pytest.fixture
def data(tmp_path: Path, clock: Any) -> Path:
    return created(tmp_path / "data", clock)


def forged(data: Path, count: int = 1) -> bytes:
    """Returns records that continue the chain as anybody can compute it, without a key."""
    last = records(data)[-1]
    head, sequence, lines = last["hash"], last["sequence"], b""
    for _ in range(count):
        sequence += 1
        line = b'{"operationName":"SecretGet","sequence":%d,"previous":"%s"' % (
            sequence,
            head.encode(),
        )
        head = hashlib.sha256(b"vaultcore audit record 1\n" + line).hexdigest()
        lines += line + b',"hash":"' + head.encode() + b'","mac":"' + b"0" * 32 + b'"}\n'
    return lines


@pytest.mark.parametrize("mac", [True, False])
def test_records_that_a_writer_of_the_file_adds_are_put_aside(
    data: Path, clock: Any, mac: Any
) -> None:
    lines = forged(data, 3)
    if not mac:
        lines = lines.replace(b',"mac":"' + b"0" * 32 + b'"', b"")
    with log(data).open("ab") as file:
        file.write(lines)
    with opened(data, clock) as engine:
        assert secrets(engine).get("s1").value == "value"
        assert report(engine)["ok"]
    repaired = [r for r in records(data) if r["operationName"] == "AuditLogRepaired"]
    assert [(data / "audit" / r["properties"]["keptIn"]).read_bytes() for r in repaired] == [lines]


def test_the_same_under_a_running_engine(data: Path, clock: Any) -> None:
    with opened(data, clock) as engine:
        secrets(engine).get("s1")
        lines = forged(data, 2)
        with log(data).open("ab") as file:
            file.write(lines)
        secrets(engine).get("s2")
        engine.audit.checkpoint()
        assert report(engine)["ok"]
    assert [r["operationName"] for r in records(data)].count("AuditLogRepaired") == 1


def test_a_history_cannot_be_written_again_without_a_key(data: Path, clock: Any) -> None:
    lines = log(data).read_bytes().splitlines()
    head, rewritten = "0" * 64, b""
    for line in lines[:-2]:
        covered = line.rpartition(b',"hash":"')[0]
        covered = (
            covered[: covered.rindex(b'"previous":"')] + b'"previous":"' + head.encode() + b'"'
        )
        head = hashlib.sha256(b"vaultcore audit record 1\n" + covered).hexdigest()
        rewritten += covered + b',"hash":"' + head.encode() + b'"}\n'
    log(data).write_bytes(rewritten)
    (data / "audit" / "checkpoints.jsonl").unlink()
    with pytest.raises(AuditError, match="reconcile"):
        opened(data, clock)
    with closing(sqlite3.connect(data / "vaultcore.db")) as database, database:
        database.execute("DELETE FROM documents WHERE collection = 'audit'")
        database.execute("DELETE FROM documents WHERE key LIKE 'audit-%'")
    with pytest.raises(TamperedError, match="the key of the audit log"):
        opened(data, clock)


@pytest.mark.parametrize("what", ["signer", "mac"])
def test_a_key_of_the_log_that_was_replaced_is_not_taken(
    data: Path, clock: Any, tmp_path: Path, what: Any
) -> None:
    other = tmp_path / "other"
    vaultcore.create(other, clock=clock, housekeeping=False).close()
    with closing(sqlite3.connect(data / "vaultcore.db")) as database, database:
        database.execute("ATTACH ? AS other", (str(other / "vaultcore.db"),))
        database.execute(
            "UPDATE documents SET blob = (SELECT blob FROM other.documents WHERE key LIKE ?) "
            "WHERE key LIKE ?",
            (f"audit-{what}-%", f"audit-{what}-%"),
        )
    with pytest.raises(TamperedError, match="a key of the audit log does not verify"):
        opened(data, clock)


def test_lines_among_the_checkpoints_stop_nobody_from_signing(data: Path, clock: Any) -> None:
    path = data / "audit" / "checkpoints.jsonl"
    junk = b'{"sequence":999999999,"hash":"' + b"0" * 64 + b'"}\nx\n' + b"\0" * 5000
    with opened(data, clock) as engine:
        with path.open("ab") as file:
            file.write(junk)
        secrets(engine).get("s1")
        clock.advance(1)
        assert engine.audit.checkpoint() is not None
        engine.audit.checkpoint()
        found = report(engine)
        assert found["ok"], found
        assert found["signed"] == found["last"]
    kept = [r for r in records(data) if r["operationName"] == "AuditCheckpointsRepaired"]
    assert [(data / "audit" / r["properties"]["keptIn"]).read_bytes() for r in kept] == [junk]


def moved_file(folder: Path) -> None:
    (folder / "audit.jsonl").rename(folder / "audit.jsonl.1")


def put_back_file(folder: Path) -> None:
    (folder / "audit.jsonl.1").rename(folder / "audit.jsonl")


def rotated_away(folder: Path) -> None:
    moved_file(folder)
    (folder / "audit.jsonl").touch()


def moved_folder(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))


def put_back_folder(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.with_name("elsewhere").rename(folder)


def swapped_folder(folder: Path) -> None:
    moved_folder(folder)
    shutil.copytree(folder.with_name("elsewhere"), folder)


@pytest.mark.parametrize(
    ("move", "put_back"),
    [
        (moved_file, put_back_file),
        (rotated_away, put_back_file),
        (moved_folder, put_back_folder),
        (swapped_folder, put_back_folder),
    ],
)
def test_a_log_that_is_moved_is_missed_at_the_next_request(
    data: Path, clock: Any, move: Callable[[Path], None], put_back: Callable[[Path], None]
) -> None:
    with opened(data, clock) as engine:
        secrets(engine).get("s1")
        move(data / "audit")
        with pytest.raises(AuditError, match="moved, removed or replaced"):
            secrets(engine).get("s1")
        with pytest.raises(AuditError, match="moved, removed or replaced"):
            secrets(engine).set("s1", "new")
        assert "moved" in (engine.audit.problem or "")
        put_back(data / "audit")
        assert secrets(engine).get("s1").value == "value"
        assert secrets(engine).set("s1", "newer")
        assert report(engine)["ok"]


def test_a_power_loss_leaves_a_log_that_opens_and_verifies(data: Path, clock: Any) -> None:
    """Whatever of the last second's sectors came to the disk, what was signed is whole."""
    with opened(data, clock) as engine:
        engine.audit.checkpoint()
        signed = log(data).stat().st_size
        for number in range(20):
            secrets(engine).get(f"s{number % 5}")
        whole = log(data).read_bytes()
        folder = data.with_name("image")
        shutil.copytree(data, folder)
    chance = random.Random(7)
    for round_ in range(60):
        image = bytearray(whole)
        for start in range(signed - signed % 512, len(whole), 512):
            if chance.random() < 0.4:
                for at in range(max(start, signed), min(start + 512, len(whole))):
                    image[at] = 0
        if round_ % 3 == 0:
            del image[chance.randrange(signed, len(image)) :]
        if round_ % 5 == 0:
            image += bytes(1 << 21)
        lost = folder.with_name(f"lost{round_}")
        shutil.copytree(folder, lost)
        log(lost).write_bytes(image)
        with opened(lost, clock) as engine:
            assert secrets(engine).get("s1").value == "value"
            found = report(engine)
            assert found["problems"] == [], round_
        assert log(lost).read_bytes()[:signed] == whole[:signed]
        shutil.rmtree(lost)
