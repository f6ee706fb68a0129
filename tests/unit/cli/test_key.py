"""`vaultcore key`."""

import base64
import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from unit.cli.terminal import Terminal
from vaultcore.cli.key import _key_type
from vaultcore.cli.outcome import CommandError

DIGEST = base64.b64encode(hashlib.sha256(b"x").digest()).decode()


@pytest.mark.parametrize(
    ("words", "kty", "member"),
    [
        ([], "RSA", ("e", "AQAB")),
        (["--curve", "P-384"], "EC", ("crv", "P-384")),
        (["--kty", "EC"], "EC", ("crv", "P-256")),
        (["--kty", "oct", "--size", "192"], "oct", ("kty", "oct")),
    ],
)
def test_the_type_of_a_key(
    terminal: Terminal, words: list[str], kty: str, member: tuple[str, str]
) -> None:
    key = terminal.answer("key", "create", "-n", "k", *words)["key"]
    assert (key["kty"], key[member[0]]) == (kty, member[1])
    assert "k" not in key
    assert "d" not in key


@pytest.mark.parametrize(
    ("kty", "protection", "expected"),
    [
        ("EC", None, "EC"),
        ("EC", "software", "EC"),
        ("EC", "hsm", "EC-HSM"),
        ("RSA-HSM", "hsm", "RSA-HSM"),
        ("RSA-HSM", None, "RSA-HSM"),
    ],
)
def test_where_a_key_is_kept(kty: str, protection: str | None, expected: str) -> None:
    assert _key_type(kty, protection) == expected  # type: ignore[arg-type]


def test_a_key_of_the_hsm_is_not_kept_in_software() -> None:
    with pytest.raises(CommandError, match="leave --protection out"):
        _key_type("RSA-HSM", "software")


def test_a_signature_that_does_not_verify_is_a_status(terminal: Terminal) -> None:
    terminal.answer("key", "create", "-n", "k", "--kty", "EC")
    signed = terminal.answer("key", "sign", "-n", "k", "-a", "ES256", "--digest", DIGEST)
    assert signed["algorithm"] == "ES256"
    words = ["key", "verify", "-n", "k", "-a", "ES256", "--signature", signed["signature"]]
    assert terminal.answer(*words, "--digest", DIGEST)["isValid"] is True
    other = base64.b64encode(bytes(32)).decode()
    result = terminal.run(*words, "--digest", other, "--json")
    assert result.exit_code == 1
    assert '"isValid": false' in result.stdout
    # Either alphabet, padded or not.
    bare = signed["signature"].rstrip("=").replace("+", "-").replace("/", "_")
    words[-1] = bare
    assert terminal.run(*words, "--digest", DIGEST.rstrip("=")).exit_code == 0


def test_what_is_encrypted_is_decrypted(terminal: Terminal) -> None:
    terminal.answer("key", "create", "-n", "k", "--kty", "oct", "--size", "256")
    aad = base64.b64encode(b"row 17").decode()
    made = terminal.answer(
        "key", "encrypt", "-n", "k", "-a", "A256GCM", "--value", "ümlaut",
        "--data-type", "plaintext", "--aad", aad,
    )  # fmt: skip
    words = [
        "key", "decrypt", "-n", "k", "-a", "A256GCM", "--value", made["result"], "--iv", made["iv"],
        "--tag", made["tag"], "--aad", aad,
    ]  # fmt: skip
    assert terminal.answer(*words, "--data-type", "plaintext")["result"] == "ümlaut"
    assert base64.b64decode(terminal.answer(*words)["result"]) == "ümlaut".encode()
    terminal.refused(1, *words[:-1], base64.b64encode(b"row 18").decode())


def test_a_result_that_is_no_text_is_not_shown_as_one(terminal: Terminal) -> None:
    terminal.answer("key", "create", "-n", "k", "--kty", "oct", "--size", "256")
    made = terminal.answer("key", "encrypt", "-n", "k", "-a", "A256GCM", "--value", "/w==")
    words = [
        "key", "decrypt", "-n", "k", "-a", "A256GCM", "--value", made["result"],
        "--iv", made["iv"], "--tag", made["tag"],
    ]  # fmt: skip
    assert terminal.answer(*words)["result"] == "/w=="
    assert "base64" in terminal.refused(1, *words, "--data-type", "plaintext")


@pytest.mark.parametrize("password", [None, "secret"])
def test_a_private_key_is_imported(
    terminal: Terminal, tmp_path: Path, password: str | None
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    encryption: serialization.KeySerializationEncryption = (
        serialization.BestAvailableEncryption(password.encode())
        if password
        else serialization.NoEncryption()
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )
    words = ["key", "import", "-n", "k", "--ops", "sign", "verify", "--pem-file"]
    more = ["--pem-password", password] if password else []
    (tmp_path / "key.pem").write_bytes(pem)
    made = terminal.answer(*words, tmp_path / "key.pem", *more)
    assert made["key"]["key_ops"] == ["sign", "verify"]
    assert made["key"]["crv"] == "P-256"
    again = terminal.answer(*words, "-", *more, given=pem)
    assert again["key"]["x"] == made["key"]["x"]
    assert len(terminal.answer("key", "list-versions", "-n", "k")) == 2


def test_what_cannot_be_imported(terminal: Terminal, tmp_path: Path) -> None:
    assert "--pem-file" in terminal.refused(2, "key", "import", "-n", "k")
    (tmp_path / "key.pem").write_text("nonsense")
    terminal.refused(2, "key", "import", "-n", "k", "--pem-file", tmp_path / "key.pem")
    terminal.refused(1, "key", "import", "-n", "k", "--pem-file", tmp_path / "none")
    assert terminal.answer("key", "list") == []


def test_attributes_are_changed_and_a_rotation_is_a_version(terminal: Terminal) -> None:
    terminal.answer("key", "create", "-n", "k", "--kty", "EC", "--tags", "t=1")
    after = terminal.answer(
        "key", "set-attributes", "-n", "k", "--ops", "sign", "--enabled", "false"
    )
    assert after["key"]["key_ops"] == ["sign"]
    assert (after["attributes"]["enabled"], after["tags"]) == (False, {"t": "1"})
    terminal.refused(4, "key", "sign", "-n", "k", "-a", "ES256", "--digest", DIGEST)
    rotated = terminal.answer("key", "rotate", "-n", "k")
    assert rotated["key"]["kid"] != after["key"]["kid"]
    assert terminal.answer("key", "show", "-n", "k") == rotated


def test_random_bytes(terminal: Terminal) -> None:
    first, second = (terminal.answer("key", "random", "--count", "32")["value"] for _ in range(2))
    assert len(base64.b64decode(first, validate=True)) == 32
    assert first != second
    assert "1 to 128" in terminal.refused(1, "key", "random", "--count", "129")
