"""One operation and its transactions: the last one that is committed has the record."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from vaultcore.audit.change import Change
from vaultcore.audit.entries import Entries
from vaultcore.audit.record import Record
from vaultcore.clock import ManualClock
from vaultcore.errors import ForbiddenError
from vaultcore.storage import Store, Transaction, open_store

RECORD = Record(vault="dev", operation="SecretSet")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path / 'vault.db'}", clock=ManualClock()) as opened:
        yield opened


@pytest.fixture
def entries() -> Entries:
    return Entries("a" * 32, lambda _: bytes(16))


def write(transaction: Transaction) -> str:
    transaction.changed("v", "secrets", "A", "", "set")
    return "done"


def read(transaction: Transaction) -> str:
    transaction.unnoticed()
    return "nothing"


def test_the_record_is_in_the_transaction_of_the_change(store: Store, entries: Entries) -> None:
    change = Change(entries, RECORD)
    assert store.write(change.joined(write)) == "done"
    assert (change.candidate, change.revision) == (1, None)
    assert change.lowest() == 1
    change.committed()
    assert (change.candidate, change.revision) == (None, 1)
    assert entries.find(store, 1) == change.entry


def test_a_work_that_changes_nothing_leaves_no_record(store: Store, entries: Entries) -> None:
    change = Change(entries, RECORD)
    assert store.write(change.joined(read)) == "nothing"
    change.committed()
    assert (change.candidate, change.revision, change.lowest()) == (None, None, None)
    assert store.collections("outbox/") == []


def test_of_several_transactions_the_last_one_has_the_record(
    store: Store, entries: Entries
) -> None:
    change = Change(entries, RECORD)
    for _ in range(3):
        store.write(change.joined(write))
        change.committed()
    assert change.revision == 3
    assert [entries.find(store, revision) is not None for revision in (1, 2, 3)] == [
        False,
        False,
        True,
    ]


def test_while_a_further_transaction_is_doubtful_the_log_may_lack_the_one_before(
    store: Store, entries: Entries
) -> None:
    change = Change(entries, RECORD)
    store.write(change.joined(write))
    change.committed()
    store.write(change.joined(write))
    assert (change.revision, change.candidate, change.lowest()) == (1, 2, 1)


def test_a_guard_refuses_before_anything_is_done(store: Store, entries: Entries) -> None:
    done: list[str] = []

    def guard(_: Transaction) -> None:
        raise ForbiddenError("no longer")

    def act(transaction: Transaction) -> None:
        done.append(write(transaction))

    change = Change(entries, RECORD, guard)
    with pytest.raises(ForbiddenError):
        store.write(change.joined(act))
    assert done == []
    assert store.revision() == 0
    assert change.lowest() is None


def test_a_work_that_fails_leaves_no_candidate_of_an_earlier_try(
    store: Store, entries: Entries
) -> None:
    change = Change(entries, RECORD)

    def fail(transaction: Transaction) -> None:
        write(transaction)
        raise ForbiddenError("no")

    store.write(change.joined(write))  # its commit is not told of
    with pytest.raises(ForbiddenError):
        store.write(change.joined(fail))
    assert change.candidate is None
