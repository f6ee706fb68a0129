"""The built-in issuer of the tests, and how an application gets a token of it."""

from typing import Any

from vaultcore._core import KeyEncryptionKey
from vaultcore.access.applications import (
    Credential,
    NewSecret,
)
from vaultcore.access.issuer import Issuer, Shape
from vaultcore.clock import ManualClock
from vaultcore.storage import Store

BASE = "https://login.vault.localhost:8443"
TENANT = "11111111-2222-3333-4444-555555555555"
SECOND = "22222222-2222-3333-4444-555555555555"
VAULT = "https://vault.localhost:8443"
MANAGEMENT = "https://management.vault.localhost:8443"
DAY = 86400


def make_issuer(store: Store, kek: KeyEncryptionKey, clock: ManualClock) -> Issuer:
    return Issuer(
        store,
        kek,
        clock,
        base_url=BASE,
        tenants=[TENANT, SECOND],
        resources=[VAULT, MANAGEMENT],
    )


def shown(issuer: Issuer, made: NewSecret) -> Credential:
    credential = issuer.applications.authenticate(made.application.client_id, made.client_secret)
    assert credential is not None
    return credential


def issue(issuer: Issuer, made: NewSecret, resource: str = VAULT, **changes: Any) -> str:
    wanted = {"resource": resource, "tenant": TENANT, "shape": Shape.V2, **changes}
    return issuer.issue(shown(issuer, made), **wanted).token
