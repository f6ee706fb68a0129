"""Signed checkpoints: a chain of their own, which no line of a stranger and no torn end stops."""

import hashlib
import json
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import pytest

from vaultcore._core import Key
from vaultcore.audit.checkpoints import FILE, Checkpoint, Checkpoints, Retired, timestamp
from vaultcore.errors import AuditError, UsageError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def checkpoints(folder: Path, signer: Key) -> Checkpoints:
    return Checkpoints(folder, signer)


def made(sequence: int, **changes: Any) -> Checkpoint:
    given = {"hash": f"{sequence:064x}", "time": timestamp(sequence), "end": 100 * sequence}
    return Checkpoint(sequence, **{**given, "revision": sequence + 1, **changes})


def lines(folder: Path) -> list[bytes]:
    return (folder / FILE).read_bytes().splitlines(keepends=True)


def test_the_last_one_is_read_as_it_was_signed(checkpoints: Checkpoints) -> None:
    assert checkpoints.last() is None
    for sequence in (1, 5, 9):
        assert checkpoints.sign(made(sequence))
        assert checkpoints.last() == made(sequence)


def test_what_another_one_covers_is_not_signed_again(
    checkpoints: Checkpoints, folder: Path, signer: Key
) -> None:
    assert checkpoints.sign(made(5))
    other = Checkpoints(folder, signer)
    assert not other.sign(made(5))
    assert not other.sign(made(4))
    assert other.sign(made(6))
    assert len(lines(folder)) == 2


def test_each_line_names_the_one_before(checkpoints: Checkpoints, folder: Path) -> None:
    for sequence in (1, 2, 3):
        checkpoints.sign(made(sequence))
    first, second, third = lines(folder)
    assert json.loads(first)["previous"] == "0" * 64
    for before, line in ((first, second), (second, third)):
        assert json.loads(line)["previous"] == hashlib.sha256(before[:-1]).hexdigest()


@pytest.mark.parametrize(
    "junk",
    [
        b"x",
        b"{}\n",
        b'{"sequence":99}\n' * 3,
        b"\0" * 200_000,
        b'{"sequence":99,"signature":"AAAA"}\n',
        b"\n\n",
    ],
    ids=["torn", "empty", "unsigned", "zeros", "forged", "blank"],
)
def test_what_stands_behind_the_last_one_that_holds_is_put_aside(
    checkpoints: Checkpoints, folder: Path, junk: bytes
) -> None:
    checkpoints.sign(made(1))
    whole = (folder / FILE).read_bytes()
    (folder / FILE).write_bytes(whole + junk)
    assert checkpoints.last() == made(1)
    assert (folder / FILE).read_bytes() == whole
    (kept,) = checkpoints.kept
    assert (folder / kept).read_bytes() == junk
    assert checkpoints.sign(made(2))


def test_a_line_of_another_key_is_none(
    checkpoints: Checkpoints, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    checkpoints.sign(made(1))
    stranger = tmp_path_factory.mktemp("stranger")
    Checkpoints(stranger, Key.generate("EC", curve="P-256")).sign(made(99))
    (folder / FILE).write_bytes((folder / FILE).read_bytes() + (stranger / FILE).read_bytes())
    assert checkpoints.last() == made(1)


def test_every_changed_byte_of_a_line_is_noticed(checkpoints: Checkpoints, folder: Path) -> None:
    checkpoints.sign(made(1))
    whole = (folder / FILE).read_bytes()
    for place in range(0, len(whole) - 1, 7):
        (folder / FILE).write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert checkpoints.last() is None, place
        (folder / FILE).write_bytes(whole)


def test_a_retired_key_speaks_for_its_time_and_not_for_later(folder: Path) -> None:
    old, new = Key.generate("EC", curve="P-256"), Key.generate("EC", curve="P-256")
    Checkpoints(folder, old).sign(made(5))
    public = Key.from_jwk(old.public_jwk())
    assert Checkpoints(folder, new, [Retired(public, 5)]).last() == made(5)
    assert Checkpoints(folder, new, [Retired(public, 4)]).last() is None


def test_a_key_that_is_not_known_leaves_nothing_that_holds(folder: Path) -> None:
    Checkpoints(folder, Key.generate("EC", curve="P-256")).sign(made(5))
    assert Checkpoints(folder, Key.generate("EC", curve="P-256")).last() is None


def test_those_of_older_versions_have_no_end_and_no_revision(
    folder: Path, signer: Key, checkpoints: Checkpoints
) -> None:
    members = {
        "sequence": 3,
        "hash": "a" * 64,
        "time": timestamp(0),
        "previous": "0" * 64,
        "keyId": signer.thumbprint(),
        "algorithm": "ES256",
    }
    signed = json.dumps(members, separators=(",", ":")).encode()[:-1]
    digest = hashlib.sha256(b"vaultcore audit checkpoint 1\n" + signed).digest()
    signature = urlsafe_b64encode(signer.sign("ES256", digest)).rstrip(b"=")
    (folder / FILE).write_bytes(signed + b',"signature":"' + signature + b'"}\n')
    assert checkpoints.last() == Checkpoint(3, "a" * 64, timestamp(0), None, 0)


def test_those_of_expired_records_go_but_for_the_last_of_all(
    checkpoints: Checkpoints, folder: Path
) -> None:
    for sequence in range(1, 11):
        checkpoints.sign(made(sequence))
    before = lines(folder)
    checkpoints.prune(4)
    assert lines(folder) == before[4:]
    checkpoints.prune(4)
    assert lines(folder) == before[4:]
    checkpoints.prune(1000)
    assert lines(folder) == before[-1:]
    assert checkpoints.sign(made(11))


@pytest.mark.parametrize("kind", [("oct", {"size": 256}), ("EC", {"curve": "P-384"})])
def test_a_key_that_cannot_sign_them_is_refused(
    folder: Path, kind: tuple[str, dict[str, Any]]
) -> None:
    with pytest.raises(UsageError, match="P-256 or Ed25519"):
        Checkpoints(folder, Key.generate(kind[0], **kind[1]))


def test_a_public_key_is_refused(folder: Path, signer: Key) -> None:
    with pytest.raises(UsageError):
        Checkpoints(folder, Key.from_jwk(signer.public_jwk()))


def test_a_file_that_cannot_be_written_is_told(folder: Path, checkpoints: Checkpoints) -> None:
    (folder / FILE).mkdir()
    with pytest.raises(AuditError, match="cannot use the checkpoints"):
        checkpoints.sign(made(1))
    with pytest.raises(AuditError):
        checkpoints.last()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (1_700_000_000.25, "2023-11-14T22:13:20.250000Z"),
        (4_102_444_799.999999, "2099-12-31T23:59:59.999999Z"),
    ],
)
def test_a_time_has_microseconds_and_a_z(seconds: float, text: str) -> None:
    assert timestamp(seconds) == text
