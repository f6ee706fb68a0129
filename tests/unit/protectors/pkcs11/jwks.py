"""Private keys as JSON Web Keys, for tests that place them into a token."""

import base64

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import RSAAlgorithm

CURVES = {"P-256": "ES256", "P-256K": "ES256K", "P-384": "ES384", "P-521": "ES512"}
WIDTHS = {"P-256": 32, "P-256K": 32, "P-384": 48, "P-521": 66}
OWN_CURVES: dict[str, ec.EllipticCurve] = {
    "P-256": ec.SECP256R1(),
    "P-256K": ec.SECP256K1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
}


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def private_jwk(kty: str, curve: str = "P-256") -> dict[str, str]:
    if kty == "RSA":
        key = rsa.generate_private_key(65537, 2048)
        return {name: str(value) for name, value in RSAAlgorithm.to_jwk(key, as_dict=True).items()}
    private = ec.generate_private_key(OWN_CURVES[curve])
    width = WIDTHS[curve]
    point = private.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    scalar = private.private_numbers().private_value.to_bytes(width, "big")
    parts = {"x": point[1 : 1 + width], "y": point[1 + width :], "d": scalar}
    encoded = {
        name: base64.urlsafe_b64encode(value).rstrip(b"=").decode() for name, value in parts.items()
    }
    return {"kty": "EC", "crv": curve, **encoded}
