"""How far the log had come, as the store keeps it: nobody without the key can write it."""

import hashlib
import hmac
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vaultcore.audit.state import STATE, TAG, State, keep_state, load_state
from vaultcore.clock import ManualClock
from vaultcore.errors import TamperedError
from vaultcore.storage import Store, Transaction, open_store

KEPT = State(sequence=17, head="ab" * 32, revision=9)


def tag(document: bytes) -> bytes:
    return hmac.digest(b"key", document, hashlib.sha256)[:TAG]


def tagged(document: bytes, mac: bytes) -> bool:
    return hmac.compare_digest(tag(document), mac)


def quietly(store: Store, act: Callable[[Transaction], object]) -> None:
    """Writes without a change of the feed, as a checkpoint does."""

    def work(transaction: Transaction) -> None:
        transaction.unnoticed()
        act(transaction)

    store.write(work)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path / 'vault.db'}", clock=ManualClock()) as opened:
        quietly(opened, lambda transaction: keep_state(transaction, tag, KEPT))
        yield opened


def put(store: Store, blob: bytes) -> None:
    quietly(store, lambda transaction: transaction.put_document(*STATE, blob))


def test_what_was_kept_is_read(store: Store) -> None:
    assert load_state(store, tagged) == KEPT
    read: list[State] = []

    def work(transaction: Transaction) -> None:
        keep_state(transaction, tag, State(18, "cd" * 32))
        read.append(load_state(transaction, tagged))

    quietly(store, work)
    assert read == [State(18, "cd" * 32, 0)]


def test_every_changed_byte_and_every_cut_is_noticed(store: Store) -> None:
    blob = store.document(*STATE)
    assert blob is not None
    for place in range(len(blob)):
        put(store, blob[:place] + bytes([blob[place] ^ 1]) + blob[place + 1 :])
        with pytest.raises(TamperedError, match="does not verify"):
            load_state(store, tagged)
    for length in range(len(blob)):
        put(store, blob[:length])
        with pytest.raises(TamperedError):
            load_state(store, tagged)
    put(store, blob)
    assert load_state(store, tagged) == KEPT


def test_one_that_was_removed_is_missed(store: Store) -> None:
    quietly(store, lambda transaction: transaction.delete_document(*STATE))
    with pytest.raises(TamperedError, match="reconcile"):
        load_state(store, tagged)
