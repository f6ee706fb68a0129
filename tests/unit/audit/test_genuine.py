"""Whether a line of the log is a record that this installation made."""

import hashlib
from typing import Any

import pytest

from vaultcore.audit.genuine import is_genuine

LABEL = b"vaultcore audit record 1\n"
BODY = b'{"operationName":"SecretGet","sequence":7,"previous":"' + b"0" * 64 + b'"'
DIGEST = hashlib.sha256(LABEL + BODY).hexdigest()
MAC = "ab" * 16
LINE = BODY + f',"hash":"{DIGEST}","mac":"{MAC}"}}'.encode()


def made(sequence: int, digest: str, mac: str | None) -> bool:
    return (sequence, digest, mac) == (7, DIGEST, MAC)


def test_a_record_with_its_hash_and_a_mac_of_ours_is_genuine() -> None:
    assert is_genuine(LINE, made)


def test_the_hash_that_is_looked_at_is_that_of_the_line() -> None:
    # Whoever copies number, hash and MAC of a record of ours into another one has not made it.
    assert not is_genuine(LINE.replace(b"SecretGet", b"SecretSet"), made)
    asked: list[tuple[int, str, str | None]] = []

    def ask(*given: Any) -> bool:
        asked.append(given)
        return False

    assert not is_genuine(LINE.replace(b"SecretGet", b"SecretSet"), ask)
    other = hashlib.sha256(LABEL + BODY.replace(b"SecretGet", b"SecretSet")).hexdigest()
    assert asked == [(7, other, MAC)]


def test_a_record_without_a_mac_is_asked_about_as_one() -> None:
    bare = BODY + f',"hash":"{DIGEST}"}}'.encode()
    assert not is_genuine(bare, made)
    assert is_genuine(bare, lambda _, digest, mac: (digest, mac) == (DIGEST, None))


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        LINE[:-1],
        LINE + b" ",
        LINE.replace(b'"sequence":7', b'"sequence":07'),
        LINE.replace(b'"sequence":7', b'"sequence":0'),
        LINE.replace(b'"sequence":7', b'"sequence":-7'),
        LINE.replace(b'"previous":"0', b'"previous":"'),
        LINE.replace(MAC.encode(), MAC.upper().encode()),
        b"\xff" * 100,
    ],
)
def test_what_is_no_record_is_not_asked_about(line: bytes) -> None:
    assert not is_genuine(line, lambda *_: True)
