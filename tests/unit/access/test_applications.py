"""Applications and their secrets: known by a secret only, found by each of their names."""

import base64
import threading
import time
from pathlib import Path

import pytest

from unit.access.issuing import (
    TENANT,
    shown,
)
from vaultcore._core import KeyEncryptionKey
from vaultcore.access.applications import (
    MAXIMUM_SECRETS,
    Applications,
)
from vaultcore.access.issuer import Issuer
from vaultcore.clock import ManualClock
from vaultcore.errors import (
    BadParameterError,
    ConflictError,
    NotFoundError,
)
from vaultcore.storage import Store


def test_an_application_is_known_by_its_secret_only(issuer: Issuer) -> None:
    made = issuer.applications.create("web")
    other = issuer.applications.create("batch")
    client_id = made.application.client_id
    authenticate = issuer.applications.authenticate
    assert shown(issuer, made).application == made.application
    assert authenticate(client_id.upper(), made.client_secret) is not None
    for wrong in (
        "",
        made.client_secret[:-1],
        made.client_secret + "x",
        made.client_secret.swapcase(),
        other.client_secret,
        made.secret_id,
        "x" * 10_000,
        made.client_secret + "x" * 300,
        "\ud800",
        "é",
    ):
        assert authenticate(client_id, wrong) is None
    for unknown in ("", "web", "00000000-0000-0000-0000-000000000000", "' OR 1=1", "x" * 10_000):
        assert authenticate(unknown, made.client_secret) is None


def test_the_decoy_cannot_be_signed_in_as(store: Store, kek: KeyEncryptionKey) -> None:
    applications = Applications(store, kek, ManualClock())
    decoy = applications._decoys.open(applications._decoy_key, applications._decoy)
    store.write(lambda t: applications._documents.put(t, decoy.client_id, decoy, "created"))
    assert applications.authenticate(decoy.client_id, "anything") is None


def test_secrets_have_256_bits_and_are_never_kept(
    issuer: Issuer, store: Store, tmp_path: Path
) -> None:
    made = [issuer.applications.create(f"app {number}") for number in range(20)]
    texts = [m.client_secret for m in made]
    assert len(set(texts)) == 20
    assert all(len(base64.urlsafe_b64decode(text + "=")) == 32 for text in texts)
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    for m in made:
        assert m.client_secret.encode() not in files
        assert m.application.secrets[0].digest not in files
        assert m.client_secret not in repr(m)
        assert m.client_secret not in repr(m.application)
        assert repr(m.application.secrets[0].digest) not in repr(m.application)


def test_an_unknown_application_costs_the_same_work(issuer: Issuer) -> None:
    """Not a measurement of nanoseconds: it catches an early return, which is 10 times faster."""
    made = issuer.applications.create("web")
    authenticate = issuer.applications.authenticate

    def cost(client_id: str) -> float:
        best = float("inf")
        for _ in range(30):
            started = time.perf_counter()
            for _ in range(10):
                authenticate(client_id, "wrong")
            best = min(best, time.perf_counter() - started)
        return best

    known = cost(made.application.client_id)
    assert cost("12345678-1234-1234-1234-123456789012") > known / 2
    assert cost("no id at all") > known / 2


def test_names_are_unique_and_readable(issuer: Issuer) -> None:
    issuer.applications.create("Web")
    with pytest.raises(ConflictError, match="exists already"):
        issuer.applications.create("wEB")
    for bad in ("", " web", "web ", "a\nb", "x" * 121, "\u202e", TENANT, TENANT.upper()):
        with pytest.raises(BadParameterError):
            issuer.applications.create(bad)
    assert [a.name for a in issuer.applications.all()] == ["Web"]


def test_an_application_is_found_by_each_of_its_names(issuer: Issuer) -> None:
    made = issuer.applications.create("Web").application
    for text in ("Web", "web", made.client_id, made.object_id.upper()):
        assert issuer.applications.find(text) == made
    with pytest.raises(NotFoundError):
        issuer.applications.find("other")
    with pytest.raises(NotFoundError):
        issuer.applications.delete("other")


def test_secrets_come_and_go(issuer: Issuer, clock: ManualClock) -> None:
    first = issuer.applications.create("web")
    clock.advance(10)
    second = issuer.applications.add_secret("web", lifetime=100)
    assert second.expires == clock.now() + 100
    assert shown(issuer, first).secret.id == first.secret_id
    assert not shown(issuer, second).expired
    issuer.applications.remove_secret("web", first.secret_id)
    client_id = first.application.client_id
    assert issuer.applications.authenticate(client_id, first.client_secret) is None
    clock.advance(100)
    assert shown(issuer, second).expired
    with pytest.raises(NotFoundError):
        issuer.applications.remove_secret("web", first.secret_id)
    for lifetime in (0, -1):
        with pytest.raises(BadParameterError):
            issuer.applications.add_secret("web", lifetime=lifetime)


def test_the_number_of_secrets_is_bounded(issuer: Issuer) -> None:
    issuer.applications.create("web")
    for _ in range(MAXIMUM_SECRETS - 1):
        issuer.applications.add_secret("web")
    with pytest.raises(BadParameterError, match="at most"):
        issuer.applications.add_secret("web")


def test_each_change_is_in_the_feed(issuer: Issuer, store: Store) -> None:
    made = issuer.applications.create("web")
    added = issuer.applications.add_secret("web")
    issuer.applications.remove_secret("web", added.secret_id)
    issuer.applications.set_groups("web", [TENANT])
    issuer.applications.delete("web")
    client_id = made.application.client_id
    assert [(c.vault_id, c.kind, c.name, c.what) for c in store.changes(0, 10)] == [
        ("", "applications", client_id, "created"),
        ("", "applications", client_id, "updated"),
        ("", "applications", client_id, "updated"),
        ("", "applications", client_id, "updated"),
        ("", "applications", client_id, "deleted"),
    ]


def test_concurrent_changes_lose_nothing(issuer: Issuer) -> None:
    issuer.applications.create("web")
    threads = [
        threading.Thread(target=issuer.applications.add_secret, args=("web",)) for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(issuer.applications.find("web").secrets) == 11
