"""What a key can be: every combination that the contract has, and no other."""

import base64
from typing import Any

import pytest

from vaultcore._core import Key
from vaultcore.errors import BadParameterError
from vaultcore.objects.attributes import Attributes
from vaultcore.objects.key_parameters import (
    ALGORITHMS,
    OPERATIONS,
    KeyParameters,
    check_operations,
    public_members,
    read_jwk,
    refuse_release,
    shape,
)

OCT = {"kty": "oct", "k": base64.urlsafe_b64encode(bytes(32)).rstrip(b"=").decode()}

SHAPES: dict[KeyParameters, tuple[str, bool, int | None, str | None]] = {
    KeyParameters("RSA"): ("RSA", False, 2048, None),
    KeyParameters("RSA", 4096): ("RSA", False, 4096, None),
    KeyParameters("RSA-HSM", 3072): ("RSA", True, 3072, None),
    KeyParameters("EC"): ("EC", False, None, "P-256"),
    KeyParameters("EC-HSM", curve="P-256K"): ("EC", True, None, "P-256K"),
    KeyParameters("EC", 521, "P-521"): ("EC", False, None, "P-521"),
    KeyParameters("oct"): ("oct", False, 256, None),
    KeyParameters("oct", 128): ("oct", False, 128, None),
}


@pytest.mark.parametrize("wanted", SHAPES, ids=str)
def test_shapes(wanted: KeyParameters) -> None:
    assert shape(wanted) == SHAPES[wanted]


@pytest.mark.parametrize(
    ("wanted", "words", "inner"),
    [
        (KeyParameters("canary"), "Invalid kty value", "KeyTypeNotSupported"),
        (KeyParameters("OKP"), "Invalid kty value: OKP", "KeyTypeNotSupported"),
        (KeyParameters("oct-HSM"), "oct keys in software", "KeyTypeNotSupported"),
        (KeyParameters("rsa"), "Invalid kty value", "KeyTypeNotSupported"),
        (KeyParameters("RSA", 1024), r"\(1024\).*\[2048, 3072, 4096\]", None),
        (KeyParameters("RSA", 0), r"\(0\)", None),
        (KeyParameters("oct", 129), r"\[128, 192, 256, 384, 512\]", None),
        (KeyParameters("EC", curve="canary"), "P-256, P-384, P-521, P-256K", None),
        (KeyParameters("EC", 256), "give crv", None),
        (KeyParameters("RSA", curve="P-256"), "crv does not apply to RSA", None),
        (KeyParameters("oct", curve="P-256"), "crv does not apply to oct", None),
    ],
    ids=str,
)
def test_what_is_no_shape(wanted: KeyParameters, words: str, inner: str | None) -> None:
    with pytest.raises(BadParameterError, match=words) as refused:
        shape(wanted)
    assert refused.value.inner_code == inner
    assert "canary" not in str(refused.value)


def test_operations_are_the_types_own_unless_they_are_named() -> None:
    assert check_operations("RSA", None) == OPERATIONS
    assert check_operations("EC", None) == ("sign", "verify")
    assert check_operations("oct", None) == ("encrypt", "decrypt", "wrapKey", "unwrapKey")
    assert check_operations("oct", ["verify", "sign"]) == ("verify", "sign")
    assert check_operations("EC", []) == ()


@pytest.mark.parametrize(
    ("family", "operations"),
    [("EC", ["encrypt"]), ("RSA", ["canary"]), ("oct", ["SIGN"]), ("EC", ["sign", "sign"])],
)
def test_operations_that_a_type_does_not_have(family: str, operations: list[str]) -> None:
    with pytest.raises(BadParameterError, match="key_ops") as refused:
        check_operations(family, operations)
    assert "canary" not in str(refused.value)


def test_a_private_key_is_read_with_what_belongs_to_it() -> None:
    found = read_jwk({**OCT, "kid": "https://x", "key_ops": ["sign"], "d": None, "key_hsm": "x"})
    assert (found.family, found.in_hsm, found.operations) == ("oct", False, ("sign",))
    assert found.jwk == OCT
    assert found.key.size == 256
    assert read_jwk({**OCT, "key_ops": []}).operations == check_operations("oct", None)
    private = Key.generate("EC", curve="P-256")
    with pytest.raises(BadParameterError, match="public key only"):
        read_jwk(private.public_jwk())


@pytest.mark.parametrize(
    ("jwk", "words"),
    [
        ({}, "key.kty is missing"),
        ({"kty": 5}, "key.kty is missing"),
        ({"kty": "canary"}, "Invalid kty value"),
        ({**OCT, "key_ops": "sign"}, "not a list"),
        ({**OCT, "key_ops": [5]}, "not a list"),
        ({**OCT, "key_ops": ["canary"]}, "key_ops"),
        ({**OCT, "k": "canary!"}, "not a valid key"),
        ({**OCT, "k": "A" * 24}, "Unsupported key size"),
    ],
    ids=str,
)
def test_what_is_no_private_key(jwk: dict[str, Any], words: str) -> None:
    with pytest.raises(BadParameterError, match=words) as refused:
        read_jwk(jwk)
    assert "canary" not in str(refused.value)


def test_the_type_says_that_it_belongs_into_the_hsm() -> None:
    assert read_jwk({**OCT, "kty": "oct-HSM"}).in_hsm


def test_public_members_are_those_of_the_key() -> None:
    jwk = {"kty": "EC", "crv": "P-256", "x": "1", "y": "2", "d": "3", "kid": "4"}
    assert public_members(jwk) == {"crv": "P-256", "x": "1", "y": "2"}
    assert public_members(OCT) is None


def test_no_key_is_released() -> None:
    refuse_release(Attributes(exportable=False))
    refuse_release(Attributes())
    with pytest.raises(BadParameterError, match="exportable"):
        refuse_release(Attributes(exportable=True))


def test_every_algorithm_that_a_key_of_a_vault_can_be_used_with_is_known() -> None:
    assert {"RS256", "ES256K", "HS512", "A128GCM", "A192KW", "A256CBCPAD", "RSA1_5"} <= ALGORITHMS
    assert "none" not in ALGORITHMS
