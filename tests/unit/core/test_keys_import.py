"""Reading keys: every usual form, and every malformed, weak or inconsistent one refused."""

import base64
import datetime as dt
import json
import os
import re
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PrivateFormat, PublicFormat

from vaultcore._core import Key
from vaultcore.errors import KeyFormatError

PLAIN = serialization.NoEncryption()


@pytest.fixture(scope="module")
def rsa_peer():
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="module")
def rsa_jwk(rsa_peer):
    numbers = rsa_peer.private_numbers()
    return {
        "kty": "RSA",
        "n": encode(numbers.public_numbers.n),
        "e": encode(numbers.public_numbers.e),
        "d": encode(numbers.d),
        "p": encode(numbers.p),
        "q": encode(numbers.q),
        "dp": encode(numbers.dmp1),
        "dq": encode(numbers.dmq1),
        "qi": encode(numbers.iqmp),
    }


@pytest.fixture(scope="module")
def ec_peer():
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def ec_jwk(ec_peer):
    numbers = ec_peer.private_numbers()
    return {
        "kty": "EC",
        "crv": "P-256",
        "x": encode(numbers.public_numbers.x, 32),
        "y": encode(numbers.public_numbers.y, 32),
        "d": encode(numbers.private_value, 32),
    }


def encode(number, width=None):
    raw = number.to_bytes(width or (number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(text):
    return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def without(jwk, *names):
    return {name: value for name, value in jwk.items() if name not in names}


def refused(read, source, reason, secrets=()):
    """Expect a refusal that says why, and holds nothing of the key."""
    with pytest.raises(KeyFormatError, match=reason) as failure:
        read(source)
    message = str(failure.value)
    assert message[0].islower() or message.startswith("PEM block")
    assert "\n" not in message
    assert len(message) < 160
    for secret in secrets:
        assert secret[:12] not in message


# --- JWK ---


def test_a_jwk_is_read_from_members_and_from_text(rsa_jwk, ec_jwk):
    for jwk in (rsa_jwk, ec_jwk, {"kty": "oct", "k": "A" * 22}):
        extra = {
            "kid": "x",
            "key_ops": ["sign"],
            "alg": "RS256",
            "x5c": [],
            "ext": True,
            "a": {"b": 1},
        }
        key = Key.from_jwk(jwk | extra, exportable=True)
        assert key.export_private_jwk() == jwk
        text = json.dumps(jwk | extra)
        assert Key.from_jwk(text, exportable=True).export_private_jwk() == jwk
        assert Key.from_jwk(text.encode(), exportable=True).export_private_jwk() == jwk


def test_rsa_private_numbers_may_have_leading_zeros_and_public_ones_not(rsa_jwk):
    padded = rsa_jwk | {
        "d": encode(decode(rsa_jwk["d"]), 257),
        "dp": encode(decode(rsa_jwk["dp"]), 130),
    }
    assert Key.from_jwk(padded).is_private
    for name in ("n", "e"):
        wide = encode(decode(rsa_jwk[name]), 300 if name == "n" else 4)
        refused(Key.from_jwk, rsa_jwk | {name: wide}, "starts with a zero byte")


@pytest.mark.parametrize("name", ["n", "e", "d", "p", "q", "dp", "dq", "qi"])
def test_every_number_of_an_rsa_key_must_fit_the_others(rsa_jwk, name):
    secrets = [value for member, value in rsa_jwk.items() if member not in ("kty", "e")]
    value = decode(rsa_jwk[name])
    for other in (value + 2, value ^ (1 << 9), 3):
        refused(Key.from_jwk, rsa_jwk | {name: encode(other)}, "RSA", secrets)
    refused(
        Key.from_jwk, without(rsa_jwk, name), f"`{name}`" if name != "d" else "no member", secrets
    )
    refused(Key.from_jwk, rsa_jwk | {name: ""}, "RSA", secrets)
    refused(Key.from_jwk, rsa_jwk | {name: rsa_jwk[name] + "="}, "without padding", secrets)
    refused(Key.from_jwk, rsa_jwk | {name: "+" + rsa_jwk[name][1:]}, "base64url", secrets)
    refused(Key.from_jwk, rsa_jwk | {name: value}, "not a string", secrets)


def test_a_composite_prime_does_not_pass(rsa_jwk):
    # A product in place of a prime: every congruence holds, and only a signature shows it.
    q = decode(rsa_jwk["q"])
    composite = 0
    while (composite * q).bit_length() != 2048:
        factors = rsa.generate_private_key(65537, 1024).private_numbers()  # noqa: S505 - as said
        composite = factors.p * factors.q
    e = 65537
    d = pow(e, -1, (composite - 1) * (q - 1))
    jwk = {
        "kty": "RSA",
        "n": encode(composite * q),
        "e": encode(e),
        "d": encode(d),
        "p": encode(composite),
        "q": encode(q),
        "dp": encode(d % (composite - 1)),
        "dq": encode(d % (q - 1)),
        "qi": encode(pow(q, -1, composite)),
    }
    refused(Key.from_jwk, jwk, "RSA private key does not fit its public key")


@pytest.mark.parametrize(
    ("n", "e", "reason"),
    [
        (2**2048 - 2, 65537, "even"),
        (2**1023 + 1, 65537, "1024 bits"),
        (2**2047 - 1, 65537, "2047 bits"),
        (2**2049 - 1, 65537, "2049 bits"),
        (2**4104 - 1, 65537, "4104 bits"),
        (2**20000 - 1, 65537, "20000 bits"),
        (2**2048 - 1, 65536, "odd and greater"),
        (2**2048 - 1, 1, "odd and greater"),
        (2**2048 - 1, 2**33 + 1, "33 bits"),
        (2**2048 - 1, 2**2048 - 1, "33 bits"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_weak_rsa_public_keys_are_refused(n, e, reason):
    refused(Key.from_jwk, {"kty": "RSA", "n": encode(n), "e": encode(e)}, reason)


def test_odd_sizes_in_whole_bytes_are_accepted():
    peer = rsa.generate_private_key(65537, 2056)
    key = Key.from_der(peer.private_bytes(Encoding.DER, PrivateFormat.PKCS8, PLAIN))
    assert key.size == 2056
    assert key.verify("RS256", bytes(32), key.sign("RS256", bytes(32)))


def test_points_off_the_curve_are_refused(ec_jwk):
    public = without(ec_jwk, "d")
    for name in ("x", "y"):
        for bit in (0, 7, 200):
            off = encode(decode(public[name]) ^ (1 << bit), 32)
            refused(Key.from_jwk, public | {name: off}, "not a point on curve P-256")
    zero = {"x": encode(0, 32), "y": encode(0, 32)}
    refused(Key.from_jwk, public | zero, "not a point on curve P-256")
    field = {"x": encode(2**256 - 2**224 + 2**192 + 2**96 - 1, 32)}
    refused(Key.from_jwk, public | field, "not a point")
    refused(Key.from_jwk, public | {"crv": "P-256K"}, "not a point on curve P-256K")
    refused(Key.from_jwk, public | {"crv": "P-384"}, "must have 48 bytes")
    refused(Key.from_jwk, public | {"crv": "p-256"}, "there is no curve `p-256`")


def test_coordinates_must_have_full_width(ec_jwk):
    for name in ("x", "y", "d"):
        value = decode(ec_jwk[name])
        for width in (33, 34, 64):
            refused(Key.from_jwk, ec_jwk | {name: encode(value, width)}, "must have 32 bytes")
        refused(Key.from_jwk, ec_jwk | {name: encode(1, 1)}, "must have 32 bytes")
        refused(Key.from_jwk, ec_jwk | {name: ""}, "must have 32 bytes")


def test_private_scalars_must_be_in_range_and_fit(ec_jwk):
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    for d in (0, order, order + 1, 2**256 - 1, decode(ec_jwk["d"]) ^ 1):
        refused(
            Key.from_jwk,
            ec_jwk | {"d": encode(d, 32)},
            "out of range or does not fit",
            [ec_jwk["d"]],
        )


def test_okp_members_must_fit():
    key = Key.generate("OKP", exportable=True)
    jwk = key.export_private_jwk()
    other = Key.generate("OKP").public_jwk()["x"]
    refused(Key.from_jwk, jwk | {"x": other}, "does not fit", [jwk["d"]])
    refused(Key.from_jwk, jwk | {"d": encode(1, 31)}, "32 bytes")
    refused(Key.from_jwk, jwk | {"crv": "Ed448"}, "no curve `Ed448`")
    refused(Key.from_jwk, jwk | {"y": other}, "`y` does not belong")
    refused(Key.from_jwk, without(jwk, "x"), "no member `x`")


def test_members_of_other_types_and_unknown_criticals_are_refused(rsa_jwk, ec_jwk):
    refused(Key.from_jwk, rsa_jwk | {"k": "AAAA"}, "`k` does not belong to a key of type RSA")
    refused(Key.from_jwk, rsa_jwk | {"oth": []}, "`oth` does not belong")
    refused(Key.from_jwk, ec_jwk | {"n": "AAAA"}, "`n` does not belong to a key of type EC")
    refused(Key.from_jwk, {"kty": "oct", "k": "A" * 22, "d": "AAAA"}, "`d` does not belong")
    refused(Key.from_jwk, ec_jwk | {"crit": ["x"]}, "critical")
    for kty in ("", "rsa", "RSA-HSM", "oct-HSM", "x" * 500):
        refused(Key.from_jwk, ec_jwk | {"kty": kty}, "no key type")
    refused(Key.from_jwk, without(ec_jwk, "kty"), "no member `kty`")
    refused(Key.from_jwk, {}, "no member `kty`")


@pytest.mark.parametrize("size", [0, 1, 15, 129, 10_000])
def test_symmetric_keys_have_16_to_128_bytes(size):
    raw = base64.urlsafe_b64encode(os.urandom(size)).rstrip(b"=").decode()
    refused(Key.from_jwk, {"kty": "oct", "k": raw}, "16 to 128 bytes", [raw] if size > 9 else [])


def test_bits_that_mean_nothing_are_refused():
    # The last character of 16 bytes carries four bits that must be zero.
    assert Key.from_jwk({"kty": "oct", "k": "A" * 22}).size == 128
    refused(Key.from_jwk, {"kty": "oct", "k": "A" * 21 + "B"}, "base64url")


@pytest.mark.parametrize(
    "text",
    [
        '{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAA","k":"AAAAAAAAAAAAAAAAAAAAAA"}',
        '{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAA","kid":"1","kid":"2"}',
        '{"kty":"oct","\\u006bty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAA"}',
        '{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAA"} x',
        '{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAA"',
        '["kty"]',
        '"SECRETSECRET"',
        "SECRETSECRET",
        "",
        '{"kty":"oct","k":"SECRETSECRET\\x"}',
        '{"a":' + "[" * 100_000 + "]" * 100_000 + "}",
    ],
)
def test_json_must_be_one_object_of_distinct_members(text):
    refused(Key.from_jwk, text, "JWK", ["SECRETSECRET"])


def test_other_types_are_type_errors():
    wrong: Any
    for wrong in (None, 1, ["kty"], {1: "x"}):
        with pytest.raises(TypeError):
            Key.from_jwk(wrong)
    for read in (Key.from_pem, Key.from_der):
        for wrong in (None, "text", bytearray(b"x")):
            with pytest.raises(TypeError):
                read(wrong)


# --- PEM and DER ---


def private_forms(peer):
    formats = [PrivateFormat.PKCS8]
    if isinstance(peer, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        formats.append(PrivateFormat.TraditionalOpenSSL)
    return [(encoding, form) for encoding in (Encoding.PEM, Encoding.DER) for form in formats]


@pytest.mark.parametrize(
    "make",
    [
        lambda: rsa.generate_private_key(65537, 2048),
        lambda: rsa.generate_private_key(3, 2048),
        lambda: ec.generate_private_key(ec.SECP256R1()),
        lambda: ec.generate_private_key(ec.SECP384R1()),
        lambda: ec.generate_private_key(ec.SECP521R1()),
        lambda: ec.generate_private_key(ec.SECP256K1()),
    ],
    ids=["rsa", "rsa-3", "p256", "p384", "p521", "p256k"],
)
def test_every_usual_form_is_read(make):
    peer = make()
    public = peer.public_key()
    spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for encoding, form in private_forms(peer):
        data = peer.private_bytes(encoding, form, PLAIN)
        key = (Key.from_pem if encoding is Encoding.PEM else Key.from_der)(data)
        assert key.is_private
        assert key.public_der() == spki
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert Key.from_pem(pem).public_pem() == pem
    assert not Key.from_der(spki).is_private
    if isinstance(public, rsa.RSAPublicKey):
        for encoding, read in ((Encoding.PEM, Key.from_pem), (Encoding.DER, Key.from_der)):
            assert read(public.public_bytes(encoding, PublicFormat.PKCS1)).public_der() == spki
    else:
        # A compressed point in SubjectPublicKeyInfo.
        point = public.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
        full = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        header = spki[: -len(full)]
        shrink = len(full) - len(point)
        if header[1] & 0x80 == 0:
            header = bytearray(header)
            header[1] -= shrink
            header[-2] -= shrink
            assert Key.from_der(bytes(header) + point).public_der() == spki


def test_line_endings_text_around_and_order_do_not_matter(ec_peer):
    private = ec_peer.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, PLAIN)
    public = ec_peer.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(ec_peer.public_key())
        .serial_number(1)
        .not_valid_before(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(2027, 1, 1, tzinfo=dt.UTC))
        .sign(ec_peer, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    texts = [
        private,
        private.replace(b"\n", b"\r\n"),
        private.rstrip(),
        b"Bag Attributes\n  name: x\n" + private + b"\ntrailing text",
        parameters + private,
        certificate + private + certificate,
        public + private,
        private + public,
        b"\xef\xbb\xbfcomment\n" + private,
        private.replace(b"\n", b"  \n"),
        b"".join(private.split(b"\n")[:1])
        + b"\n"
        + b"".join(private.split(b"\n")[1:-2])
        + b"\n"
        + private.split(b"\n")[-2],
    ]
    for text in texts:
        assert Key.from_pem(text).is_private


def test_the_block_that_fails_is_named(ec_peer, rsa_peer):
    private = ec_peer.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, PLAIN)
    other = rsa_peer.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, PLAIN)
    public = rsa_peer.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    body = private.split(b"\n")[1]
    secrets = [body.decode()]
    refused(Key.from_pem, private + other, "PEM block 2: there is more than one key", secrets)
    refused(Key.from_pem, private + public, "do not match", secrets)
    refused(
        Key.from_pem,
        parameters + private.replace(body, b"!" + body),
        "PEM block 2: .*base64",
        secrets,
    )
    refused(Key.from_pem, private.replace(body, body[:-4]), "PEM block 1", secrets)
    refused(Key.from_pem, private.replace(b"-----END PRIVATE", b"-----END PUBLIC"), "another label")
    refused(Key.from_pem, private.split(b"-----END")[0], "PEM block 1: the block has no end")
    refused(Key.from_pem, parameters, "there is no key")
    refused(Key.from_pem, b"", "there is no key")
    refused(Key.from_pem, b"\xff\xfe", "not UTF-8")
    refused(Key.from_pem, parameters * 200 + private, "too many blocks")
    locked = ec_peer.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    )
    refused(Key.from_pem, locked, "PEM block 1: the private key is encrypted")
    old = ec_peer.private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, serialization.BestAvailableEncryption(b"x")
    )
    refused(Key.from_pem, old, "PEM block 1: the private key is encrypted")


def test_what_is_no_supported_key_is_refused():
    locked = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.DER, PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    )
    refused(Key.from_der, locked, "the private key is encrypted")
    peers: list[tuple[Any, str]] = [
        (ed448.Ed448PrivateKey.generate(), "algorithm 1.3.101.113"),
        (dsa.generate_private_key(2048), r"algorithm 1\.2\.840\.10040\.4\.1"),
        (ec.generate_private_key(ec.SECP224R1()), "not one of P-256"),
        (ec.generate_private_key(ec.BrainpoolP256R1()), "not one of P-256"),
        (rsa.generate_private_key(65537, 1024), "1024 bits"),  # noqa: S505 - to be refused
    ]
    for peer, reason in peers:
        refused(Key.from_der, peer.private_bytes(Encoding.DER, PrivateFormat.PKCS8, PLAIN), reason)
        public = peer.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        refused(Key.from_der, public, reason)
    for junk in (b"", b"0", b"0\x00", b"\x30\x80\x00\x00", os.urandom(100), bytes(10_000)):
        refused(Key.from_der, junk, "neither PKCS#8")


def test_der_cut_or_followed_by_anything_is_refused(ec_peer, rsa_peer):
    for peer in (ec_peer, rsa_peer):
        for encoding, form in private_forms(peer):
            if encoding is Encoding.PEM:
                continue
            der = peer.private_bytes(encoding, form, PLAIN)
            for cut in range(0, len(der), 7):
                refused(Key.from_der, der[:cut], "the ")
            refused(Key.from_der, der + b"\0", "the ")


def test_a_changed_bit_in_a_private_key_never_goes_unnoticed(ec_peer):
    der = ec_peer.private_bytes(Encoding.DER, PrivateFormat.PKCS8, PLAIN)
    public = Key.from_der(der).public_jwk()
    for bit in range(8 * len(der)):
        changed = bytearray(der)
        changed[bit // 8] ^= 1 << bit % 8
        try:
            key = Key.from_der(bytes(changed))
        except KeyFormatError:
            continue
        # What is still read is the same key, written otherwise.
        assert key.public_jwk() == public


def test_messages_have_the_form_of_the_project(rsa_jwk):
    with pytest.raises(KeyFormatError) as failure:
        Key.from_jwk(rsa_jwk | {"n": rsa_jwk["p"]})
    assert re.fullmatch(r"[a-z].*[^.]", str(failure.value))
