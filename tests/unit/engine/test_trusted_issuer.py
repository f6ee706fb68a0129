"""Tokens of an issuer that the configuration names, through the engine's gate."""

import json
import time
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

import vaultcore
from vaultcore.access.trust import IssuerSettings
from vaultcore.errors import ForbiddenError, UnauthorizedError

ISSUER = "https://sso.example.com/realms/main"
AUDIENCE = "https://vault.localhost"


def _token(key: ec.EllipticCurvePrivateKey, **changes: object) -> str:
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "robot", "iat": now, "exp": now + 600}
    return jwt.encode({**claims, **changes}, key, "ES256", {"kid": "one"})


def test_a_trusted_issuers_token_opens_what_was_granted_and_nothing_else(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    jwk = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key()))
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": [{**jwk, "kid": "one", "alg": "ES256", "use": "sig"}]}))
    settings = IssuerSettings(
        name="sso", issuer=ISSUER, audiences=[AUDIENCE], algorithms=["ES256"], jwks_file=str(keys)
    )
    with vaultcore.create(tmp_path / "data", housekeeping=False) as engine:
        management = engine.management
        management.vault_create(name="dev")
        door = engine.vault("dev").acting_as(engine.administrator())
        door.secrets.set("a", "value")
        with pytest.raises(UnauthorizedError, match="AKV10032"):
            engine.vault("dev").acting_as(_token(key))
        engine.trust([settings.trust()])
        robot = engine.vault("dev").acting_as(_token(key))
        with pytest.raises(ForbiddenError, match="oid=sso:robot"):
            robot.secrets.get("a")
        management.access_set(vault="dev", principal="sso:robot", secret_permissions=["get"])
        assert robot.secrets.get("a").value == "value"
        with pytest.raises(ForbiddenError):
            robot.secrets.set("a", "other")
        stranger = ec.generate_private_key(ec.SECP256R1())
        for bad in (
            _token(stranger),
            _token(key, aud="https://elsewhere.example"),
            _token(key, exp=int(time.time()) - 120),
            _token(key, iss="https://sso.example.com/realms/other"),
        ):
            with pytest.raises(UnauthorizedError):
                engine.vault("dev").acting_as(bad)
