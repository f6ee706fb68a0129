"""A vault in memory over a store, without an engine: rules alone."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from unit.objects.fake_hsm import FakeHsm
from vaultcore._core import KeyEncryptionKey
from vaultcore.clock import ManualClock
from vaultcore.installation.vault_settings import VaultSettings
from vaultcore.objects.keys import KeyRules
from vaultcore.objects.kinds import OpenVault
from vaultcore.objects.secrets import SecretRules
from vaultcore.storage import Store, open_store


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path / 'vault.db'}", clock=clock) as opened:
        yield opened


@pytest.fixture
def hsm() -> FakeHsm:
    return FakeHsm()


@pytest.fixture
def vault(store: Store, clock: ManualClock, hsm: FakeHsm) -> OpenVault:
    settings = VaultSettings(name="dev", created=int(clock.now()), retention_days=7, sku="premium")
    return OpenVault(
        "0" * 32,
        settings,
        KeyEncryptionKey.generate(),
        store=store,
        clock=clock,
        location="local",
        url="https://dev.vault.localhost",
        hsm=hsm,
    )


@pytest.fixture
def secrets(vault: OpenVault) -> SecretRules:
    rules: SecretRules = vault.rules["secrets"]
    return rules


@pytest.fixture
def keys(vault: OpenVault) -> KeyRules:
    rules: KeyRules = vault.rules["keys"]
    return rules


@pytest.fixture
def do(vault: OpenVault) -> Callable[[Any], Any]:
    """Does a work, and forgets what is cached of the vault, as the feed would."""

    def write(work: Any) -> Any:
        result = vault.store.write(work)
        vault.clear()
        return result

    return write
