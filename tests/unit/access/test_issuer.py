"""The tokens of the built-in issuer: what they say, what they open, and when they end."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import jwt
import pytest

from unit.access.issuing import (
    BASE,
    MANAGEMENT,
    SECOND,
    TENANT,
    VAULT,
    issue,
    make_issuer,
)
from vaultcore._core import KeyEncryptionKey
from vaultcore.access.applications import (
    CREDENTIAL_CLAIM,
)
from vaultcore.access.issuer import Issuer, Shape
from vaultcore.access.jwks import StaticKeys, parse_key_set
from vaultcore.access.tokens import TokenValidator
from vaultcore.access.trust import TrustedIssuer
from vaultcore.clock import ManualClock
from vaultcore.errors import (
    ConfigurationError,
    UnauthorizedError,
    UsageError,
)
from vaultcore.storage import Store, open_store


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
    made = issuer.applications.create("web")
    issuer.applications.set_groups("web", [SECOND])
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
    found = validator.validate(token).principal
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
    issuer: Issuer, clock: ManualClock
) -> None:
    made = issuer.applications.create("web")
    token = issue(issuer, made, tenant=SECOND)
    first, second = (
        TokenValidator(issuer.trust([VAULT]), clock=clock, tenants=[tenant])
        for tenant in (TENANT, SECOND)
    )
    assert second.validate(token).principal.tenant_id == SECOND
    with pytest.raises(UnauthorizedError, match="AKV10032"):
        first.validate(token)


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
    with open_store(f"sqlite:///{tmp_path / 'vault.db'}", clock=clock) as second:
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
