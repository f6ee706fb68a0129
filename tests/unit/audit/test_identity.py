"""The keys of the audit log: which they are is sealed with the installation."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

from vaultcore._core import Key, KeyEncryptionKey
from vaultcore.audit.identity import (
    AuditIdentity,
    create_keys,
    legacy_signer,
    load_keys,
    rotate_keys,
    upgrade_keys,
)
from vaultcore.audit.state import STATE, TAG, State, load_state
from vaultcore.clock import ManualClock
from vaultcore.documents import document_context
from vaultcore.errors import TamperedError
from vaultcore.storage import Store, Transaction, open_store

T = TypeVar("T")
NOTHING = "0" * 64


@pytest.fixture
def system() -> KeyEncryptionKey:
    return KeyEncryptionKey.generate()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path / 'vault.db'}", clock=ManualClock()) as opened:
        yield opened


def written(store: Store, act: Callable[[Transaction], T]) -> T:
    def work(transaction: Transaction) -> T:
        transaction.unnoticed()
        return act(transaction)

    return store.write(work)


@pytest.fixture
def identity(store: Store, system: KeyEncryptionKey) -> AuditIdentity:
    return written(store, lambda transaction: create_keys(transaction, system))


def state_by(key: Key, store: Store) -> State:
    """Returns the state if a key has made its MAC, by the documented format."""

    def tagged(document: bytes, tag: bytes) -> bool:
        return key.sign("HS256", b"vaultcore audit document 1\n" + document)[:TAG] == tag

    return load_state(store, tagged)


def test_new_keys_are_those_that_the_identity_names(
    store: Store, system: KeyEncryptionKey, identity: AuditIdentity
) -> None:
    keys = load_keys(store, system, identity)
    assert keys.signer.thumbprint() == identity.signer
    assert keys.signer.is_private
    assert [until for _, until in keys.macs] == [None]
    assert (keys.retired, keys.unkeyed, keys.changed) == ((), 0, 0)
    assert state_by(keys.macs[0][0], store) == State(0, NOTHING)


def test_each_log_has_keys_of_its_own(store: Store, system: KeyEncryptionKey) -> None:
    one, two = (written(store, lambda t: create_keys(t, system)) for _ in range(2))
    assert one.signer != two.signer
    assert one.mac != two.mac


@pytest.mark.parametrize("which", ["signer", "mac"])
def test_a_key_that_is_missing_changed_or_another_is_told(
    store: Store, system: KeyEncryptionKey, identity: AuditIdentity, which: str
) -> None:
    place = identity.signer_place if which == "signer" else f"audit-mac-{identity.mac}"
    blob = store.document("keys", place)
    assert blob is not None

    def put(changed: bytes) -> None:
        written(store, lambda transaction: transaction.put_document("keys", place, changed))

    put(blob[:-1] + bytes([blob[-1] ^ 1]))
    with pytest.raises(TamperedError, match="does not verify"):
        load_keys(store, system, identity)
    kind = ("EC", {"curve": "P-256"}) if which == "signer" else ("oct", {"size": 256})
    other = Key.generate(kind[0], **kind[1])
    # Sealed under the right key for the right place, as by somebody who has the system key's
    # envelope of another key at hand.
    put(other.seal(system, document_context("keys", place)))
    with pytest.raises(TamperedError, match="different"):
        load_keys(store, system, identity)
    written(store, lambda transaction: transaction.delete_document("keys", place))
    with pytest.raises(TamperedError, match="missing"):
        load_keys(store, system, identity)


def test_a_rotation_remembers_the_old_keys_and_how_long_they_hold(
    store: Store, system: KeyEncryptionKey, identity: AuditIdentity
) -> None:
    old = load_keys(store, system, identity)
    after = written(store, lambda t: rotate_keys(t, system, identity, old, last=40, now=1_000))
    keys = load_keys(store, system, after)
    assert keys.signer.thumbprint() not in {old.signer.thumbprint(), identity.mac}
    assert [(r.key.thumbprint(), r.until) for r in keys.retired] == [(identity.signer, 1040)]
    assert [until for _, until in keys.macs] == [None, 1040]
    assert keys.macs[1][0].sign("HS256", b"x") == old.macs[0][0].sign("HS256", b"x")
    assert keys.changed == 1_000
    # What the store knows of the log is vouched for by the new key, and by no other.
    assert state_by(keys.macs[0][0], store) == State(0, NOTHING)
    with pytest.raises(TamperedError):
        state_by(old.macs[0][0], store)


def test_of_several_rotations_the_newest_old_key_comes_first(
    store: Store, system: KeyEncryptionKey, identity: AuditIdentity
) -> None:
    for last, now in ((10, 100), (20, 200)):
        keys = load_keys(store, system, identity)
        before = identity
        identity = written(
            store,
            lambda t, i=before, k=keys, n=last, w=now: rotate_keys(t, system, i, k, n, w),  # type: ignore[misc]
        )
    keys = load_keys(store, system, identity)
    assert [until for _, until in keys.macs] == [None, 1020, 1010]
    assert [r.until for r in keys.retired] == [1010, 1020]
    assert keys.changed == 200


def test_a_state_that_the_old_key_did_not_make_keeps_from_rotating(
    store: Store, system: KeyEncryptionKey, identity: AuditIdentity
) -> None:
    keys = load_keys(store, system, identity)
    forged = bytes(TAG) + msgspec.json.encode(State(99, "f" * 64))
    written(store, lambda transaction: transaction.put_document(*STATE, forged))
    with pytest.raises(TamperedError):
        written(store, lambda t: rotate_keys(t, system, identity, keys, last=40, now=1_000))
    assert load_keys(store, system, identity).signer.thumbprint() == identity.signer


def test_the_log_of_an_older_version_keeps_its_signer_and_gets_a_mac(
    store: Store, system: KeyEncryptionKey
) -> None:
    assert legacy_signer(store, system) is None
    signer = Key.generate("EC", curve="P-256")
    sealed = signer.seal(system, document_context("keys", "audit-signer"))
    written(store, lambda transaction: transaction.put_document("keys", "audit-signer", sealed))
    found = legacy_signer(store, system)
    assert found is not None
    assert found.thumbprint() == signer.thumbprint()
    state = State(12, "ab" * 32)
    identity = written(store, lambda t: upgrade_keys(t, system, found, state))
    keys = load_keys(store, system, identity)
    assert keys.signer.thumbprint() == signer.thumbprint()
    assert keys.unkeyed == 12
    assert state_by(keys.macs[0][0], store) == state
