"""Converts between JSON Web Keys and the attributes of PKCS#11 objects. Worker side."""

from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pkcs11.constants import Attribute, ObjectClass
from pkcs11.mechanisms import KeyType
from pkcs11.util.ec import encode_named_curve_parameters

from vaultcore.encoding import encode_base64url
from vaultcore.errors import KeyFormatError
from vaultcore.protectors.pkcs11.algorithms import CURVES, RSA_SIZES, Curve, decode
from vaultcore.protectors.pkcs11.worker.return_codes import RefusalError

#: The first byte of an uncompressed point, and of a long length in DER.
_UNCOMPRESSED: Final = 4
_LONG_FORM: Final = 0x80

OWN_CURVES: dict[str, ec.EllipticCurve] = {
    "P-256": ec.SECP256R1(),
    "P-256K": ec.SECP256K1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
}

Attributes = dict[Attribute, Any]


def curve_parameters(curve: Curve) -> bytes:
    """Returns CKA_EC_PARAMS for a curve."""
    return encode_named_curve_parameters(curve.sec_name)


def public_jwk(public: Any) -> dict[str, str]:
    """Returns the JWK of a public key object, with its numbers in fixed width.

    Raises:
        RefusalError: vaultcore does not use objects of this kind.
    """
    if public[Attribute.KEY_TYPE] == KeyType.RSA:
        return {
            "kty": "RSA",
            "n": encode_base64url(bytes(public[Attribute.MODULUS]).lstrip(b"\0")),
            "e": encode_base64url(bytes(public[Attribute.PUBLIC_EXPONENT]).lstrip(b"\0")),
        }
    parameters = bytes(public[Attribute.EC_PARAMS])
    for curve in CURVES.values():
        if curve_parameters(curve) == parameters:
            point = _raw_point(bytes(public[Attribute.EC_POINT]), curve)
            return {
                "kty": "EC",
                "crv": curve.name,
                "x": encode_base64url(point[1 : 1 + curve.width]),
                "y": encode_base64url(point[1 + curve.width :]),
            }
    raise RefusalError("key", "the key in the token is on a curve that vaultcore does not use")


def own_public_key(jwk: dict[str, str]) -> rsa.RSAPublicKey | ec.EllipticCurvePublicKey:
    """Returns a public JWK for use outside the token.

    Raises:
        RefusalError: the numbers are not a public key.
    """
    try:
        if jwk["kty"] == "RSA":
            return rsa.RSAPublicNumbers(_number(jwk["e"]), _number(jwk["n"])).public_key()
        curve = OWN_CURVES[jwk["crv"]]
        return ec.EllipticCurvePublicNumbers(
            _number(jwk["x"]), _number(jwk["y"]), curve
        ).public_key()
    except ValueError as error:
        raise RefusalError("key", "the token returned a public key that is not valid") from error


def attributes_of(jwk: dict[str, str]) -> tuple[Attributes, Attributes]:
    """Returns the attributes of the public and the private object for a private JWK.

    Raises:
        RefusalError: it is not a private key of a kind that can be placed into tokens.
    """
    try:
        if jwk.get("kty") == "RSA":
            return _rsa_attributes(jwk)
        if jwk.get("kty") == "EC":
            return _ec_attributes(jwk)
    except KeyError as error:
        text = f"the private key lacks the member {error.args[0]}"
        raise RefusalError("format", text) from None
    except (KeyFormatError, ValueError):
        raise RefusalError("format", "the numbers of the private key do not make a key") from None
    raise RefusalError("format", "only RSA and EC private keys can be placed into a token")


def _rsa_attributes(jwk: dict[str, str]) -> tuple[Attributes, Attributes]:
    n, e, d = (_number(jwk[member]) for member in ("n", "e", "d"))
    if n.bit_length() not in RSA_SIZES:
        raise RefusalError("format", "an RSA key in a token has 2048, 3072 or 4096 bits")
    if "p" in jwk and "q" in jwk:
        p, q = _number(jwk["p"]), _number(jwk["q"])
    else:
        p, q = rsa.rsa_recover_prime_factors(n, e, d)
    numbers = rsa.RSAPrivateNumbers(
        p=p,
        q=q,
        d=d,
        dmp1=rsa.rsa_crt_dmp1(d, p),
        dmq1=rsa.rsa_crt_dmq1(d, q),
        iqmp=rsa.rsa_crt_iqmp(p, q),
        public_numbers=rsa.RSAPublicNumbers(e, n),
    )
    numbers.private_key()  # checks the numbers against each other
    both: Attributes = {
        Attribute.KEY_TYPE: KeyType.RSA,
        Attribute.MODULUS: _bytes(n),
        Attribute.PUBLIC_EXPONENT: _bytes(e),
    }
    public = {**both, Attribute.CLASS: ObjectClass.PUBLIC_KEY, Attribute.ENCRYPT: True}
    private = {
        **both,
        Attribute.CLASS: ObjectClass.PRIVATE_KEY,
        Attribute.DECRYPT: True,
        Attribute.PRIVATE_EXPONENT: _bytes(d),
        Attribute.PRIME_1: _bytes(p),
        Attribute.PRIME_2: _bytes(q),
        Attribute.EXPONENT_1: _bytes(numbers.dmp1),
        Attribute.EXPONENT_2: _bytes(numbers.dmq1),
        Attribute.COEFFICIENT: _bytes(numbers.iqmp),
    }
    return public, private


def _ec_attributes(jwk: dict[str, str]) -> tuple[Attributes, Attributes]:
    curve = CURVES.get(jwk["crv"])
    if curve is None:
        raise RefusalError("format", "an EC key in a token is on P-256, P-256K, P-384 or P-521")
    own = ec.derive_private_key(_number(jwk["d"]), OWN_CURVES[curve.name]).public_key()
    numbers = own.public_numbers()
    if (numbers.x, numbers.y) != (_number(jwk["x"]), _number(jwk["y"])):
        raise RefusalError("format", "the halves of the private key do not belong together")
    point = b"\x04" + b"".join(n.to_bytes(curve.width, "big") for n in (numbers.x, numbers.y))
    both: Attributes = {
        Attribute.KEY_TYPE: KeyType.EC,
        Attribute.EC_PARAMS: curve_parameters(curve),
    }
    public = {
        **both,
        Attribute.CLASS: ObjectClass.PUBLIC_KEY,
        Attribute.EC_POINT: _octet_string_header(len(point)) + point,
    }
    private = {
        **both,
        Attribute.CLASS: ObjectClass.PRIVATE_KEY,
        Attribute.VALUE: _number(jwk["d"]).to_bytes(curve.width, "big"),
    }
    return public, private


def _raw_point(value: bytes, curve: Curve) -> bytes:
    """Returns the uncompressed point; most modules wrap it in an octet string, some do not."""
    size = 1 + 2 * curve.width
    header, point = value[:-size], value[-size:]
    if len(point) != size or point[0] != _UNCOMPRESSED:
        raise RefusalError("key", "the token returned a public key that is not valid")
    if header not in (b"", _octet_string_header(size)):
        raise RefusalError("key", "the token returned a public key that is not valid")
    return point


def _octet_string_header(size: int) -> bytes:
    return bytes((4, size)) if size < _LONG_FORM else bytes((4, 0x81, size))


def _number(text: str) -> int:
    return int.from_bytes(decode(text), "big")


def _bytes(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
