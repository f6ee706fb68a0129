"""NIST's own vectors (CAVP), in the files that ``cryptography_vectors`` carries.

Every test counts the cases it took, by what became of them. Left out is what has no name in JOSE
(Triple DES, key wrap with the inverse cipher, X9.31), and OAEP, of which NIST has no file there.
"""

import base64
import hashlib
from collections import Counter
from functools import partial
from importlib.resources import files

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from vaultcore._core import Key
from vaultcore.errors import AlgorithmError, DecryptionError, KeyFormatError

AES_SIZES = [128, 192, 256]
HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
STARTS = {"K", "KEY", "KI", "Key", "Msg"}  # one of them is in every case, and in nothing else
SHARED = {"n", "e", "p", "q"}  # named once for all the signatures of a key
raw = bytes.fromhex


def cases(path):
    """Read the cases of a file; what a case shares with those before it is in it."""
    shared: dict[str, str] = {}
    for block in files("cryptography_vectors").joinpath(path).read_text("ascii").split("\n\n"):
        lines = [line.strip() for line in block.splitlines()]
        if section := [line[1:-1] for line in lines if line.startswith("[")]:
            shared = {"section": " ".join(section)}
        fields: dict[str, str] = {}
        for line in lines:
            if line and line[0] not in "#[":
                name, _, value = (part.strip() for part in line.partition("="))
                fields[name] = f"{fields[name]} {value}" if name in fields else value
        shared |= {name: fields[name] for name in SHARED & fields.keys()}
        if STARTS & fields.keys():
            yield shared | fields


def encode(number, width=None):
    value = number.to_bytes(width or (number.bit_length() + 7) // 8)
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def oct_key(text):
    return Key.from_jwk({"kty": "oct", "k": encode(int(text, 16), len(raw(text)))})


def rsa_key(case, *, private=False):
    numbers = {name: int(case[name], 16) for name in ("nedpq" if private else "ne")}
    if private:
        d, p, q = (numbers[name] for name in "dpq")
        numbers |= {"dp": d % (p - 1), "dq": d % (q - 1), "qi": pow(q, -1, p)}
    return Key.from_jwk({"kty": "RSA"} | {name: encode(of) for name, of in numbers.items()})


def digest(case, name):
    return hashlib.new(name.replace("-", ""), raw(case["Msg"])).digest()


def accepts(case, salt):
    """Whether `cryptography` takes a PSS signature with a salt of this length."""
    peer = rsa.RSAPublicNumbers(int(case["e"], 16), int(case["n"], 16)).public_key()
    hash_of = HASHES[case["SHAAlg"][3:]]
    scheme = padding.PSS(padding.MGF1(hash_of), salt)
    try:
        peer.verify(raw(case["S"]), raw(case["Msg"]), scheme, hash_of)
    except InvalidSignature:
        return False
    return True


@pytest.mark.parametrize("bits", AES_SIZES)
@pytest.mark.parametrize(("name", "suffix"), [("KW", "KW"), ("KWP", "KWPAD")])
def test_a_key_is_wrapped_in_the_very_bytes_and_unwrapped_only_from_them(name, suffix, bits):
    alg, ran = f"A{bits}{suffix}", Counter[str]()
    for kind in ("AE", "AD"):
        for case in cases(f"keywrap/kwtestvectors/{name}_{kind}_{bits}.txt"):
            kek, wrapped = oct_key(case["K"]), raw(case["C"])
            if "FAIL" in case:
                with pytest.raises(DecryptionError):
                    kek.unwrap_key(alg, wrapped)
                ran["fail"] += 1
                continue
            assert kek.wrap_key(alg, raw(case["P"])) == wrapped
            assert kek.unwrap_key(alg, wrapped) == raw(case["P"])
            ran[kind] += 1
    assert ran == {"AE": 500, "AD": 400, "fail": 100}


@pytest.mark.parametrize(
    ("kind", "bits", "opened", "fail"),
    [
        ("Decrypt", 128, 179, 196),
        ("Decrypt", 192, 185, 190),
        ("Decrypt", 256, 184, 191),
        *(("EncryptExtIV", bits, 375, 0) for bits in AES_SIZES),
    ],
)
def test_gcm_opens_what_is_authentic_and_has_whole_nonces_and_tags(kind, bits, opened, fail):
    alg, ran = f"A{bits}GCM", Counter[str]()
    for case in cases(f"ciphers/AES/GCM/gcm{kind}{bits}.rsp"):
        key = oct_key(case["Key"])
        ciphertext, nonce, tag, bound = (raw(case[name]) for name in ("CT", "IV", "Tag", "AAD"))
        decrypt = partial(key.decrypt, alg, ciphertext, nonce=nonce, tag=tag, associated_data=bound)
        if len(nonce) != 12:
            with pytest.raises(AlgorithmError, match="nonce of 12 bytes"):
                decrypt()
            ran["other nonce"] += 1
        elif len(tag) != 16:
            with pytest.raises(DecryptionError):
                decrypt()
            ran["short tag"] += 1
        elif "FAIL" in case:
            with pytest.raises(DecryptionError):
                decrypt()
            ran["fail"] += 1
        else:
            # Not encrypted as well: GCM takes no nonce from a caller.
            assert decrypt() == raw(case["PT"])
            ran["opened"] += 1
    expected = Counter({"opened": opened, "fail": fail, "other nonce": 5250, "short tag": 2250})
    assert ran == expected


@pytest.mark.parametrize("bits", AES_SIZES)
def test_cbc_encrypts_and_decrypts_to_the_very_bytes(bits):
    alg, ran = f"A{bits}CBC", Counter[str]()
    for kind in ("MMT", "GFSbox", "KeySbox", "VarKey", "VarTxt"):
        for case in cases(f"ciphers/AES/CBC/CBC{kind}{bits}.rsp"):
            key, nonce = oct_key(case["KEY"]), raw(case["IV"])
            plaintext, ciphertext = raw(case["PLAINTEXT"]), raw(case["CIPHERTEXT"])
            assert key.encrypt(alg, plaintext, nonce=nonce).ciphertext == ciphertext
            assert key.decrypt(alg, ciphertext, nonce=nonce) == plaintext
            ran[kind] += 1
    boxes = {128: (14, 42), 192: (12, 48), 256: (10, 32)}[bits]
    fixed = {"MMT": 20, "VarKey": 2 * bits, "VarTxt": 256}
    assert ran == fixed | dict(zip(("GFSbox", "KeySbox"), boxes, strict=True))


@pytest.mark.parametrize(
    ("alg", "curve", "own"),
    [("ES256", "P-256", "SHA-256"), ("ES384", "P-384", "SHA-384"), ("ES512", "P-521", "SHA-512")],
)
def test_an_ecdsa_signature_verifies_if_it_is_right_and_of_the_hash_of_the_curve(alg, curve, own):
    width, ran = (int(curve[2:]) + 7) // 8, Counter[str]()
    for kind in ("SigVer", "SigGen"):
        for case in cases(f"asymmetric/ECDSA/FIPS_186-3/{kind}.rsp"):
            named, hash_of = case["section"].split(",")
            if named != curve:  # another run of this test has it, or JOSE has no name for it
                continue
            x, y, r, s = (int(case[name], 16) for name in ("Qx", "Qy", "R", "S"))
            key = Key.from_jwk(
                {"kty": "EC", "crv": curve, "x": encode(x, width), "y": encode(y, width)}
            )
            verify = partial(
                key.verify, alg, digest(case, hash_of), r.to_bytes(width) + s.to_bytes(width)
            )
            if hash_of != own:
                with pytest.raises(AlgorithmError, match="digest of"):
                    verify()
                ran["other hash"] += 1
                continue
            result = case.get("Result", "P")[0]  # what NIST generated is right
            assert verify() == (result == "P")
            ran[kind + result] += 1
    assert ran == {"SigVerP": 3, "SigVerF": 12, "SigGenP": 15, "other hash": 120}


@pytest.mark.parametrize(
    ("name", "salt", "expected"),
    [
        ("SigVer15_186-3", None, {"P": 27, "F": 135, "other hash": 108, "short key": 180}),
        ("SigGen15_186-2", None, {"P": 90, "other hash": 60, "short key": 100}),
        ("SigGen15_186-3", None, {"P": 90, "other hash": 60, "short key": 100}),
        ("SigVerPSS_186-3", 10, {"P": 27, "F": 135, "other hash": 108, "short key": 180}),
        ("SigGenPSS_186-2", 20, {"P": 90, "other hash": 60, "short key": 100}),
        ("SigGenPSS_186-3", 0, {"P": 90, "other hash": 60, "short key": 100}),
    ],
)
def test_an_rsa_signature_verifies_if_it_is_right_and_its_salt_as_long_as_the_digest(
    name, salt, expected
):
    ran = Counter[str]()
    for case in cases(f"asymmetric/RSA/FIPS_186-2/{name}.rsp"):
        if int(case["section"].removeprefix("mod = ")) < 2048:
            with pytest.raises(KeyFormatError, match="2048 to 4096 bits"):
                rsa_key(case)
            ran["short key"] += 1
            continue
        alg = ("RS" if salt is None else "PS") + case["SHAAlg"].removeprefix("SHA")
        value, signature = digest(case, case["SHAAlg"]), raw(case["S"])
        if alg[2:] not in HASHES:  # SHA-1 and SHA-224
            with pytest.raises(AlgorithmError, match="there is no algorithm"):
                rsa_key(case).verify(alg, value, signature)
            ran["other hash"] += 1
            continue
        result = case.get("Result", "P")[0]
        verified = rsa_key(case).verify(alg, value, signature)
        if salt is None:
            assert verified == (result == "P")
            if result == "P" and "d" in case:
                assert rsa_key(case, private=True).sign(alg, value) == signature
                ran["signed"] += 1
        else:
            # No file has salts of ours (RFC 7518 section 3.5): what is right in all else is False.
            assert accepts(case, salt) == (result == "P")
            assert not verified
        ran[result] += 1
    signed = {"signed": 27} if name == "SigVer15_186-3" else {}
    assert ran == expected | signed


@pytest.mark.parametrize("bits", HASHES)
def test_hmac_is_the_function_in_key_derivation(bits):
    # The package has no file of NIST's for HMAC alone. In SP 800-108 a key is its tags over the
    # `instring`s, one after the other and cut; cut tags are none of ours.
    alg, ran = f"HS{bits}", Counter[str]()
    for case in cases("KDF/nist-800-108-KBKDF-CTR.txt"):
        if f"PRF=HMAC_SHA{bits} " not in case["section"]:
            continue
        key, derived = oct_key(case["KI"]), raw(case["KO"])
        messages = [raw(message) for message in case["instring"].split()]
        tags = key.sign_many(alg, messages)
        assert b"".join(tags)[: len(derived)] == derived
        assert len(tags) == -(-len(derived) // len(tags[0]))
        whole = len(derived) >= len(tags[0])
        assert key.verify(alg, messages[0], derived[: len(tags[0])]) is whole
        ran["whole tag" if whole else "cut tag"] += 1
    assert ran == ({"whole tag": 240, "cut tag": 240} if bits == "256" else {"cut tag": 480})


@pytest.mark.parametrize("bits", HASHES)
def test_hmac_keys_of_rfc_4231_are_refused_as_too_short_or_too_long(bits):
    ran = Counter[int]()
    for case in cases(f"HMAC/rfc-4231-sha{bits}.txt"):
        with pytest.raises((AlgorithmError, KeyFormatError), match=r"at least|16 to 128 bytes"):
            oct_key(case["Key"]).sign(f"HS{bits}", raw(case["Msg"]))
        ran[len(raw(case["Key"]))] += 1
    assert ran == {4: 1, 20: 2, 25: 1, 131: 2}
