"""ML-DSA, and ML-KEM-768 with X25519: interoperation with `cryptography`, and what is refused."""

import base64
import hashlib
import os

import pytest
from cryptography.hazmat.primitives import keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import mldsa, mlkem, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PrivateFormat, PublicFormat

from vaultcore._core import Key, KeyEncryptionKey
from vaultcore.errors import AlgorithmError, DecryptionError, KeyFormatError, UsageError

HYBRID = "MLKEM768-X25519+A256KWPAD"
PEERS: dict[
    str, type[mldsa.MLDSA44PrivateKey | mldsa.MLDSA65PrivateKey | mldsa.MLDSA87PrivateKey]
] = {
    "ML-DSA-44": mldsa.MLDSA44PrivateKey,
    "ML-DSA-65": mldsa.MLDSA65PrivateKey,
    "ML-DSA-87": mldsa.MLDSA87PrivateKey,
}


def encode(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def combine(kem, agreed, ephemeral, public):
    """The combiner of X-Wing, written a second time."""
    return hashlib.sha3_256(kem + agreed + ephemeral + public + b"\\.//^\\").digest()


@pytest.mark.parametrize("alg", PEERS)
def test_ml_dsa_interoperates(alg):
    peer = PEERS[alg].generate()
    private = {"kty": "AKP", "alg": alg, "pub": encode(peer.public_key().public_bytes_raw())}
    private["priv"] = encode(peer.private_bytes_raw())
    key = Key.from_jwk(private, exportable=True)
    assert (key.kty, key.algorithms, key.curve) == ("AKP", [alg], None)
    assert key.export_private_jwk() == private
    message = os.urandom(300)
    signature = key.sign(alg, message)
    peer.public_key().verify(signature, message)
    assert key.sign(alg, message) != signature  # hedged
    public = Key.from_jwk(key.public_jwk())
    assert public.verify(alg, message, peer.sign(message))
    assert not public.verify(alg, message, peer.sign(message, b"a context"))
    assert not public.verify(alg, message + b"x", signature)
    with pytest.raises(UsageError):
        public.sign(alg, message)
    other = next(name for name in PEERS if name != alg)
    with pytest.raises(AlgorithmError):
        key.sign(other, message)
    text = f'{{"alg":"{alg}","kty":"AKP","pub":"{private["pub"]}"}}'
    assert key.thumbprint() == encode(hashlib.sha256(text.encode()).digest())


@pytest.mark.parametrize("alg", PEERS)
def test_ml_dsa_keys_move_in_and_out(alg):
    key = Key.generate("AKP", alg=alg, exportable=True)
    peer = serialization.load_pem_private_key(key.export_private_pem(), None)
    assert isinstance(peer, PEERS[alg])
    assert encode(peer.private_bytes_raw()) == key.export_private_jwk()["priv"]
    der = peer.private_bytes(Encoding.DER, PrivateFormat.PKCS8, serialization.NoEncryption())
    assert Key.from_der(der).public_jwk() == key.public_jwk()
    public = peer.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert key.public_pem() == public
    assert Key.from_pem(public).public_jwk() == key.public_jwk()
    kek = KeyEncryptionKey.generate()
    assert Key.open(kek, key.seal(kek)).export_private_jwk() == key.export_private_jwk()


def test_ml_dsa_members_must_fit():
    jwk = Key.generate("AKP", alg="ML-DSA-44", exportable=True).export_private_jwk()
    other = Key.generate("AKP", alg="ML-DSA-44").public_jwk()["pub"]
    for changed, reason in [
        ({"pub": other}, "does not fit"),
        ({"alg": "ML-DSA-65"}, "does not fit"),
        ({"alg": "ML-DSA-45"}, "no algorithm `ML-DSA-45` for AKP keys"),
        ({"priv": encode(bytes(31))}, "seed of 32 bytes"),
        ({"priv": encode(bytes(2560))}, "seed of 32 bytes"),
        ({"x": other}, "`x` does not belong"),
    ]:
        with pytest.raises(KeyFormatError, match=reason):
            Key.from_jwk(jwk | changed)
    public = {name: value for name, value in jwk.items() if name != "priv"}
    for size in (0, 1311, 1313, 1952):
        with pytest.raises(KeyFormatError, match="must have 1312 bytes"):
            Key.from_jwk(public | {"pub": encode(bytes(size))})
    with pytest.raises(KeyFormatError, match="no member `alg`"):
        Key.from_jwk({name: value for name, value in public.items() if name != "alg"})


def test_the_hybrid_wrap_interoperates_with_x_wing_in_both_directions():
    secret = os.urandom(32)
    # They wrap, we unwrap.
    key = Key.generate("AKP", alg=HYBRID)
    raw = decode(key.public_jwk()["pub"])
    assert len(raw) == 1184 + 32
    kem_secret, kem_ciphertext = mlkem.MLKEM768PublicKey.from_public_bytes(raw[:1184]).encapsulate()
    ephemeral = x25519.X25519PrivateKey.generate()
    agreed = ephemeral.exchange(x25519.X25519PublicKey.from_public_bytes(raw[1184:]))
    sent = ephemeral.public_key().public_bytes_raw()
    kek = combine(kem_secret, agreed, sent, raw[1184:])
    wrapped = kem_ciphertext + sent + keywrap.aes_key_wrap_with_padding(kek, secret)
    assert key.unwrap_key(HYBRID, wrapped) == secret
    # We wrap, they unwrap.
    kem, agreeing = mlkem.MLKEM768PrivateKey.generate(), x25519.X25519PrivateKey.generate()
    own = agreeing.public_key().public_bytes_raw()
    public = Key.from_jwk(
        {"kty": "AKP", "alg": HYBRID, "pub": encode(kem.public_key().public_bytes_raw() + own)}
    )
    wrapped = public.wrap_key(HYBRID, secret)
    kem_ciphertext, sent, body = wrapped[:1088], wrapped[1088:1120], wrapped[1120:]
    agreed = agreeing.exchange(x25519.X25519PublicKey.from_public_bytes(sent))
    kek = combine(kem.decapsulate(kem_ciphertext), agreed, sent, own)
    assert keywrap.aes_key_unwrap_with_padding(kek, body) == secret
    assert public.wrap_key(HYBRID, secret) != wrapped
    with pytest.raises(UsageError):
        public.unwrap_key(HYBRID, wrapped)


def test_every_changed_byte_of_a_hybrid_wrap_is_found():
    key = Key.generate("AKP", alg=HYBRID)
    wrapped = key.wrap_key(HYBRID, os.urandom(32))
    for place in range(0, len(wrapped), 3):
        changed = bytearray(wrapped)
        changed[place] ^= 1 << place % 7
        with pytest.raises(DecryptionError):
            key.unwrap_key(HYBRID, bytes(changed))
    for size in (0, 1, 1087, 1088, 1119, 1120, 1128, len(wrapped) - 8, len(wrapped) - 1):
        with pytest.raises(DecryptionError):
            key.unwrap_key(HYBRID, wrapped[:size])
    zero = wrapped[:1088] + bytes(32) + wrapped[1120:]  # a point of small order
    with pytest.raises(DecryptionError):
        key.unwrap_key(HYBRID, zero)
    with pytest.raises(DecryptionError):
        Key.generate("AKP", alg=HYBRID).unwrap_key(HYBRID, wrapped)


def test_a_hybrid_key_is_kept_sealed():
    kek = KeyEncryptionKey.generate()
    key = Key.generate("AKP", alg=HYBRID, exportable=True)
    opened = Key.open(kek, key.seal(kek, {"a": 1}), {"a": 1})
    assert opened.public_jwk() == key.public_jwk()
    assert opened.unwrap_key(HYBRID, key.wrap_key(HYBRID, b"secret")) == b"secret"
    for refused in (key.export_private_jwk, key.export_private_pem, key.public_pem):
        with pytest.raises(UsageError):
            refused()
    with pytest.raises(KeyFormatError, match="no JWK form"):
        Key.from_jwk(key.public_jwk() | {"priv": "AAAA"})
    for size in (0, 1184, 1215, 1217):
        with pytest.raises(KeyFormatError, match="1216 bytes"):
            Key.from_jwk({"kty": "AKP", "alg": HYBRID, "pub": encode(bytes(size))})
    # FIPS 203 section 7.2: each coefficient is below the modulus. And a point of small order.
    good = decode(key.public_jwk()["pub"])
    for wrong in (b"\xff" * 1152 + good[1152:], good[:1184] + bytes(32)):
        with pytest.raises(KeyFormatError, match="not valid"):
            Key.from_jwk({"kty": "AKP", "alg": HYBRID, "pub": encode(wrong)})


def test_a_key_is_made_by_one_thing_only():
    for kwargs in (
        {"kty": "AKP", "size": 65},
        {"kty": "AKP", "curve": "P-256"},
        {"kty": "EC", "alg": "ES256"},
        {"kty": "EC", "curve": "P-256", "alg": "ES256"},
    ):
        with pytest.raises(UsageError):
            Key.generate(**kwargs)
