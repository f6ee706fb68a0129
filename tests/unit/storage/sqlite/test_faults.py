"""A full disk, a failing disk, a busy database: refused clearly, survived, and nothing lost."""

import contextlib
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from unit.storage.works import KIND, VAULT, add, count
from vaultcore.errors import StorageError, UnavailableError
from vaultcore.storage.sqlite import connection
from vaultcore.storage.sqlite.store import SqliteStore

FULL_DISK = """
import os, sys
sys.path.insert(0, {folder!r})
from unit.storage.works import add, count, VAULT, KIND
from vaultcore.clock import SystemClock
from vaultcore.errors import UnavailableError
from vaultcore.storage import open_store
mount = {mount!r}
with open_store(f"sqlite:///{{mount}}/v.db", clock=SystemClock()) as store:
    store.write(add("FIRST"))
    for round in range({rounds}):
        filler = open(f"{{mount}}/filler", "wb", buffering=0)
        try:
            # Another offset of the end of the disk in each round.
            filler.seek(0)
            filler.write(b"x" * (997 * round))
            while True:
                filler.write(b"x" * 4096)
        except OSError:
            pass
        filler.truncate(filler.tell() - {slack} - 1013 * round)
        acknowledged = []
        try:
            for turn in range(10_000):
                work = add("K", f"{{round}}-{{turn}}", payload=b"p" * 900)
                acknowledged.append(store.write(work))
        except UnavailableError as error:
            assert "the disk is full: free space" in str(error), error
        else:
            raise AssertionError("the disk was never full")
        # Reads go on, and see what was acknowledged and nothing else.
        row, version = store.current(VAULT, KIND, "K")
        stored = [v.sequence for v in store.versions(row.id) if v.version.startswith(f"{{round}}-")]
        assert stored == acknowledged, (round, len(stored), len(acknowledged))
        assert store.position() == store.revision()
        filler.close()
        os.unlink(f"{{mount}}/filler")
        store.write(count("after"))
    assert store.fsck() == []
    print("well", int(store.document("counters", "after")))
"""


def test_a_full_disk_refuses_writes_until_there_is_space(tmp_path):
    mount = tmp_path / "disk"
    mount.mkdir()
    rounds = 20
    script = FULL_DISK.format(
        folder=str(Path(__file__).parents[3]), mount=str(mount), rounds=rounds, slack=150_000
    )
    shell = f'mount -t tmpfs -o size=8m none "{mount}" && exec "{sys.executable}" -c "$SCRIPT"'
    command = ["unshare", "--mount", "--map-root-user", "sh", "-c", shell]
    probe = subprocess.run(
        [*command[:-1], f'mount -t tmpfs none "{mount}"'], capture_output=True, check=False
    )
    if probe.returncode != 0:
        pytest.skip("a small file system cannot be mounted here")
    done = subprocess.run(
        command,
        env={**os.environ, "SCRIPT": textwrap.dedent(script)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == f"well {rounds}\n", done.stderr


@contextlib.contextmanager
def files_may_grow_to(size):
    """Makes every write beyond a size fail, as a failing disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def test_an_error_of_the_disk_is_reported_and_survived(store):
    store.write(add("A"))
    size = Path(f"{store.path}-wal").stat().st_size
    acknowledged = 0
    with files_may_grow_to(size + 50_000):
        jobs = (store.submit(count("c")) for _ in range(1000))
        errors = (job.exception(10) for job in jobs)
        for error in errors:
            if error:
                break
            acknowledged += 1
    assert isinstance(error, UnavailableError)
    assert "the disk reports an error" in str(error)
    assert int(store.document("counters", "c")) == acknowledged > 0
    assert store.position() == store.revision() == acknowledged + 1
    assert store.write(count("c")) == acknowledged + 1


def test_everybody_in_a_batch_hears_of_an_error_of_the_disk(store):
    store.write(count("c"))
    size = Path(f"{store.path}-wal").stat().st_size
    with files_may_grow_to(size):
        jobs = [store.submit(add(f"K{number}", payload=b"p" * 5000)) for number in range(20)]
        errors = [job.exception(10) for job in jobs]
    assert all(isinstance(error, UnavailableError) for error in errors)
    assert store.list_objects(VAULT, KIND, deleted=False, limit=25) == []
    assert store.write(count("c")) == 2


def test_a_program_that_holds_the_database_is_waited_for(store):
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        job = store.submit(count("c"))
        time.sleep(0.2)
        assert not job.done()
        # Readers do not wait.
        assert store.document("counters", "c") is None
        other.execute("COMMIT")
        assert job.result(10) == 1


def test_a_program_that_never_lets_go_is_reported(path, clock, monkeypatch):
    monkeypatch.setattr(connection, "PATIENCE", 0.2)
    with SqliteStore(path, clock=clock) as store:
        with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(UnavailableError, match="another program holds the database"):
                store.write(count("c"))
        assert store.write(count("c")) == 1


def test_a_failed_commit_is_not_announced(store, monkeypatch):
    """The position must not stay unknown, nor tell of what was not committed."""
    real = store._writer._connected()

    class Failing:
        def __getattr__(self, name):
            return getattr(real, name)

        def execute(self, sql, *parameters):
            if sql == "COMMIT":
                raise sqlite3.OperationalError("disk I/O error")
            return real.execute(sql, *parameters)

    monkeypatch.setattr(store._writer, "_connected", Failing)
    with pytest.raises(StorageError, match="disk I/O error"):
        store.write(count("c"))
    monkeypatch.undo()
    assert store.position() == store.revision() == 0
    assert store.write(count("c")) == 1


def test_the_log_is_bounded_also_after_a_long_reader(path, clock, monkeypatch):
    monkeypatch.setattr(connection, "_CHECKPOINT_PAGES", 100)
    monkeypatch.setattr(connection, "_LOG_LIMIT", 200 * 4096)
    with SqliteStore(path, clock=clock) as store:
        log = Path(f"{store.path}-wal")

        def write_much():
            for _ in range(30):
                jobs = [
                    store.submit(add("K", os.urandom(16).hex(), payload=b"p" * 3000))
                    for _ in range(20)
                ]
                [job.result(10) for job in jobs]

        write_much()
        assert log.stat().st_size < 400 * 4096
        with closing(sqlite3.connect(store.path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM versions").fetchall()
            write_much()
            grown = log.stat().st_size
        write_much()
        assert log.stat().st_size < 400 * 4096 < grown


def test_readers_of_the_store_do_not_hold_the_log(path, clock, monkeypatch):
    """A thread that has read and lives on must not keep the log from being reused."""
    monkeypatch.setattr(connection, "_CHECKPOINT_PAGES", 50)
    with SqliteStore(path, clock=clock) as store:
        store.write(add("K"))
        done = threading.Event()

        def read():
            store.current(VAULT, KIND, "K")
            store.list_objects(VAULT, KIND, deleted=False, limit=1)
            done.wait(30)

        readers = [threading.Thread(target=read) for _ in range(4)]
        for reader in readers:
            reader.start()
        for turn in range(300):
            store.submit(add("K", f"w{turn}", payload=b"p" * 3000))
            if turn % 10 == 0:
                store.write(count("c"))
        size = Path(f"{store.path}-wal").stat().st_size
        done.set()
        for reader in readers:
            reader.join()
        assert size < 200 * 4096


@pytest.mark.parametrize("missing", ["folder", "permission"])
def test_a_database_that_cannot_be_opened_is_reported(tmp_path, clock, missing):
    path = tmp_path / "nowhere" / "v.db"
    if missing == "permission":
        path.parent.mkdir()
        path.mkdir()
    with pytest.raises(UnavailableError, match="cannot open"):
        SqliteStore(path, clock=clock)
