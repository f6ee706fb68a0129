"""Each thread reads by a connection of its own, and closing them all crashes nothing."""

import gc
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from vaultcore.errors import UnavailableError, UsageError
from vaultcore.storage.sqlite.connection import connect
from vaultcore.storage.sqlite.presence import Presence
from vaultcore.storage.sqlite.readers import Every, Readers, Refusal


def opened(path):
    connect(path, create=True).close()
    presence = Presence(path)
    presence.opened()
    return presence, Every()


# In a process of its own, because what it guards against ends the process.
ROUNDS = """
import sys, threading, time
from vaultcore.clock import SystemClock
from vaultcore.errors import UsageError
from vaultcore.storage import open_store

def fill(transaction):
    for number in range(300):
        transaction.put_document("c", f"{number:04}", b"x" * 200)
    transaction.changed("v", "k", "c", "", "set")

sys.setswitchinterval(1e-6)
refused = []
for round in range(20):
    store = open_store(f"sqlite:///{sys.argv[1]}/{round}.db", clock=SystemClock())
    store.write(fill)

    def read():
        try:
            while True:
                store.documents("c")
        except UsageError:
            refused.append(round)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.03)
    store.close()
    for thread in threads:
        thread.join()
print(len(refused))
"""


def test_closing_waits_for_the_queries_of_other_threads(tmp_path):
    finished = subprocess.run(
        [sys.executable, "-c", ROUNDS, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout == "80\n", finished.stderr


def test_each_thread_has_a_connection_of_its_own(path):
    presence, every = opened(path)
    readers = Readers(path, presence, every)
    assert readers.rows("SELECT ?", (1,)) == [(1,)]
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(readers.rows, "SELECT ?", (2,)).result() == [(2,)]
        assert len(every.holders()) == 2
    gc.collect()
    # That of a thread goes with it.
    assert len(every.holders()) == 1
    every.close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        readers.rows("SELECT ?", (1,))


def test_a_thread_that_comes_late_does_not_read_from_another_database(path, tmp_path):
    presence, every = opened(path)
    path.rename(tmp_path / "elsewhere")
    connect(path, create=True).close()
    with pytest.raises(UnavailableError, match="was replaced"):
        Readers(path, presence, every)


def test_a_refusal_says_why():
    refusal = Refusal(UsageError, "closed")
    for use in (refusal.refuse, lambda: refusal.rows("SELECT 1", ())):
        with pytest.raises(UsageError, match="closed"):
            use()
