"""The services that the tests of the API share, one process each."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from driver import Service, Vault, start, stop

from vaultcore.protectors.pkcs11 import softhsm

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with a software protector."""
    service = start(tmp_path_factory.mktemp("api"))
    yield service
    stop(service)


@pytest.fixture(scope="session")
def vault(api: Service) -> Vault:
    """Its first vault, as the administrator sees it."""
    return api.vault()


@pytest.fixture(scope="session")
def token_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with a token."""
    if softhsm.find_module() is None:
        pytest.skip("SoftHSM is not installed, which the keys of -HSM types are tested with")
    service = start(tmp_path_factory.mktemp("token"), "--hsm")
    yield service
    stop(service)


@pytest.fixture
def now() -> int:
    return int(time.time())
