"""Keys of issuers, and sets of them."""

import json
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

NOW = 1_700_000_000
EC_KEYS = [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]


def ec_jwk(number: int = 0, **extra: object) -> dict[str, Any]:
    handler = jwt.PyJWS().get_algorithm_by_name("ES256")
    members: dict[str, Any] = handler.to_jwk(EC_KEYS[number].public_key(), as_dict=True)
    return {**members, "kid": f"key-{number}", "use": "sig", **extra}


def private_jwk() -> dict[str, Any]:
    """A sound key whose owner has published its private half: anyone may sign with it."""
    members: dict[str, Any] = (
        jwt.PyJWS().get_algorithm_by_name("ES256").to_jwk(EC_KEYS[0], as_dict=True)
    )
    return {**members, "kid": "key-0"}


def rsa_jwk(bits: int = 2048, **extra: object) -> dict[str, Any]:
    handler = jwt.PyJWS().get_algorithm_by_name("RS256")
    key = rsa.generate_private_key(65537, bits)
    members: dict[str, Any] = handler.to_jwk(key.public_key(), as_dict=True)
    members.pop("key_ops")
    return {**members, "kid": "rsa", **extra}


def key_set(*keys: object) -> bytes:
    return json.dumps({"keys": list(keys)}).encode()


def token(url: str, number: int, **changes: object) -> str:
    claims = {"iss": url, "aud": "vault", "exp": NOW + 600, "iat": NOW, "sub": "me"}
    return jwt.encode(
        {**claims, **changes}, EC_KEYS[number], "ES256", headers={"kid": f"key-{number}"}
    )
