"""The loop of a worker, spoken to over its socket; no module is loaded but one that is absent."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import msgspec
import pytest

from vaultcore.protectors.pkcs11.messages import (
    Answer,
    Call,
    Done,
    Failed,
    Open,
    PublicPart,
    Request,
    receive,
    send,
)
from vaultcore.protectors.pkcs11.process import WORKER
from vaultcore.protectors.pkcs11.worker.main import Worker

Started = tuple[subprocess.Popen[bytes], socket.socket]
REQUEST = PublicPart(key_id=b"id", thumbprint="t")


@pytest.fixture
def started() -> Iterator[Started]:
    ours, theirs = socket.socketpair()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", WORKER, str(theirs.fileno())],
        pass_fds=(theirs.fileno(),),
        stderr=subprocess.PIPE,
    )
    theirs.close()
    yield process, ours
    ours.close()
    process.kill()
    process.communicate()


def test_nothing_but_opening_works_before_there_is_a_session() -> None:
    reply = Worker().answer(REQUEST)
    assert isinstance(reply, Failed)
    assert (reply.category, reply.text) == ("unavailable", "the worker has no session with a token")


def test_a_refusal_is_a_reply() -> None:
    worker = Worker()
    reply = worker.answer(Open(module="/nonexistent.so", token_label="t", serial=None, pin="1"))
    assert isinstance(reply, Failed)
    assert reply.category == "configuration"
    assert isinstance(worker.answer(REQUEST), Failed), "and the worker goes on"


def test_every_request_has_its_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    from vaultcore.protectors.pkcs11.worker import main

    class Silent:
        def __init__(self, *_: object) -> None:
            pass

        def __getattr__(self, name: str) -> object:
            return lambda *_: Done()

    class Opening(Silent):
        @classmethod
        def open(cls, _: Open) -> "Opening":
            return cls()

    monkeypatch.setattr(main, "Session", Opening)
    monkeypatch.setattr(main, "WrapKeys", Silent)
    monkeypatch.setattr(main, "KeyPairs", Silent)
    worker = Worker()
    worker.answer(Open(module="m", token_label="t", serial=None, pin="1"))
    assert set(worker._handlers) == set(Request.__args__)


def test_replies_carry_the_number_of_their_request(started: Started) -> None:
    process, ours = started
    for number in (7, 8, 1):
        send(ours, msgspec.msgpack.encode(Call(number=number, seconds=5.0, request=REQUEST)))
        body = receive(ours, time.monotonic() + 30.0)
        answer = msgspec.msgpack.decode(body, type=Answer)
        assert answer.number == number
        assert isinstance(answer.reply, Failed)
    ours.close()
    assert process.wait(30.0) == 0


def test_what_cannot_be_read_ends_the_worker_without_being_quoted(started: Started) -> None:
    process, ours = started
    send(ours, msgspec.msgpack.encode({"number": 1, "seconds": "CANARY", "request": "CANARY"}))
    _, said = process.communicate(timeout=30.0)
    assert process.returncode == 1
    assert b"vaultcore HSM worker: ValidationError at " in said
    assert b"CANARY" not in said
