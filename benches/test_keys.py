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

    Measure = Callable[..., Any]

MESSAGE = os.urandom(1024)
DIGEST = hashlib.sha256(MESSAGE).digest()
PREHASHED = utils.Prehashed(hashes.SHA256())
ECDSA = ec.ECDSA(PREHASHED)
PEERS = [OURS, rows.CRYPTOGRAPHY]


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


@pytest.mark.parametrize("peer", PEERS)
def test_es256_sign(measure: Measure, peer: str, ec_key: Any) -> None:
    ours = vaultcore.Key.from_pem(pem(ec_key))
    # The peer's signature stays in DER, as it comes; ours is already as JOSE wants it.
    work: Callable[[], bytes] = {
        OURS: lambda: ours.sign("ES256", DIGEST),
        rows.CRYPTOGRAPHY: lambda: ec_key.sign(DIGEST, ECDSA),
    }[peer]
    assert measure(work, row=rows.ES256, peer=peer)


@pytest.mark.parametrize("peer", PEERS)
def test_es256_sign_batch(measure: Measure, peer: str, ec_key: Any) -> None:
    ours = vaultcore.Key.from_pem(pem(ec_key))
    digests = [os.urandom(32) for _ in range(100)]
    work: Callable[[], list[bytes]] = {
        OURS: lambda: ours.sign_many("ES256", digests),
        rows.CRYPTOGRAPHY: lambda: [ec_key.sign(digest, ECDSA) for digest in digests],
    }[peer]
    assert len(measure(work, row=rows.ES256_BATCH, peer=peer, items=100)) == 100


@pytest.mark.parametrize("peer", PEERS)
def test_es256_verify(measure: Measure, peer: str, ec_key: Any) -> None:
    ours, public = vaultcore.Key.from_pem(pem(ec_key)), ec_key.public_key()
    raw, der = ours.sign("ES256", DIGEST), ec_key.sign(DIGEST, ECDSA)
    work: Callable[[], bool] = {
        OURS: lambda: ours.verify("ES256", DIGEST, raw),
        rows.CRYPTOGRAPHY: lambda: public.verify(der, DIGEST, ECDSA) is None,
    }[peer]
    assert measure(work, row=rows.VERIFY_ES256, peer=peer)


@pytest.mark.parametrize("peer", PEERS)
def test_rs256_sign(measure: Measure, peer: str, rsa_key: Any) -> None:
    ours, pad = vaultcore.Key.from_pem(pem(rsa_key)), padding.PKCS1v15()
    work: Callable[[], bytes] = {
        OURS: lambda: ours.sign("RS256", DIGEST),
        rows.CRYPTOGRAPHY: lambda: rsa_key.sign(DIGEST, pad, PREHASHED),
    }[peer]
    assert measure(work, row=rows.RS256, peer=peer) == rsa_key.sign(DIGEST, pad, PREHASHED)


@pytest.mark.parametrize("peer", PEERS)
def test_rs256_verify(measure: Measure, peer: str, rsa_key: Any) -> None:
    ours, pad, public = vaultcore.Key.from_pem(pem(rsa_key)), padding.PKCS1v15(), None
    public = rsa_key.public_key()
    signature = ours.sign("RS256", DIGEST)
    work: Callable[[], bool] = {
        OURS: lambda: ours.verify("RS256", DIGEST, signature),
        rows.CRYPTOGRAPHY: lambda: public.verify(signature, DIGEST, pad, PREHASHED) is None,
    }[peer]
    assert measure(work, row=rows.VERIFY_RS256, peer=peer)


@pytest.mark.parametrize("peer", PEERS)
def test_eddsa_sign(measure: Measure, peer: str) -> None:
    theirs = ed25519.Ed25519PrivateKey.generate()
    ours = vaultcore.Key.from_pem(pem(theirs))
    work: Callable[[], bytes] = {
        OURS: lambda: ours.sign("EdDSA", MESSAGE),
        rows.CRYPTOGRAPHY: lambda: theirs.sign(MESSAGE),
    }[peer]
    assert measure(work, row=rows.EDDSA, peer=peer) == theirs.sign(MESSAGE)


@pytest.mark.parametrize("peer", [OURS, rows.JOSERFC])
@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
def test_jws_sign(measure: Measure, algorithm: str, peer: str, ec_key: Any, rsa_key: Any) -> None:
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
    token = measure(by_hand if peer == OURS else joserfc, row=row, peer=peer)
    assert jws.deserialize_compact(token, theirs, algorithms=[algorithm]).payload == MESSAGE


def _base64(value: bytes) -> bytes:
    return base64.urlsafe_b64encode(value).rstrip(b"=")
