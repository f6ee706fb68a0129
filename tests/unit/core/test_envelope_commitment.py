"""One ciphertext, one key: ciphertexts made to open under two."""

import hashlib

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from reference import collision
from reference import envelope as reference
from vaultcore._core import KeyEncryptionKey
from vaultcore.errors import DecryptionError

COLLISIONS = 60


@pytest.mark.parametrize("suite", [1, 2])
def test_a_ciphertext_for_two_keys_opens_under_one(suite: int) -> None:
    raw, kek_id = b"k" * 32, bytes(16)
    kek = reference.Kek(kek_id, suite, {1: raw})
    ours = KeyEncryptionKey.danger_from_bytes(raw, id=kek_id.hex(), suite=suite)
    header, context = kek.header(reference.MESSAGE, 1), reference.encode_context({})
    for number in range(COLLISIONS):
        seed = hashlib.sha256(b"%d" % number).digest()
        one = reference.Randomness(seed, seed[:12], seed[12:24])
        other = reference.Randomness(seed[::-1], seed[:12], seed[12:24])
        associated_data = header[:22] + context
        body = collision.craft(
            one.data_key, other.data_key, one.payload_nonce, associated_data, seed
        )
        plaintexts = [
            AESGCM(random.data_key).decrypt(one.payload_nonce, body, associated_data)
            for random in (one, other)
        ]
        assert plaintexts[0] != plaintexts[1]  # the collision is real: plain GCM opens it twice

        commits = reference.commitment(
            one.data_key, one.payload_nonce, body[-16:], header[:22], context
        )
        rest = one.payload_nonce + commits + body
        assert ours.open(header + kek.wrap(header, one) + rest) == plaintexts[0]
        with pytest.raises(DecryptionError):
            ours.open(header + kek.wrap(header, other) + rest)
