"""What principals are called: two are never called alike, whoever issued their tokens."""

import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

import vaultcore
from vaultcore import Engine
from vaultcore._core import Principal
from vaultcore.access import applications
from vaultcore.access.jwks import KeySource, StaticKeys, parse_key_set
from vaultcore.access.tokens import TokenValidator
from vaultcore.access.trust import IssuerSettings, TrustedIssuer, trust_entra
from vaultcore.clock import ManualClock
from vaultcore.errors import (
    BadParameterError,
    ConfigurationError,
    ForbiddenError,
    UnauthorizedError,
)

KEY = ec.generate_private_key(ec.SECP256R1())
AUDIENCE = "https://vault.localhost"
GUID = "0a0a0a0a-1111-2222-3333-44444444abcd"
OTHER = "0b0b0b0b-1111-2222-3333-44444444abcd"


def keys() -> KeySource:
    jwk = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key()))
    document = {"keys": [{**jwk, "kid": "one", "alg": "ES256", "use": "sig"}]}
    return StaticKeys(parse_key_set(json.dumps(document).encode()))


def issuer(name: str, prefix: str | None = None, **changes: Any) -> TrustedIssuer:
    settings: dict[str, Any] = {
        "name": name,
        "issuer": f"https://{name.replace(':', '-')}.example",
        "audiences": frozenset({AUDIENCE}),
        "keys": keys(),
        "object_id_claims": ("sub",),
        "object_id_prefix": f"{name}:" if prefix is None else prefix,
    }
    return TrustedIssuer(**(settings | changes))


def token(of: TrustedIssuer, subject: str, **claims: object) -> str:
    now = int(time.time())
    content = {"iss": of.issuer, "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + 600}
    return jwt.encode({**content, **claims}, KEY, "ES256", {"kid": "one"})


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Engine]:
    with vaultcore.create(tmp_path / "data", housekeeping=False) as engine:
        engine.management.vault_create(name="dev")
        engine.vault("dev").acting_as(engine.administrator()).secrets.set("a", "value")
        yield engine


def reads(engine: Engine, caller: str | Principal) -> bool:
    try:
        return engine.vault("dev").acting_as(caller).secrets.get("a").value == "value"
    except ForbiddenError:
        return False


def grant(engine: Engine, principal: str, **more: Any) -> Any:
    return engine.management.access_set(
        vault="dev", principal=principal, secret_permissions=["get"], **more
    )


# issuers


@pytest.mark.parametrize("name", ["a:b", ":", "a:", "a\n", "x" * 65])
def test_the_name_of_an_issuer_cannot_reach_into_another_ones(name: str) -> None:
    with pytest.raises(ConfigurationError, match="its name is"):
        issuer(name, prefix="")
    settings = IssuerSettings(name=name, issuer="https://x.example", audiences=[AUDIENCE])
    with pytest.raises(ConfigurationError, match="its name is"):
        settings.trust()


@pytest.mark.parametrize("prefix", ["a", "a-", ":", "a b:", "group:", "group:a:", GUID[:9]])
def test_a_prefix_looks_neither_like_a_group_nor_like_a_part_of_an_id(prefix: str) -> None:
    with pytest.raises(ConfigurationError, match="object_id_prefix"):
        issuer("a", prefix)
    with pytest.raises(ConfigurationError, match="object_id_prefix"):
        issuer("group")


@pytest.mark.parametrize(("one", "two"), [("a:", "a:b:"), ("a:b:", "a:"), ("a:", "a:")])
def test_no_issuer_names_the_principals_of_another(one: str, two: str) -> None:
    """The issuer `a` with the subject `b:root`, and the issuer `a:b` with the subject `root`."""
    issuers = [issuer("x", "a-b:"), issuer("first", one), issuer("second", two)]
    with pytest.raises(ConfigurationError, match="name each other's principals"):
        TokenValidator(issuers, clock=ManualClock())
    TokenValidator([issuers[0], issuers[1]], clock=ManualClock())


def test_a_name_with_a_colon_keeps_its_policies_with_a_prefix(opened: Engine) -> None:
    renamed = issuer("a-b", "a:b:")
    opened.trust([renamed])
    grant(opened, "a:b:root")
    assert reads(opened, token(renamed, "root"))


def test_an_issuer_without_a_prefix_cannot_take_the_names_of_one_that_has_one(
    opened: Engine,
) -> None:
    sso, open_ = issuer("sso"), issuer("open", prefix="")
    opened.trust([sso, open_])
    grant(opened, "sso:root")
    grant(opened, "group:sso:team")
    assert reads(opened, token(sso, "root"))
    for subject in ("sso:root", "group:sso:team", "group:x"):
        with pytest.raises(UnauthorizedError, match="another issuer"):
            opened.validate(token(open_, subject))
    assert not reads(opened, token(open_, "me", groups=["sso:team", "group:sso:team"]))
    # What cannot be mistaken goes on.
    grant(opened, "system:serviceaccount:ns:app")
    assert reads(opened, token(open_, "system:serviceaccount:ns:app"))


# groups


def test_groups_and_subjects_have_names_of_their_own(opened: Engine) -> None:
    sso = issuer("sso")
    opened.trust([sso])
    grant(opened, "sso:team")
    assert reads(opened, token(sso, "team"))
    assert not reads(opened, token(sso, "me", groups=["team"])), "`sso:team` is a subject"
    opened.management.access_remove(vault="dev", principal="sso:team")
    grant(opened, "group:sso:team")
    assert reads(opened, token(sso, "me", groups=["team"]))
    assert not reads(opened, token(sso, "team")), "`group:sso:team` is no subject"
    assert not reads(opened, token(sso, "group:sso:team"))
    assert not reads(opened, token(sso, "me", groups=["group:sso:team", "sso:team"]))
    opened.management.access_remove(vault="dev", principal="group:sso:team")
    assert not reads(opened, token(sso, "me", groups=["team"]))


def test_a_guid_means_the_person_or_the_group_of_a_directory_as_it_always_did(
    opened: Engine,
) -> None:
    member = Principal(object_id=OTHER, groups=[GUID])
    assert grant(opened, GUID.upper())["object_id"] == GUID
    assert reads(opened, member)
    assert reads(opened, Principal(object_id=GUID))
    opened.management.access_remove(vault="dev", principal=GUID)
    assert grant(opened, f"group:{GUID.upper()}")["object_id"] == f"group:{GUID}"
    assert reads(opened, member)
    assert not reads(opened, Principal(object_id=GUID))


def test_an_application_is_in_no_group_that_is_an_application(opened: Engine) -> None:
    known = opened.issuer.applications
    first = known.create("first").application
    known.create("second")
    second = known.set_groups("second", [GUID])
    for taken in (first.object_id, first.object_id.upper()):
        with pytest.raises(BadParameterError, match="not that of a group"):
            known.set_groups("second", [taken])
    assert known.find("second") == second


def test_a_group_cannot_be_an_administrator(opened: Engine) -> None:
    with pytest.raises(BadParameterError, match="a group"):
        opened.management.access_administrator(principal=f"group:{GUID}")


# applications


def test_the_name_of_an_application_is_not_taken_for_a_principal(
    opened: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = opened.issuer.applications
    for name in ("sso:robot", "group:x", GUID):
        with pytest.raises(BadParameterError, match="no colon"):
            known.create(name)
    # A folder may hold such a name from before.
    monkeypatch.setattr(applications, "_check_name", lambda _: None)
    old = known.create("sso:robot").application
    with pytest.raises(BadParameterError, match=old.object_id):
        grant(opened, "sso:robot")
    assert grant(opened, old.object_id)["object_id"] == old.object_id


def test_an_application_id_is_the_same_in_any_case(opened: Engine) -> None:
    grant(opened, GUID, application_id=OTHER.upper())
    opened.management.access_set(
        vault="dev", principal=GUID, application_id=OTHER, secret_permissions=[]
    )
    assert not reads(opened, Principal(object_id=GUID, app_id=OTHER)), "it was taken away"


# tenants


def test_an_issuer_that_has_a_tenant_speaks_for_that_of_the_vaults(
    opened: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    tenant = opened.installation.tenant_id
    right = issuer("right", tenants=frozenset({tenant}))
    wrong = issuer("wrong", tenants=frozenset({OTHER}))
    none = issuer("none")
    several = issuer("several", tenants=frozenset({tenant, OTHER}), tenant_claim="tid")
    with caplog.at_level(logging.WARNING):
        opened.trust([right, wrong, none, several])
    assert caplog.text.count("is refused") == 1
    assert "`wrong`" in caplog.text
    assert opened.validate(token(right, "me")).tenant_id == tenant
    assert opened.validate(token(none, "me")).tenant_id == ""
    assert opened.validate(token(several, "me", tid=tenant.upper())).tenant_id == tenant
    for refused in (token(wrong, "me"), token(several, "me", tid=OTHER), token(several, "me")):
        with pytest.raises(UnauthorizedError, match="AKV10032"):
            opened.validate(refused)


def test_the_vaults_belong_to_the_tenant_of_a_directory_too(opened: Engine) -> None:
    rules = trust_entra(OTHER, frozenset({AUDIENCE}))
    assert all(rule.is_directory for rule in rules)
    entra = issuer(
        "entra", prefix="", tenants=rules[0].tenants, tenant_claim="tid", is_directory=True
    )
    beside = issuer("beside", tenants=rules[0].tenants)
    opened.trust([entra, beside])
    assert opened.validate(token(entra, GUID, tid=OTHER)).object_id == GUID
    assert opened.validate(token(beside, "me")).object_id == "beside:me"
    with pytest.raises(UnauthorizedError, match="AKV10032"):
        opened.validate(token(entra, GUID, tid=opened.installation.tenant_id))
