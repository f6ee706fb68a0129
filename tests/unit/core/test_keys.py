"""Keys: interoperation with `cryptography`, and what is refused."""

import base64
import copy
import hashlib
import os
import pickle
import threading
import time
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, hmac, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils, x25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.padding import PKCS7
from hypothesis import given, settings
from hypothesis import strategies as st

from vaultcore._core import Encrypted, Key, KeyEncryptionKey
from vaultcore.errors import AlgorithmError, DecryptionError, KeyFormatError, UsageError

CURVES = {
    "ES256": ("P-256", ec.SECP256R1(), hashes.SHA256()),
    "ES256K": ("P-256K", ec.SECP256K1(), hashes.SHA256()),
    "ES384": ("P-384", ec.SECP384R1(), hashes.SHA384()),
    "ES512": ("P-521", ec.SECP521R1(), hashes.SHA512()),
}
HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
AES_SIZES = [128, 192, 256]


@pytest.fixture(scope="module")
def rsa_key():
    return Key.generate("RSA", exportable=True)


@pytest.fixture(scope="module")
def rsa_peer(rsa_key):
    return serialization.load_pem_private_key(rsa_key.export_private_pem(), None)


def encode(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def number(value, width=None):
    return encode(value.to_bytes(width or (value.bit_length() + 7) // 8, "big"))


def oct_key(raw):
    return Key.from_jwk({"kty": "oct", "k": encode(raw)})


# --- signatures ---


@pytest.mark.parametrize("alg", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"])
def test_rsa_signatures_interoperate(rsa_key, rsa_peer, alg):
    digest_of = HASHES[alg[2:]]
    digest = os.urandom(digest_of.digest_size)
    scheme = (
        padding.PSS(padding.MGF1(digest_of), digest_of.digest_size)
        if alg.startswith("PS")
        else padding.PKCS1v15()
    )
    prehashed = utils.Prehashed(digest_of)
    rsa_peer.public_key().verify(rsa_key.sign(alg, digest), digest, scheme, prehashed)
    theirs = rsa_peer.sign(digest, scheme, prehashed)
    public = Key.from_jwk(rsa_key.public_jwk())
    assert public.verify(alg, digest, theirs)
    assert not public.verify(alg, os.urandom(len(digest)), theirs)


def test_rsnull_is_pkcs1_over_the_callers_digest_info(rsa_key):
    digest = os.urandom(32)
    info = bytes.fromhex("3031300d060960864801650304020105000420") + digest
    assert rsa_key.sign("RSNULL", info) == rsa_key.sign("RS256", digest)
    assert rsa_key.verify("RSNULL", info, rsa_key.sign("RS256", digest))
    for block in (b"", os.urandom(36), info[:-1], info + b"\0"):
        with pytest.raises(AlgorithmError):
            rsa_key.sign("RSNULL", block)


@pytest.mark.parametrize("alg", CURVES)
def test_ecdsa_signatures_interoperate(alg):
    name, curve, digest_of = CURVES[alg]
    peer = ec.generate_private_key(curve)
    pem = peer.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    key = Key.from_pem(pem)
    assert key.curve == name
    width = (curve.key_size + 7) // 8
    digest = os.urandom(digest_of.digest_size)
    scheme = ec.ECDSA(utils.Prehashed(digest_of))
    for _ in range(20):
        ours = key.sign(alg, digest)
        assert len(ours) == 2 * width
        r, s = int.from_bytes(ours[:width]), int.from_bytes(ours[width:])
        peer.public_key().verify(utils.encode_dss_signature(r, s), digest, scheme)
    r, s = utils.decode_dss_signature(peer.sign(digest, scheme))
    theirs = r.to_bytes(width) + s.to_bytes(width)
    public = Key.from_jwk(key.public_jwk())
    assert not public.is_private
    assert public.verify(alg, digest, theirs)
    assert not public.verify(alg, digest, utils.encode_dss_signature(r, s))
    with pytest.raises(UsageError):
        public.sign(alg, digest)


def test_ed25519_interoperates():
    key = Key.generate("OKP", curve="Ed25519", exportable=True)
    peer = serialization.load_pem_private_key(key.export_private_pem(), None)
    assert isinstance(peer, ed25519.Ed25519PrivateKey)
    message = os.urandom(100)
    assert key.sign("EdDSA", message) == peer.sign(message)
    assert Key.from_pem(key.public_pem()).verify("Ed25519", message, peer.sign(message))


def test_x25519_keys_move_in_and_out():
    key = Key.generate("OKP", curve="X25519", exportable=True)
    peer = serialization.load_pem_private_key(key.export_private_pem(), None)
    assert isinstance(peer, x25519.X25519PrivateKey)
    assert encode(peer.public_key().public_bytes_raw()) == key.public_jwk()["x"]
    assert key.algorithms == []
    with pytest.raises(AlgorithmError):
        key.sign("EdDSA", b"")


@pytest.mark.parametrize("bits", ["256", "384", "512"])
def test_hmac_interoperates_and_wants_a_key_as_long_as_the_digest(bits):
    raw = os.urandom(int(bits) // 8)
    message = os.urandom(1000)
    peer = hmac.HMAC(raw, HASHES[bits])
    peer.update(message)
    tag = peer.finalize()
    key = oct_key(raw)
    assert key.sign(f"HS{bits}", message) == tag
    assert key.verify(f"HS{bits}", message, tag)
    assert not key.verify(f"HS{bits}", message, tag[:-1])
    with pytest.raises(AlgorithmError, match="at least"):
        oct_key(raw[1:]).sign(f"HS{bits}", message)


@pytest.mark.parametrize(
    ("kwargs", "alg", "length"),
    [
        ({"kty": "RSA"}, "RS256", 32),
        ({"kty": "RSA"}, "PS512", 64),
        *(
            ({"kty": "EC", "curve": CURVES[alg][0]}, alg, CURVES[alg][2].digest_size)
            for alg in CURVES
        ),
    ],
)
def test_a_digest_has_exactly_the_length_of_the_algorithm(kwargs, alg, length):
    key = Key.generate(**kwargs)
    for wrong in (0, length - 1, length + 1, 1000):
        with pytest.raises(AlgorithmError, match=f"digest of {length} bytes"):
            key.sign(alg, bytes(wrong))
        with pytest.raises(AlgorithmError):
            key.verify(alg, bytes(wrong), b"")


def test_a_signature_verifies_only_as_it_was_made():
    key = Key.generate("EC")
    digest = os.urandom(32)
    signature = key.sign("ES256", digest)
    for byte in range(len(signature)):
        for bit in range(8):
            changed = bytearray(signature)
            changed[byte] ^= 1 << bit
            assert not key.verify("ES256", digest, bytes(changed))
    for size in (0, 1, 63, 65, 128):
        assert not key.verify("ES256", digest, (signature * 2)[:size])
    assert not Key.generate("EC").verify("ES256", digest, signature)


# --- encryption ---


@pytest.mark.parametrize(
    ("alg", "digest_of"),
    [
        ("RSA-OAEP", hashes.SHA1()),  # noqa: S303 - RFC 7518 section 4.3 has it so
        ("RSA-OAEP-256", hashes.SHA256()),
    ],
)
def test_oaep_interoperates(rsa_key, rsa_peer, alg, digest_of):
    scheme = padding.OAEP(padding.MGF1(digest_of), digest_of, None)
    public = Key.from_pem(rsa_key.public_pem())
    most = 256 - 2 * digest_of.digest_size - 2
    for size in (0, 1, 32, most):
        plaintext = os.urandom(size)
        encrypted = public.encrypt(alg, plaintext)
        assert (encrypted.nonce, encrypted.tag) == (None, None)
        assert rsa_peer.decrypt(encrypted.ciphertext, scheme) == plaintext
        assert rsa_key.decrypt(alg, rsa_peer.public_key().encrypt(plaintext, scheme)) == plaintext
        assert rsa_key.unwrap_key(alg, public.wrap_key(alg, plaintext)) == plaintext
    with pytest.raises(AlgorithmError, match=f"at most {most} bytes"):
        public.encrypt(alg, bytes(most + 1))
    with pytest.raises(UsageError):
        public.decrypt(alg, bytes(256))


def test_rsa1_5_encrypts_and_does_not_decrypt(rsa_key, rsa_peer):
    for plaintext in (b"", os.urandom(32), os.urandom(245)):
        ciphertext = rsa_key.encrypt("RSA1_5", plaintext).ciphertext
        assert rsa_peer.decrypt(ciphertext, padding.PKCS1v15()) == plaintext
        with pytest.raises(AlgorithmError, match="padding oracle"):
            rsa_key.decrypt("RSA1_5", ciphertext)
        with pytest.raises(AlgorithmError, match="padding oracle"):
            rsa_key.unwrap_key("RSA1_5", ciphertext)
    with pytest.raises(AlgorithmError, match="at most 245"):
        rsa_key.encrypt("RSA1_5", bytes(246))


@pytest.mark.parametrize("bits", AES_SIZES)
def test_gcm_interoperates_and_makes_its_own_nonce(bits):
    raw = os.urandom(bits // 8)
    key, peer = oct_key(raw), AESGCM(raw)
    alg = f"A{bits}GCM"
    for plaintext, bound in ((b"", b""), (b"x", b"y"), (os.urandom(100_000), os.urandom(33))):
        one = key.encrypt(alg, plaintext, associated_data=bound)
        assert (len(one.nonce), len(one.tag), one.associated_data) == (12, 16, bound)
        assert peer.decrypt(one.nonce, one.ciphertext + one.tag, bound) == plaintext
        nonce = os.urandom(12)
        theirs = peer.encrypt(nonce, plaintext, bound)
        opened = key.decrypt(
            alg, theirs[:-16], nonce=nonce, tag=theirs[-16:], associated_data=bound
        )
        assert opened == plaintext
    with pytest.raises(AlgorithmError, match="creates its nonce itself"):
        key.encrypt(alg, b"", nonce=bytes(12))
    nonces = {one.nonce for one in key.encrypt_many(alg, [b""] * 1000)}
    assert len(nonces) == 1000


def test_every_changed_bit_of_a_gcm_message_is_found():
    key = Key.generate("oct")
    one = key.encrypt("A256GCM", b"sixteen bytes...", associated_data=b"bound")
    parts: dict[str, Any] = {
        "ciphertext": one.ciphertext,
        "nonce": one.nonce,
        "tag": one.tag,
        "associated_data": one.associated_data,
    }
    messages = set()
    for name, value in parts.items():
        for bit in range(8 * len(value)):
            changed = bytearray(value)
            changed[bit // 8] ^= 1 << bit % 8
            with pytest.raises(DecryptionError) as failure:
                key.decrypt("A256GCM", **(parts | {name: bytes(changed)}))
            messages.add(str(failure.value))
    for size in range(16):
        with pytest.raises(DecryptionError):
            key.decrypt("A256GCM", **(parts | {"tag": parts["tag"][:size]}))
    assert len(messages) == 1
    for missing in ("nonce", "tag"):
        with pytest.raises(AlgorithmError):
            key.decrypt("A256GCM", **(parts | {missing: None}))


@pytest.mark.parametrize("bits", AES_SIZES)
def test_cbc_interoperates_and_wants_the_callers_nonce(bits):
    raw, nonce = os.urandom(bits // 8), os.urandom(16)
    key = oct_key(raw)
    cipher = Cipher(algorithms.AES(raw), modes.CBC(nonce))
    for size in (0, 1, 15, 16, 17, 1000):
        plaintext = os.urandom(size)
        padder, encryptor = PKCS7(128).padder(), cipher.encryptor()
        padded = padder.update(plaintext) + padder.finalize()
        expected = encryptor.update(padded) + encryptor.finalize()
        one = key.encrypt(f"A{bits}CBCPAD", plaintext, nonce=nonce)
        assert (one.ciphertext, one.nonce, one.tag) == (expected, nonce, None)
        assert key.decrypt(f"A{bits}CBCPAD", expected, nonce=nonce) == plaintext
        assert key.encrypt(f"A{bits}CBC", padded, nonce=nonce).ciphertext == expected
        assert key.decrypt(f"A{bits}CBC", expected, nonce=nonce) == padded
    with pytest.raises(AlgorithmError, match="whole blocks"):
        key.encrypt(f"A{bits}CBC", b"x", nonce=nonce)
    for wrong in (None, b"", bytes(12), bytes(17)):
        with pytest.raises(AlgorithmError, match="nonce of 16 bytes"):
            key.encrypt(f"A{bits}CBCPAD", b"x", nonce=wrong)
    with pytest.raises(AlgorithmError, match="authenticates nothing"):
        key.encrypt(f"A{bits}CBCPAD", b"x", nonce=nonce, associated_data=b"x")


def test_every_way_cbc_decryption_fails_is_the_same_error():
    key, nonce = Key.generate("oct"), os.urandom(16)
    messages = set()
    ciphertexts = [b"", b"x", bytes(15), bytes(17)]
    ciphertexts += [
        key.encrypt("A256CBC", bytes(15) + bytes([last]), nonce=nonce).ciphertext
        for last in (0, 2, 16, 17, 255)
    ]
    for ciphertext in ciphertexts:
        with pytest.raises(DecryptionError) as failure:
            key.decrypt("A256CBCPAD", ciphertext, nonce=nonce)
        messages.add(str(failure.value))
        assert failure.value.__cause__ is None
    assert len(messages) == 1


# --- key wrap ---


@pytest.mark.parametrize("bits", AES_SIZES)
def test_key_wrap_interoperates(bits):
    raw = os.urandom(bits // 8)
    kek = oct_key(raw)
    for size in (16, 24, 32, 64, 1024):
        key = os.urandom(size)
        wrapped = keywrap.aes_key_wrap(raw, key)
        for alg in (f"A{bits}KW", "CKM_AES_KEY_WRAP"):
            assert kek.wrap_key(alg, key) == wrapped
            assert kek.unwrap_key(alg, wrapped) == key
    for size in (1, 7, 8, 9, 16, 20, 31, 1001):
        key = os.urandom(size)
        wrapped = keywrap.aes_key_wrap_with_padding(raw, key)
        for alg in (f"A{bits}KWPAD", "CKM_AES_KEY_WRAP_PAD"):
            assert kek.wrap_key(alg, key) == wrapped
            assert kek.unwrap_key(alg, wrapped) == key
    for size in (0, 8, 17):
        with pytest.raises(AlgorithmError):
            kek.wrap_key(f"A{bits}KW", bytes(size))
    with pytest.raises(AlgorithmError):
        kek.wrap_key(f"A{bits}KWPAD", b"")


@pytest.mark.parametrize("bits", AES_SIZES)
@pytest.mark.parametrize("suffix", ["KW", "KWPAD"])
def test_every_changed_bit_of_a_wrapped_key_is_found(bits, suffix):
    kek, alg = Key.generate("oct", size=bits), f"A{bits}{suffix}"
    wrapped = kek.wrap_key(alg, os.urandom(32))
    for bit in range(8 * len(wrapped)):
        changed = bytearray(wrapped)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DecryptionError):
            kek.unwrap_key(alg, bytes(changed))
    for size in range(len(wrapped)):
        with pytest.raises(DecryptionError):
            kek.unwrap_key(alg, wrapped[:size])


def test_an_algorithm_fits_the_size_of_the_key():
    for bits in AES_SIZES:
        key = Key.generate("oct", size=bits)
        assert f"A{bits}GCM" in key.algorithms
        for other in set(AES_SIZES) - {bits}:
            with pytest.raises(AlgorithmError, match=f"key of {bits} bits"):
                key.encrypt(f"A{other}GCM", b"")
            with pytest.raises(AlgorithmError, match=f"key of {bits} bits"):
                key.wrap_key(f"A{other}KW", bytes(16))


def test_no_algorithm_does_what_it_is_not_for(rsa_key):
    keys = [rsa_key, Key.generate("EC"), Key.generate("OKP"), Key.generate("oct")]
    for key in keys:
        for alg in ("none", "", "rs256", "RS1", "dir", "x" * 1000, "`\n"):
            with pytest.raises(AlgorithmError, match="there is no algorithm") as failure:
                key.sign(alg, bytes(32))
            assert len(str(failure.value)) < 80
            assert str(failure.value).isprintable()
    for key, alg in zip(keys, ("ES256", "RS256", "ES256", "EdDSA"), strict=True):
        with pytest.raises(AlgorithmError):
            key.sign(alg, bytes(32))
        with pytest.raises(AlgorithmError):
            key.encrypt(alg, bytes(32))
        with pytest.raises(AlgorithmError):
            key.wrap_key(alg, bytes(32))


# --- batches, threads ---


def test_batches_do_what_single_calls_do(rsa_key):
    digests = [os.urandom(32) for _ in range(10)]
    signatures = rsa_key.sign_many("RS256", digests)
    assert signatures == [rsa_key.sign("RS256", digest) for digest in digests]
    pairs = list(zip(digests, signatures, strict=True))
    pairs[3] = (digests[3], signatures[4])
    assert rsa_key.verify_many("RS256", pairs) == [place != 3 for place in range(10)]
    wrapped = rsa_key.wrap_key_many("RSA-OAEP-256", digests)
    assert rsa_key.unwrap_key_many("RSA-OAEP-256", wrapped) == digests
    key = Key.generate("oct")
    sealed = key.encrypt_many("A256GCM", digests, associated_data=b"x")
    assert key.decrypt_many("A256GCM", sealed) == digests
    one = sealed[0]
    with pytest.raises(DecryptionError):
        key.decrypt_many("A256GCM", [*sealed, Encrypted(one.ciphertext, one.nonce, one.tag)])
    assert rsa_key.sign_many("RS256", []) == []
    with pytest.raises(AlgorithmError):
        rsa_key.sign_many("RS256", [bytes(32), bytes(31)])


def test_other_threads_run_while_a_batch_is_signed(rsa_key):
    ticks = []
    done = threading.Event()

    def tick():
        while not done.wait(0.0005):
            ticks.append(time.perf_counter())

    ticker = threading.Thread(target=tick)
    ticker.start()
    start = time.perf_counter()
    rsa_key.sign_many("RS256", [bytes(32)] * 300)
    end = time.perf_counter()
    done.set()
    ticker.join()
    during = [at for at in ticks if start < at < end]
    # With the lock held there would be none.
    assert len(during) > 5


def test_threads_share_a_key(rsa_key):
    key = Key.generate("EC")
    failures = []

    def work():
        for _ in range(30):
            digest = os.urandom(32)
            good = (
                key.verify("ES256", digest, key.sign("ES256", digest))
                and rsa_key.verify("PS256", digest, rsa_key.sign("PS256", digest))
                and rsa_key.decrypt("RSA-OAEP", rsa_key.wrap_key("RSA-OAEP", digest)) == digest
            )
            if not good:
                failures.append(digest)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


# --- sealing, exporting ---

EVERY_KEY = [
    {"kty": "RSA", "size": 2048},
    *({"kty": "EC", "curve": CURVES[alg][0]} for alg in CURVES),
    {"kty": "OKP", "curve": "Ed25519"},
    {"kty": "OKP", "curve": "X25519"},
    {"kty": "oct", "size": 128},
    {"kty": "oct", "size": 512},
]


@pytest.mark.parametrize(
    "kwargs", EVERY_KEY, ids=lambda kwargs: "-".join(map(str, kwargs.values()))
)
def test_a_sealed_key_opens_as_the_same_key(kwargs):
    kek = KeyEncryptionKey.generate()
    key = Key.generate(**kwargs, exportable=True)
    blob = key.seal(kek, {"name": "k"})
    opened = Key.open(kek, blob, {"name": "k"})
    assert opened.export_private_jwk() == key.export_private_jwk()
    assert (opened.exportable, opened.is_private) == (True, True)
    assert not Key.open(kek, Key.generate(**kwargs).seal(kek)).exportable
    for bad_kek, bad_context in (
        (kek, {"name": "l"}),
        (KeyEncryptionKey.generate(), {"name": "k"}),
    ):
        with pytest.raises(DecryptionError):
            Key.open(bad_kek, blob, bad_context)
    with pytest.raises(DecryptionError):
        kek.open(blob, context={"name": "k"})  # else Python would see the private key
    with pytest.raises(DecryptionError):
        Key.open(kek, kek.seal(b"not a key", context={"name": "k"}), {"name": "k"})


def test_a_public_key_is_not_sealed():
    public = Key.from_jwk(Key.generate("EC").public_jwk())
    with pytest.raises(UsageError):
        public.seal(KeyEncryptionKey.generate())


@pytest.mark.parametrize(
    "kwargs", EVERY_KEY, ids=lambda kwargs: "-".join(map(str, kwargs.values()))
)
def test_the_private_part_leaves_only_if_it_may(kwargs):
    key = Key.generate(**kwargs)
    if key.kty == "oct":
        assert decode(key.export_private_jwk()["k"])
        assert key.public_jwk() == {"kty": "oct"}
        for refused in (key.export_private_pem, key.public_pem, key.thumbprint):
            with pytest.raises(UsageError):
                refused()
        return
    for kept in (key.export_private_jwk, key.export_private_pem):
        with pytest.raises(UsageError, match="not exportable"):
            kept()
    key = Key.generate(**kwargs, exportable=True)
    jwk = key.export_private_jwk()
    assert Key.from_jwk(jwk, exportable=True).export_private_jwk() == jwk
    assert Key.from_pem(key.export_private_pem()).public_jwk() == key.public_jwk()
    public = Key.from_jwk(key.public_jwk(), exportable=True)
    with pytest.raises(UsageError):
        public.export_private_jwk()


def test_nothing_of_a_key_shows_and_nothing_copies_it(rsa_key):
    for key in (rsa_key, Key.generate("EC", exportable=True), Key.generate("oct")):
        for secret in ("d", "k"):
            value = key.export_private_jwk().get(secret)
            assert value is None or value not in repr(key) + str(key)
        for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError, match="cannot be pickled or copied"):
                attempt(key)
        with pytest.raises(AttributeError):
            key.kty = "EC"  # type: ignore[misc]
        assert not hasattr(key, "__dict__")


def test_thumbprint_is_that_of_the_public_jwk():
    key = Key.generate("EC", curve="P-256K")
    jwk = key.public_jwk()
    text = f'{{"crv":"{jwk["crv"]}","kty":"EC","x":"{jwk["x"]}","y":"{jwk["y"]}"}}'
    assert key.thumbprint() == encode(hashlib.sha256(text.encode()).digest())
    # RFC 8812 has another name for the same curve.
    assert Key.from_jwk(jwk | {"crv": "secp256k1"}).public_jwk() == jwk


@settings(max_examples=30, deadline=None)
@given(st.integers(min_value=1, max_value=2**64))
def test_coordinates_have_full_width_even_when_they_are_small(scalar):
    for name, curve, _ in CURVES.values():
        peer = ec.derive_private_key(scalar, curve).public_key()
        numbers = peer.public_numbers()
        width = (curve.key_size + 7) // 8
        jwk = Key.from_pem(
            peer.public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        ).public_jwk()
        assert jwk == {
            "kty": "EC",
            "crv": name,
            "x": number(numbers.x, width),
            "y": number(numbers.y, width),
        }


def test_sizes_and_curves_are_the_documented_ones():
    assert Key.generate("RSA").size == 2048
    assert Key.generate("EC", curve="P-521").size == 521
    wrong: list[tuple[dict[str, Any], type[Exception]]] = [
        ({"kty": "RSA", "size": 1024}, UsageError),
        ({"kty": "RSA", "size": 2049}, UsageError),
        ({"kty": "RSA", "size": 8192}, UsageError),
        ({"kty": "RSA", "curve": "P-256"}, UsageError),
        ({"kty": "EC", "size": 256}, UsageError),
        ({"kty": "EC", "curve": "P-192"}, KeyFormatError),
        ({"kty": "EC", "curve": "Ed25519"}, KeyFormatError),
        ({"kty": "oct", "size": 64}, UsageError),
        ({"kty": "oct", "size": 129}, UsageError),
        ({"kty": "oct", "size": 1024}, UsageError),
        ({"kty": "DSA"}, KeyFormatError),
        ({"kty": "rsa"}, KeyFormatError),
    ]
    for kwargs, error in wrong:
        with pytest.raises(error):
            Key.generate(**kwargs)


def test_wrong_signature_of_a_peer_fails_there_too(rsa_key, rsa_peer):
    signature = bytearray(rsa_key.sign("RS256", bytes(32)))
    signature[-1] ^= 1
    with pytest.raises(InvalidSignature):
        rsa_peer.public_key().verify(
            bytes(signature), bytes(32), padding.PKCS1v15(), utils.Prehashed(hashes.SHA256())
        )
    assert not rsa_key.verify("RS256", bytes(32), bytes(signature))


def test_generated_rsa_keys_have_the_usual_exponent(rsa_peer):
    assert isinstance(rsa_peer, rsa.RSAPrivateKey)
    assert rsa_peer.public_key().public_numbers().e == 65537
