"""Makes processes that write to a store until they are killed; run by test_kill_store.

It has everything loaded and nothing open, so that a fork of it is a fresh writer within
milliseconds. All of them report on one pipe, in the order of events:

    born PID | ready PID | ack PID NAME WHAT DETAIL | dead PID
"""

import os
import random
import signal
import sys
import threading

from vaultcore.clock import SystemClock
from vaultcore.storage import open_store
from vaultcore.storage.sqlite import migrate as _loaded  # noqa: F401 - so that no writer needs to load it

VAULT = "v"
KIND = "secrets"
THREADS = 3


def report(*words):
    # Shorter than PIPE_BUF, so lines of several processes never mix.
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def replace(name, version):
    """Gives an object a new version; object, version and feed tell of it together."""

    def work(transaction):
        found = transaction.object(VAULT, KIND, name)
        number = found.id if found else transaction.insert_object(VAULT, KIND, name, name)
        sequence = transaction.insert_version(number, version, "{}", version.encode() * 30)
        transaction.update_object(number, current=sequence, seal=version.encode())
        transaction.changed(VAULT, KIND, name, version, "set")

    return work


def purge(name):
    """Removes an object and leaves a document that says so."""

    def work(transaction):
        found = transaction.object(VAULT, KIND, name)
        if found:
            transaction.delete_object(found.id)
            transaction.put_document("purged", f"{name}-{found.id}", b"")
            transaction.changed(VAULT, KIND, name, str(found.id), "purge")
        return found

    return work


def count(name):
    """Adds one to a number that all writers share."""

    def work(transaction):
        number = int(transaction.document("counters", name) or b"0") + 1
        transaction.put_document("counters", name, str(number).encode())
        transaction.changed(VAULT, "counters", name, str(number), "count")
        return number

    return work


def write(store, pid, thread):
    """Writes without end and reports what was acknowledged."""
    dice = random.Random(f"{pid}-{thread}")
    turn = 0
    while True:
        turn += 1
        name = f"K{dice.randrange(20)}"
        match dice.randrange(10):
            case 0:
                gone = store.write(purge(name))
                if gone:
                    report("ack", pid, name, "purge", gone.id)
            case 1 | 2:
                report("ack", pid, "shared", "count", store.write(count("shared")))
            case _:
                version = f"{pid:x}-{thread:x}-{turn:x}"
                store.write(replace(name, version))
                report("ack", pid, name, "set", version)


def write_early(store, pid, thread):
    """A mistake on purpose: acknowledges before the commit."""
    turn = 0
    while True:
        turn += 1
        version = f"{pid:x}-{thread:x}-{turn:x}"
        job = store.submit(replace(f"K{turn % 20}", version))
        report("ack", pid, f"K{turn % 20}", "set", version)
        job.result()


def write_torn(store, pid, thread):
    """A mistake on purpose: changes in two transactions what belongs together."""
    turn = 0
    while True:
        turn += 1
        version = f"{pid:x}-{thread:x}-{turn:x}"
        name = f"T{thread}"

        def first(transaction, version=version, name=name):
            replace(name, version)(transaction)
            found = transaction.object(VAULT, KIND, name)
            transaction.update_object(found.id, seal=b"not yet")

        def second(transaction, version=version, name=name):
            found = transaction.object(VAULT, KIND, name)
            transaction.update_object(found.id, seal=version.encode())
            transaction.changed(VAULT, "seals", name, version, "seal")

        store.write(first)
        store.write(second)


WRITERS = {"good": write, "early": write_early, "torn": write_torn}


def live(url, mode):
    """Opens the store and writes from several threads."""
    pid = os.getpid()
    store = open_store(url, clock=SystemClock())
    report("ready", pid)
    for thread in range(THREADS):
        threading.Thread(target=WRITERS[mode], args=(store, pid, thread), daemon=True).start()
    signal.pause()


def main():
    """Obeys: ``fork URL MODE`` makes a writer, ``reap PID`` waits for the end of a killed one."""
    for line in sys.stdin:
        match line.split():
            case ["fork", url, mode]:
                pid = os.fork()
                if pid == 0:
                    try:
                        live(url, mode)
                    finally:
                        os._exit(1)
                report("born", pid)
            case ["reap", pid]:
                # Whoever reads this line has read everything that the dead one had to say.
                report("dead", os.waitpid(int(pid), 0)[0])


if __name__ == "__main__":
    main()
