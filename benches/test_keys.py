"""Signatures: this project beside ``cryptography``, and as JWS beside joserfc."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from benches.library import rows
from benches.library.envelopes import OURS
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

import vaultcore

if TYPE_CHECKING:
    from collections.abc import Callable

    from benches.library.rounds import Comparison

MESSAGE = os.urandom(1024)
DIGEST = hashlib.sha256(MESSAGE).digest()
PREHASHED = utils.Prehashed(hashes.SHA256())
ECDSA = ec.ECDSA(PREHASHED)


def pem(key: Any) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


@pytest.fixture(scope="module")
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def test_es256_sign(comparison: Comparison, ec_key: Any) -> None:
    ours, public = vaultcore.Key.from_pem(pem(ec_key)), ec_key.public_key()
    # The peer's signature stays in DER, as it comes; ours is already as JOSE wants it.
    works: dict[str, Callable[[], bytes]] = {
        OURS: lambda: ours.sign("ES256", DIGEST),
        rows.CRYPTOGRAPHY: lambda: ec_key.sign(DIGEST, ECDSA),
    }
    signed = comparison.run(rows.ES256, works)
    public.verify(signed[rows.CRYPTOGRAPHY], DIGEST, ECDSA)
    public.verify(_der(signed[OURS]), DIGEST, ECDSA)


def test_es256_sign_batch(comparison: Comparison, ec_key: Any) -> None:
    ours, public = vaultcore.Key.from_pem(pem(ec_key)), ec_key.public_key()
    digests = [os.urandom(32) for _ in range(100)]
    works: dict[str, Callable[[], list[bytes]]] = {
        OURS: lambda: ours.sign_many("ES256", digests),
        rows.CRYPTOGRAPHY: lambda: [ec_key.sign(digest, ECDSA) for digest in digests],
    }
    signed = comparison.run(rows.ES256_BATCH, works, items=len(digests))
    for digest, signature in zip(digests, signed[OURS], strict=True):
        public.verify(_der(signature), digest, ECDSA)


def test_es256_verify(comparison: Comparison, ec_key: Any) -> None:
    ours, public = vaultcore.Key.from_pem(pem(ec_key)), ec_key.public_key()
    raw, der = ours.sign("ES256", DIGEST), ec_key.sign(DIGEST, ECDSA)
    works: dict[str, Callable[[], bool]] = {
        OURS: lambda: ours.verify("ES256", DIGEST, raw),
        rows.CRYPTOGRAPHY: lambda: public.verify(der, DIGEST, ECDSA) is None,
    }
    assert all(comparison.run(rows.VERIFY_ES256, works).values())


def test_rs256_sign(comparison: Comparison, rsa_key: Any) -> None:
    ours, pad = vaultcore.Key.from_pem(pem(rsa_key)), padding.PKCS1v15()
    works: dict[str, Callable[[], bytes]] = {
        OURS: lambda: ours.sign("RS256", DIGEST),
        rows.CRYPTOGRAPHY: lambda: rsa_key.sign(DIGEST, pad, PREHASHED),
    }
    assert len(set(comparison.run(rows.RS256, works).values())) == 1


def test_rs256_verify(comparison: Comparison, rsa_key: Any) -> None:
    ours, pad = vaultcore.Key.from_pem(pem(rsa_key)), padding.PKCS1v15()
    public, signature = rsa_key.public_key(), ours.sign("RS256", DIGEST)
    works: dict[str, Callable[[], bool]] = {
        OURS: lambda: ours.verify("RS256", DIGEST, signature),
        rows.CRYPTOGRAPHY: lambda: public.verify(signature, DIGEST, pad, PREHASHED) is None,
    }
    assert all(comparison.run(rows.VERIFY_RS256, works).values())


def test_eddsa_sign(comparison: Comparison) -> None:
    theirs = ed25519.Ed25519PrivateKey.generate()
    ours = vaultcore.Key.from_pem(pem(theirs))
    works: dict[str, Callable[[], bytes]] = {
        OURS: lambda: ours.sign("EdDSA", MESSAGE),
        rows.CRYPTOGRAPHY: lambda: theirs.sign(MESSAGE),
    }
    assert len(set(comparison.run(rows.EDDSA, works).values())) == 1


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
def test_jws_sign(comparison: Comparison, algorithm: str, ec_key: Any, rsa_key: Any) -> None:
    source = pem(ec_key if algorithm == "ES256" else rsa_key)
    ours = vaultcore.Key.from_pem(source)
    theirs = (ECKey if algorithm == "ES256" else RSAKey).import_key(source)
    header = {"alg": algorithm}

    def by_hand() -> str:
        signed = _base64(json.dumps(header).encode()) + b"." + _base64(MESSAGE)
        signature = ours.sign(algorithm, hashlib.sha256(signed).digest())
        return (signed + b"." + _base64(signature)).decode()

    def joserfc() -> str:
        return jws.serialize_compact(header, MESSAGE, theirs, algorithms=[algorithm])

    row = rows.JWS_ES256 if algorithm == "ES256" else rows.JWS_RS256
    for token in comparison.run(row, {OURS: by_hand, rows.JOSERFC: joserfc}).values():
        assert jws.deserialize_compact(token, theirs, algorithms=[algorithm]).payload == MESSAGE


def _base64(value: bytes) -> bytes:
    return base64.urlsafe_b64encode(value).rstrip(b"=")


def _der(raw: bytes) -> bytes:
    return utils.encode_dss_signature(
        int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    )
