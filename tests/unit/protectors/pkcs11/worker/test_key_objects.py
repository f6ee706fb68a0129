from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from pkcs11.constants import Attribute, ObjectClass
from pkcs11.mechanisms import KeyType

from unit.protectors.pkcs11.jwks import CURVES, WIDTHS, decode, private_jwk
from vaultcore.encoding import encode_base64url
from vaultcore.protectors.pkcs11 import algorithms
from vaultcore.protectors.pkcs11.worker.key_objects import (
    attributes_of,
    curve_parameters,
    own_public_key,
    public_jwk,
)
from vaultcore.protectors.pkcs11.worker.return_codes import RefusalError


def public_of(jwk: dict[str, str]) -> dict[str, str]:
    return {name: jwk[name] for name in ("kty", "n", "e", "crv", "x", "y") if name in jwk}


@pytest.mark.parametrize("curve", CURVES)
def test_an_ec_key_goes_into_a_token_and_its_public_half_comes_back(curve: str) -> None:
    jwk = private_jwk("EC", curve)
    public, private = attributes_of(jwk)
    assert public[Attribute.CLASS] == ObjectClass.PUBLIC_KEY
    assert private[Attribute.CLASS] == ObjectClass.PRIVATE_KEY
    assert private[Attribute.VALUE] == decode(jwk["d"])
    assert public_jwk(public) == public_of(jwk)


def test_an_rsa_key_goes_into_a_token_and_its_public_half_comes_back() -> None:
    jwk = private_jwk("RSA")
    public, private = attributes_of(jwk)
    assert Attribute.PRIVATE_EXPONENT not in public
    assert public_jwk(public) == public_of(jwk)
    for member, attribute in (("p", Attribute.PRIME_1), ("qi", Attribute.COEFFICIENT)):
        assert private[attribute] == decode(jwk[member])


def test_the_primes_of_an_rsa_key_are_found_from_its_exponent() -> None:
    jwk = private_jwk("RSA")
    _, private = attributes_of({name: jwk[name] for name in ("kty", "n", "e", "d")})
    primes = {private[Attribute.PRIME_1], private[Attribute.PRIME_2]}
    assert primes == {decode(jwk["p"]), decode(jwk["q"])}


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("curve", CURVES)
def test_a_point_is_read_with_and_without_its_octet_string(curve: str, wrapped: bool) -> None:
    jwk = private_jwk("EC", curve)
    point = b"\x04" + decode(jwk["x"]) + decode(jwk["y"])
    header = bytes((4, len(point))) if len(point) < 0x80 else bytes((4, 0x81, len(point)))
    found: dict[Attribute, Any] = {
        Attribute.KEY_TYPE: KeyType.EC,
        Attribute.EC_PARAMS: curve_parameters(algorithms.CURVES[curve]),
        Attribute.EC_POINT: header + point if wrapped else point,
    }
    assert public_jwk(found) == public_of(jwk)
    for changed in (point[:-1], b"\x02" + point[1:], b"\x05" + point, b"\x04\x01" + point):
        with pytest.raises(RefusalError, match="a public key that is not valid"):
            public_jwk({**found, Attribute.EC_POINT: changed})


def test_a_curve_that_is_not_used_is_named() -> None:
    found = {Attribute.KEY_TYPE: KeyType.EC, Attribute.EC_PARAMS: b"\x06\x01\x00"}
    with pytest.raises(RefusalError, match="on a curve that vaultcore does not use"):
        public_jwk(found)


def test_numbers_keep_their_width() -> None:
    x = "AA" + "A" * 41  # 32 zero bytes
    jwk = {"kty": "EC", "crv": "P-256", "x": x, "y": x}
    with pytest.raises(RefusalError, match="a public key that is not valid"):
        own_public_key(jwk)
    assert all(WIDTHS[name] == algorithms.CURVES[name].width for name in WIDTHS)


@pytest.mark.parametrize(
    "change",
    [{"d": "AQ"}, {"d": ""}, {"d": "!"}, {"x": "AQ"}, {"crv": "P-192"}, {"kty": "oct"}],
)
def test_halves_that_do_not_belong_together_are_refused(change: dict[str, str]) -> None:
    with pytest.raises(RefusalError) as refused:
        attributes_of({**private_jwk("EC"), **change})
    assert refused.value.category == "format"


def test_a_missing_member_is_named_and_a_number_is_not() -> None:
    jwk = private_jwk("RSA")
    with pytest.raises(RefusalError, match="lacks the member d"):
        attributes_of({name: jwk[name] for name in ("kty", "n", "e")})
    small = rsa.generate_private_key(65537, 1024).public_key().public_numbers().n  # noqa: S505
    modulus = encode_base64url(small.to_bytes(128, "big"))
    with pytest.raises(RefusalError, match="has 2048, 3072 or 4096 bits") as refused:
        attributes_of({**jwk, "n": modulus})
    assert modulus[:8] not in refused.value.text
