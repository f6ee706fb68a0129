"""Turns a private key in PEM into the JWK that an import sends (RFC 7517, RFC 7518 section 6)."""

import base64
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from vaultcore.cli.outcome import CommandError

#: The contract's names of the curves.
_CURVES: Final = {
    "secp256r1": "P-256",
    "secp384r1": "P-384",
    "secp521r1": "P-521",
    "secp256k1": "P-256K",
}


def read_pem(data: bytes, password: str | None) -> dict[str, str]:
    """Reads a private key: PKCS#8, PKCS#1 or SEC1, with any line endings.

    Args:
        data: the file.
        password: the password of an encrypted key, or None.

    Returns:
        The private JWK.

    Raises:
        CommandError: it contains no private key of a type that a vault accepts.
    """
    try:
        key = load_pem_private_key(data, None if password is None else password.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # The library's text may quote the file, so it is not passed on.
        hint = "is its --pem-password right?" if b"ENCRYPTED" in data else "it must be PEM"
        raise CommandError(f"the file contains no readable private key: {hint}") from None
    if isinstance(key, rsa.RSAPrivateKey):
        return _rsa(key.private_numbers())
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return _ec(key)
    raise CommandError("a vault accepts RSA keys and EC keys on P-256, P-384, P-521 and P-256K")


def _rsa(numbers: rsa.RSAPrivateNumbers) -> dict[str, str]:
    members = {
        "n": numbers.public_numbers.n,
        "e": numbers.public_numbers.e,
        "d": numbers.d,
        "p": numbers.p,
        "q": numbers.q,
        "dp": numbers.dmp1,
        "dq": numbers.dmq1,
        "qi": numbers.iqmp,
    }
    return {"kty": "RSA", **{name: _integer(value) for name, value in members.items()}}


def _ec(key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    numbers = key.private_numbers()
    length = (key.curve.key_size + 7) // 8
    members = {
        "x": numbers.public_numbers.x,
        "y": numbers.public_numbers.y,
        "d": numbers.private_value,
    }
    return {
        "kty": "EC",
        "crv": _CURVES[key.curve.name],
        **{name: _integer(value, length) for name, value in members.items()},
    }


def _integer(value: int, length: int | None = None) -> str:
    data = value.to_bytes(length or max(1, (value.bit_length() + 7) // 8))
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
