import base64
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from unit.protectors.pkcs11.jwks import CURVES, OWN_CURVES, WIDTHS, decode, private_jwk
from vaultcore.errors import (
    AlgorithmError,
    DecryptionError,
    KeyFormatError,
    ProtectorError,
    UsageError,
)
from vaultcore.protectors.hsm import HsmKey
from vaultcore.protectors.pkcs11 import softhsm
from vaultcore.protectors.pkcs11.hsm_keys import HsmKeys
from vaultcore.protectors.pkcs11.softhsm import SoftToken
from vaultcore.protectors.pkcs11.token import Token

HASHES: dict[str, hashes.HashAlgorithm] = {
    "256": hashes.SHA256(),
    "384": hashes.SHA384(),
    "512": hashes.SHA512(),
}
SHA1 = hashes.SHA1()  # noqa: S303 -- RSA-OAEP of JOSE is defined with it
OAEP = padding.OAEP(padding.MGF1(SHA1), SHA1, None)


@pytest.fixture(scope="module")
def keys(token: Token) -> HsmKeys:
    return HsmKeys(token)


@pytest.fixture(scope="module")
def rsa_key(keys: HsmKeys) -> HsmKey:
    return keys.generate("RSA", label="rsa")


@pytest.fixture(scope="module")
def ec_key(keys: HsmKeys) -> HsmKey:
    return keys.generate("EC", label="ec")


def rsa_public(jwk: dict[str, str]) -> rsa.RSAPublicKey:
    key = RSAAlgorithm.from_jwk(jwk)
    assert isinstance(key, rsa.RSAPublicKey)
    return key


def ec_public(jwk: dict[str, str]) -> ec.EllipticCurvePublicKey:
    point = b"\x04" + decode(jwk["x"]) + decode(jwk["y"])
    return ec.EllipticCurvePublicKey.from_encoded_point(OWN_CURVES[jwk["crv"]], point)


def verify_ec(jwk: dict[str, str], digest: bytes, signature: bytes) -> None:
    width = WIDTHS[jwk["crv"]]
    assert len(signature) == 2 * width
    r, s = (int.from_bytes(half, "big") for half in (signature[:width], signature[width:]))
    hashed = utils.Prehashed(HASHES[str(8 * len(digest))])
    ec_public(jwk).verify(utils.encode_dss_signature(r, s), digest, ec.ECDSA(hashed))


def verify_rsa(jwk: dict[str, str], algorithm: str, digest: bytes, signature: bytes) -> None:
    kind = HASHES[algorithm[2:]]
    scheme: padding.AsymmetricPadding = padding.PKCS1v15()
    if algorithm.startswith("PS"):
        scheme = padding.PSS(padding.MGF1(kind), salt_length=kind.digest_size)
    rsa_public(jwk).verify(signature, digest, scheme, utils.Prehashed(kind))


def digest_for(algorithm: str) -> bytes:
    return hashlib.new(f"sha{algorithm[2:5]}", os.urandom(20)).digest()


@pytest.mark.parametrize("curve", CURVES)
def test_ec_keys_sign(keys: HsmKeys, curve: str) -> None:
    made = keys.generate("EC", curve=curve)
    assert set(made.public_jwk) == {"kty", "crv", "x", "y"}
    assert made.public_jwk["crv"] == curve
    assert all(len(decode(made.public_jwk[name])) == WIDTHS[curve] for name in "xy")
    digest = digest_for(CURVES[curve])
    signature = keys.sign(made.reference, CURVES[curve], digest)
    verify_ec(made.public_jwk, digest, signature)
    with pytest.raises(InvalidSignature):
        verify_ec(made.public_jwk, bytes(len(digest)), signature)


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"])
def test_rsa_keys_sign(keys: HsmKeys, rsa_key: HsmKey, algorithm: str) -> None:
    digest = digest_for(algorithm)
    signature = keys.sign(rsa_key.reference, algorithm, digest)
    verify_rsa(rsa_key.public_jwk, algorithm, digest, signature)


def test_rsnull_signs_the_block_as_it_is(keys: HsmKeys, rsa_key: HsmKey) -> None:
    block = b"the caller's own block"
    signature = keys.sign(rsa_key.reference, "RSNULL", block)
    public = rsa_public(rsa_key.public_jwk)
    assert public.recover_data_from_signature(signature, padding.PKCS1v15(), None) == block
    with pytest.raises(AlgorithmError):
        keys.sign(rsa_key.reference, "RSNULL", bytes(256 - 10))


@pytest.mark.parametrize("size", [3072, 4096])
def test_larger_rsa_keys(keys: HsmKeys, size: int) -> None:
    made = keys.generate("RSA", size=size)
    assert len(decode(made.public_jwk["n"])) == size // 8
    assert made.public_jwk["e"] == "AQAB"
    digest = digest_for("PS512")
    verify_rsa(made.public_jwk, "PS512", digest, keys.sign(made.reference, "PS512", digest))


def test_rsa_oaep_decrypts(keys: HsmKeys, rsa_key: HsmKey) -> None:
    for plaintext in (b"", b"a data key of thirty-two bytes..", bytes(214)):
        ciphertext = rsa_public(rsa_key.public_jwk).encrypt(plaintext, OAEP)
        assert keys.decrypt(rsa_key.reference, "RSA-OAEP", ciphertext) == plaintext


def test_rsa_oaep_256_decrypts_or_is_refused_by_name(
    keys: HsmKeys, rsa_key: HsmKey, soft_token: SoftToken
) -> None:
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    ciphertext = rsa_public(rsa_key.public_jwk).encrypt(b"hello", oaep)
    if keys.offers(rsa_key.reference, "RSA-OAEP-256"):
        assert keys.decrypt(rsa_key.reference, "RSA-OAEP-256", ciphertext) == b"hello"
    else:  # SoftHSM up to 2.6
        with pytest.raises(AlgorithmError, match="does not offer RSA-OAEP-256") as caught:
            keys.decrypt(rsa_key.reference, "RSA-OAEP-256", ciphertext)
        assert soft_token.serial in str(caught.value)
    assert keys.offers(rsa_key.reference, "RSA-OAEP")


def test_every_wrong_ciphertext_fails_alike(keys: HsmKeys, rsa_key: HsmKey, token: Token) -> None:
    right = rsa_public(rsa_key.public_jwk).encrypt(b"hello", OAEP)
    wrong = [b"", right[:-1], right + b"\0", bytes(256), b"\xff" * 256, bytes(5000)]
    wrong += [right[:i] + bytes([right[i] ^ 1]) + right[i + 1 :] for i in (0, 100, 255)]
    workers = token.workers
    texts = set()
    for ciphertext in wrong:
        with pytest.raises(DecryptionError) as caught:
            keys.decrypt(rsa_key.reference, "RSA-OAEP", ciphertext)
        texts.add(str(caught.value))
    assert len(texts) == 1
    assert token.workers == workers, "a wrong ciphertext is no reason to replace the worker"


def test_rsa1_5_decryption_is_refused(keys: HsmKeys, rsa_key: HsmKey) -> None:
    ciphertext = rsa_public(rsa_key.public_jwk).encrypt(b"hello", padding.PKCS1v15())
    with pytest.raises(AlgorithmError, match="RSA1_5 decryption is refused"):
        keys.decrypt(rsa_key.reference, "RSA1_5", ciphertext)


@pytest.mark.parametrize(
    ("algorithm", "size"),
    [("RS256", 31), ("RS256", 33), ("PS512", 32), ("ES256", 64), ("HS256", 32), ("none", 0)],
)
def test_wrong_digests_and_algorithms_are_refused(
    keys: HsmKeys, rsa_key: HsmKey, ec_key: HsmKey, algorithm: str, size: int
) -> None:
    for key in (rsa_key, ec_key):
        with pytest.raises(AlgorithmError):
            keys.sign(key.reference, algorithm, bytes(size))


def test_an_algorithm_of_another_key_is_refused(
    keys: HsmKeys, rsa_key: HsmKey, ec_key: HsmKey
) -> None:
    for key, algorithm in (
        (rsa_key, "ES256"),
        (ec_key, "RS256"),
        (ec_key, "ES256K"),
        (ec_key, "ES384"),
    ):
        with pytest.raises(AlgorithmError, match="does not fit"):
            keys.sign(key.reference, algorithm, digest_for(algorithm))
    with pytest.raises(AlgorithmError, match="needs an RSA key"):
        keys.decrypt(ec_key.reference, "RSA-OAEP", bytes(256))
    assert not keys.offers(ec_key.reference, "RSA-OAEP")


@pytest.mark.parametrize(
    ("kty", "size", "curve"),
    [
        ("RSA", 1024, None),
        ("RSA", 2049, None),
        ("RSA", None, "P-256"),
        ("EC", None, "P-192"),
        ("EC", 256, None),
        ("oct", 256, None),
        ("", None, None),
    ],
)
def test_keys_that_do_not_exist_are_refused(
    keys: HsmKeys, kty: str, size: int | None, curve: str | None
) -> None:
    with pytest.raises(AlgorithmError):
        keys.generate(kty, size=size, curve=curve)


def test_the_token_gives_the_public_half(keys: HsmKeys, rsa_key: HsmKey, ec_key: HsmKey) -> None:
    for key in (rsa_key, ec_key):
        assert keys.public_jwk(key.reference) == key.public_jwk


@pytest.mark.parametrize("members", [("p", "q", "dp", "dq", "qi"), ()])
def test_an_rsa_key_is_imported(keys: HsmKeys, members: tuple[str, ...]) -> None:
    jwk = private_jwk("RSA")
    kept = {name: jwk[name] for name in ("kty", "n", "e", "d", *members)}
    made = keys.import_key(kept)
    assert made.public_jwk == {name: jwk[name] for name in ("kty", "n", "e")}
    digest = digest_for("PS256")
    verify_rsa(made.public_jwk, "PS256", digest, keys.sign(made.reference, "PS256", digest))
    ciphertext = rsa_public(made.public_jwk).encrypt(b"hello", OAEP)
    assert keys.decrypt(made.reference, "RSA-OAEP", ciphertext) == b"hello"


@pytest.mark.parametrize("curve", CURVES)
def test_an_ec_key_is_imported(keys: HsmKeys, curve: str) -> None:
    jwk = private_jwk("EC", curve)
    made = keys.import_key(jwk)
    assert made.public_jwk == {name: jwk[name] for name in ("kty", "crv", "x", "y")}
    digest = digest_for(CURVES[curve])
    verify_ec(made.public_jwk, digest, keys.sign(made.reference, CURVES[curve], digest))


@pytest.mark.parametrize(
    "change",
    [
        {"kty": "oct"},
        {"kty": "OKP"},
        {"d": None},
        {"d": "!!"},
        {"d": "AQ"},
        {"d": ""},
        {"x": "AQ"},
        {"crv": "P-192"},
        {"crv": None},
    ],
)
def test_a_bad_ec_key_is_not_imported(keys: HsmKeys, change: dict[str, Any]) -> None:
    jwk = {**private_jwk("EC"), **change}
    with pytest.raises(KeyFormatError):
        keys.import_key({name: value for name, value in jwk.items() if value is not None})


@pytest.mark.parametrize("change", [{"d": "AQ"}, {"n": "AQAB"}, {"p": "Aw"}, {"d": "A" * 342}])
def test_a_bad_rsa_key_is_not_imported(keys: HsmKeys, change: dict[str, str]) -> None:
    with pytest.raises(KeyFormatError) as caught:
        keys.import_key({**private_jwk("RSA"), **change})
    assert not any(value in str(caught.value) for value in change.values() if len(value) > 4)


def test_a_key_is_destroyed(keys: HsmKeys) -> None:
    made = keys.generate("EC")
    keys.sign(made.reference, "ES256", bytes(32))
    keys.destroy(made.reference)
    with pytest.raises(ProtectorError, match="has no key with the id"):
        keys.sign(made.reference, "ES256", bytes(32))
    keys.destroy(made.reference)


def test_a_key_of_another_token_names_both(
    module: Path, tmp_path: Path, keys: HsmKeys, soft_token: SoftToken
) -> None:
    other = softhsm.make(tmp_path / "other", module=module)
    token = other.token()
    reference = HsmKeys(token).generate("EC").reference
    token.close()
    with pytest.raises(ProtectorError, match="created in another token") as caught:
        keys.sign(reference, "ES256", bytes(32))
    assert other.serial in str(caught.value)
    assert soft_token.serial in str(caught.value)


@pytest.mark.parametrize("reference", ["", "pkcs11", "pkcs11:a:b", "file:a:00:c", "pkcs11:{}:zz:c"])
def test_a_malformed_reference_is_refused(
    keys: HsmKeys, soft_token: SoftToken, reference: str
) -> None:
    keys.offers  # noqa: B018 -- the fixture opens the token
    with pytest.raises(UsageError):
        keys.sign(reference.format(soft_token.serial), "ES256", bytes(32))


def test_sixteen_threads_sign_at_once(keys: HsmKeys, ec_key: HsmKey, rsa_key: HsmKey) -> None:
    def work(number: int) -> None:
        for i in range(10):
            digest = hashlib.sha256(bytes([number, i])).digest()
            verify_ec(ec_key.public_jwk, digest, keys.sign(ec_key.reference, "ES256", digest))
            verify_rsa(
                rsa_key.public_jwk, "RS256", digest, keys.sign(rsa_key.reference, "RS256", digest)
            )

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(16)))


def test_the_thumbprint_in_a_reference_is_that_of_rfc_7638(ec_key: HsmKey) -> None:
    jwk = ec_key.public_jwk
    text = f'{{"crv":"{jwk["crv"]}","kty":"EC","x":"{jwk["x"]}","y":"{jwk["y"]}"}}'
    expected = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
    assert ec_key.reference.endswith(":" + expected.decode())
    assert isinstance(ECAlgorithm.from_jwk(jwk), ec.EllipticCurvePublicKey)
