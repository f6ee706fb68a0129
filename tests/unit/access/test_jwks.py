"""What a set of keys may hold, and which keys of it are taken."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given, settings
from hypothesis import strategies as st

from unit.access.key_sets import NOW, ec_jwk, key_set, private_jwk, rsa_jwk, token
from vaultcore.access.jwks import (
    DEFAULT_ALGORITHMS,
    MAXIMUM_DOCUMENT,
    KeySetError,
    StaticKeys,
    parse_key_set,
)
from vaultcore.access.tokens import TokenValidator
from vaultcore.access.trust import IssuerSettings
from vaultcore.clock import ManualClock
from vaultcore.errors import ConfigurationError


def test_a_key_is_bound_to_one_algorithm() -> None:
    keys = parse_key_set(key_set(ec_jwk(), rsa_jwk()))
    assert {kid: key.algorithm for kid, key in keys.items()} == {"key-0": "ES256", "rsa": "RS256"}
    keys = parse_key_set(key_set(rsa_jwk()), ["PS256", "RS256"])
    assert keys["rsa"].algorithm == "PS256"
    keys = parse_key_set(key_set(rsa_jwk(alg="RS256")), ["PS256", "RS256"])
    assert keys["rsa"].algorithm == "RS256"


PASSED_OVER: dict[str, Callable[[], object]] = {
    "symmetric": lambda: {"kty": "oct", "k": "AAAA", "kid": "key-0"},
    "symmetric with alg": lambda: {"kty": "oct", "k": "AAAA", "kid": "key-0", "alg": "RS256"},
    "no kty": lambda: {"kid": "key-0"},
    "unknown kty": lambda: ec_jwk(kty="XX"),
    "unknown curve": lambda: ec_jwk(crv="secp256k1"),
    "curve of another algorithm": lambda: ec_jwk(alg="ES384"),
    "HS256": lambda: ec_jwk(alg="HS256"),
    "none": lambda: ec_jwk(alg="none"),
    "alg null": lambda: ec_jwk(alg=None),
    "alg list": lambda: ec_jwk(alg=["ES256"]),
    "not allowed here": lambda: rsa_jwk(alg="PS512"),
    "for encryption": lambda: ec_jwk(use="enc"),
    "use number": lambda: ec_jwk(use=1),
    "operations without verify": lambda: ec_jwk(key_ops=["sign"]),
    "operations no list": lambda: ec_jwk(key_ops="verify"),
    "no kid": lambda: {**ec_jwk(), "kid": None},
    "kid number": lambda: ec_jwk(kid=1),
    "kid path": lambda: ec_jwk(kid="../key"),
    "kid long": lambda: ec_jwk(kid="a" * 129),
    "private": private_jwk,
    "private of a kind": lambda: ec_jwk(d="AAAA"),
    "point off the curve": lambda: ec_jwk(x="A" * 43),
    "short coordinate": lambda: ec_jwk(x="AAAA"),
    "coordinate number": lambda: ec_jwk(x=1),
    "no coordinate": lambda: {k: v for k, v in ec_jwk().items() if k != "y"},
    "small RSA": lambda: rsa_jwk(1024),
    "even exponent": lambda: rsa_jwk(e="AAAE"),
    "exponent one": lambda: rsa_jwk(e="AQ"),
    "no modulus": lambda: {"kty": "RSA", "e": "AQAB", "kid": "rsa"},
    "enormous RSA": lambda: rsa_jwk(n="_" * 2731),
    "a string": lambda: "key",
    "null": lambda: None,
    "a list": list,
}


@pytest.mark.parametrize("case", PASSED_OVER)
def test_a_key_that_cannot_be_meant_is_passed_over(case: str) -> None:
    bad = PASSED_OVER[case]()
    with pytest.raises(KeySetError, match="no key that can verify"):
        parse_key_set(key_set(bad))
    assert list(parse_key_set(key_set(bad, ec_jwk(1)))) == ["key-1"]


def test_two_keys_of_one_name_are_both_passed_over() -> None:
    keys = parse_key_set(key_set(ec_jwk(0, kid="same"), ec_jwk(1, kid="same"), ec_jwk(2)))
    assert list(keys) == ["key-2"]


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"", "not JSON"),
        (b"<html>", "not JSON"),
        (b"[]", "not an object"),
        (b"null", "not an object"),
        (b"{}", "no list"),
        (b'{"keys":{}}', "no list"),
        (b'{"keys":null}', "no list"),
        (b'{"keys":[]}', "no key"),
        (b'{"keys":[],"keys":[]}', "twice"),
        (b"\xff\xfe", "UTF-8"),
        (b'{"keys":' + b"[" * 20000 + b"]" * 20000 + b"}", "deep"),
        (json.dumps({"keys": [{}] * 33}).encode(), "more than 32"),
        (b" " * (MAXIMUM_DOCUMENT + 1), "larger"),
        (b'{"keys":[' + b'{"x":NaN}]}', "finite"),
    ],
)
def test_what_is_no_key_set_is_refused(document: bytes, reason: str) -> None:
    with pytest.raises(KeySetError, match=reason):
        parse_key_set(document)


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["kty", "crv", "x", "y", "n", "e", "kid", "alg", "use", "key_ops"]),
        st.none()
        | st.integers()
        | st.text(max_size=8)
        | st.lists(st.text(max_size=4), max_size=2)
        | st.sampled_from(
            ["RSA", "EC", "OKP", "P-256", "Ed25519", "EdDSA", "AQAB", "sig", "A" * 43]
        ),
    )
)
def test_no_key_breaks_the_parser(member: dict[str, Any]) -> None:
    assert "key-1" in parse_key_set(key_set(member, ec_jwk(1)), [*DEFAULT_ALGORITHMS, "EdDSA"])


def test_ed25519_keys_are_understood() -> None:
    public = ed25519.Ed25519PrivateKey.generate().public_key()
    member = jwt.PyJWS().get_algorithm_by_name("EdDSA").to_jwk(public, as_dict=True)
    keys = parse_key_set(key_set({**member, "kid": "ed"}), ["EdDSA"])
    assert keys["ed"].algorithm == "EdDSA"


def write_keys(path: Path) -> Path:
    path.write_bytes(key_set(ec_jwk()))
    return path


def test_keys_from_a_file_need_no_network(tmp_path: Path) -> None:
    rules = IssuerSettings(
        name="cluster",
        issuer="https://kubernetes.default.svc",
        audiences=["vault"],
        jwks_file=str(write_keys(tmp_path / "keys.json")),
    ).trust()
    checked = TokenValidator([rules], clock=ManualClock(NOW))
    found = checked.validate(token(rules.issuer, 0, sub="system:serviceaccount:ns:app"))
    assert found.principal.object_id == "cluster:system:serviceaccount:ns:app"
    assert checked.refresh(token(rules.issuer, 1)) is None


def test_an_unreadable_key_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        StaticKeys.from_file(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(ConfigurationError, match="no list of keys"):
        StaticKeys.from_file(tmp_path / "bad.json")
