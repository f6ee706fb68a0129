"""The token matrix: algorithm by key by claim, each case with its expected outcome.

The forged tokens are assembled here by hand, because PyJWT refuses to make most of them.
"""

import base64
import functools
import hmac
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from vaultcore._core import MAX_TOKEN_LENGTH
from vaultcore.access import tokens
from vaultcore.access.jwks import ALGORITHMS, StaticKeys, parse_key_set, strict_json
from vaultcore.access.tokens import MAXIMUM_HEADER, TokenValidator, ValidToken
from vaultcore.access.trust import TrustedIssuer
from vaultcore.clock import ManualClock
from vaultcore.errors import ConfigurationError, UnauthorizedError

NOW = 1_700_000_000
ISSUER = "https://login.example/realm"
AUDIENCE = "https://vault.example"
TENANT = "11111111-2222-3333-4444-555555555555"
DROP = object()
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "aud": AUDIENCE,
    "iat": NOW,
    "nbf": NOW,
    "exp": NOW + 3600,
    "oid": "99999999-8888-7777-6666-555555555555",
    "sub": "somebody",
    "tid": TENANT,
    "appid": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
    "groups": ["g1", "g2"],
}
CURVES = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
ASYMMETRIC = sorted(ALGORITHMS)


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@functools.cache
def private_key(algorithm: str, whose: str = "issuer") -> Any:
    if algorithm[:2] in {"RS", "PS"}:
        return rsa.generate_private_key(65537, 2048)
    if algorithm in CURVES:
        return ec.generate_private_key(CURVES[algorithm])
    return ed25519.Ed25519PrivateKey.generate()


def public_jwk(algorithm: str, whose: str = "issuer", **extra: object) -> dict[str, Any]:
    handler = jwt.PyJWS().get_algorithm_by_name(algorithm)
    members = handler.to_jwk(private_key(algorithm, whose).public_key(), as_dict=True)
    return {**members, "kid": algorithm, "use": "sig", "alg": algorithm, **extra}


def sign(algorithm: str, key: Any, data: bytes) -> bytes:
    """Signs as the algorithm says, whatever the header says."""
    digest = HASHES.get(algorithm[2:], hashes.SHA256())
    if isinstance(key, bytes):
        return hmac.new(key, data, "sha" + algorithm[2:]).digest()
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(data)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        size = (key.curve.key_size + 7) // 8
        r, s = decode_dss_signature(key.sign(data, ec.ECDSA(digest)))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")
    if algorithm.startswith("PS"):
        pss = padding.PSS(padding.MGF1(digest), digest.digest_size)
        return bytes(key.sign(data, pss, digest))
    return bytes(key.sign(data, padding.PKCS1v15(), digest))


def with_changes(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**base, **changes}.items() if value is not DROP}


def make(
    claims: Mapping[str, Any] | bytes = {},
    header: Mapping[str, Any] | bytes = {},
    *,
    algorithm: str = "RS256",
    whose: str = "issuer",
    key: Any = None,
) -> str:
    if not isinstance(claims, bytes):
        claims = json.dumps(with_changes(CLAIMS, claims)).encode()
    if not isinstance(header, bytes):
        base = {"alg": algorithm, "typ": "JWT", "kid": algorithm}
        header = json.dumps(with_changes(base, header)).encode()
    data = f"{b64(header)}.{b64(claims)}"
    key = key if key is not None else private_key(algorithm, whose)
    return f"{data}.{b64(sign(algorithm, key, data.encode()))}"


@functools.cache
def key_source() -> StaticKeys:
    keys = [public_jwk(algorithm) for algorithm in ASYMMETRIC]
    return StaticKeys(parse_key_set(json.dumps({"keys": keys}).encode(), ASYMMETRIC))


def trust(**changes: Any) -> TrustedIssuer:
    rules = {
        "name": "example",
        "issuer": ISSUER,
        "audiences": frozenset({AUDIENCE}),
        "keys": key_source(),
        "tenants": frozenset({TENANT}),
        "tenant_claim": "tid",
    }
    return TrustedIssuer(**{**rules, **changes})


def validator(now: float = NOW, **changes: Any) -> TokenValidator:
    return TokenValidator([trust(**changes)], clock=ManualClock(now))


def validate(token: str, now: float = NOW, **changes: Any) -> ValidToken:
    return validator(now, **changes).validate(token)


def refusal(token: str, now: float = NOW, **changes: Any) -> str:
    with pytest.raises(UnauthorizedError) as caught:
        validate(token, now, **changes)
    message = caught.value.message
    assert caught.value.status == 401
    assert len(message) < 700
    assert message.isprintable()
    for part in token.split("."):
        assert len(part) < 12 or part not in message, "a message repeats the token"
    return message


# What is accepted


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
def test_each_algorithm_is_accepted_with_its_own_key(algorithm: str) -> None:
    found = validate(make(algorithm=algorithm))
    assert found.principal.object_id == CLAIMS["oid"]
    assert found.principal.app_id == CLAIMS["appid"]
    assert found.principal.tenant_id == TENANT
    assert found.principal.issuer == ISSUER
    assert list(found.principal.groups) == ["g1", "g2"]
    assert found.expires == NOW + 3600 + 60
    assert found.not_before == NOW - 60


ACCEPTED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "audience in a list": ({"aud": [AUDIENCE]}, {}),
    "audience among others": ({"aud": ["other", AUDIENCE]}, {}),
    "no nbf": ({"nbf": DROP}, {}),
    "no iat": ({"iat": DROP}, {}),
    "neither nbf nor iat": ({"nbf": DROP, "iat": DROP}, {}),
    "fractions of a second": ({"exp": NOW + 0.5, "iat": NOW - 0.25}, {}),
    "expired within the leeway": ({"exp": NOW - 59}, {}),
    "not yet valid within the leeway": ({"nbf": NOW + 60}, {}),
    "issued in the future within the leeway": ({"iat": NOW + 60}, {}),
    "no typ": ({}, {"typ": DROP}),
    "typ at+jwt": ({}, {"typ": "at+jwt"}),
    "typ in another case": ({}, {"typ": "jwt"}),
    "unknown header member": ({}, {"x5t": "abc", "nonce": "abc"}),
    "unknown claims": ({"xms_cc": ["CP1"], "deep": {"a": [1, {"b": None}]}}, {}),
    "no oid, but sub": ({"oid": DROP}, {}),
    "tenant in upper case": ({"tid": TENANT.upper()}, {}),
    "no groups": ({"groups": DROP}, {}),
    "azp for appid": ({"appid": DROP, "azp": "app"}, {}),
    "client_id for appid": ({"appid": DROP, "client_id": "app"}, {}),
    "other scripts": ({"name": "Пётр", "note": "名"}, {}),
}


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
@pytest.mark.parametrize("case", ACCEPTED)
def test_harmless_forms_are_accepted(case: str, algorithm: str) -> None:
    claims, header = ACCEPTED[case]
    assert validate(make(claims, header, algorithm=algorithm)).principal.object_id


# Which key and which algorithm


def confusions() -> Iterator[tuple[str, str, str]]:
    for said in [*ASYMMETRIC, "HS256", "HS384", "HS512", "none", "None", "nOnE", "", "RSA"]:
        for kid in ASYMMETRIC:
            for signed in {kid, said} & set(ASYMMETRIC):
                if not said == kid == signed:
                    yield said, kid, signed


@pytest.mark.parametrize(("said", "kid", "signed"), sorted(confusions()))
def test_the_header_cannot_choose_the_algorithm(said: str, kid: str, signed: str) -> None:
    token = make(header={"alg": said, "kid": kid}, algorithm=signed)
    assert "algorithm" in refusal(token)


@pytest.mark.parametrize("said", ["HS256", "HS384", "HS512"])
@pytest.mark.parametrize("kid", ASYMMETRIC)
@pytest.mark.parametrize("form", ["pem", "der", "jwk", "empty"])
def test_a_public_key_is_no_shared_secret(said: str, kid: str, form: str) -> None:
    public = private_key(kid).public_key()
    spki = PublicFormat.SubjectPublicKeyInfo
    secret: bytes = {
        "pem": public.public_bytes(Encoding.PEM, spki),
        "der": public.public_bytes(Encoding.DER, spki),
        "jwk": json.dumps(public_jwk(kid)).encode(),
        "empty": b"",
    }[form]
    for header in ({"alg": said, "kid": kid}, {"alg": kid, "kid": kid}):
        data = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(CLAIMS).encode())}"
        signature = hmac.new(secret, data.encode(), "sha" + said[2:]).digest()
        refusal(f"{data}.{b64(signature)}")


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
def test_a_strangers_signature_is_refused(algorithm: str) -> None:
    assert "signature" in refusal(make(algorithm=algorithm, whose="stranger"))


def test_an_algorithm_that_the_issuer_may_not_use_has_no_key() -> None:
    keys = [public_jwk(algorithm) for algorithm in ASYMMETRIC]
    source = StaticKeys(parse_key_set(json.dumps({"keys": keys}).encode(), ["ES256"]))
    validate(make(algorithm="ES256"), keys=source)
    assert "AKV10046" in refusal(make(algorithm="RS256"), keys=source)


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
@pytest.mark.parametrize("place", [0, 1, -1])
def test_a_changed_signature_is_refused(algorithm: str, place: int) -> None:
    head, _, signature = make(algorithm=algorithm).rpartition(".")
    raw = bytearray(base64.urlsafe_b64decode(signature + "=="))
    raw[place] ^= 1
    assert "signature" in refusal(f"{head}.{b64(bytes(raw))}")


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
@pytest.mark.parametrize("size", [1, 8, 63, 65, 255, 257])
@pytest.mark.parametrize("fill", [b"\0", b"\xff"])
def test_a_signature_of_wrong_length_is_refused(algorithm: str, size: int, fill: bytes) -> None:
    head, _, _ = make(algorithm=algorithm).rpartition(".")
    assert "signature" in refusal(f"{head}.{b64(fill * size)}")


def test_a_zero_ecdsa_signature_is_refused() -> None:
    for algorithm, curve in CURVES.items():
        head, _, _ = make(algorithm=algorithm).rpartition(".")
        refusal(f"{head}.{b64(bytes(2 * ((curve.key_size + 7) // 8)))}")


def test_claims_cannot_be_exchanged_under_a_signature() -> None:
    head, _, signature = make().split(".")
    other = b64(json.dumps({**CLAIMS, "oid": "administrator"}).encode())
    assert "signature" in refusal(f"{head}.{other}.{signature}")


# Headers

BAD_HEADERS: dict[str, Mapping[str, Any] | bytes] = {
    "no alg": {"alg": DROP},
    "alg null": {"alg": None},
    "alg list": {"alg": ["RS256"]},
    "no kid": {"kid": DROP},
    "kid null": {"kid": None},
    "kid number": {"kid": 1},
    "kid list": {"kid": ["RS256"]},
    "kid empty": {"kid": ""},
    "kid path": {"kid": "../../dev/null"},
    "kid url": {"kid": "https://evil.example/jwks"},
    "kid sql": {"kid": "x' OR '1'='1"},
    "kid nul": {"kid": "RS256\0"},
    "kid newline": {"kid": "RS256\n"},
    "kid unicode": {"kid": "\uff32\uff33256"},
    "kid long": {"kid": "a" * 129},
    "typ number": {"typ": 1},
    "typ id": {"typ": "dpop+jwt"},
    "typ logout": {"typ": "logout+jwt"},
    "jku": {"jku": "https://evil.example/jwks"},
    "jwk": {"jwk": {"kty": "oct", "k": "AA"}},
    "x5u": {"x5u": "https://evil.example/chain"},
    "x5c": {"x5c": ["AA"]},
    "crit unknown": {"crit": ["exp"], "exp": NOW},
    "crit b64": {"crit": ["b64"], "b64": True},
    "crit empty": {"crit": []},
    "crit null": {"crit": None},
    "b64 false": {"crit": ["b64"], "b64": False},
    "b64 alone": {"b64": True},
    "zip": {"zip": "DEF"},
    "cty nested": {"cty": "JWT"},
    "enc": {"enc": "A256GCM"},
    "p2c": {"p2c": 2**31},
    "alg twice": b'{"alg":"RS256","kid":"RS256","alg":"RS256"}',
    "kid twice": b'{"alg":"RS256","kid":"x","kid":"RS256"}',
    "escaped twice": b'{"alg":"RS256","kid":"RS256","\\u006bid":"RS256"}',
    "list": b'["RS256"]',
    "string": b'"RS256"',
    "number": b"1",
    "null": b"null",
    "empty": b" ",
    "trailing": b'{"alg":"RS256","kid":"RS256"}{}',
    "comma": b'{"alg":"RS256","kid":"RS256",}',
    "single quotes": b"{'alg':'RS256','kid':'RS256'}",
    "NaN": b'{"alg":"RS256","kid":"RS256","x":NaN}',
    "huge number": b'{"alg":"RS256","kid":"RS256","x":1e999}',
    "many digits": b'{"alg":"RS256","kid":"RS256","x":' + b"9" * 5000 + b"}",
    "not utf-8": b'{"alg":"RS256","kid":"RS256","x":"\xff"}',
    "utf-16": '{"alg":"RS256","kid":"RS256"}'.encode("utf-16"),
    "bom": b'\xef\xbb\xbf{"alg":"RS256","kid":"RS256"}',
    "deep": b'{"alg":"RS256","kid":"RS256","x":' + b"[" * 3000 + b"]" * 3000 + b"}",
}


@pytest.mark.parametrize("case", BAD_HEADERS)
def test_a_bad_header_is_refused(case: str) -> None:
    """Each is signed with the issuer's own key, so only the header is wrong."""
    message = refusal(make(header=BAD_HEADERS[case]))
    if isinstance(header := BAD_HEADERS[case], dict) and isinstance(header.get("kid"), str):
        assert "key id" in message, "it is refused before it is looked up"


@pytest.mark.parametrize("kid", ["unknown", "rs256", "ES25", "a" * 128, "-", "."])
def test_an_unknown_key_has_the_wording_of_the_contract(kid: str) -> None:
    assert (
        refusal(make(header={"kid": kid}))
        == "AKV10046: Unable to resolve the key used for signature validation"
    )


# Claims

LONG = "x" * 3000
BAD_CLAIMS: dict[str, tuple[Mapping[str, Any] | bytes, str]] = {
    "no iss": ({"iss": DROP}, "issuer"),
    "iss null": ({"iss": None}, "issuer"),
    "iss empty": ({"iss": ""}, "issuer"),
    "iss list": ({"iss": [ISSUER]}, "issuer"),
    "iss object": ({"iss": {"a": ISSUER}}, "issuer"),
    "iss with slash": ({"iss": ISSUER + "/"}, "AKV10032"),
    "iss in upper case": ({"iss": ISSUER.upper()}, "AKV10032"),
    "iss of a parent": ({"iss": "https://login.example"}, "AKV10032"),
    "iss of a child": ({"iss": ISSUER + "/x"}, "AKV10032"),
    "iss with a space": ({"iss": ISSUER + " "}, "AKV10032"),
    "iss of http": ({"iss": ISSUER.replace("https", "http")}, "AKV10032"),
    "iss long": ({"iss": LONG}, "AKV10032"),
    "iss markup": ({"iss": '<script>"\n\u202e'}, "AKV10032"),
    "no aud": ({"aud": DROP}, "audience"),
    "aud null": ({"aud": None}, "audience"),
    "aud empty list": ({"aud": []}, "audience"),
    "aud number": ({"aud": 1}, "audience"),
    "aud true": ({"aud": True}, "audience"),
    "aud object": ({"aud": {AUDIENCE: 1}}, "audience"),
    "aud nested list": ({"aud": [[AUDIENCE]]}, "audience"),
    "aud list with null": ({"aud": [None, AUDIENCE]}, "audience"),
    "aud very many": ({"aud": [AUDIENCE] * 33}, "audience"),
    "aud empty": ({"aud": ""}, "AKV10022"),
    "aud other": ({"aud": "https://other.example"}, "AKV10022"),
    "aud others": ({"aud": ["https://other.example", "https://more.example"]}, "AKV10022"),
    "aud with slash": ({"aud": AUDIENCE + "/"}, "AKV10022"),
    "aud prefix": ({"aud": AUDIENCE[:-1]}, "AKV10022"),
    "aud suffix": ({"aud": AUDIENCE + ".evil.example"}, "AKV10022"),
    "aud case": ({"aud": AUDIENCE.upper()}, "AKV10022"),
    "aud joined": ({"aud": f"other {AUDIENCE}"}, "AKV10022"),
    "aud long": ({"aud": LONG}, "AKV10022"),
    "no exp": ({"exp": DROP}, "no expiry"),
    "exp null": ({"exp": None}, "`exp`"),
    "exp string": ({"exp": str(NOW + 3600)}, "`exp`"),
    "exp true": ({"exp": True}, "`exp`"),
    "exp list": ({"exp": [NOW + 3600]}, "`exp`"),
    "exp huge": ({"exp": 10**400}, "`exp`"),
    "exp past the doubles": ({"exp": 2**53 + 2}, "`exp`"),
    "exp zero": ({"exp": 0}, "expired"),
    "exp negative": ({"exp": -(2**40)}, "expired"),
    "exp past": ({"exp": NOW - 3600}, "expired"),
    "exp at the leeway": ({"exp": NOW - 60}, "expired"),
    "exp far": ({"exp": NOW + 29 * 3600}, "lives longer"),
    "exp far without iat": ({"exp": NOW + 29 * 3600, "iat": DROP}, "lives longer"),
    "exp far, no times": ({"exp": NOW + 29 * 3600, "iat": DROP, "nbf": DROP}, "lives longer"),
    "iat long ago": ({"iat": NOW - 29 * 3600}, "lives longer"),
    "nbf future": ({"nbf": NOW + 61}, "not valid yet"),
    "nbf far": ({"nbf": NOW + 10**8}, "not valid yet"),
    "nbf null": ({"nbf": None}, "`nbf`"),
    "nbf string": ({"nbf": "0"}, "`nbf`"),
    "nbf false": ({"nbf": False}, "`nbf`"),
    "iat future": ({"iat": NOW + 61}, "future"),
    "iat string": ({"iat": "0"}, "`iat`"),
    "iat null": ({"iat": None}, "`iat`"),
    "no tid": ({"tid": DROP}, "AKV10032"),
    "tid other": ({"tid": "11111111-2222-3333-4444-000000000000"}, "AKV10032"),
    "tid list": ({"tid": [TENANT]}, "AKV10032"),
    "tid null": ({"tid": None}, "AKV10032"),
    "no object id": ({"oid": DROP, "sub": DROP}, "object id"),
    "object id null": ({"oid": None, "sub": DROP}, "object id"),
    "object id number": ({"oid": 7, "sub": DROP}, "object id"),
    "object id empty": ({"oid": "", "sub": ""}, "object id"),
    "object id long": ({"oid": LONG}, "object id"),
    "object id with newline": ({"oid": "a\nb", "sub": DROP}, "object id"),
    "object id with nul": ({"oid": "a\0b", "sub": DROP}, "object id"),
    "object id surrogate": ({"oid": "\ud800", "sub": DROP}, "malformed"),
    "list": (b"[]", "malformed"),
    "string": (b'"x"', "malformed"),
    "null": (b"null", "malformed"),
    "nothing": (b" ", "malformed"),
    "not json": (b"exp=1", "malformed"),
    "not utf-8": (b'{"iss":"\xff"}', "malformed"),
    "deep": (b'{"a":' * 1500 + b"1" + b"}" * 1500, "malformed"),
    "NaN": (json.dumps({**CLAIMS, "exp": float("nan")}).encode(), "malformed"),
    "infinity": (json.dumps({**CLAIMS, "exp": float("inf")}).encode(), "malformed"),
    "exponent": (json.dumps(CLAIMS).replace(str(NOW + 3600), "1e400").encode(), "malformed"),
    "twice": (json.dumps(CLAIMS).encode()[:-1] + b',"aud":"x"}', "malformed"),
    "twice inside": (json.dumps(CLAIMS).encode()[:-1] + b',"y":{"a":1,"a":1}}', "malformed"),
}


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
@pytest.mark.parametrize("case", BAD_CLAIMS)
def test_a_bad_claim_is_refused_and_says_which(case: str, algorithm: str) -> None:
    claims, expected = BAD_CLAIMS[case]
    assert expected in refusal(make(claims, algorithm=algorithm))


def test_the_wording_for_a_wrong_audience_is_that_of_the_contract() -> None:
    assert refusal(make({"aud": "https://graph.example"})) == (
        "AKV10022: Invalid audience. Expected https://vault.example, found: https://graph.example."
    )


def test_the_wording_for_a_wrong_issuer_is_that_of_the_contract() -> None:
    assert refusal(make({"iss": "https://other.example/"})) == (
        f"AKV10032: Invalid issuer. Expected one of {ISSUER}, found https://other.example/."
    )


@pytest.mark.parametrize(
    ("tenant", "accepted"),
    [(TENANT, True), (TENANT.upper(), True), (None, True), ("other", False), ("", False)],
)
def test_a_token_of_another_tenant_opens_no_vault(tenant: str | None, accepted: bool) -> None:
    tenants = () if tenant is None else (tenant,)
    checked = TokenValidator([trust()], clock=ManualClock(NOW), tenants=tenants)
    if accepted:
        checked.validate(make())
    else:
        with pytest.raises(UnauthorizedError, match="AKV10032"):
            checked.validate(make())


def test_an_issuer_without_a_tenant_serves_every_vault() -> None:
    issuer = trust(tenants=frozenset(), tenant_claim="")
    found = TokenValidator([issuer], clock=ManualClock(NOW), tenants=[TENANT]).validate(make())
    assert found.principal.tenant_id == ""


def test_an_issuer_with_a_fixed_tenant_ignores_the_claim() -> None:
    issuer = trust(tenants=frozenset({"fixed"}), tenant_claim="")
    checked = TokenValidator([issuer], clock=ManualClock(NOW), tenants=["fixed"])
    assert checked.validate(make()).principal.tenant_id == "fixed"
    with pytest.raises(UnauthorizedError, match="AKV10032"):
        TokenValidator([issuer], clock=ManualClock(NOW), tenants=[TENANT]).validate(make())


def test_an_issuer_cannot_name_the_principals_of_another() -> None:
    found = validate(make(), object_id_prefix="github:").principal
    assert found.object_id == "github:" + CLAIMS["oid"]
    assert list(found.groups) == ["github:g1", "github:g2"]


def test_required_claims_bind_a_token_to_an_owner() -> None:
    rule = {"repository_owner_id": frozenset({"42"})}
    validate(make({"repository_owner_id": "42"}), required_claims=rule)
    for value in ("43", 42, None, ["42"], DROP):
        assert "repository_owner_id" in refusal(
            make({"repository_owner_id": value}), required_claims=rule
        )


def test_groups_that_are_not_names_are_left_out() -> None:
    found = validate(make({"groups": ["g", 1, None, "", ["x"], LONG, "a\nb"]}))
    assert list(found.principal.groups) == ["g"]
    for odd in ("g1", {"g1": 1}, ["g"] * 257, None):
        assert list(validate(make({"groups": odd})).principal.groups) == []


def test_a_revoked_token_is_refused() -> None:
    assert "deleted or revoked" in refusal(make(), groups_now=lambda claims: None)
    validate(make(), groups_now=lambda claims: () if claims["sub"] == "somebody" else None)


def test_the_groups_of_now_count_and_not_those_of_the_token() -> None:
    found = validate(make(), groups_now=lambda claims: ("now",))
    assert list(found.principal.groups) == ["now"]
    assert list(validate(make(), groups_now=lambda claims: ()).principal.groups) == []


# Times


@pytest.mark.parametrize("shift", [1, -1, 61, 3600, 86400, 3650 * 86400, -3650 * 86400])
@pytest.mark.parametrize("leeway", [0, 10, 60])
def test_no_clock_error_lets_an_expired_token_in(shift: int, leeway: int) -> None:
    token, now = make(), NOW + shift
    if NOW - leeway <= now < NOW + 3600 + leeway:
        found = validate(token, now, leeway=leeway)
        assert found.not_before <= now < found.expires
    else:
        assert refusal(token, now, leeway=leeway)


@settings(max_examples=150, deadline=None)
@given(
    st.integers(-200, 200), st.integers(-200, 4000), st.integers(-200, 200), st.integers(-300, 4300)
)
def test_the_times_agree_with_their_definition(nbf: int, exp: int, iat: int, now: int) -> None:
    token = make({"nbf": NOW + nbf, "exp": NOW + exp, "iat": NOW + iat}, algorithm="EdDSA")
    allowed = nbf - 60 <= now < exp + 60 and iat - 60 <= now and exp - iat <= 3600
    try:
        validate(token, NOW + now, maximum_lifetime=3600)
    except UnauthorizedError:
        assert not allowed
    else:
        assert allowed


# The shape of the token


def shapes() -> dict[str, Callable[[str], str]]:
    def part(index: int, change: Callable[[str], str]) -> Callable[[str], str]:
        def apply(token: str) -> str:
            parts = token.split(".")
            parts[index] = change(parts[index])
            return ".".join(parts)

        return apply

    cases: dict[str, Callable[[str], str]] = {
        "empty": lambda _: "",
        "one part": lambda t: t.split(".")[0],
        "two parts": lambda t: t.rpartition(".")[0],
        "two parts and a dot": lambda t: t.rpartition(".")[0] + ".",
        "four parts": lambda t: t + ".AA",
        "five parts (JWE)": lambda t: t + ".AA.AA",
        "leading dot": lambda t: "." + t,
        "bearer inside": lambda t: "Bearer " + t,
        "leading space": lambda t: " " + t,
        "trailing space": lambda t: t + " ",
        "trailing newline": lambda t: t + "\n",
        "too long": lambda t: t + "A" * MAX_TOKEN_LENGTH,
        "json form": lambda t: json.dumps(
            dict(zip(["protected", "payload", "signature"], t.split("."), strict=True))
        ),
        "surrogate": lambda t: t + "\ud800",
        "other digits": lambda t: t + "٣",
    }
    for index, name in enumerate(["header", "payload", "signature"]):
        cases |= {
            f"{name} empty": part(index, lambda _: ""),
            f"{name} padded": part(index, lambda s: s + "="),
            f"{name} fully padded": part(index, lambda s: s + "=" * (-len(s) % 4 or 4)),
            f"{name} one character more": part(index, lambda s: s + "A"),
            f"{name} of length 1 mod 4": part(index, lambda s: s + "A" * ((1 - len(s)) % 4 or 4)),
            f"{name} with plus": part(index, lambda s: s[:4] + "+" + s[5:]),
            f"{name} with slash": part(index, lambda s: s[:4] + "/" + s[5:]),
            f"{name} with space": part(index, lambda s: s[:4] + " " + s[4:]),
            f"{name} with newline": part(index, lambda s: s[:4] + "\n" + s[4:]),
            f"{name} with tab": part(index, lambda s: s[:4] + "\t" + s[4:]),
            f"{name} with nul": part(index, lambda s: s[:4] + "\0" + s[4:]),
            f"{name} with percent": part(index, lambda s: s[:4] + "%41" + s[4:]),
            f"{name} with tilde": part(index, lambda s: "~" + s),
        }
    return cases


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
@pytest.mark.parametrize("case", shapes())
def test_a_malformed_token_is_refused(case: str, algorithm: str) -> None:
    message = refusal(shapes()[case](make(algorithm=algorithm)))
    if case == "too long":
        assert "longer than" in message
    elif not case.endswith(("more", "mod 4")):
        assert "compact form" in message, "nothing is parsed of what has not the right shape"


@pytest.mark.parametrize("algorithm", ["RS256", "PS512", "ES256", "EdDSA"])
def test_unused_bits_of_the_last_character_must_be_zero(algorithm: str) -> None:
    """Otherwise one signature has several spellings, and digests of tokens differ."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    token = make(algorithm=algorithm)
    assert len(token.rpartition(".")[2]) % 4, "this signature fills its last character"
    other = token[:-1] + alphabet[alphabet.index(token[-1]) + 1]
    assert "encoding" in refusal(other)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200) | st.from_regex(r"[A-Za-z0-9_=.-]{0,60}", fullmatch=True))
def test_any_text_is_refused_and_never_breaks_the_validator(text: str) -> None:
    checked = validator()
    assert checked.refresh(text) is None
    with pytest.raises(UnauthorizedError):
        checked.validate(text)


PADDING: list[dict[str, int]] = [{"a": number} for number in range(700)]
LARGE: dict[str, Callable[[], str]] = {
    "unknown key": lambda: make({"pad": PADDING}, {"kid": "other"}),
    "unknown issuer": lambda: make({"pad": PADDING, "iss": "https://other.example"}),
    "an issuer of 10 KB": lambda: make({"iss": "x" * 10_000}),
    "algorithm of another key": lambda: make({"pad": PADDING}, {"alg": "ES256"}),
    "no algorithm of ours": lambda: make({"pad": PADDING}, {"alg": "HS256"}),
    "forged": lambda: make({"pad": PADDING}, whose="somebody"),
    "long header": lambda: make({}, {"pad": "x" * 8000}),
    "long kid": lambda: make({}, {"kid": "x" * 8000}),
    "long signature": lambda: make() + "A" * 8000,
    "many segments": lambda: make() + ".AAAA" * 2000,
    "deep claims": lambda: make(b'{"iss":"x","a":' + b"[" * 4000 + b"]" * 4000 + b"}"),
}


@pytest.mark.parametrize("case", LARGE)
def test_a_large_token_costs_little_before_its_signature_is_verified(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a short header is parsed in Python, and nothing goes through all of the claims."""
    token = LARGE[case]()
    parsed: list[int] = []

    def watched(document: bytes) -> dict[str, Any]:
        parsed.append(len(document))
        return strict_json(document)

    def unreachable(*_: object, **__: object) -> None:
        raise AssertionError("PyJWT looks at every character of a token")

    monkeypatch.setattr(tokens, "strict_json", watched)
    monkeypatch.setattr(tokens._JWS, "decode_complete", unreachable)
    checked = validator()
    assert checked.refresh(token) is None
    with pytest.raises(UnauthorizedError) as refused:
        checked.validate(token)
    assert sum(parsed) <= MAXIMUM_HEADER, "and that once"
    assert len(parsed) <= 1
    assert len(refused.value.message) < 1000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(CLAIMS)), JSON)
def test_any_value_of_any_claim_is_refused_or_harmless(name: str, value: Any) -> None:
    token = make({name: value}, algorithm="EdDSA")
    try:
        found = validate(token)
    except UnauthorizedError:
        pass
    else:
        assert name not in {"iss", "aud", "tid"} or value == CLAIMS[name] or value == [AUDIENCE]
        assert found.principal.object_id in [CLAIMS["oid"], CLAIMS["sub"], value]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_one_changed_character_is_refused(data: st.DataObject) -> None:
    token = make(algorithm="EdDSA")
    place = data.draw(st.integers(0, len(token) - 1))
    character = data.draw(st.sampled_from("AQgwB-_.=x0 "))
    if token[place] != character:
        with pytest.raises(UnauthorizedError):
            validate(token[:place] + character + token[place + 1 :])


# The configuration


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": ""},
        {"name": ""},
        {"audiences": frozenset()},
        {"audiences": frozenset({""})},
        {"leeway": 61},
        {"leeway": -1},
        {"leeway": float("nan")},
        {"maximum_lifetime": 0},
        {"object_id_claims": ()},
        {"tenants": frozenset()},
        {"tenants": frozenset({"a", "b"}), "tenant_claim": ""},
    ],
)
def test_rules_that_would_admit_too_much_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        trust(**changes)


def test_two_issuers_of_one_url_or_name_are_refused() -> None:
    for other in (trust(name="other"), trust(issuer="https://other.example")):
        with pytest.raises(ConfigurationError):
            TokenValidator([trust(), other], clock=ManualClock())


def test_one_issuer_cannot_sign_for_another() -> None:
    """Both are trusted, and both have a key of the same name."""
    stranger = StaticKeys(
        parse_key_set(json.dumps({"keys": [public_jwk("RS256", "stranger")]}).encode(), ASYMMETRIC)
    )
    second = trust(name="second", issuer="https://second.example", keys=stranger)
    checked = TokenValidator([trust(), second], clock=ManualClock(NOW))
    checked.validate(make({"iss": second.issuer}, whose="stranger"))
    with pytest.raises(UnauthorizedError, match="signature"):
        checked.validate(make(whose="stranger"))
