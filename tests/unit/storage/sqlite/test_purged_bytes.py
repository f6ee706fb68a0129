"""What was purged is in no file any more, soon after."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import vaultcore
from vaultcore import Engine
from vaultcore.clock import ManualClock
from vaultcore.storage import Transaction

PATIENCE = 30.0  # far beyond what is promised: the machine may be busy


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with vaultcore.create(tmp_path / "data", clock=ManualClock(), housekeeping=False) as opened:
        opened.management.vault_create(name="dev")
        yield opened


def pieces(payload: bytes) -> list[bytes]:
    """Returns pieces of an envelope that stand for it, even if only a part of it stayed."""
    return [payload[start : start + 32] for start in range(64, len(payload) - 32, 64)]


def left(folder: Path, payloads: list[bytes]) -> dict[str, int]:
    found: dict[str, int] = {}
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            count = sum(piece in content for payload in payloads for piece in pieces(payload))
            if count:
                found[path.name] = count
    return found


def wait_until_gone(folder: Path, payloads: list[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while found := left(folder, payloads):
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def payloads_of(engine: Engine, names: list[str]) -> list[bytes]:
    state = engine.state("dev")
    found = []
    for name in names:
        row = engine.store.object(state.id, "secrets", name.upper())
        assert row is not None
        found += [version.payload for version in engine.store.versions(row.id)]
    return found


def fill(engine: Engine, count: int) -> list[str]:
    """Writes secrets of many sizes in an order that makes pages split and join."""
    chance = random.Random(7)
    vault = engine.vault("dev").acting_as(engine.administrator())
    names = [f"s{number}" for number in range(count)]
    for _ in range(2):
        for name in chance.sample(names, count):
            vault.secrets.set(name, "v" * chance.choice([40, 300, 900, 2500, 9000]))
    return names


def test_a_purged_secret_is_in_no_file(engine: Engine) -> None:
    vault = engine.vault("dev").acting_as(engine.administrator())
    names = fill(engine, 60)
    gone = names[::2]
    payloads, kept = payloads_of(engine, gone), payloads_of(engine, names[1::2])
    assert left(engine.data, payloads)
    for name in gone:
        vault.secrets.delete(name)
        vault.secrets.purge(name)
    wait_until_gone(engine.data, payloads)
    # The look finds what is there.
    assert left(engine.data, kept)
    for name in names[1::2]:
        assert vault.secrets.get(name).value


def test_a_wrap_under_a_protector_that_was_removed_is_in_no_file(engine: Engine) -> None:
    engine.management.protector_add(name="second", kind="file")
    wraps = [b for k, b in engine.store.documents("vault-keys") if k.endswith("/second")]
    assert len(wraps) == 2
    engine.management.protector_remove(name="second")
    wait_until_gone(engine.data, wraps)


def test_a_document_that_was_replaced_is_in_no_file(engine: Engine) -> None:
    store = engine.store

    def put(blob: bytes) -> None:
        def work(transaction: Transaction) -> None:
            transaction.put_document("test", "a", blob)
            transaction.erase()
            transaction.changed("", "test", "a", "", "put")

        store.write(work)

    old = os.urandom(500)
    put(old)
    put(os.urandom(500))
    wait_until_gone(engine.data, [old])


def test_a_reader_in_an_old_snapshot_delays_it_and_no_write(engine: Engine) -> None:
    vault = engine.vault("dev").acting_as(engine.administrator())
    vault.secrets.set("a", "x" * 300)
    payloads = payloads_of(engine, ["a"])
    with closing(sqlite3.connect(engine.data / "vaultcore.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM versions").fetchall()
        vault.secrets.delete("a")
        vault.secrets.purge("a")
        for number in range(5):
            vault.secrets.set("b", str(number))
        assert left(engine.data, payloads)
    wait_until_gone(engine.data, payloads)


PURGE_AND_DIE = """
import os, signal, sys, time
import vaultcore

engine = vaultcore.open(sys.argv[1], housekeeping=False)
secrets = engine.vault("dev").acting_as(engine.administrator()).secrets
engine.store._writer._erasing._tried = time.monotonic() + 100  # not yet
secrets.delete("a")
secrets.purge("a")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_who_opens_next_empties_the_log_of_a_process_that_was_killed(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with vaultcore.create(folder, housekeeping=False) as engine:
        engine.management.vault_create(name="dev")
        vault = engine.vault("dev").acting_as(engine.administrator())
        vault.secrets.set("a", "x" * 300)
        payloads = payloads_of(engine, ["a"])
    # A process of its own, and not a fork: that would inherit the locks of other threads.
    ended = subprocess.run([sys.executable, "-c", PURGE_AND_DIE, str(folder)], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert left(folder, payloads)
    with vaultcore.open(folder, housekeeping=False):
        wait_until_gone(folder, payloads)
