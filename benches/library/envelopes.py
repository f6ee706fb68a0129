"""Envelope encryption as others do it: a fresh data key for every message, wrapped under one KEK.

All of them keep the key-encryption key in this process. They differ in what they give: only
vaultcore, the second form by hand and aws-encryption-sdk bind an envelope to one key.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import TYPE_CHECKING, Protocol

import aws_encryption_sdk
import tink
from aws_encryption_sdk.identifiers import EncryptionKeyType, WrappingAlgorithm
from aws_encryption_sdk.internal.crypto.wrapping_keys import WrappingKey
from aws_encryption_sdk.key_providers.raw import RawMasterKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from tink import aead

import vaultcore

if TYPE_CHECKING:
    from collections.abc import Callable

OURS = "vaultcore"
BY_HAND = "cryptography, by hand"
COMMITTING = "cryptography, by hand, with commitment"
TINK = "Tink"
AWS = "aws-encryption-sdk"

_NONCE, _KEY, _TAG = 12, 32, 16
_CONTEXT = {"table": "orders"}
_LABEL = b"benches/commitment"


class Envelope(Protocol):
    """What seals and opens one message."""

    def seal(self, plaintext: bytes) -> bytes:
        """Encrypts under a fresh data key."""

    def open(self, blob: bytes) -> bytes:
        """Decrypts."""


class Vaultcore:
    """The envelope of this project, suite 1."""

    def __init__(self) -> None:
        self.kek = vaultcore.KeyEncryptionKey.generate()
        self.context = vaultcore.Context(_CONTEXT)

    def seal(self, plaintext: bytes) -> bytes:
        return self.kek.seal(plaintext, context=self.context)

    def open(self, blob: bytes) -> bytes:
        return self.kek.open(blob, context=self.context)


class ByHand:
    """What somebody writes with ``cryptography``: AES-256-GCM under AES-256-GCM."""

    _associated = b"table=orders"

    def __init__(self) -> None:
        self._kek = AESGCM(os.urandom(_KEY))

    def seal(self, plaintext: bytes) -> bytes:
        data_key, nonces = os.urandom(_KEY), os.urandom(2 * _NONCE)
        wrapped = self._kek.encrypt(nonces[:_NONCE], data_key, self._associated)
        sealed = AESGCM(data_key).encrypt(nonces[_NONCE:], plaintext, self._associated)
        return nonces + wrapped + sealed

    def open(self, blob: bytes) -> bytes:
        body = 2 * _NONCE + _KEY + _TAG
        data_key = self._kek.decrypt(blob[:_NONCE], blob[2 * _NONCE : body], self._associated)
        return AESGCM(data_key).decrypt(blob[_NONCE : 2 * _NONCE], blob[body:], self._associated)


class Committing(ByHand):
    """The same with a commitment to key, context and tag, as the envelope of this project has."""

    def seal(self, plaintext: bytes) -> bytes:
        data_key, nonces = os.urandom(_KEY), os.urandom(2 * _NONCE)
        wrapped = self._kek.encrypt(nonces[:_NONCE], data_key, self._associated)
        sealed = AESGCM(data_key).encrypt(nonces[_NONCE:], plaintext, self._associated)
        return nonces + wrapped + self._commitment(data_key, nonces, sealed) + sealed

    def open(self, blob: bytes) -> bytes:
        nonces, end = blob[: 2 * _NONCE], 2 * _NONCE + _KEY + _TAG
        data_key = self._kek.decrypt(nonces[:_NONCE], blob[2 * _NONCE : end], self._associated)
        commitment, sealed = blob[end : end + 32], blob[end + 32 :]
        if not hmac.compare_digest(commitment, self._commitment(data_key, nonces, sealed)):
            raise ValueError("the commitment is wrong")
        return AESGCM(data_key).decrypt(nonces[_NONCE:], sealed, self._associated)

    def _commitment(self, data_key: bytes, nonces: bytes, sealed: bytes) -> bytes:
        parts = (_LABEL, data_key, nonces, sealed[-_TAG:], self._associated)
        return hashlib.sha256(b"".join(parts)).digest()


class Tink:
    """``KmsEnvelopeAead``, with a keyset of this process in the place of the service."""

    def __init__(self) -> None:
        aead.register()
        template = aead.aead_key_templates.AES256_GCM
        remote = tink.new_keyset_handle(template).primitive(aead.Aead)
        self._envelope = aead.KmsEnvelopeAead(template, remote)

    def seal(self, plaintext: bytes) -> bytes:
        return self._envelope.encrypt(plaintext, b"table=orders")

    def open(self, blob: bytes) -> bytes:
        return self._envelope.decrypt(blob, b"table=orders")


class Aws:
    """Its default suite, which also signs, with a raw AES master key.

    The raw AES keyring of the newer material providers takes several times as long.
    """

    def __init__(self) -> None:
        self._client = aws_encryption_sdk.EncryptionSDKClient()
        self._key = RawMasterKey(
            provider_id="benches",
            key_id=b"kek",
            wrapping_key=WrappingKey(
                wrapping_algorithm=WrappingAlgorithm.AES_256_GCM_IV12_TAG16_NO_PADDING,
                wrapping_key=os.urandom(_KEY),
                wrapping_key_type=EncryptionKeyType.SYMMETRIC,
            ),
        )

    def seal(self, plaintext: bytes) -> bytes:
        blob, _ = self._client.encrypt(
            source=plaintext, key_provider=self._key, encryption_context=_CONTEXT
        )
        return bytes(blob)

    def open(self, blob: bytes) -> bytes:
        plaintext, _ = self._client.decrypt(source=blob, key_provider=self._key)
        return bytes(plaintext)


ENVELOPES: dict[str, Callable[[], Envelope]] = {
    OURS: Vaultcore,
    BY_HAND: ByHand,
    COMMITTING: Committing,
    TINK: Tink,
    AWS: Aws,
}
