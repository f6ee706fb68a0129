"""A change and its record are there together or not at all, whatever fails between them."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import vaultcore
from unit.audit.changing import CHILD, created, records, secrets
from vaultcore import Engine
from vaultcore.clock import ManualClock
from vaultcore.errors import AuditError, UnavailableError
from vaultcore.storage.sqlite.signal import Signal


def state(engine: Engine) -> dict[str, Any]:
    """Returns what each of the acts changes."""
    vault = engine.vault("dev").acting_as(engine.administrator())
    active = [item.name for item in vault.secrets.list()]
    return {
        "set": len(list(vault.secrets.list_versions("a"))) if active else 0,
        "delete": active,
        "access": len(engine.management.access_list(vault="dev")),
        "app": [app["name"] for app in engine.management.app_list()],
    }


ACTS = {
    "set": "SecretSet",
    "delete": "SecretDelete",
    "access": "VaultPatch",
    "app": "ApplicationPut",
}


@pytest.mark.parametrize("point", ["before the commit", "after the commit", "after the record"])
@pytest.mark.parametrize("act", ACTS)
def test_a_kill_between_a_change_and_its_record(tmp_path: Path, point: str, act: str) -> None:
    data = tmp_path / "data"
    created(data)
    with vaultcore.open(data, housekeeping=False) as engine:
        before = state(engine)
    told = Counter(r["operationName"] for r in records(data))[ACTS[act]]
    done = subprocess.run([sys.executable, "-c", CHILD, str(data), point, act], check=False)
    assert done.returncode == -signal.SIGKILL
    with vaultcore.open(data, housekeeping=False) as engine:
        found = [r for r in records(data) if r["operationName"] == ACTS[act]][told:]
        happened = state(engine)[act] != before[act]
        assert engine.management.audit_verify()["ok"]
    assert happened == (point != "before the commit")
    assert len(found) == happened
    assert [r["properties"].get("recovered", False) for r in found] == (
        [point == "after the commit"] * happened
    )
    with vaultcore.open(data, housekeeping=False) as engine:
        # Once, however often the folder is opened.
        again = [r for r in records(data) if r["operationName"] == ACTS[act]][told:]
        assert again == found
        assert engine.store.collections("outbox/") == []


@pytest.mark.parametrize("log", ["takes the failure", "takes nothing"])
def test_a_change_that_was_committed_and_answered_as_a_failure_is_on_record(
    tmp_path: Path, monkeypatch: Any, log: str
) -> None:
    data = tmp_path / "data"
    created(data)
    database, elsewhere = data / "vaultcore.db", data / "elsewhere"
    with vaultcore.open(data, housekeeping=False) as engine:
        audit, begin = engine.audit, Signal.begin

        def move(signal: Signal) -> None:
            begin(signal)
            # The commit that follows goes into a file that is not in its place any more.
            database.rename(elsewhere)

        def refuse(*_: Any, **__: Any) -> int:
            raise AuditError("the device does not answer")

        with monkeypatch.context() as patches:
            patches.setattr(Signal, "begin", move)
            if log == "takes nothing":
                patches.setattr(audit, "record", refuse)
            with pytest.raises((UnavailableError, AuditError)):
                secrets(engine).set("a", "new")
        with pytest.raises(UnavailableError):
            audit.checkpoint()
        elsewhere.rename(database)
        audit.checkpoint()
        assert secrets(engine).get("a").value == "new"
        # Nothing of the next changes hides it, whatever revision they have.
        secrets(engine).set("b", "x")
        audit.checkpoint()
        assert engine.management.audit_verify()["ok"]
    told = [r["properties"] for r in records(data) if r["operationName"] == "SecretSet"]
    done = [p["revision"] for p in told if p["id"].endswith("/a") and p["httpStatusCode"] == 200]
    assert len(done) == len(set(done)) == 2
    assert [p["recovered"] for p in told if "recovered" in p] == [True]
    assert [p["httpStatusCode"] for p in told].count(503) == (log == "takes the failure")
    with vaultcore.open(data, housekeeping=False) as engine:
        assert engine.store.collections("outbox/") == []


def test_a_change_that_was_not_committed_is_not_recorded_as_done(
    tmp_path: Path, monkeypatch: Any
) -> None:
    data = tmp_path / "data"
    created(data)
    with vaultcore.open(data, housekeeping=False) as engine:

        def fail(_: Signal) -> None:
            raise UnavailableError("the disk is full")

        with monkeypatch.context() as patches:
            patches.setattr(Signal, "begin", fail)
            with pytest.raises(UnavailableError):
                secrets(engine).set("a", "new")
        # It has the revision that the other one would have had.
        secrets(engine).set("b", "x")
        engine.audit.checkpoint()
        engine.audit.checkpoint()
        assert secrets(engine).get("a").value == "old"
    told = [r["properties"] for r in records(data) if r["operationName"] == "SecretSet"]
    assert [(p["id"][-1], p["httpStatusCode"]) for p in told] == [
        ("a", 200),
        ("a", 503),
        ("b", 200),
    ]
    assert not any("recovered" in p for p in told)


def test_a_log_that_refuses_after_the_commit_gets_the_record_before_anything_else_is_done(
    tmp_path: Path, monkeypatch: Any
) -> None:
    data, clock = tmp_path / "data", ManualClock(1_700_000_000.0)
    created(data, clock)
    with vaultcore.open(data, clock=clock, housekeeping=False) as engine:
        audit, append = engine.audit, engine.audit.record

        def fail(*members: Any, **named: Any) -> int:
            if "SecretSet" in (*members, named.get("operation")):
                raise AuditError("the device does not answer")
            return append(*members, **named)

        monkeypatch.setattr(audit, "record", fail)
        # It is committed and on record in the store, so the caller hears that it was done.
        assert secrets(engine).set("a", "new").version
        for _ in range(3):
            with pytest.raises(AuditError, match="does not answer"):
                secrets(engine).set("a", "newer")
            with pytest.raises(AuditError, match="does not answer"):
                secrets(engine).get("a")
        monkeypatch.undo()
        assert secrets(engine).get("a").value == "new"
        assert len(list(secrets(engine).list_versions("a"))) == 2
        assert engine.management.audit_verify()["ok"]
    told = [r for r in records(data) if r["operationName"] == "SecretSet"]
    assert len(told) == 2


def test_what_a_process_leaves_behind_is_taken_over_by_a_running_one(tmp_path: Path) -> None:
    data = tmp_path / "data"
    created(data)
    with vaultcore.open(data, housekeeping=False) as engine:
        command = [sys.executable, "-c", CHILD, str(data), "after the commit", "set"]
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
        assert len([r for r in records(data) if r["operationName"] == "SecretSet"]) == 1
        engine.audit.checkpoint()
        assert len([r for r in records(data) if r["operationName"] == "SecretSet"]) == 2
        assert engine.store.collections("outbox/") == []


def test_an_entry_of_the_outbox_cannot_be_made_up(tmp_path: Path) -> None:
    data = tmp_path / "data"
    created(data)
    with vaultcore.open(data, housekeeping=False) as engine:

        def work(transaction: Any) -> None:
            transaction.unnoticed()
            body = b"0" * 16 + b'{"vault":"dev","operation":"SecretGet"}'
            transaction.put_document("outbox/" + "0" * 32, f"{7:020d}", body)

        engine.store.write(work)
    with vaultcore.open(data, housekeeping=False) as engine:
        assert engine.management.audit_verify()["ok"]
    told = [r["operationName"] for r in records(data)]
    assert told.count("OutboxEntryRefused") == 1
    assert "SecretGet" not in told


STORM = """
import os, sys, threading
import vaultcore
from vaultcore.errors import ConflictError, NotFoundError

engine = vaultcore.open(sys.argv[1])
secrets = engine.vault("dev").acting_as(engine.administrator()).secrets

def done(act, name):
    # In one piece, also between threads and before a kill.
    os.write(1, f"{act} {name}\\n".encode())

def run(letter):
    number = 0
    while True:
        name = f"{letter}{number % 3}"
        try:
            secrets.set(name, "v")
            done("set", name)
            if number % 3 == 2:
                secrets.delete(f"{letter}0")
                done("delete", f"{letter}0")
                secrets.purge(f"{letter}0")
                done("purge", f"{letter}0")
        except (NotFoundError, ConflictError):
            pass  # the other process was quicker
        number += 1

threads = [threading.Thread(target=run, args=(letter,), daemon=True) for letter in "xy"]
for thread in threads:
    thread.start()
threads[0].join()
"""


def test_kills_at_any_moment_leave_no_change_without_its_record(tmp_path: Path) -> None:
    data = tmp_path / "data"
    created(data)
    chance = random.Random(11)
    acknowledged: Counter[tuple[str, str]] = Counter()
    for _ in range(4):
        children = [
            subprocess.Popen(
                [sys.executable, "-c", STORM, str(data)], stdout=subprocess.PIPE, text=True
            )
            for _ in range(2)
        ]
        for child in children:
            assert child.stdout is not None
            child.stdout.readline()
        time.sleep(chance.random() / 3)
        for child in children:
            os.kill(child.pid, signal.SIGKILL)
        for child in children:
            output, _ = child.communicate()
            for line in output.splitlines():
                if len(words := line.split()) == 2:
                    acknowledged[words[0], words[1]] += 1
    with vaultcore.open(data, housekeeping=False) as engine:
        assert engine.management.audit_verify()["ok"]
        changes = engine.store.changes(0, 1_000_000)
        assert engine.store.collections("outbox/") == []
    told: Counter[tuple[str, str]] = Counter()
    revisions = set()
    for path in (data / "audit").glob("audit*.jsonl"):
        for text in path.read_text().splitlines():
            record = json.loads(text)
            properties = record["properties"]
            if "revision" in properties and record["operationName"].startswith("Secret"):
                assert properties["revision"] not in revisions
                revisions.add(properties["revision"])
                name = properties["id"].rpartition("/secrets/")[2].partition("/")[0]
                told[record["operationName"].removeprefix("Secret").lower(), name] += 1
    # Each change of a secret in the feed has its one record, and each record its change.
    assert revisions == {c.revision for c in changes if c.kind == "secrets"}
    for (act, name), count in acknowledged.items():
        assert told[act, name] >= count


FULL = """
import sys
import vaultcore
from vaultcore.errors import VaultcoreError

mount = sys.argv[1]
done = {}
with vaultcore.create(mount + "/data") as engine:
    engine.management.vault_create(name="dev")
    secrets = engine.vault("dev").acting_as(engine.administrator()).secrets
    for number in range(20):
        secrets.set(f"s{number}", "value")
    for round in range(4):
        filler = open(mount + "/filler", "wb", buffering=0)
        try:
            while True:
                filler.write(b"x" * 4096)
        except OSError:
            pass
        filler.truncate(filler.tell() - 4096 * 7 * round)
        refused = 0
        for turn in range(8000):
            name = f"s{turn % 20}"
            try:
                done[name] = secrets.set(name, "x" * 5000).version
            except VaultcoreError as error:
                refused += 1
                if refused == 30:
                    break
        assert refused == 30, "the disk was never full"
        deleted = set()
        for number in range(20):
            try:
                secrets.delete(f"s{number}")
                deleted.add(f"s{number}")
                secrets.recover(f"s{number}")
                deleted.remove(f"s{number}")
            except VaultcoreError:
                pass
        filler.close()
        import os
        os.unlink(mount + "/filler")
        # It recovers by itself.
        for name in deleted:
            secrets.recover(name)
        done["s1"] = secrets.set("s1", "after").version
        for name, version in done.items():
            assert secrets.get(name).version == version, name
        assert engine.management.audit_verify()["ok"]
    told = {}
    for record in engine.management.audit_query(limit=1_000_000):
        properties = record["properties"]
        if "revision" in properties:
            assert properties["revision"] not in told
            told[properties["revision"]] = record["operationName"]
    changes = [c for c in engine.store.changes(0, 1_000_000) if c.kind == "secrets"]
    assert {c.revision for c in changes} <= set(told)
print("well")
"""


def test_a_full_disk_refuses_before_anything_is_done(tmp_path: Path) -> None:
    mount = tmp_path / "disk"
    mount.mkdir()
    shell = (
        f'mount -t tmpfs -o size=48m none "{mount}" && exec "{sys.executable}" -c "$S" "{mount}"'
    )
    command = ["unshare", "--mount", "--map-root-user", "sh", "-c"]
    probe = subprocess.run(
        [*command, f'mount -t tmpfs none "{mount}"'], capture_output=True, check=False
    )
    if probe.returncode != 0:
        pytest.skip("a small file system cannot be mounted here")
    done = subprocess.run(
        [*command, shell],
        env={**os.environ, "S": textwrap.dedent(FULL)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "well\n", done.stderr


def test_two_that_give_the_log_what_it_lacks_give_it_once(tmp_path: Path, monkeypatch: Any) -> None:
    data = tmp_path / "data"
    created(data)
    with vaultcore.open(data, housekeeping=False) as engine:
        audit, append = engine.audit, engine.audit.record

        def fail(*members: Any, **named: Any) -> int:
            if "SecretSet" in (*members, named.get("operation")):
                raise AuditError("the device does not answer")
            return append(*members, **named)

        monkeypatch.setattr(audit, "record", fail)
        assert secrets(engine).set("a", "new").version
        both = threading.Barrier(2)

        def slow(*members: Any, **named: Any) -> int:
            with contextlib.suppress(threading.BrokenBarrierError):
                both.wait(1)  # until the other is here too, if it comes
            return append(*members, **named)

        monkeypatch.setattr(audit, "record", slow)
        threads = [threading.Thread(target=audit.require) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        monkeypatch.undo()
        assert audit.changes.backlog == 0
        assert engine.management.audit_verify()["ok"]
    told = [r["properties"].get("revision") for r in records(data)]
    changes = [revision for revision in told if revision is not None]
    assert len(changes) == len(set(changes))
