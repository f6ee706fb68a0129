import socket
import time
from collections.abc import Iterator

import msgspec
import pytest

from vaultcore.protectors.pkcs11.messages import (
    MAX_FRAME,
    Answer,
    Call,
    Done,
    Failed,
    Import,
    InitToken,
    Open,
    Request,
    Sign,
    Unwrap,
    new_key_id,
    receive,
    send,
)

Ends = tuple[socket.socket, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def test_a_frame_arrives_as_it_was_sent(ends: Ends) -> None:
    ours, theirs = ends
    for body in (b"", b"one", bytes(100_000)):
        send(ours, body)
        assert receive(theirs) == body


def test_a_frame_in_pieces_is_put_together(ends: Ends) -> None:
    ours, theirs = ends
    for byte in (3).to_bytes(4, "big") + b"abc":
        ours.sendall(bytes([byte]))
    assert receive(theirs, time.monotonic() + 5.0) == b"abc"


def test_a_stream_that_ends_within_a_frame_is_told(ends: Ends) -> None:
    ours, theirs = ends
    ours.sendall((3).to_bytes(4, "big") + b"ab")
    ours.close()
    with pytest.raises(EOFError):
        receive(theirs)


def test_an_impossible_length_is_not_waited_for(ends: Ends) -> None:
    ours, theirs = ends
    ours.sendall((MAX_FRAME + 1).to_bytes(4, "big"))
    with pytest.raises(EOFError, match="longer than any message"):
        receive(theirs)


def test_pieces_that_trickle_in_do_not_move_the_end_of_the_waiting(ends: Ends) -> None:
    ours, theirs = ends
    ours.sendall((3).to_bytes(4, "big") + b"a")
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        receive(theirs, started + 0.05)
    assert 0.04 < time.monotonic() - started < 2.0
    with pytest.raises(TimeoutError):
        receive(theirs, started)


@pytest.mark.parametrize(
    "request_",
    [
        Open(module="m", token_label="t", serial=None, pin="canary"),
        InitToken(module="m", label="t", so_pin="canary", pin="canary"),
        Import(key_id=b"i", jwk={"d": "canary"}, label="canary"),
        Sign(key_id=b"i", thumbprint="t", algorithm="RS256", data=b"canary"),
        Unwrap(key_id=b"i", check_value="", nonce=b"", data=b"canary", associated_data=b""),
    ],
)
def test_what_may_hold_a_secret_shows_nothing_and_arrives_whole(request_: Request) -> None:
    call = Call(number=1, seconds=2.0, request=request_)
    assert "canary" not in repr(request_)
    assert "canary" not in repr(call)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(call), type=Call) == call


def test_an_answer_shows_its_data_to_nobody() -> None:
    answer = Answer(number=1, reply=Done(b"canary"))
    assert "canary" not in repr(answer)
    assert "canary" not in repr(answer.reply)


def test_a_failure_of_no_known_sort_is_not_decoded() -> None:
    body = msgspec.msgpack.encode({"number": 1, "reply": {"type": "Failed", "category": "x"}})
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(body, type=Answer)
    known = Answer(number=1, reply=Failed(category="key", text="no key"))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(known), type=Answer) == known


def test_no_two_key_ids_are_alike() -> None:
    made = {new_key_id() for _ in range(1000)}
    assert len(made) == 1000
    assert {len(key_id) for key_id in made} == {16}
