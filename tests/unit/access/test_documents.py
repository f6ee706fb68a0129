"""Documents in a store that someone else wrote to: each concerns itself only."""

import contextlib
import itertools
import sqlite3
from typing import Any

import jwt
import pytest

from unit.access.issuing import BASE, TENANT, VAULT, issue, make_issuer
from vaultcore._core import KeyEncryptionKey
from vaultcore.access.applications import (
    Application,
)
from vaultcore.access.issuer import Issuer
from vaultcore.access.tokens import TokenValidator
from vaultcore.clock import ManualClock
from vaultcore.errors import (
    TamperedError,
)
from vaultcore.storage import Store
from vaultcore.storage.sqlite.store import SqliteStore


def tamper(store: Store, sql: str, parameters: tuple[Any, ...]) -> None:
    assert isinstance(store, SqliteStore)
    with contextlib.closing(sqlite3.connect(store.path)) as connection, connection:
        assert connection.execute(sql, parameters).rowcount == 1


def blobs(store: Store, collection: str) -> dict[str, bytes]:
    return dict(store.documents(collection))


@pytest.mark.parametrize("collection", ["applications", "signing-keys"])
def test_every_changed_byte_of_a_document_is_noticed(
    issuer: Issuer, store: Store, collection: str
) -> None:
    made = issuer.applications.create("web")
    issue(issuer, made)
    ((key, blob),) = blobs(store, collection).items()
    documents = issuer.applications._documents if collection == "applications" else None
    opener = documents or issuer.keys._documents
    opener.open(key, blob)
    for place in itertools.chain(range(80), range(80, len(blob), 37)):
        changed = bytearray(blob)
        changed[place] ^= 1
        with pytest.raises(TamperedError):
            opener.open(key, bytes(changed))


def test_a_document_put_in_anothers_place_does_not_open(issuer: Issuer, store: Store) -> None:
    """Otherwise whoever writes the database becomes any application that he likes."""
    victim, own = issuer.applications.create("victim"), issuer.applications.create("own")
    kept = blobs(store, "applications")
    tamper(
        store,
        "UPDATE documents SET blob = ? WHERE collection = 'applications' AND key = ?",
        (kept[own.application.client_id], victim.application.client_id),
    )
    with pytest.raises(TamperedError):
        issuer.applications.authenticate(victim.application.client_id, own.client_secret)
    with pytest.raises(TamperedError):
        issuer.applications.find(victim.application.client_id)
    # It concerns itself only.
    assert [application.name for application in issuer.applications.all()] == ["own"]
    assert issuer.applications.authenticate(own.application.client_id, own.client_secret)


def test_a_key_of_the_attackers_does_not_become_a_signing_key(
    issuer: Issuer, store: Store, validator: TokenValidator, clock: ManualClock
) -> None:
    made = issuer.applications.create("web")
    other = make_issuer(store, KeyEncryptionKey.generate(), clock)
    claims = {"iss": f"{BASE}/{TENANT}/v2.0", "aud": VAULT, "exp": clock.now() + 60}
    forged = other.keys.sign(claims)
    assert jwt.get_unverified_header(forged)["kid"] in blobs(store, "signing-keys")
    with pytest.raises(TamperedError):
        validator.validate(forged)
    # It concerns itself only: others are signed under a key that verifies.
    kid = jwt.get_unverified_header(forged)["kid"]
    assert jwt.get_unverified_header(issue(issuer, made))["kid"] != kid
    assert kid not in {key["kid"] for key in issuer.published_keys()["keys"]}


def test_another_key_opens_nothing(issuer: Issuer, store: Store, clock: ManualClock) -> None:
    made = issuer.applications.create("web")
    other = make_issuer(store, KeyEncryptionKey.generate(), clock)
    with pytest.raises(TamperedError):
        other.applications.authenticate(made.application.client_id, made.client_secret)


def test_documents_survive_a_rotation_of_the_key_above_them(
    issuer: Issuer, kek: KeyEncryptionKey, validator: TokenValidator
) -> None:
    made = issuer.applications.create("web")
    token = issue(issuer, made)
    kek.rotate()
    validator.validate(token)
    validator.validate(issue(issuer, made))
    assert isinstance(issuer.applications.find("web"), Application)
