import base64
import json
import os
import stat
import time
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from vaultcore._core import KeyEncryptionKey
from vaultcore.errors import ProtectorError, ProtectorUnavailableError, UsageError
from vaultcore.protectors.file import FileProtector
from vaultcore.protectors.protector import Protector

SECRET = bytes(range(32))
PASSPHRASE = "correct horse battery staple"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vault.key"


@pytest.fixture(scope="module")
def with_passphrase(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file for all tests that only read it: scrypt takes its time on purpose."""
    path = tmp_path_factory.mktemp("passphrase") / "vault.key"
    FileProtector.create(path, PASSPHRASE).close()
    return path


def change(path: Path, **members: Any) -> None:
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, **members}))


def test_wraps_and_unwraps_after_opening_again(path: Path) -> None:
    made = FileProtector.create(path)
    wrapped = made.wrap(SECRET)
    assert SECRET not in wrapped
    assert made.unwrap(wrapped) == SECRET
    again = FileProtector.open(path, key_id=made.describe()["key_id"])
    assert again.unwrap(wrapped) == SECRET
    assert again.describe() == made.describe()
    assert isinstance(made, Protector)


def test_wraps_with_a_passphrase(with_passphrase: Path) -> None:
    opened = FileProtector.open(with_passphrase, PASSPHRASE)
    assert opened.unwrap(opened.wrap(SECRET)) == SECRET


def test_the_file_is_its_owners_alone(path: Path) -> None:
    umask = os.umask(0)
    try:
        FileProtector.create(path)
    finally:
        os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_the_file_says_what_it_is(path: Path) -> None:
    made = FileProtector.create(path)
    content = json.loads(path.read_text())
    assert content == {
        "format": "vaultcore key file",
        "version": 1,
        "key_id": made.describe()["key_id"],
        "key": content["key"],
    }
    raw = base64.b64decode(content["key"])
    assert KeyEncryptionKey.danger_from_bytes(raw).id == content["key_id"]


def test_a_passphrase_becomes_the_key_by_scrypt(with_passphrase: Path) -> None:
    content = json.loads(with_passphrase.read_text())
    assert set(content) == {"format", "version", "key_id", "scrypt"}
    cost = content["scrypt"]
    assert (cost["n"], cost["r"], cost["p"]) == (1 << 17, 8, 1)
    salt = base64.b64decode(cost["salt"])
    assert len(salt) == 16
    raw = Scrypt(salt=salt, length=32, n=1 << 17, r=8, p=1).derive(PASSPHRASE.encode())
    assert KeyEncryptionKey.danger_from_bytes(raw).id == content["key_id"]


def test_a_passphrase_may_be_typed_in_two_ways(path: Path) -> None:
    composed = unicodedata.normalize("NFC", "clé")
    decomposed = unicodedata.normalize("NFD", "clé")
    assert composed != decomposed
    made = FileProtector.create(path, composed)
    again = FileProtector.open(path, decomposed)
    assert again.unwrap(made.wrap(SECRET)) == SECRET


def test_a_wrong_passphrase_tells_both_ids(with_passphrase: Path) -> None:
    expected = json.loads(with_passphrase.read_text())["key_id"]
    with pytest.raises(ProtectorError, match=r"passphrase .* is wrong") as caught:
        FileProtector.open(with_passphrase, "wrong horse")
    text = str(caught.value)
    assert f"expected key {expected}, found " in text
    assert "wrong horse" not in text


def test_a_missing_passphrase_is_asked_for(with_passphrase: Path) -> None:
    with pytest.raises(ProtectorError, match="needs its passphrase"):
        FileProtector.open(with_passphrase)


def test_an_empty_passphrase_is_refused(path: Path) -> None:
    with pytest.raises(UsageError, match="passphrase is empty"):
        FileProtector.create(path, "")
    assert not path.exists()


def test_another_key_file_tells_both_ids(path: Path, tmp_path: Path) -> None:
    made = FileProtector.create(path)
    other = FileProtector.create(tmp_path / "other.key")
    ours, theirs = made.describe()["key_id"], other.describe()["key_id"]
    with pytest.raises(ProtectorError) as caught:
        other.unwrap(made.wrap(SECRET))
    assert f"expected key {ours}, found {theirs}" in str(caught.value)
    with pytest.raises(ProtectorError) as caught:
        FileProtector.open(path, key_id=theirs)
    assert f"expected key {theirs}, found {ours}" in str(caught.value)


def test_a_key_that_does_not_fit_its_id_is_refused(path: Path) -> None:
    made = FileProtector.create(path)
    change(path, key=base64.b64encode(bytes(32)).decode())
    with pytest.raises(ProtectorError, match="is damaged: expected key") as caught:
        FileProtector.open(path)
    assert made.describe()["key_id"] in str(caught.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610, 0o601])
def test_a_file_that_others_can_reach_is_refused(path: Path, mode: int) -> None:
    FileProtector.create(path)
    path.chmod(mode)
    with pytest.raises(ProtectorError, match=rf"has mode {mode:04o}.*run chmod 600"):
        FileProtector.open(path)
    path.chmod(0o400)
    FileProtector.open(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_somebody_else_is_refused(path: Path) -> None:
    FileProtector.create(path)
    os.chown(path, 12345, 12345)
    with pytest.raises(ProtectorError, match="belongs to user 12345"):
        FileProtector.open(path)


def test_a_missing_file_may_come_back(path: Path) -> None:
    with pytest.raises(ProtectorUnavailableError, match="is absent"):
        FileProtector.open(path)


def test_a_file_is_never_overwritten(path: Path) -> None:
    made = FileProtector.create(path)
    with pytest.raises(ProtectorError, match="exists already"):
        FileProtector.create(path)
    assert FileProtector.open(path).describe() == made.describe()
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_file_in_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProtectorError, match="cannot be written"):
        FileProtector.create(tmp_path / "nowhere" / "vault.key")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProtectorError, match="is not a file"):
        FileProtector.open(tmp_path)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    started = time.monotonic()
    with pytest.raises(ProtectorError, match="is not a file"):
        FileProtector.open(pipe)
    assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"version": 2}, "has version 2: update vaultcore"),
        ({"format": "another"}, "is not a key file"),
        ({"extra": 1}, "is not a key file"),
        ({"key": None}, "holds no key, or two"),
        ({"key": "AAAA"}, "a field is not 32 bytes"),
        ({"key": "no base64"}, "a field is not 32 bytes"),
        ({"scrypt": {"salt": "", "n": 2, "r": 8, "p": 1}}, "holds no key, or two"),
    ],
)
def test_a_damaged_file_is_refused(path: Path, members: dict[str, Any], words: str) -> None:
    FileProtector.create(path)
    change(path, **members)
    with pytest.raises(ProtectorError, match=words):
        FileProtector.open(path)


@pytest.mark.parametrize(
    "cost",
    [
        {"n": 1 << 30},
        {"n": 1 << 17, "r": 1 << 20},
        {"n": 1000},
        {"n": 0},
        {"n": -2},
        {"n": 1},
        {"p": 1 << 20},
        {"p": 0},
        {"r": 0},
    ],
)
def test_a_cost_that_would_take_all_memory_is_refused(path: Path, cost: dict[str, int]) -> None:
    FileProtector.create(path)
    salt = base64.b64encode(bytes(16)).decode()
    change(path, key=None, scrypt={"salt": salt, "n": 1 << 14, "r": 8, "p": 1, **cost})
    started = time.monotonic()
    with pytest.raises(ProtectorError, match="scrypt cost is impossible"):
        FileProtector.open(path, PASSPHRASE)
    assert time.monotonic() - started < 1


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"{" * 4096])
def test_what_is_no_key_file_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ProtectorError, match="is not a key file"):
        FileProtector.open(path)


def test_a_huge_file_is_refused(path: Path) -> None:
    path.write_bytes(bytes(5000))
    path.chmod(0o600)
    with pytest.raises(ProtectorError, match="larger than any key file"):
        FileProtector.open(path)


def test_every_change_of_a_wrapped_key_is_found(path: Path) -> None:
    made = FileProtector.create(path)
    wrapped = made.wrap(SECRET)
    for position in range(len(wrapped)):
        changed = bytearray(wrapped)
        changed[position] ^= 1
        with pytest.raises(ProtectorError):
            made.unwrap(bytes(changed))
    for size in range(len(wrapped)):
        with pytest.raises(ProtectorError):
            made.unwrap(wrapped[:size])


def test_only_what_a_protector_wrapped_is_unwrapped(path: Path) -> None:
    made = FileProtector.create(path)
    raw = base64.b64decode(json.loads(path.read_text())["key"])
    elsewhere = KeyEncryptionKey.danger_from_bytes(raw).seal(SECRET, context={"purpose": "other"})
    with pytest.raises(ProtectorError, match="does not verify"):
        made.unwrap(elsewhere)


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_only_keys_are_wrapped(path: Path, size: int) -> None:
    with pytest.raises(UsageError, match="32 bytes"):
        FileProtector.create(path).wrap(bytes(size))


def test_a_closed_protector_is_refused(path: Path) -> None:
    made = FileProtector.create(path)
    wrapped = made.wrap(SECRET)
    made.close()
    with pytest.raises(UsageError, match="is closed"):
        made.wrap(SECRET)
    with pytest.raises(UsageError, match="is closed"):
        made.unwrap(wrapped)


def test_no_text_holds_the_key(path: Path) -> None:
    made = FileProtector.create(path)
    key = json.loads(path.read_text())["key"]
    for text in (repr(made), repr(vars(made)), str(made.describe())):
        assert key not in text
        assert base64.b64decode(key).hex() not in text
