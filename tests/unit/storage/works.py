"""Works that many of the tests give to a store."""

import threading

VAULT = "vault-1"
KIND = "secrets"


def add(key, version="v1", *, payload=b"payload", metadata="{}", vault=VAULT, kind=KIND):
    """Makes an object if there is none, and gives it a new current version."""

    def work(transaction):
        found = transaction.object(vault, kind, key)
        number = found.id if found else transaction.insert_object(vault, kind, key, key.lower())
        sequence = transaction.insert_version(number, version, metadata, payload)
        transaction.update_object(number, current=sequence, seal=version.encode())
        transaction.changed(vault, kind, key, version, "set")
        return sequence

    return work


def update(key, **columns):
    """Changes columns of an object."""

    def work(transaction):
        transaction.update_object(transaction.object(VAULT, KIND, key).id, **columns)
        return transaction.changed(VAULT, KIND, key, "", "update")

    return work


def count(key):
    """Adds one to a number in a document: two of these must never see the same number."""

    def work(transaction):
        number = int(transaction.document("counters", key) or b"0") + 1
        transaction.put_document("counters", key, str(number).encode())
        transaction.changed(VAULT, "counters", key, "", "count")
        return number

    return work


def fail(error, *, before):
    """Raises an error, after having changed something or before."""

    def work(transaction):
        if not before:
            add("FAILED", f"{id(error)}")(transaction)
        raise error

    return work


class Held:
    """Keeps the writer busy with one work, so that the next works make one batch."""

    def __init__(self, store):
        self._store = store
        self._entered = threading.Event()
        self._released = threading.Event()

    def __enter__(self):
        def work(transaction):
            self._entered.set()
            self._released.wait(10)

        self.job = self._store.submit(work)
        assert self._entered.wait(10)

    def __exit__(self, *error):
        self._released.set()
        self.job.result(10)
