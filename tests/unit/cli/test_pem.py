"""A private key in PEM becomes the JWK that an import sends."""

import base64

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from vaultcore.cli.outcome import CommandError
from vaultcore.cli.pem import read_pem

RSA = rsa.generate_private_key(65537, 2048)


def pem(
    key: PrivateKeyTypes,
    form: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8,
    password: bytes | None = None,
) -> bytes:
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password is not None:
        encryption = serialization.BestAvailableEncryption(password)
    return key.private_bytes(serialization.Encoding.PEM, form, encryption)


def number(text: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


@pytest.mark.parametrize(
    "form",
    [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL],
)
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_rsa_in_every_form(form: serialization.PrivateFormat, line_end: bytes) -> None:
    jwk = read_pem(pem(RSA, form).replace(b"\n", line_end), None)
    numbers = RSA.private_numbers()
    assert jwk["kty"] == "RSA"
    assert {name: number(jwk[name]) for name in ("n", "e", "d", "p", "q", "dp", "dq", "qi")} == {
        "n": numbers.public_numbers.n,
        "e": 65537,
        "d": numbers.d,
        "p": numbers.p,
        "q": numbers.q,
        "dp": numbers.dmp1,
        "dq": numbers.dmq1,
        "qi": numbers.iqmp,
    }


@pytest.mark.parametrize(
    ("curve", "name", "length"),
    [
        (ec.SECP256R1(), "P-256", 32),
        (ec.SECP256K1(), "P-256K", 32),
        (ec.SECP384R1(), "P-384", 48),
        (ec.SECP521R1(), "P-521", 66),
    ],
)
def test_ec_members_have_the_width_of_the_curve(
    curve: ec.EllipticCurve, name: str, length: int
) -> None:
    # A small private value shows whether leading zeros are kept.
    key = ec.derive_private_key(5, curve)
    jwk = read_pem(pem(key), None)
    assert (jwk["kty"], jwk["crv"], number(jwk["d"])) == ("EC", name, 5)
    for member in ("x", "y", "d"):
        text = jwk[member]
        assert len(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))) == length


def test_an_encrypted_key_needs_its_password() -> None:
    data = pem(RSA, password=b"correct horse")
    assert read_pem(data, "correct horse")["kty"] == "RSA"
    for password in (None, "wrong"):
        with pytest.raises(CommandError, match="--pem-password"):
            read_pem(data, password)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hunter2",
        RSA.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
        pem(ed25519.Ed25519PrivateKey.generate()),
        pem(ec.generate_private_key(ec.SECP224R1())),
    ],
)
def test_what_a_vault_does_not_take_is_refused_without_its_contents(data: bytes) -> None:
    with pytest.raises(CommandError) as refused:
        read_pem(data, None)
    assert "hunter2" not in str(refused.value)
