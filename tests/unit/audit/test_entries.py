"""The entries of the outbox: each has its place, its change and a MAC."""

import hashlib
import hmac
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vaultcore.audit.entries import COLLECTION, Entries, is_tagged, record_of
from vaultcore.audit.record import Record
from vaultcore.audit.state import TAG
from vaultcore.clock import ManualClock
from vaultcore.storage import Store, Transaction, open_store

NAME = "a" * 32
HERE = COLLECTION + NAME
RECORD = Record(vault="dev", operation="SecretSet", object_id="https://dev/secrets/a", after=3)


def tag(document: bytes) -> bytes:
    return hmac.digest(b"key", document, hashlib.sha256)[:TAG]


def tagged(document: bytes, mac: bytes) -> bool:
    return hmac.compare_digest(tag(document), mac)


def put(store: Store, entries: Entries, revision: int) -> bytes:
    def work(transaction: Transaction) -> bytes:
        transaction.unnoticed()
        return entries.put(transaction, revision, RECORD)

    return store.write(work)


def quietly(store: Store, act: Callable[[Transaction], object]) -> None:
    def work(transaction: Transaction) -> None:
        transaction.unnoticed()
        act(transaction)

    store.write(work)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path / 'vault.db'}", clock=ManualClock()) as opened:
        yield opened


@pytest.fixture
def entries() -> Entries:
    return Entries(NAME, tag)


def test_an_entry_is_found_by_its_revision_and_holds_the_record(
    store: Store, entries: Entries
) -> None:
    entry = put(store, entries, 12)
    assert entries.find(store, 12) == entry
    assert entries.find(store, 13) is None
    assert record_of(entry) == RECORD
    assert store.documents(HERE) == [(f"{12:020d}", entry)]


def test_the_mac_binds_an_entry_to_its_process_and_its_revision(
    store: Store, entries: Entries
) -> None:
    entry = put(store, entries, 12)
    key = f"{12:020d}"
    assert is_tagged(HERE, key, entry, tagged)
    assert not is_tagged(COLLECTION + "b" * 32, key, entry, tagged)
    assert not is_tagged(HERE, f"{13:020d}", entry, tagged)
    for place in range(len(entry)):
        changed = entry[:place] + bytes([entry[place] ^ 1]) + entry[place + 1 :]
        assert not is_tagged(HERE, key, changed, tagged)


def test_entries_are_withdrawn_one_by_one_and_removed_up_to_a_revision(
    store: Store, entries: Entries
) -> None:
    other = Entries("b" * 32, tag)
    for revision in (9, 10, 11, 100):
        for each in (entries, other):
            put(store, each, revision)
    quietly(store, lambda transaction: entries.withdraw(transaction, 9))
    assert entries.find(store, 9) is None
    # By number: as text without zeros, 100 would come before 11.
    quietly(store, lambda transaction: entries.remove(transaction, 11))
    assert [key for key, _ in store.documents(HERE)] == [f"{100:020d}"]
    assert len(store.documents(COLLECTION + "b" * 32)) == 4
