"""Keys over HTTPS: every type, size, curve and algorithm, held against `cryptography`."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.padding import PKCS7
from driver import CANARY, b64, unb64, unique

if TYPE_CHECKING:
    from driver import Service, Vault

RSA_OPERATIONS = ["encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"]
OCT_OPERATIONS = ["encrypt", "decrypt", "wrapKey", "unwrapKey"]
EVERY_OPERATION = RSA_OPERATIONS
HASHES: dict[str, Any] = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
CURVES: dict[str, tuple[Any, str, int, int]] = {
    # curve: class, algorithm, bytes of a coordinate, bytes of the digest
    "P-256": (ec.SECP256R1(), "ES256", 32, 32),
    "P-384": (ec.SECP384R1(), "ES384", 48, 48),
    "P-521": (ec.SECP521R1(), "ES512", 66, 64),
    "P-256K": (ec.SECP256K1(), "ES256K", 32, 32),
}
OAEP: dict[str, Any] = {"RSA-OAEP": hashes.SHA1(), "RSA-OAEP-256": hashes.SHA256()}  # noqa: S303
CANARY_KEY = hashlib.sha512(CANARY.encode()).digest()


# a key of `cryptography` as a JWK and back


def number(value: int, size: int | None = None) -> str:
    return b64(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


def rsa_jwk(key: rsa.RSAPrivateKey) -> dict[str, Any]:
    private = key.private_numbers()
    public = private.public_numbers
    return {
        "kty": "RSA",
        "n": number(public.n),
        "e": number(public.e),
        "d": number(private.d),
        "p": number(private.p),
        "q": number(private.q),
        "dp": number(private.dmp1),
        "dq": number(private.dmq1),
        "qi": number(private.iqmp),
    }


def ec_jwk(key: ec.EllipticCurvePrivateKey, curve: str) -> dict[str, Any]:
    size = CURVES[curve][2]
    private = key.private_numbers()
    public = private.public_numbers
    return {
        "kty": "EC",
        "crv": curve,
        "x": number(public.x, size),
        "y": number(public.y, size),
        "d": number(private.private_value, size),
    }


def oct_jwk(value: bytes) -> dict[str, Any]:
    return {"kty": "oct", "k": b64(value)}


def rsa_public(jwk: dict[str, Any]) -> rsa.RSAPublicKey:
    n, e = (int.from_bytes(unb64(jwk[member]), "big") for member in ("n", "e"))
    return rsa.RSAPublicNumbers(e, n).public_key()


def ec_public(jwk: dict[str, Any]) -> ec.EllipticCurvePublicKey:
    curve, _, size, _ = CURVES[jwk["crv"]]
    # Clients read the coordinates at their full width.
    assert len(unb64(jwk["x"])) == len(unb64(jwk["y"])) == size
    x, y = (int.from_bytes(unb64(jwk[member]), "big") for member in ("x", "y"))
    return ec.EllipticCurvePublicNumbers(x, y, curve).public_key()


def version_of(bundle: dict[str, Any]) -> str:
    version = str(bundle["key"]["kid"].rpartition("/")[2])
    assert re.fullmatch(r"[0-9a-f]{32}", version)
    return version


class Held:
    """A key in a vault."""

    def __init__(self, vault: Vault, name: str) -> None:
        self.vault, self.name = vault, name

    def use(self, operation: str, alg: str, value: bytes, **members: bytes) -> dict[str, Any]:
        answer = self.vault.do("POST", self._path(operation), self._body(alg, value, members))
        assert answer.pop("kid").startswith(f"{self.vault.url}/keys/{self.name}/")
        return {member: unb64(text) for member, text in answer.items()}

    def refuse(
        self,
        operation: str,
        alg: str,
        value: bytes,
        *,
        status: int = 400,
        code: str = "BadParameter",
        inner: str | None = None,
        **members: bytes,
    ) -> str:
        body = self._body(alg, value, members)
        return self.vault.refuse(status, code, "POST", self._path(operation), body, inner=inner)

    def verify(self, alg: str, digest: bytes, signature: bytes) -> bool:
        body = {"alg": alg, "digest": b64(digest), "value": b64(signature)}
        answer = self.vault.do("POST", self._path("verify"), body)
        assert set(answer) == {"value"}
        assert isinstance(answer["value"], bool)
        return answer["value"]

    def _path(self, operation: str) -> str:
        # The path of the SDKs, with an empty version.
        return f"/keys/{self.name}//{operation}"

    def _body(self, alg: str, value: bytes, members: dict[str, bytes]) -> dict[str, str]:
        return {"alg": alg, "value": b64(value)} | {m: b64(v) for m, v in members.items()}


def import_key(vault: Vault, jwk: dict[str, Any], **members: Any) -> Held:
    name = unique("k")
    vault.do("PUT", f"/keys/{name}", {"key": jwk, **members})
    return Held(vault, name)


@pytest.fixture(scope="module")
def rsa_keys() -> dict[int, rsa.RSAPrivateKey]:
    return {size: rsa.generate_private_key(65537, size) for size in (2048, 3072, 4096)}


# creation (contract 4.1, 4.3)


def test_shape_of_a_created_key(vault: Vault) -> None:
    name = unique("k")
    made = vault.do("POST", f"/keys/{name}/create", {"kty": "RSA"})
    key, attributes = made["key"], made["attributes"]
    assert set(made) == {"key", "attributes"}
    assert set(key) == {"kid", "kty", "key_ops", "n", "e"}
    assert key["kid"] == f"{vault.url}/keys/{name}/{version_of(made)}"
    assert (key["kty"], key["e"]) == ("RSA", "AQAB")
    assert key["key_ops"] == RSA_OPERATIONS
    modulus = unb64(key["n"])
    assert len(modulus) == 256
    assert modulus[0] >= 0x80
    assert attributes["enabled"] is True
    assert attributes["created"] == attributes["updated"]
    assert attributes["recoveryLevel"] == "Recoverable+Purgeable"
    assert attributes["recoverableDays"] == 90
    assert attributes["exportable"] is False
    assert set(attributes) == {
        *("enabled", "created", "updated", "recoveryLevel", "recoverableDays", "exportable")
    }
    for path in (f"/keys/{name}", f"/keys/{name}/", f"/keys/{name}/{version_of(made)}"):
        assert vault.do("GET", path) == made


@pytest.mark.parametrize("size", [2048, 3072, 4096])
def test_create_rsa_of_every_size(vault: Vault, size: int) -> None:
    made = vault.create(unique("k"), "RSA", key_size=size, public_exponent=65537)
    assert rsa_public(made["key"]).key_size == size


@pytest.mark.parametrize("curve", [*CURVES, None])
def test_create_ec_of_every_curve(vault: Vault, curve: str | None) -> None:
    made = vault.create(unique("k"), "EC", crv=curve)["key"]
    assert made["crv"] == (curve or "P-256")
    assert made["key_ops"] == ["sign", "verify"]
    assert set(made) == {"kid", "kty", "key_ops", "crv", "x", "y"}
    ec_public(made)


@pytest.mark.parametrize("size", [128, 192, 256, None])
def test_create_oct_of_every_size(vault: Vault, size: int | None) -> None:
    made = vault.create(unique("k"), "oct", key_size=size)
    assert set(made["key"]) == {"kid", "kty", "key_ops"}
    assert made["key"]["key_ops"] == OCT_OPERATIONS
    assert made["attributes"]["key_size"] == (size or 256)


def test_members_of_attributes_came_with_their_api_versions(vault: Vault) -> None:
    name = unique("k")
    vault.create(name, "oct")
    expected = {"7.0": set(), "7.2": {"recoverableDays"}, "7.3": {"recoverableDays", "exportable"}}
    expected["2025-07-01"] = expected["7.3"]
    expected["2026-04-01"] = {*expected["7.3"], "key_size"}
    for api, members in expected.items():
        shown = set(vault.do("GET", f"/keys/{name}", api=api)["attributes"])
        assert shown & {"recoverableDays", "exportable", "key_size"} == members, api


@pytest.mark.parametrize(
    ("body", "inner", "message"),
    [
        ({"kty": "AES"}, "KeyTypeNotSupported", None),
        ({"kty": "rsa"}, "KeyTypeNotSupported", None),
        ({"kty": ""}, "KeyTypeNotSupported", None),
        ({"kty": "OKP", "crv": "Ed25519"}, "KeyTypeNotSupported", "Invalid kty value: OKP"),
        ({"kty": "AKP", "alg": "ML-DSA-44"}, "KeyTypeNotSupported", "Invalid kty value: AKP"),
        ({"kty": "RSA-HSM"}, "KeyTypeNotSupported", None),
        ({"kty": "EC-HSM"}, "KeyTypeNotSupported", None),
        ({"kty": "oct-HSM"}, "KeyTypeNotSupported", None),
        ({"kty": "RSA", "key_size": 1024}, None, "Unsupported key size (1024)."),
        ({"kty": "RSA", "key_size": 2056}, None, "Unsupported key size (2056)."),
        ({"kty": "RSA", "key_size": 8192}, None, "Unsupported key size (8192)."),
        ({"kty": "RSA", "key_size": -1}, None, "Unsupported key size (-1)."),
        ({"kty": "RSA", "crv": "P-256"}, None, None),
        ({"kty": "RSA", "public_exponent": 3}, None, None),
        ({"kty": "EC", "crv": "P-255"}, None, None),
        ({"kty": "EC", "crv": "p-256"}, None, None),
        ({"kty": "EC", "key_size": 256}, None, None),
        ({"kty": "oct", "key_size": 64}, None, "Unsupported key size (64)."),
        ({"kty": "oct", "key_size": 129}, None, "Unsupported key size (129)."),
        ({"kty": "RSA", "key_ops": ["sing"]}, None, None),
        ({"kty": "RSA", "key_ops": ["Sign"]}, None, None),
        ({"kty": "RSA", "key_ops": ["sign", "sign"]}, None, None),
        ({"kty": "RSA", "key_ops": ["import"]}, None, None),
        ({"kty": "EC", "key_ops": ["encrypt"]}, None, None),
        ({"kty": "EC", "release_policy": {"data": "e30"}}, None, None),
        ({"kty": "EC", "attributes": {"exportable": True}}, None, None),
        ({"kty": "EC", "tags": {"k" * 257: "v"}}, None, None),
        ({"kty": "EC", "tags": {"k": "v" * 257}}, None, None),
        ({"kty": "EC", "attributes": {"nbf": 2, "exp": 1}}, None, None),
    ],
)
def test_keys_that_cannot_be_made(
    vault: Vault, body: dict[str, Any], inner: str | None, message: str | None
) -> None:
    name = unique("k")
    said = vault.refuse(400, "BadParameter", "POST", f"/keys/{name}/create", body, inner=inner)
    if message is not None:
        assert said.startswith(message)
    vault.refuse(404, "KeyNotFound", "GET", f"/keys/{name}")


def test_a_key_for_the_token_is_refused_where_there_is_none(vault: Vault) -> None:
    body = {"kty": "EC-HSM"}
    said = vault.refuse(
        *(400, "BadParameter", "POST", "/keys/h/create", body), inner="KeyTypeNotSupported"
    )
    assert "HSM" in said


def test_a_missing_key(vault: Vault) -> None:
    name = unique("Not-There")
    for method, path, body in (
        ("GET", f"/keys/{name}", None),
        ("PATCH", f"/keys/{name}/", {}),
        ("DELETE", f"/keys/{name}", None),
        ("GET", f"/keys/{name}/versions", None),
        ("POST", f"/keys/{name}/backup", None),
        ("POST", f"/keys/{name}/rotate", None),
        ("POST", f"/keys/{name}//sign", {"alg": "ES256", "value": b64(bytes(32))}),
        ("POST", f"/keys/{name}/{'0' * 32}/verify", {"alg": "A", "value": "", "digest": ""}),
    ):
        said = vault.refuse(404, "KeyNotFound", method, path, body)
        assert said.startswith(f"A key with (name/id) {name}")
        assert said.endswith("please see https://go.microsoft.com/fwlink/?linkid=2125182")
    said = vault.refuse(404, "KeyNotFound", "GET", f"/deletedkeys/{name}")
    assert said == f"Deleted Key not found: {name}"


# use of RSA keys (contract 4.2)


@pytest.mark.parametrize("size", [2048, 3072, 4096])
def test_rsa_signatures(vault: Vault, rsa_keys: dict[int, rsa.RSAPrivateKey], size: int) -> None:
    own = rsa_keys[size]
    held = import_key(vault, rsa_jwk(own))
    for bits, digest_kind in HASHES.items():
        digest = os.urandom(digest_kind.digest_size)
        pss = padding.PSS(padding.MGF1(digest_kind), digest_kind.digest_size)
        for alg, scheme in ((f"RS{bits}", padding.PKCS1v15()), (f"PS{bits}", pss)):
            signature = held.use("sign", alg, digest)["value"]
            assert len(signature) == size // 8
            own.public_key().verify(signature, digest, scheme, Prehashed(digest_kind))
            assert held.verify(alg, digest, own.sign(digest, scheme, Prehashed(digest_kind)))
            assert not held.verify(alg, os.urandom(len(digest)), signature)
            assert not held.verify(alg, digest, signature[:-1] + bytes([signature[-1] ^ 1]))
            assert not held.verify(alg, digest, signature[1:])
            assert not held.verify(alg, digest, b"")
            for wrong in (digest[:-1], digest + b"\0", b""):
                held.refuse("sign", alg, wrong)
                body = {"alg": alg, "digest": b64(wrong), "value": b64(signature)}
                vault.refuse(400, "BadParameter", "POST", f"/keys/{held.name}/verify", body)


def test_rsnull_signs_a_digest_info(vault: Vault, rsa_keys: dict[int, rsa.RSAPrivateKey]) -> None:
    held = import_key(vault, rsa_jwk(rsa_keys[2048]))
    digest = hashlib.sha256(b"x").digest()
    info = bytes.fromhex("3031300d060960864801650304020105000420") + digest
    signature = held.use("sign", "RSNULL", info)["value"]
    rsa_keys[2048].public_key().verify(
        signature, digest, padding.PKCS1v15(), Prehashed(hashes.SHA256())
    )
    assert held.verify("RSNULL", info, signature)
    held.refuse("sign", "RSNULL", b"anything else")


@pytest.mark.parametrize("size", [2048, 3072, 4096])
@pytest.mark.parametrize(("locks", "opens"), [("encrypt", "decrypt"), ("wrapkey", "unwrapkey")])
def test_rsa_encryption(
    vault: Vault, rsa_keys: dict[int, rsa.RSAPrivateKey], size: int, locks: str, opens: str
) -> None:
    own = rsa_keys[size]
    held = import_key(vault, rsa_jwk(own))
    for alg, digest in OAEP.items():
        scheme = padding.OAEP(padding.MGF1(digest), digest, None)
        most = size // 8 - 2 * digest.digest_size - 2
        for plaintext in (CANARY_KEY[:32], os.urandom(most), b""):
            locked = held.use(locks, alg, plaintext)
            assert set(locked) == {"value"}
            assert len(locked["value"]) == size // 8
            assert own.decrypt(locked["value"], scheme) == plaintext
            foreign = own.public_key().encrypt(plaintext, scheme)
            assert held.use(opens, alg, foreign) == {"value": plaintext}
        held.refuse(locks, alg, os.urandom(most + 1))


def test_rsa1_5_encrypts_and_does_not_decrypt(
    vault: Vault, rsa_keys: dict[int, rsa.RSAPrivateKey]
) -> None:
    own = rsa_keys[2048]
    held = import_key(vault, rsa_jwk(own))
    for locks, opens in (("encrypt", "decrypt"), ("wrapkey", "unwrapkey")):
        for plaintext in (CANARY_KEY[:32], os.urandom(245)):
            locked = held.use(locks, "RSA1_5", plaintext)["value"]
            assert own.decrypt(locked, padding.PKCS1v15()) == plaintext
        held.refuse(locks, "RSA1_5", os.urandom(246))
        # Good or bad padding: the same words.
        assert held.refuse(opens, "RSA1_5", locked) == held.refuse(opens, "RSA1_5", bytes(256))


def test_what_does_not_decrypt_says_nothing_more(
    vault: Vault, rsa_keys: dict[int, rsa.RSAPrivateKey]
) -> None:
    own = rsa_keys[2048]
    held = import_key(vault, rsa_jwk(own))
    oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)  # noqa: S303
    labelled = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), b"label")
    n = own.public_key().public_numbers().n
    wrong = [
        own.public_key().encrypt(b"x", oaep),
        own.public_key().encrypt(b"x", labelled),
        own.public_key().encrypt(b"x", padding.PKCS1v15()),
        *(bytes(256), bytes(255) + b"\1", b"\xff" * 256, n.to_bytes(256, "big")),
        *(b"", b"\0", os.urandom(255), os.urandom(257), os.urandom(1000)),
    ]
    for opens in ("decrypt", "unwrapkey"):
        said = {held.refuse(opens, "RSA-OAEP-256", one) for one in wrong}
        assert len(said) == 1


# use of EC keys


@pytest.mark.parametrize("curve", CURVES)
def test_ec_signatures(vault: Vault, curve: str) -> None:
    kind, alg, size, digest_size = CURVES[curve]
    own = ec.generate_private_key(kind)
    held = import_key(vault, ec_jwk(own, curve))
    algorithm = ec.ECDSA(Prehashed(HASHES[str(digest_size * 8)]))
    for _ in range(4):
        digest = os.urandom(digest_size)
        signature = held.use("sign", alg, digest)["value"]
        assert len(signature) == 2 * size
        r, s = (int.from_bytes(half, "big") for half in (signature[:size], signature[size:]))
        own.public_key().verify(encode_dss_signature(r, s), digest, algorithm)
        r, s = decode_dss_signature(own.sign(digest, algorithm))
        theirs = r.to_bytes(size, "big") + s.to_bytes(size, "big")
        assert held.verify(alg, digest, theirs)
        assert not held.verify(alg, digest[:-1] + bytes([digest[-1] ^ 1]), theirs)
        assert not held.verify(alg, digest, theirs[:-1] + bytes([theirs[-1] ^ 1]))
    assert not held.verify(alg, digest, encode_dss_signature(r, s))
    assert not held.verify(alg, digest, bytes(2 * size))
    for wrong in (digest[:-1], digest + b"\0", b""):
        held.refuse("sign", alg, wrong)
    for other in {"ES256", "ES384", "ES512", "ES256K", "RS256", "PS512", "HS256"} - {alg}:
        held.refuse("sign", other, os.urandom(32))


def test_a_made_ec_key_signs_for_its_public_half(vault: Vault) -> None:
    for curve, (_, alg, size, digest_size) in CURVES.items():
        made = vault.create(unique("k"), "EC", crv=curve)
        held = Held(vault, made["key"]["kid"].split("/")[-2])
        digest = os.urandom(digest_size)
        signature = held.use("sign", alg, digest)["value"]
        r, s = (int.from_bytes(half, "big") for half in (signature[:size], signature[size:]))
        algorithm = ec.ECDSA(Prehashed(HASHES[str(digest_size * 8)]))
        public = ec_public(made["key"])
        public.verify(encode_dss_signature(r, s), digest, algorithm)
        with pytest.raises(InvalidSignature):
            public.verify(encode_dss_signature(r, s), os.urandom(digest_size), algorithm)


# use of oct keys


@pytest.mark.parametrize("size", [128, 192, 256])
def test_gcm(vault: Vault, size: int) -> None:
    value = os.urandom(size // 8)
    held, own, alg = import_key(vault, oct_jwk(value)), AESGCM(value), f"A{size}GCM"
    for plaintext in (b"", b"x", os.urandom(1000)):
        for aad in (None, b"", b"bound"):
            members: dict[str, bytes] = {} if aad is None else {"aad": aad}
            locked = held.use("encrypt", alg, plaintext, **members)
            assert set(locked) == {"value", "iv", "tag", *members}
            assert (len(locked["iv"]), len(locked["tag"])) == (12, 16)
            opened = own.decrypt(locked["iv"], locked["value"] + locked["tag"], aad)
            assert opened == plaintext
            iv = os.urandom(12)
            foreign = own.encrypt(iv, plaintext, aad)
            members |= {"iv": iv, "tag": foreign[-16:]}
            assert held.use("decrypt", alg, foreign[:-16], **members) == {"value": plaintext}
    assert held.use("encrypt", alg, b"x")["iv"] != held.use("encrypt", alg, b"x")["iv"]
    # The service makes the iv; a caller who brings one would repeat it some day.
    held.refuse("encrypt", alg, b"x", iv=os.urandom(12))
    locked = held.use("encrypt", alg, CANARY_KEY, aad=b"bound")
    value, iv, tag = locked["value"], locked["iv"], locked["tag"]
    said = {
        held.refuse("decrypt", alg, value, iv=iv, tag=tag, aad=b"other"),
        held.refuse("decrypt", alg, value, iv=iv, tag=tag),
        held.refuse("decrypt", alg, value[:-1], iv=iv, tag=tag, aad=b"bound"),
        held.refuse("decrypt", alg, value, iv=os.urandom(12), tag=tag, aad=b"bound"),
        held.refuse("decrypt", alg, value, iv=iv, tag=bytes(16), aad=b"bound"),
        held.refuse("decrypt", alg, value, iv=iv, tag=tag[:12], aad=b"bound"),
    }
    assert len(said) == 1
    held.refuse("decrypt", alg, value, tag=tag, aad=b"bound")
    held.refuse("decrypt", alg, value, iv=iv, aad=b"bound")
    held.refuse("decrypt", alg, value, iv=iv + b"\0", tag=tag, aad=b"bound")
    for other in {128, 192, 256} - {size}:
        held.refuse("encrypt", f"A{other}GCM", b"x")


@pytest.mark.parametrize("size", [128, 192, 256])
def test_cbc(vault: Vault, size: int) -> None:
    value, iv = os.urandom(size // 8), os.urandom(16)
    held = import_key(vault, oct_jwk(value))
    own = Cipher(algorithms.AES(value), modes.CBC(iv))
    for plaintext in (b"", b"x", os.urandom(16), os.urandom(1000)):
        alg = f"A{size}CBCPAD"
        padder = PKCS7(128).padder()
        padded = padder.update(plaintext) + padder.finalize()
        encryptor = own.encryptor()
        expected = encryptor.update(padded) + encryptor.finalize()
        assert held.use("encrypt", alg, plaintext, iv=iv) == {"value": expected, "iv": iv}
        assert held.use("decrypt", alg, expected, iv=iv) == {"value": plaintext}
    alg, plaintext = f"A{size}CBC", os.urandom(64)
    encryptor = own.encryptor()
    expected = encryptor.update(plaintext) + encryptor.finalize()
    assert held.use("encrypt", alg, plaintext, iv=iv) == {"value": expected, "iv": iv}
    assert held.use("decrypt", alg, expected, iv=iv) == {"value": plaintext}
    held.refuse("encrypt", alg, plaintext[:-1], iv=iv)
    held.refuse("decrypt", alg, expected[:-1], iv=iv)
    for wrong in (alg, f"A{size}CBCPAD"):
        held.refuse("encrypt", wrong, plaintext)
        held.refuse("encrypt", wrong, plaintext, iv=iv[:-1])
        held.refuse("encrypt", wrong, plaintext, iv=iv, aad=b"bound to nothing")
        held.refuse("decrypt", wrong, expected)
    # Padding is no oracle: whatever is wrong, the words are the same.
    rest = (os.urandom(16), os.urandom(32), expected[:-16], b"", b"x" * 17)
    said = {held.refuse("decrypt", f"A{size}CBCPAD", one, iv=bytes(16)) for one in rest}
    assert len(said) == 1


@pytest.mark.parametrize("size", [128, 192, 256])
def test_key_wrap(vault: Vault, size: int) -> None:
    value = os.urandom(size // 8)
    held = import_key(vault, oct_jwk(value))
    for alg in (f"A{size}KW", "CKM_AES_KEY_WRAP"):
        for key in (os.urandom(16), os.urandom(24), CANARY_KEY[:32], os.urandom(64)):
            wrapped = keywrap.aes_key_wrap(value, key)
            assert held.use("wrapkey", alg, key) == {"value": wrapped}
            assert held.use("unwrapkey", alg, wrapped) == {"value": key}
        for wrong in (b"", os.urandom(8), os.urandom(17)):
            held.refuse("wrapkey", alg, wrong)
        changed = wrapped[:-1] + bytes([wrapped[-1] ^ 1])
        rest = (changed, wrapped[:-8], wrapped[:-1], b"", os.urandom(8))
        assert len({held.refuse("unwrapkey", alg, one) for one in rest}) == 1
    for alg in (f"A{size}KWPAD", "CKM_AES_KEY_WRAP_PAD"):
        for key in (b"x", os.urandom(16), os.urandom(33)):
            wrapped = keywrap.aes_key_wrap_with_padding(value, key)
            assert held.use("wrapkey", alg, key) == {"value": wrapped}
            assert held.use("unwrapkey", alg, wrapped) == {"value": key}
        held.refuse("unwrapkey", alg, wrapped[:-1])
    held.refuse("encrypt", f"A{size}KW", os.urandom(16))
    for other in {128, 192, 256} - {size}:
        held.refuse("wrapkey", f"A{other}KW", os.urandom(16))


def test_hmac_is_over_the_value_as_sent(vault: Vault) -> None:
    for bits, kind in (("256", "sha256"), ("384", "sha384"), ("512", "sha512")):
        value = os.urandom(int(bits) // 8)
        held = import_key(vault, {**oct_jwk(value), "key_ops": ["sign", "verify"]})
        for message in (b"", b"a message of any length", os.urandom(1000)):
            mac = held.use("sign", f"HS{bits}", message)["value"]
            assert mac == hmac.digest(value, message, kind)
            assert held.verify(f"HS{bits}", message, mac)
            assert not held.verify(f"HS{bits}", message, mac[:-1])
            assert not held.verify(f"HS{bits}", message + b"x", mac)
    short = import_key(vault, {**oct_jwk(os.urandom(16)), "key_ops": ["sign"]})
    short.refuse("sign", "HS256", b"x")


# algorithms that do not fit


@pytest.mark.parametrize("alg", ["none", "", "RS1", "rs256", "HS257", "A256CBC-HS512", "X" * 4000])
def test_algorithms_that_do_not_exist(vault: Vault, alg: str) -> None:
    held = Held(vault, unique("k"))
    vault.create(held.name, "RSA", key_ops=EVERY_OPERATION)
    for operation in ("encrypt", "decrypt", "sign", "wrapkey", "unwrapkey"):
        said = held.refuse(operation, alg, bytes(32))
        assert not alg or alg not in said
    body = {"alg": alg, "digest": b64(bytes(32)), "value": ""}
    vault.refuse(400, "BadParameter", "POST", f"/keys/{held.name}//verify", body)


def test_algorithms_of_another_type(vault: Vault) -> None:
    names = {"RSA": ["ES256", "A256GCM", "A256KW"], "oct": ["RS256", "ES256", "RSA-OAEP"]}
    for kty, algs in names.items():
        held = Held(vault, unique("k"))
        vault.create(held.name, kty, key_ops=EVERY_OPERATION)
        for alg in algs:
            for operation in ("encrypt", "decrypt", "sign", "wrapkey", "unwrapkey"):
                held.refuse(operation, alg, bytes(32))


# key_ops, enabled, dates (contract 4.3, 4.5)

USES = {
    "encrypt": ("encrypt", "RSA-OAEP", b"x"),
    "decrypt": ("decrypt", "RSA-OAEP", bytes(256)),
    "sign": ("sign", "RS256", bytes(32)),
    "verify": ("verify", "RS256", bytes(32)),
    "wrapKey": ("wrapkey", "RSA-OAEP", b"x"),
    "unwrapKey": ("unwrapkey", "RSA-OAEP", bytes(256)),
}


def try_use(vault: Vault, name: str, operation: str) -> tuple[int, str]:
    segment, alg, value = USES[operation]
    body = {"alg": alg, "value": b64(value)}
    if operation == "verify":
        body["digest"] = b64(value)
    answer = vault.ask("POST", f"/keys/{name}//{segment}", body)
    error = answer.json().get("error", {})
    # A ciphertext of zeros is refused as such by whoever gets so far.
    if operation in {"decrypt", "unwrapKey"} and answer.status_code == 400:
        return 200, ""
    return answer.status_code, error.get("innererror", {}).get("code", "") + error.get(
        "message", ""
    )


def test_key_ops_are_honoured(vault: Vault) -> None:
    name = unique("k")
    vault.create(name, "RSA", key_ops=["sign"])
    for allowed in (["sign"], ["verify", "decrypt"], ["wrapKey", "encrypt"], ["unwrapKey"], []):
        changed = vault.do("PATCH", f"/keys/{name}", {"key_ops": allowed})
        assert changed["key"]["key_ops"] == allowed
        for operation in USES:
            status, said = try_use(vault, name, operation)
            if operation in allowed:
                assert status == 200, (operation, said)
            else:
                expected = f"Operation {operation} is not permitted on this key."
                assert (status, said) == (403, "KeyOperationForbidden" + expected)
    for wrong in (["sing"], ["sign", "sign"], ["import"]):
        vault.refuse(400, "BadParameter", "PATCH", f"/keys/{name}", {"key_ops": wrong})


def test_a_disabled_key_refuses_every_use(vault: Vault) -> None:
    name = unique("k")
    vault.create(name, "RSA", attributes={"enabled": False})
    for operation in USES:
        expected = f"Operation {operation} is not allowed on a disabled key."
        assert try_use(vault, name, operation) == (403, "KeyDisabled" + expected)
    assert vault.do("GET", f"/keys/{name}")["attributes"]["enabled"] is False
    assert vault.do("GET", f"/keys/{name}/versions")["value"]
    vault.do("PATCH", f"/keys/{name}", {"attributes": {"enabled": True}})
    assert try_use(vault, name, "sign") == (200, "")


@pytest.mark.parametrize(
    ("shift", "inner"), [({"nbf": 3600}, "KeyNotYetValid"), ({"exp": -10}, "KeyExpired")]
)
def test_quirk_12_outside_its_dates_a_key_only_opens_and_verifies(
    vault: Vault, now: int, shift: dict[str, int], inner: str
) -> None:
    name = unique("k")
    dates = {member: now + seconds for member, seconds in shift.items()}
    made = vault.create(name, "RSA", attributes=dates)
    assert dates.items() <= made["attributes"].items()
    for operation in USES:
        status, said = try_use(vault, name, operation)
        if operation in {"encrypt", "sign", "wrapKey"}:
            assert status == 403
            assert said.startswith(inner)
        else:
            assert status == 200, (operation, said)
    window = {"attributes": {"nbf": now - 10, "exp": now + 3600}}
    vault.do("PATCH", f"/keys/{name}", window)
    assert all(try_use(vault, name, operation) == (200, "") for operation in USES)


# import (contract 1.2)


@pytest.mark.parametrize("kind", ["RSA", *CURVES, "oct"])
def test_an_imported_key_shows_its_public_half_only(
    vault: Vault, rsa_keys: dict[int, rsa.RSAPrivateKey], kind: str
) -> None:
    if kind == "RSA":
        jwk = rsa_jwk(rsa_keys[2048])
    elif kind == "oct":
        jwk = oct_jwk(CANARY_KEY[:32])
    else:
        jwk = ec_jwk(ec.generate_private_key(CURVES[kind][0]), kind)
    name = unique("k")
    # What clients of the SDKs send along, and what RFC 7517 tells to ignore.
    sent = {**jwk, "kid": "https://elsewhere/keys/x", "use": "sig", "alg": "x", "ext": True}
    sent |= {"key_ops": None, "key_hsm": None}
    if kind == "RSA":
        sent["k"] = None
    body = {"key": sent, "Hsm": False, "attributes": {"enabled": True}, "tags": {"a": "b"}}
    made = vault.do("PUT", f"/keys/{name}", body)
    shown = dict(made["key"])
    assert shown.pop("kid").startswith(f"{vault.url}/keys/{name}/")
    assert shown.pop("key_ops")
    private = {"d", "p", "q", "dp", "dq", "qi", "k"}
    assert shown == {member: value for member, value in jwk.items() if member not in private}
    assert made["tags"] == {"a": "b"}
    assert vault.do("GET", f"/keys/{name}") == made


def test_import_refuses_keys_that_are_no_keys(
    vault: Vault, rsa_keys: dict[int, rsa.RSAPrivateKey]
) -> None:
    good, other = rsa_jwk(rsa_keys[2048]), rsa_jwk(rsa_keys[3072])
    point = ec_jwk(ec.generate_private_key(ec.SECP256R1()), "P-256")
    stranger = ec_jwk(ec.generate_private_key(ec.SECP256R1()), "P-256")
    weak = rsa_jwk(rsa.generate_private_key(65537, 1024))  # noqa: S505
    flipped = b64(bytes([unb64(point["y"])[0] ^ 1]) + unb64(point["y"])[1:])

    def without(jwk: dict[str, Any], *members: str) -> dict[str, Any]:
        return {member: value for member, value in jwk.items() if member not in members}

    wrong: list[dict[str, Any]] = [
        weak,
        {**good, "n": other["n"]},
        {**good, "d": other["d"]},
        {**good, "dp": other["dp"]},
        {**good, "dp": good["dq"]},
        {**good, "qi": good["dp"]},
        {**good, "p": good["q"]},
        {**good, "e": "AQ"},
        {**good, "e": "Ag"},
        {**good, "e": "Aw"},
        {**good, "e": ""},
        {**good, "n": good["n"] + "="},
        {**good, "n": good["n"][:-2] + "!!"},
        {**good, "n": b64(b"\0" + unb64(good["n"]))},
        {**good, "n": 5},
        {**good, "oth": [{"r": "AQ", "d": "AQ", "t": "AQ"}]},
        without(good, "dp"),
        without(good, "d", "p", "q", "dp", "dq", "qi"),
        without(good, "n"),
        without(good, "kty"),
        {**good, "kty": "EC"},
        {**good, "kty": 5},
        {**point, "d": stranger["d"]},
        {**point, "y": flipped},
        {**point, "x": b64(bytes(32)), "y": b64(bytes(32))},
        {**point, "d": b64(bytes(32))},
        {**point, "d": b64(b"\xff" * 32)},
        {**point, "d": b64(unb64(point["d"])[1:])},
        {**point, "x": b64(b"\0" + unb64(point["x"]))},
        {**point, "crv": "P-384"},
        {**point, "crv": "P-256K"},
        {**point, "crv": "secp256r1"},
        without(point, "d"),
        without(point, "crv"),
        without(point, "x"),
        oct_jwk(b""),
        oct_jwk(os.urandom(8)),
        oct_jwk(os.urandom(17)),
        oct_jwk(os.urandom(65)),
        oct_jwk(os.urandom(5000)),
        {"kty": "oct"},
        {"kty": "oct", "k": "not base64url !"},
        {**oct_jwk(os.urandom(32)), "d": "AQ"},
        {"kty": "RSA-HSM", "key_hsm": b64(b"{}")},
        {"kty": "oct-HSM", "k": b64(os.urandom(32))},
        {"kty": "OKP", "crv": "Ed25519", "x": b64(bytes(32)), "d": b64(bytes(32))},
        {**point, "key_ops": ["encrypt"]},
        {**point, "key_ops": "sign"},
        {**point, "key_ops": [1]},
        {**point, "crit": ["x"]},
        {},
    ]
    name = unique("k")
    for jwk in wrong:
        answer = vault.ask("PUT", f"/keys/{name}", {"key": jwk})
        assert answer.status_code == 400, jwk
        said = answer.json()["error"]
        assert said["code"] == "BadParameter"
        for member in ("d", "p", "k"):
            secret = jwk.get(member)
            if isinstance(secret, str) and len(secret) > 8:
                assert secret not in said["message"]
    vault.refuse(
        400,
        "BadParameter",
        "PUT",
        f"/keys/{name}",
        {"key": point, "Hsm": True},
        inner="KeyTypeNotSupported",
    )
    vault.refuse(404, "KeyNotFound", "GET", f"/keys/{name}")


# life of a key


def test_versions_and_rotation(vault: Vault) -> None:
    for kty, members in (
        ("EC", {"crv": "P-384"}),
        ("RSA", {"key_size": 3072, "key_ops": ["sign", "verify"]}),
        ("oct", {"key_size": 192}),
    ):
        name = unique("k")
        first = vault.create(name, kty, tags={"a": "b"}, **members)
        second = vault.do("POST", f"/keys/{name}/rotate")
        assert version_of(second) != version_of(first)
        for member in ("kty", "crv", "key_ops"):
            assert second["key"].get(member) == first["key"].get(member)
        if kty == "RSA":
            assert rsa_public(second["key"]).key_size == 3072
        assert second["attributes"].get("key_size") == first["attributes"].get("key_size")
        for member in ("n", "x"):
            assert first["key"].get(member) is None or second["key"][member] != first["key"][member]
        assert vault.do("GET", f"/keys/{name}")["key"]["kid"] == second["key"]["kid"]
        assert vault.do("GET", f"/keys/{name}/{version_of(first)}") == first
        listed = vault.do("GET", f"/keys/{name}/versions")
        assert [item["kid"] for item in listed["value"]] == [
            second["key"]["kid"],
            first["key"]["kid"],
        ]
        assert all("key" not in item for item in listed["value"])


def test_an_older_version_is_used_by_its_name(vault: Vault) -> None:
    name = unique("k")
    first = vault.create(name, "EC")
    vault.do("POST", f"/keys/{name}/rotate")
    digest = os.urandom(32)
    body = {"alg": "ES256", "value": b64(digest)}
    answer = vault.do("POST", f"/keys/{name}/{version_of(first)}/sign", body)
    assert answer["kid"] == first["key"]["kid"]
    check = {"alg": "ES256", "digest": b64(digest), "value": answer["value"]}
    assert vault.do("POST", f"/keys/{name}/{version_of(first)}/verify", check)["value"] is True
    for current in (f"/keys/{name}//verify", f"/keys/{name}/verify"):
        assert vault.do("POST", current, check)["value"] is False


@pytest.mark.parametrize(
    ("method", "path", "body", "since"),
    [
        ("POST", "/rng", {"count": 8}, "7.3"),
        ("POST", "/keys/{}/rotate", None, "7.3"),
        ("GET", "/keys/{}/rotationpolicy", None, "7.3"),
        ("PUT", "/keys/{}/rotationpolicy", {}, "7.3"),
        ("POST", "/keys/{}//release", {"target": "x"}, "7.3"),
        ("GET", "/keys/{}//attestation", None, "7.6-preview.2"),
        ("POST", "/keys/{}//securewrapkey", {"alg": "A256KW"}, "2026-01-01-preview"),
    ],
)
def test_operations_came_with_their_api_versions(
    vault: Vault, method: str, path: str, body: Any, since: str
) -> None:
    name = unique("k")
    vault.create(name, "EC")
    before = {"7.3": "7.2", "7.6-preview.2": "7.6-preview.1", "2026-01-01-preview": "2025-07-01"}
    said = vault.refuse(400, "BadParameter", method, path.format(name), body, api=before[since])
    assert since in said
    answer = vault.ask(method, path.format(name), body, api=since)
    # What is not offered is not there, rather than broken.
    assert answer.status_code in {200, 404}, answer.text


def test_random_bytes(vault: Vault) -> None:
    for count in (1, 2, 127, 128):
        first, second = (vault.do("POST", "/rng", {"count": count})["value"] for _ in range(2))
        assert len(unb64(first)) == len(unb64(second)) == count
        assert count < 8 or first != second
    for wrong in (0, 129, -1, 2**40, "8", 8.5, None, True, [8]):
        vault.refuse(400, "BadParameter", "POST", "/rng", {"count": wrong})
    vault.refuse(400, "BadParameter", "POST", "/rng", {})
    vault.refuse(405, "MethodNotAllowed", "GET", "/rng")


def test_update_of_a_key(vault: Vault) -> None:
    name = unique("k")
    made = vault.create(name, "EC", tags={"a": "1"}, attributes={"exp": 4_000_000_000})
    changed = vault.do("PATCH", f"/keys/{name}/", {"attributes": {"enabled": False}})
    assert changed["key"] == made["key"]
    assert changed["tags"] == {"a": "1"}
    assert changed["attributes"]["exp"] == 4_000_000_000
    assert changed["attributes"]["enabled"] is False
    changed = vault.do("PATCH", f"/keys/{name}/{version_of(made)}", {"tags": {}})
    assert changed.get("tags", {}) == {}
    for tags in ({"k" * 257: ""}, {"k": "v" * 257}, {str(n): "" for n in range(16)}):
        vault.refuse(400, "BadParameter", "PATCH", f"/keys/{name}", {"tags": tags})
    refused = {"attributes": {"exportable": True}}
    vault.refuse(400, "BadParameter", "PATCH", f"/keys/{name}", refused)
    vault.refuse(400, "BadParameter", "PATCH", f"/keys/{name}", {"release_policy": {"data": "e30"}})


def test_delete_recover_purge(vault: Vault) -> None:
    name = unique("Kept")
    made = vault.create(name, "EC", tags={"a": "b"})
    deleted = vault.do("DELETE", f"/keys/{name}")
    assert deleted == {
        **made,
        "recoveryId": f"{vault.url}/deletedkeys/{name}",
        "deletedDate": deleted["deletedDate"],
        "scheduledPurgeDate": deleted["deletedDate"] + 90 * 86_400,
    }
    assert vault.do("GET", f"/deletedkeys/{name}") == deleted
    for method, path, body in (
        ("GET", f"/keys/{name}", None),
        ("GET", f"/keys/{name}/{version_of(made)}", None),
        ("POST", f"/keys/{name}//sign", {"alg": "ES256", "value": b64(bytes(32))}),
        ("POST", f"/keys/{name}/rotate", None),
    ):
        vault.refuse(404, "KeyNotFound", method, path, body)
    said = vault.refuse(
        *(409, "Conflict", "POST", f"/keys/{name}/create", {"kty": "EC"}),
        inner="ObjectIsDeletedButRecoverable",
    )
    assert said == (
        f"Key {name} is currently in a deleted but recoverable state, and its name cannot be "
        "reused; in this state, the key can only be recovered or purged."
    )
    jwk = ec_jwk(ec.generate_private_key(ec.SECP256R1()), "P-256")
    conflict = "ObjectIsDeletedButRecoverable"
    vault.refuse(409, "Conflict", "PUT", f"/keys/{name}", {"key": jwk}, inner=conflict)
    assert vault.do("POST", f"/deletedkeys/{name}/recover") == made
    assert vault.do("GET", f"/keys/{name}") == made
    vault.do("DELETE", f"/keys/{name}")
    purged = vault.ask("DELETE", f"/deletedkeys/{name}")
    assert (purged.status_code, purged.content) == (204, b"")
    vault.refuse(404, "KeyNotFound", "GET", f"/deletedkeys/{name}")


def test_lists_of_keys(api: Service) -> None:
    made = api.make_vault()
    for name in ("b", "A", "c"):
        made.create(name, "EC", tags={"n": name})
    listed = made.do("GET", "/keys")
    assert listed["nextLink"] is None
    assert [item["kid"] for item in listed["value"]] == [f"{made.url}/keys/{n}" for n in "Abc"]
    assert all(set(item) == {"kid", "attributes", "tags"} for item in listed["value"])
    deleted = made.do("DELETE", "/keys/b")
    (item,) = made.do("GET", "/deletedkeys")["value"]
    expected = {member: value for member, value in deleted.items() if member != "key"}
    assert item == {**expected, "kid": f"{made.url}/keys/b"}
    assert made.do("GET", "/secrets")["value"] == []


def test_backup_and_restore(api: Service, vault: Vault) -> None:
    name = unique("k")
    own = ec.generate_private_key(ec.SECP256R1())
    first = vault.create(name, "EC")
    vault.do("PUT", f"/keys/{name}", {"key": ec_jwk(own, "P-256")})
    backup = vault.do("POST", f"/keys/{name}/backup")
    blob = unb64(backup["value"])
    assert own.private_numbers().private_value.to_bytes(32, "big") not in blob
    vault.refuse(409, "Conflict", "POST", "/keys/restore", backup)
    vault.do("DELETE", f"/keys/{name}")
    vault.do("DELETE", f"/deletedkeys/{name}", status=204)
    api.make_vault().refuse(400, "BadParameter", "POST", "/keys/restore", backup)
    for at in range(0, len(blob), 5):
        changed = blob[:at] + bytes([blob[at] ^ 0x80]) + blob[at + 1 :]
        vault.refuse(400, "BadParameter", "POST", "/keys/restore", {"value": b64(changed)})
    restored = vault.do("POST", "/keys/restore", backup)
    assert vault.do("GET", f"/keys/{name}") == restored
    assert vault.do("GET", f"/keys/{name}/{version_of(first)}") == first
    digest = os.urandom(32)
    signature = Held(vault, name).use("sign", "ES256", digest)["value"]
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    own.public_key().verify(
        encode_dss_signature(r, s), digest, ec.ECDSA(Prehashed(hashes.SHA256()))
    )


# keys in the token


@pytest.fixture(scope="module")
def premium(token_api: Service) -> Vault:
    return token_api.vault()


def token_objects(service: Service) -> int:
    return sum(1 for _ in (service.data / "token").rglob("*.object"))


@pytest.mark.parametrize("curve", [None, "P-256", "P-384", "P-521"])
def test_ec_in_the_token(premium: Vault, curve: str | None) -> None:
    made = premium.create(unique("h"), "EC-HSM", crv=curve)["key"]
    assert made["kty"] == "EC-HSM"
    assert made["crv"] == (curve or "P-256")
    assert made["key_ops"] == ["sign", "verify"]
    _, alg, size, digest_size = CURVES[made["crv"]]
    held = Held(premium, made["kid"].split("/")[-2])
    digest = os.urandom(digest_size)
    signature = held.use("sign", alg, digest)["value"]
    assert len(signature) == 2 * size
    r, s = (int.from_bytes(half, "big") for half in (signature[:size], signature[size:]))
    ec_public(made).verify(
        encode_dss_signature(r, s), digest, ec.ECDSA(Prehashed(HASHES[str(digest_size * 8)]))
    )
    assert held.verify(alg, digest, signature)
    assert not held.verify(alg, os.urandom(digest_size), signature)
    held.refuse("sign", alg, digest[:-1])
    held.refuse("sign", "RS256", os.urandom(32))


def test_rsa_in_the_token(premium: Vault) -> None:
    made = premium.create(unique("h"), "RSA-HSM")["key"]
    assert (made["kty"], made["key_ops"]) == ("RSA-HSM", RSA_OPERATIONS)
    public = rsa_public(made)
    assert public.key_size == 2048
    held = Held(premium, made["kid"].split("/")[-2])
    for bits, kind in HASHES.items():
        digest = os.urandom(kind.digest_size)
        pss = padding.PSS(padding.MGF1(kind), kind.digest_size)
        for alg, scheme in ((f"RS{bits}", padding.PKCS1v15()), (f"PS{bits}", pss)):
            signature = held.use("sign", alg, digest)["value"]
            public.verify(signature, digest, scheme, Prehashed(kind))
            assert held.verify(alg, digest, signature)
    oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)  # noqa: S303
    foreign = public.encrypt(CANARY_KEY[:32], oaep)
    assert held.use("decrypt", "RSA-OAEP", foreign) == {"value": CANARY_KEY[:32]}
    assert held.use("unwrapkey", "RSA-OAEP", foreign) == {"value": CANARY_KEY[:32]}
    wrapped = held.use("wrapkey", "RSA-OAEP", CANARY_KEY[:16])["value"]
    assert held.use("unwrapkey", "RSA-OAEP", wrapped) == {"value": CANARY_KEY[:16]}
    locked = held.use("encrypt", "RSA-OAEP", CANARY_KEY[:16])["value"]
    assert held.use("decrypt", "RSA-OAEP", locked) == {"value": CANARY_KEY[:16]}
    held.refuse("decrypt", "RSA1_5", public.encrypt(b"x", padding.PKCS1v15()))
    wrong = (bytes(256), b"\xff" * 256, public.encrypt(b"x", padding.PKCS1v15()))
    assert len({held.refuse("decrypt", "RSA-OAEP", one) for one in wrong}) == 1
    held.refuse("sign", "RS256", bytes(31))
    held.refuse("sign", "ES256", bytes(32))


def test_life_of_a_key_in_the_token(premium: Vault) -> None:
    before = token_objects(premium.service)
    name = unique("h")
    first = premium.create(name, "EC-HSM", tags={"a": "b"})
    second = premium.do("POST", f"/keys/{name}/rotate")
    assert second["key"]["kty"] == "EC-HSM"
    assert second["key"]["x"] != first["key"]["x"]
    assert token_objects(premium.service) > before
    premium.refuse(400, "BadParameter", "POST", f"/keys/{name}/backup")
    premium.do("PATCH", f"/keys/{name}", {"attributes": {"enabled": False}})
    held = Held(premium, name)
    held.refuse("sign", "ES256", bytes(32), status=403, code="Forbidden", inner="KeyDisabled")
    premium.do("PATCH", f"/keys/{name}", {"attributes": {"enabled": True}})
    premium.do("DELETE", f"/keys/{name}")
    premium.do("POST", f"/deletedkeys/{name}/recover")
    held.use("sign", "ES256", bytes(32))
    premium.do("DELETE", f"/keys/{name}")
    premium.do("DELETE", f"/deletedkeys/{name}", status=204)
    # Nothing of either version is left in the token.
    assert token_objects(premium.service) == before


def test_import_into_the_token(premium: Vault) -> None:
    own = ec.generate_private_key(ec.SECP256R1())
    jwk = ec_jwk(own, "P-256")
    for key, members in ((jwk, {"Hsm": True}), ({**jwk, "kty": "EC-HSM"}, {})):
        held = import_key(premium, key, **members)
        assert premium.do("GET", f"/keys/{held.name}")["key"]["kty"] == "EC-HSM"
        digest = os.urandom(32)
        signature = held.use("sign", "ES256", digest)["value"]
        r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
        own.public_key().verify(
            encode_dss_signature(r, s), digest, ec.ECDSA(Prehashed(hashes.SHA256()))
        )


def test_keys_that_the_token_does_not_take(premium: Vault) -> None:
    path = f"/keys/{unique('h')}/create"
    for body in (
        {"kty": "RSA-HSM", "key_size": 1024},
        {"kty": "EC-HSM", "crv": "P-255"},
        {"kty": "EC-HSM", "key_ops": ["encrypt"]},
    ):
        premium.refuse(400, "BadParameter", "POST", path, body)
    body = {"kty": "oct-HSM"}
    premium.refuse(400, "BadParameter", "POST", path, body, inner="KeyTypeNotSupported")
    answer = premium.ask("POST", path, {"kty": "EC-HSM", "crv": "P-256K"})
    assert answer.status_code in {200, 400}, answer.text


def test_a_standard_vault_beside_the_token_makes_software_keys_only(token_api: Service) -> None:
    standard = token_api.make_vault()
    standard.create("soft", "EC")
    standard.refuse(
        *(400, "BadParameter", "POST", "/keys/h/create", {"kty": "EC-HSM"}),
        inner="KeyTypeNotSupported",
    )
