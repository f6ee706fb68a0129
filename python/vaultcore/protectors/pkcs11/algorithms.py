"""The algorithms of private keys in a token: which exist, and their input. Both sides."""

import base64
import hashlib
import json
from typing import Literal, NamedTuple

from vaultcore.encoding import encode_base64url
from vaultcore.errors import AlgorithmError, KeyFormatError


class Curve(NamedTuple):
    """A curve by its names and the width of a coordinate in bytes."""

    name: str
    sec_name: str
    width: int
    algorithm: str


class Signature(NamedTuple):
    """A signature algorithm: the kind of key, the padding, and the digest it signs."""

    kty: Literal["RSA", "EC"]
    padding: Literal["pkcs1", "pss", "none", "ecdsa"]
    digest_size: int
    digest_info: bytes
    """The bytes before the digest in a PKCS #1 v1.5 signature (RFC 8017, section 9.2)."""


CURVES = {
    curve.name: curve
    for curve in (
        Curve("P-256", "secp256r1", 32, "ES256"),
        Curve("P-256K", "secp256k1", 32, "ES256K"),
        Curve("P-384", "secp384r1", 48, "ES384"),
        Curve("P-521", "secp521r1", 66, "ES512"),
    )
}
RSA_SIZES = (2048, 3072, 4096)

SIGNATURES = {
    "RS256": Signature("RSA", "pkcs1", 32, bytes.fromhex("3031300d060960864801650304020105000420")),
    "RS384": Signature("RSA", "pkcs1", 48, bytes.fromhex("3041300d060960864801650304020205000430")),
    "RS512": Signature("RSA", "pkcs1", 64, bytes.fromhex("3051300d060960864801650304020305000440")),
    "PS256": Signature("RSA", "pss", 32, b""),
    "PS384": Signature("RSA", "pss", 48, b""),
    "PS512": Signature("RSA", "pss", 64, b""),
    "RSNULL": Signature("RSA", "none", 0, b""),
    "ES256": Signature("EC", "ecdsa", 32, b""),
    "ES256K": Signature("EC", "ecdsa", 32, b""),
    "ES384": Signature("EC", "ecdsa", 48, b""),
    "ES512": Signature("EC", "ecdsa", 64, b""),
}
DECRYPTIONS = ("RSA-OAEP", "RSA-OAEP-256")


def signature(algorithm: str, digest: bytes) -> Signature:
    """Returns the algorithm of that name, if the digest fits it.

    Raises:
        AlgorithmError: the algorithm does not exist, or the digest has another length.
    """
    found = SIGNATURES.get(algorithm)
    if found is None:
        raise AlgorithmError(f"`{algorithm[:40]}` is not a signature algorithm of keys in a token")
    if found.digest_size and len(digest) != found.digest_size:
        raise AlgorithmError(
            f"{algorithm} signs a digest of {found.digest_size} bytes, not of {len(digest)}"
        )
    return found


def check_decryption(algorithm: str) -> None:
    """Checks that there is such a decryption algorithm.

    Raises:
        AlgorithmError: it does not exist, or is refused.
    """
    if algorithm == "RSA1_5":
        raise AlgorithmError(
            "RSA1_5 decryption is refused, because its errors and its timing reveal plaintexts: "
            "use RSA-OAEP or RSA-OAEP-256"
        )
    if algorithm not in DECRYPTIONS:
        raise AlgorithmError(f"`{algorithm[:40]}` is not a decryption algorithm of keys in a token")


def thumbprint(jwk: dict[str, str]) -> str:
    """Returns the RFC 7638 thumbprint of a public JWK.

    Raises:
        KeyFormatError: a member is missing.
    """
    members = ("e", "kty", "n") if jwk.get("kty") == "RSA" else ("crv", "kty", "x", "y")
    if any(member not in jwk for member in members):
        raise KeyFormatError("the public key lacks a member that its thumbprint is made of")
    text = json.dumps({member: jwk[member] for member in members}, separators=(",", ":"))
    return encode_base64url(hashlib.sha256(text.encode()).digest())


def decode(text: str) -> bytes:
    """Returns the bytes of base64url without padding.

    Raises:
        KeyFormatError: the text is not base64url.
    """
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise KeyFormatError("a member of the JWK is not base64url") from None
