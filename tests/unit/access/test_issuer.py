"""The built-in issuer: applications, their secrets, its keys, and what the store may do to them."""

import base64
import contextlib
import hashlib
import itertools
import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from vaultcore._core import KeyEncryptionKey
from vaultcore.access.applications import (
    CREDENTIAL_CLAIM,
    MAXIMUM_SECRETS,
    Application,
    Applications,
    Credential,
    NewSecret,
)
from vaultcore.access.issuer import Issuer, Shape
from vaultcore.access.jwks import StaticKeys, parse_key_set
from vaultcore.access.tokens import TokenValidator
from vaultcore.access.trust import TrustedIssuer
from vaultcore.clock import ManualClock
from vaultcore.errors import (
    BadParameterError,
    ConfigurationError,
    ConflictError,
    NotFoundError,
    TamperedError,
    UnauthorizedError,
    UsageError,
)
from vaultcore.storage import Store

BASE = "https://login.vault.localhost:8443"
TENANT = "11111111-2222-3333-4444-555555555555"
SECOND = "22222222-2222-3333-4444-555555555555"
VAULT = "https://vault.localhost:8443"
MANAGEMENT = "https://management.vault.localhost:8443"
DAY = 86400


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def kek() -> KeyEncryptionKey:
    return KeyEncryptionKey.generate()


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path / 'vault.db'}", clock=clock) as opened:
        yield opened


def make_issuer(store: Store, kek: KeyEncryptionKey, clock: ManualClock) -> Issuer:
    return Issuer(
        store,
        kek,
        clock,
        base_url=BASE,
        tenants=[TENANT, SECOND],
        resources=[VAULT, MANAGEMENT],
    )


@pytest.fixture
def issuer(store: Store, kek: KeyEncryptionKey, clock: ManualClock) -> Issuer:
    return make_issuer(store, kek, clock)


@pytest.fixture
def validator(issuer: Issuer, clock: ManualClock) -> TokenValidator:
    return TokenValidator(issuer.trust([VAULT]), clock=clock)


def shown(issuer: Issuer, made: NewSecret) -> Credential:
    credential = issuer.applications.authenticate(made.application.client_id, made.client_secret)
    assert credential is not None
    return credential


def issue(issuer: Issuer, made: NewSecret, resource: str = VAULT, **changes: Any) -> str:
    wanted = {"resource": resource, "tenant": TENANT, "shape": Shape.V2, **changes}
    return issuer.issue(shown(issuer, made), **wanted).token


# Applications


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
    assert [(c.vault_id, c.kind, c.key, c.what) for c in store.changes(0, 10)] == [
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


# Tokens


@pytest.mark.parametrize(
    ("shape", "url", "version"),
    [
        (Shape.V1, f"{BASE}/{TENANT}/", "1.0"),
        (Shape.V2, f"{BASE}/{TENANT}/v2.0", "2.0"),
        (Shape.ADFS, f"{BASE}/adfs", "1.0"),
    ],
)
def test_a_token_says_what_azure_clients_and_the_gate_read(
    issuer: Issuer,
    validator: TokenValidator,
    clock: ManualClock,
    shape: Shape,
    url: str,
    version: str,
) -> None:
    made = issuer.applications.create("web", groups=[SECOND])
    application = made.application
    token = issue(issuer, made, shape=shape)
    header = jwt.get_unverified_header(token)
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (header["alg"], header["typ"]) == ("RS256", "JWT")
    now = int(clock.now())
    uti = claims.pop("uti")
    assert len(uti) > 20
    assert claims == {
        "iss": url,
        "idp": url,
        "aud": VAULT,
        "iat": now,
        "nbf": now,
        "exp": now + 3600,
        "appid": application.client_id,
        "azp": application.client_id,
        "appidacr": "1",
        "azpacr": "1",
        "app_displayname": "web",
        "idtyp": "app",
        "oid": application.object_id,
        "sub": application.object_id,
        "tid": TENANT,
        "ver": version,
        "groups": [SECOND],
        CREDENTIAL_CLAIM: made.secret_id,
    }
    found = validator.validate(token, TENANT).principal
    assert found.object_id == application.object_id
    assert found.app_id == application.client_id
    assert found.issuer == url
    assert found.name == "web"
    assert list(found.groups) == [SECOND]


def test_others_can_verify_a_token_with_the_published_keys(issuer: Issuer) -> None:
    token = issue(issuer, issuer.applications.create("web"))
    published = issuer.published_keys()
    (member,) = published["keys"]
    assert set(member) == {"kty", "n", "e", "kid", "use", "alg"}
    assert len(base64.urlsafe_b64decode(member["n"] + "==")) == 256
    thumbprint = json.dumps({k: member[k] for k in ("e", "kty", "n")}, separators=(",", ":"))
    digest = hashlib.sha256(thumbprint.encode()).digest()
    assert member["kid"] == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    rules = TrustedIssuer(
        name="over http",
        issuer=f"{BASE}/{TENANT}/v2.0",
        audiences=frozenset({VAULT}),
        keys=StaticKeys(parse_key_set(json.dumps(published).encode())),
    )
    assert TokenValidator([rules], clock=ManualClock()).validate(token).principal.object_id


def test_a_token_for_one_plane_does_not_open_the_other(
    issuer: Issuer, validator: TokenValidator, clock: ManualClock
) -> None:
    made = issuer.applications.create("web")
    management = TokenValidator(issuer.trust([MANAGEMENT]), clock=clock)
    management.validate(issue(issuer, made, MANAGEMENT))
    with pytest.raises(UnauthorizedError, match="AKV10022"):
        validator.validate(issue(issuer, made, MANAGEMENT))
    with pytest.raises(UnauthorizedError, match="AKV10022"):
        management.validate(issue(issuer, made))


def test_a_token_of_one_tenant_does_not_open_vaults_of_another(
    issuer: Issuer, validator: TokenValidator
) -> None:
    made = issuer.applications.create("web")
    token = issue(issuer, made, tenant=SECOND)
    assert validator.validate(token, SECOND).principal.tenant_id == SECOND
    with pytest.raises(UnauthorizedError, match="AKV10032"):
        validator.validate(token, TENANT)


def test_a_token_ends_with_its_hour(
    issuer: Issuer, validator: TokenValidator, clock: ManualClock
) -> None:
    token = issue(issuer, issuer.applications.create("web"))
    clock.advance(3600 + 59)
    validator.validate(token)
    clock.advance(1)
    with pytest.raises(UnauthorizedError, match="expired"):
        validator.validate(token)


def test_deleting_an_application_ends_its_tokens_at_once(
    issuer: Issuer, validator: TokenValidator
) -> None:
    made, other = issuer.applications.create("web"), issuer.applications.create("batch")
    token, others = issue(issuer, made), issue(issuer, other)
    validator.validate(token)
    issuer.applications.delete("web")
    with pytest.raises(UnauthorizedError, match="deleted or revoked"):
        validator.validate(token)
    validator.validate(others)
    again = issuer.applications.create("web")
    with pytest.raises(UnauthorizedError, match="deleted or revoked"):
        validator.validate(token)
    validator.validate(issue(issuer, again))


def test_removing_a_secret_ends_the_tokens_got_with_it_and_no_others(
    issuer: Issuer, validator: TokenValidator
) -> None:
    first = issuer.applications.create("web")
    second = issuer.applications.add_secret("web")
    old, new = issue(issuer, first), issue(issuer, second)
    issuer.applications.remove_secret("web", first.secret_id)
    with pytest.raises(UnauthorizedError, match="deleted or revoked"):
        validator.validate(old)
    validator.validate(new)


def test_a_revocation_holds_in_another_process_at_once(
    issuer: Issuer, tmp_path: Path, kek: KeyEncryptionKey, clock: ManualClock
) -> None:
    """A second store on the same file stands for a second process."""
    token = issue(issuer, issuer.applications.create("web"))
    with Store.open(f"sqlite:///{tmp_path / 'vault.db'}", clock=clock) as second:
        elsewhere = make_issuer(second, kek, clock)
        checked = TokenValidator(elsewhere.trust([VAULT]), clock=clock)
        checked.validate(token)
        issuer.applications.delete("web")
        with pytest.raises(UnauthorizedError, match="deleted or revoked"):
            checked.validate(token)


def test_nothing_is_issued_beyond_the_configuration(issuer: Issuer, clock: ManualClock) -> None:
    made = issuer.applications.create("web", secret_lifetime=10)
    for changes in (
        {"resource": "https://graph.microsoft.com"},
        {"resource": VAULT + ".evil.example"},
        {"tenant": "33333333-2222-3333-4444-555555555555"},
        {"tenant": "adfs"},
    ):
        with pytest.raises(UsageError):
            issue(issuer, made, **changes)
    clock.advance(10)
    with pytest.raises(UsageError):
        issue(issuer, made)


def test_a_trailing_slash_names_the_same_resource(issuer: Issuer) -> None:
    token = issue(issuer, issuer.applications.create("web"), VAULT + "/")
    assert jwt.decode(token, options={"verify_signature": False})["aud"] == VAULT


@pytest.mark.parametrize(
    "changes",
    [
        {"base_url": "http://login.example"},
        {"base_url": "https://login.example/path"},
        {"tenants": []},
        {"resources": []},
        {"token_lifetime": 0},
    ],
)
def test_a_wrong_configuration_is_refused(
    store: Store, kek: KeyEncryptionKey, clock: ManualClock, changes: dict[str, Any]
) -> None:
    right: dict[str, Any] = {"base_url": BASE, "tenants": [TENANT], "resources": [VAULT]}
    with pytest.raises(ConfigurationError):
        Issuer(store, kek, clock, **{**right, **changes})


def test_a_validator_is_refused_for_a_resource_that_is_not_served(issuer: Issuer) -> None:
    with pytest.raises(ConfigurationError):
        issuer.trust(["https://other.example"])


# The issuer's keys


def kids(issuer: Issuer) -> list[str]:
    return [key["kid"] for key in issuer.published_keys()["keys"]]


def test_old_tokens_verify_after_a_rotation_until_they_expire(
    issuer: Issuer, validator: TokenValidator, clock: ManualClock
) -> None:
    made = issuer.applications.create("web")
    old = issue(issuer, made)
    (first,) = kids(issuer)
    second = issuer.keys.rotate()
    assert set(kids(issuer)) == {first, second}
    new = issue(issuer, made)
    assert jwt.get_unverified_header(new)["kid"] == second
    validator.validate(old)
    validator.validate(new)
    clock.advance(3659)
    validator.validate(old)
    clock.advance(300)
    assert kids(issuer) == [second]
    with pytest.raises(UnauthorizedError, match="AKV10046"):
        validator.validate(old)
    issuer.maintain()
    assert len(issuer.keys._documents.all(issuer.keys._store)) == 1


def test_keys_are_replaced_when_they_are_old(issuer: Issuer, clock: ManualClock) -> None:
    (first,) = kids(issuer)
    issuer.maintain()
    clock.advance(90 * DAY - 1)
    issuer.maintain()
    assert kids(issuer) == [first]
    clock.advance(1)
    issuer.maintain()
    assert len(kids(issuer)) == 2
    clock.advance(3900)
    issuer.maintain()
    (second,) = kids(issuer)
    assert second != first


def test_processes_that_start_together_make_one_key(
    store: Store, kek: KeyEncryptionKey, clock: ManualClock
) -> None:
    issuers = [make_issuer(store, kek, clock) for _ in range(3)]
    made = issuers[0].applications.create("web")
    tokens: list[str] = []
    threads = [threading.Thread(target=lambda i=i: tokens.append(issue(i, made))) for i in issuers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({jwt.get_unverified_header(token)["kid"] for token in tokens}) == 1
    assert len(kids(issuers[0])) == 1


def test_a_rotation_holds_in_another_process_at_once(
    issuer: Issuer, tmp_path: Path, kek: KeyEncryptionKey, clock: ManualClock
) -> None:
    made = issuer.applications.create("web")
    with Store.open(f"sqlite:///{tmp_path / 'vault.db'}", clock=clock) as second:
        elsewhere = make_issuer(second, kek, clock)
        issue(elsewhere, made)
        kid = issuer.keys.rotate()
        assert jwt.get_unverified_header(issue(elsewhere, made))["kid"] == kid
        checked = TokenValidator(elsewhere.trust([VAULT]), clock=clock)
        checked.validate(issue(issuer, made))


def test_the_private_key_is_nowhere_in_the_open(issuer: Issuer, tmp_path: Path) -> None:
    issue(issuer, issuer.applications.create("web"))
    modulus = base64.urlsafe_b64decode(issuer.published_keys()["keys"][0]["n"] + "==")
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert modulus not in files
    assert base64.urlsafe_b64encode(modulus)[:64] not in files


# A store that someone else wrote to


def tamper(store: Store, sql: str, parameters: tuple[Any, ...]) -> None:
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
