"""A store is closed while other threads read from it: they are refused, and nothing crashes."""

import subprocess
import sys

# In a process of its own, because what it guards against ends the process.
ROUNDS = """
import sys, threading, time
from vaultcore.clock import SystemClock
from vaultcore.errors import UsageError
from vaultcore.storage.sqlite.store import Store

def fill(transaction):
    for number in range(300):
        transaction.put_document("c", f"{number:04}", b"x" * 200)
    transaction.changed("v", "k", "c", "", "set")

sys.setswitchinterval(1e-6)
refused = []
for round in range(20):
    store = Store.open(f"sqlite:///{sys.argv[1]}/{round}.db", clock=SystemClock())
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
