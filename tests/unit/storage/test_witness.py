"""A witness writes along in every transaction of its operation, and of no other."""

import asyncio
import threading

import pytest

from unit.storage.works import count
from vaultcore.storage.witness import current, witnessed


class Remembering:
    """Counts what it was joined with, and what was committed."""

    def __init__(self):
        self.told = []

    def joined(self, work):
        def both(transaction):
            result = work(transaction)
            transaction.put_document("outbox", "record", str(result).encode())
            return result

        self.told.append("joined")
        return both

    def committed(self):
        self.told.append("committed")


def test_what_a_witness_writes_is_in_the_same_transaction(store):
    witness = Remembering()
    with witnessed(witness):
        assert current() is witness
        assert store.write(count("c")) == 1
        assert store.document("outbox", "record") == b"1"
        assert asyncio.run(store.write_async(count("c"))) == 2
    assert store.document("outbox", "record") == b"2"
    assert witness.told == ["joined", "committed"] * 2
    assert current() is None
    store.write(count("c"))
    assert store.document("outbox", "record") == b"2"


def test_a_work_that_fails_is_not_witnessed_as_committed(store):
    witness = Remembering()
    with witnessed(witness), pytest.raises(ZeroDivisionError):
        store.write(lambda transaction: 1 / 0)
    assert witness.told == ["joined"]
    assert store.document("outbox", "record") is None


def test_an_operation_inside_of_another_has_a_witness_of_its_own():
    outer, inner = Remembering(), Remembering()
    with witnessed(outer):
        with witnessed(inner):
            assert current() is inner
        assert current() is outer


def test_another_thread_is_in_another_operation():
    seen = []
    with witnessed(Remembering()):
        thread = threading.Thread(target=lambda: seen.append(current()))
        thread.start()
        thread.join()
    assert seen == [None]
