"""A writer of the files has no key: what he adds is put aside, what he removes is missed."""

import hashlib
import json
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import vaultcore
from vaultcore import Engine
from vaultcore.audit.verifier import verify
from vaultcore.clock import ManualClock
from vaultcore.engine.reconciling import reconcile_folder
from vaultcore.errors import AuditError, TamperedError

FIXTURE = Path(__file__).parents[2] / "fixtures" / "folder-0.1"


@pytest.fixture
def clock() -> Any:
    return ManualClock(1_700_000_000.0)


@pytest.fixture
def data(tmp_path: Path, clock: Any) -> Path:
    """Returns a folder with some history, closed."""
    folder = tmp_path / "data"
    with vaultcore.create(folder, clock=clock, housekeeping=False) as engine:
        engine.management.vault_create(name="dev")
        for number in range(5):
            secrets(engine).set(f"s{number}", "value")
    return folder


def opened(data: Path, clock: Any) -> Engine:
    return vaultcore.open(data, clock=clock, housekeeping=False)


def secrets(engine: Engine) -> Any:
    return engine.vault("dev").acting_as(engine.administrator()).secrets


def report(engine: Engine) -> dict[str, Any]:
    found: dict[str, Any] = engine.management.audit_verify()
    return found


def log(data: Path) -> Path:
    return data / "audit" / "audit.jsonl"


def records(data: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log(data).read_bytes().splitlines()]


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


def test_who_opens_a_folder_without_its_log_puts_nothing_in_its_place(data: Path) -> None:
    log, elsewhere = data / "audit", data.with_name("elsewhere")
    log.rename(elsewhere)
    with pytest.raises(AuditError, match="put it back"):
        vaultcore.open(data, housekeeping=False)
    assert not log.exists()
    elsewhere.rename(log)
    with vaultcore.open(data, housekeeping=False) as engine:
        assert engine.management.audit_verify()["ok"]


def test_a_log_that_is_removed_is_missed_at_the_next_request(data: Path, clock: Any) -> None:
    engine = opened(data, clock)
    secrets(engine).get("s1")
    shutil.rmtree(data / "audit")
    with pytest.raises(AuditError):
        secrets(engine).get("s1")
    with pytest.raises(AuditError):
        engine.close()
    with pytest.raises(AuditError, match="reconcile"):
        opened(data, clock)


def removed(data: Path, _older: Path) -> None:
    shutil.rmtree(data / "audit")


def older_log(data: Path, older: Path) -> None:
    shutil.rmtree(data / "audit")
    shutil.copytree(older / "audit", data / "audit")


def older_database(data: Path, older: Path) -> None:
    for path in data.glob("vaultcore.db*"):
        path.unlink()
    shutil.copy(older / "vaultcore.db", data / "vaultcore.db")


def older_database_alone(data: Path, older: Path) -> None:
    older_database(data, older)
    (data / "vaultcore.signal").unlink()


@pytest.mark.parametrize("put_back", [removed, older_log, older_database, older_database_alone])
def test_a_half_that_is_put_back_alone_is_found_when_the_folder_is_opened(
    data: Path, clock: Any, tmp_path: Path, put_back: Callable[[Path, Path], None]
) -> None:
    older = tmp_path / "older"
    shutil.copytree(data, older)
    with opened(data, clock) as engine:
        secrets(engine).set("s9", "value")
    put_back(data, older)
    for _ in range(2):
        with pytest.raises(AuditError, match="reconcile"):
            opened(data, clock)
    found = reconcile_folder(data, clock=clock)
    with opened(data, clock) as engine:
        assert secrets(engine).get("s1").value == "value"
        secrets(engine).set("s10", "value")
        assert report(engine)["ok"]
    told = [r for r in records(data) if r["operationName"] == "AuditReconciled"]
    assert [r["properties"]["storeKnewOf"] for r in told] == [found["storeKnewOf"]]
    opened(data, clock).close()


def test_where_nothing_differs_there_is_nothing_to_reconcile(data: Path, clock: Any) -> None:
    before = log(data).read_bytes()
    with pytest.raises(AuditError, match="nothing to reconcile"):
        reconcile_folder(data, clock=clock)
    assert log(data).read_bytes() == before
    with opened(data, clock) as engine:
        with pytest.raises(AuditError, match="nothing to reconcile"):
            reconcile_folder(data, clock=clock)
        assert secrets(engine).set("s10", "value")
        assert report(engine)["ok"]


def test_both_halves_put_back_together_are_a_restored_backup(
    data: Path, clock: Any, tmp_path: Path
) -> None:
    older = tmp_path / "older"
    shutil.copytree(data, older)
    with opened(data, clock) as engine:
        secrets(engine).set("s9", "value")
    shutil.rmtree(data)
    older.rename(data)
    with opened(data, clock) as engine:
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


def test_a_folder_of_the_first_version_opens_and_gets_its_keys(tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(FIXTURE, data)
    for path in [data, *data.rglob("*")]:
        path.chmod(0o700 if path.is_dir() else 0o600)
    before = len(records(data))
    for _ in range(2):
        with vaultcore.open(data, housekeeping=False) as engine:
            assert secrets(engine).get("db-password").value == "battery staple"
            assert report(engine)["ok"]
    assert ["mac" in record for record in records(data)] == [
        number >= before for number in range(before + 4)
    ]
    with closing(sqlite3.connect(data / "vaultcore.db")) as database, database:
        database.execute("DELETE FROM documents WHERE key = 'audit-signer'")
    with pytest.raises(TamperedError, match="missing"):
        vaultcore.open(data, housekeeping=False)


def test_a_signing_key_removed_before_the_first_start_of_this_version_is_missed(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    shutil.copytree(FIXTURE, data)
    for path in [data, *data.rglob("*")]:
        path.chmod(0o700 if path.is_dir() else 0o600)
    with closing(sqlite3.connect(data / "vaultcore.db")) as database, database:
        database.execute("DELETE FROM documents WHERE key = 'audit-signer'")
    with pytest.raises(TamperedError, match="missing"):
        vaultcore.open(data, housekeeping=False)


@pytest.mark.parametrize("first", ["checkpoint", "require"])
def test_keys_that_another_process_made_are_no_reason_to_refuse(
    data: Path, clock: Any, first: str
) -> None:
    with opened(data, clock) as one, opened(data, clock) as two:
        secrets(two).get("s1")
        one.management.audit_rotate_keys()
        # The second looks at the log before it has heard of the keys from the store.
        getattr(two.audit, first)()
        assert two.audit.problem is None
        assert report(one)["ok"]


def test_keys_are_rotated_under_a_second_engine(data: Path, clock: Any) -> None:
    with opened(data, clock) as one, opened(data, clock) as two:
        secrets(two).get("s1")
        names = one.management.audit_rotate_keys()
        # The second has not heard of it yet when it writes, and then it has.
        two.audit.record_own("Test", "", {})
        secrets(two).get("s1")
        secrets(one).get("s1")
        clock.advance(2)
        two.audit.checkpoint()
        found = report(one)
        assert found["ok"], found
        assert found["key_id"] == names["keyId"] != names["previousKeyId"]
    key = None
    with opened(data, clock) as engine:
        key = engine.audit.public_key()
        assert report(engine)["ok"]
    # With the new key alone, what the old one signed is not known.
    assert not verify(data / "audit", key).ok


def test_a_stolen_key_makes_nothing_a_minute_after_the_rotation(data: Path, clock: Any) -> None:
    collection, key = "outbox/" + "0" * 32, f"{10**6:020d}"
    body = b'{"vault":"dev","operation":"SecretPurge"}'
    with opened(data, clock) as engine:
        # Whoever holds the keys of the moment can make a record of anything.
        tag = engine.audit.tag(f"{collection}/{key}\n".encode() + body)
        engine.management.audit_rotate_keys()

    with closing(sqlite3.connect(data / "vaultcore.db")) as database, database:
        database.execute("INSERT INTO documents VALUES (?, ?, ?)", (collection, key, tag + body))
    clock.advance(61)
    with opened(data, clock) as engine:
        assert report(engine)["ok"]
    told = [r["operationName"] for r in records(data)]
    assert "SecretPurge" not in told
    assert told.count("OutboxEntryRefused") == 1


def test_a_folder_opens_long_after_its_keys_were_rotated(data: Path, clock: Any) -> None:
    with opened(data, clock) as engine:
        engine.management.audit_rotate_keys()
        # As if the process had ended at once: no further checkpoint, no state with the new key.
        engine.audit._closed = True
    clock.advance(3600)
    with opened(data, clock) as engine:
        assert report(engine)["ok"]


def test_what_the_store_knew_can_be_reconciled_when_it_was_removed(data: Path, clock: Any) -> None:
    with closing(sqlite3.connect(data / "vaultcore.db")) as database, database:
        database.execute("DELETE FROM documents WHERE collection = 'audit'")
    with pytest.raises(TamperedError, match="reconcile"):
        opened(data, clock)
    assert "does not verify" in str(reconcile_folder(data, clock=clock)["storeKnew"])
    with opened(data, clock) as engine:
        assert report(engine)["ok"]
