"""A store with a built-in issuer, and a validator that trusts it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from unit.access.issuing import VAULT, make_issuer
from vaultcore._core import KeyEncryptionKey
from vaultcore.access.issuer import Issuer
from vaultcore.access.tokens import TokenValidator
from vaultcore.clock import ManualClock
from vaultcore.storage import Store, open_store


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def kek() -> KeyEncryptionKey:
    return KeyEncryptionKey.generate()


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path / 'vault.db'}", clock=clock) as opened:
        yield opened


@pytest.fixture
def issuer(store: Store, kek: KeyEncryptionKey, clock: ManualClock) -> Issuer:
    return make_issuer(store, kek, clock)


@pytest.fixture
def validator(issuer: Issuer, clock: ManualClock) -> TokenValidator:
    return TokenValidator(issuer.trust([VAULT]), clock=clock)
