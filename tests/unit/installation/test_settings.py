"""What an installation is called: sealed in its place, changed from what is stored."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from vaultcore._core import KeyEncryptionKey, Principal
from vaultcore.audit.identity import load_keys
from vaultcore.clock import ManualClock
from vaultcore.errors import StorageError, TamperedError
from vaultcore.installation.settings import Installation
from vaultcore.storage import Store, Transaction, open_store

NEW = Installation(
    id="a" * 32,
    tenant_id="t",
    created=1_700_000_000,
    domain="vault.example:8443",
    issuer_url="https://login.vault.example:8443",
    location="here",
    operator="operator",
    administrators=("alice",),
)


@pytest.fixture
def system() -> KeyEncryptionKey:
    return KeyEncryptionKey.generate()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path / 'vault.db'}", clock=ManualClock()) as opened:
        yield opened


def test_what_is_saved_is_read_with_the_keys_of_its_log(
    store: Store, system: KeyEncryptionKey
) -> None:
    with pytest.raises(StorageError, match="not fully initialised"):
        Installation.load(store, system)
    saved = NEW.save(store, system)
    assert Installation.load(store, system) == saved
    assert msgspec.structs.replace(saved, audit=None) == NEW
    assert saved.audit is not None
    assert load_keys(store, system, saved.audit).signer.thumbprint() == saved.audit.signer
    assert [change.kind for change in store.changes(0, 9)] == ["installation"]


def test_a_change_starts_from_what_is_stored(store: Store, system: KeyEncryptionKey) -> None:
    saved = NEW.save(store, system)
    for name in ("bob", "carol"):
        after = Installation.revise(
            store,
            system,
            lambda before, name=name: msgspec.structs.replace(  # type: ignore[misc]
                before, administrators=(*before.administrators, name)
            ),
        )
    assert after.administrators == ("alice", "bob", "carol")
    assert after.audit == saved.audit
    assert Installation.load(store, system) == after


def test_a_change_that_fails_changes_nothing(store: Store, system: KeyEncryptionKey) -> None:
    saved = NEW.save(store, system)

    def fail(_: Installation) -> Installation:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Installation.revise(store, system, fail)
    assert Installation.load(store, system) == saved


def test_it_opens_under_its_key_in_its_place(store: Store, system: KeyEncryptionKey) -> None:
    NEW.save(store, system)
    with pytest.raises(TamperedError):
        Installation.load(store, KeyEncryptionKey.generate())
    blob = store.document("installation", "settings")
    assert blob is not None

    def put(changed: bytes) -> None:
        def work(transaction: Transaction) -> None:
            transaction.unnoticed()
            transaction.put_document("installation", "settings", changed)

        store.write(work)

    for place in range(0, len(blob), 17):
        put(blob[:place] + bytes([blob[place] ^ 1]) + blob[place + 1 :])
        with pytest.raises(TamperedError):
            Installation.load(store, system)
    put(blob)
    assert Installation.load(store, system).id == NEW.id


def test_what_its_hosts_are_called() -> None:
    assert NEW.resource == "https://vault.example:8443"
    assert NEW.management_resource == "https://management.vault.example:8443"
    assert NEW.vault_url("Dev") == "https://dev.vault.example:8443"


@pytest.mark.parametrize(
    ("object_id", "obeyed"),
    [("operator", True), ("alice", True), ("Alice", False), ("", False), ("mallory", False)],
)
def test_whom_it_obeys(object_id: str, obeyed: bool) -> None:
    assert NEW.obeys(Principal(object_id=object_id)) is obeyed
