"""Strangers who hold connections do not keep anybody out."""

from __future__ import annotations

import contextlib
import resource
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx
import pytest
from driver import read_answer, start, stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from driver import Service

SHORT_OF_DESCRIPTORS = ["prlimit", "--nofile=512:512"]
LIMIT = 210  # connections that a worker with so many descriptors keeps, about
PATIENCE = 5.0  # of the honest client; two seconds, and what a busy machine adds
ROUNDS = 2
COMING = 8  # strangers at once


@pytest.fixture(autouse=True)
def _many_descriptors() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def silent(service: Service) -> socket.socket:
    return socket.create_connection(("127.0.0.1", service.port), timeout=PATIENCE)


def anonymous(service: Service) -> socket.socket:
    with contextlib.ExitStack() as failed:
        plain = failed.enter_context(silent(service))
        kept = service.context.wrap_socket(plain, server_hostname="127.0.0.1")
        failed.enter_context(kept)
        kept.sendall(f"GET /secrets HTTP/1.1\r\nHost: 127.0.0.1:{service.port}\r\n\r\n".encode())
        assert read_answer(kept).status == 401
        failed.pop_all()
    return kept


def ask(service: Service, token: str) -> None:
    """An honest client asks a few times, over a new connection each."""
    for _ in range(3):
        with httpx.Client(verify=service.context, timeout=PATIENCE) as client:
            answer = client.get(
                f"https://127.0.0.1:{service.port}/secrets?api-version=7.4",
                headers={"authorization": f"Bearer {token}"},
            )
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("workers", [1, 2])
def test_strangers_with_three_times_the_connections_keep_nobody_out(
    tmp_path: Path, workers: int
) -> None:
    service = start(tmp_path, "--workers", str(workers), under=SHORT_OF_DESCRIPTORS)
    try:
        token = service.admin
        for stranger in (silent, anonymous):
            for _ in range(ROUNDS):
                with flood(service, stranger, 3 * LIMIT * workers) as finished:
                    ask(service, token)  # while they come
                    finished.wait()
                    ask(service, token)  # while they hold on
                ask(service, token)  # after they have left
        assert "connections was reached: closed" in service.output()
    finally:
        stop(service)


@contextlib.contextmanager
def flood(
    service: Service, stranger: Callable[[Service], socket.socket], number: int
) -> Iterator[threading.Event]:
    """Opens connections and holds them; some are ended by the service meanwhile."""
    held: list[socket.socket] = []
    finished = threading.Event()

    def come() -> None:
        with ThreadPoolExecutor(COMING) as pool:
            for _ in range(number):
                pool.submit(hold)
        finished.set()

    def hold() -> None:
        with contextlib.suppress(OSError, AssertionError):
            held.append(stranger(service))

    coming = threading.Thread(target=come)
    coming.start()
    try:
        yield finished
    finally:
        coming.join()
        assert len(held) > number // 2
        for each in held:
            each.close()


def test_a_caller_with_a_token_keeps_his_connection_among_strangers(tmp_path: Path) -> None:
    service = start(tmp_path, under=SHORT_OF_DESCRIPTORS)
    try:
        token = service.admin
        with socket.create_connection(("127.0.0.1", service.port)) as plain:
            known = service.context.wrap_socket(plain, server_hostname="127.0.0.1")
            question = (
                f"GET /secrets?api-version=7.4 HTTP/1.1\r\nHost: 127.0.0.1:{service.port}\r\n"
                f"Authorization: Bearer {token}\r\n\r\n"
            ).encode()
            with known:
                known.sendall(question)
                assert read_answer(known).status == 200
                with flood(service, anonymous, 2 * LIMIT) as finished:
                    while not finished.wait(1.0):
                        known.sendall(question)
                        assert read_answer(known).status == 200
                    known.sendall(question)
                    assert read_answer(known).status == 200
    finally:
        stop(service)


def test_a_connection_without_a_request_is_closed(tmp_path: Path) -> None:
    service = start(tmp_path)
    try:
        # Without a handshake, and without a request after one.
        with silent(service) as unsecured, anonymous(service) as unused:
            for each in (unsecured, unused):
                each.settimeout(30)
                assert each.recv(1) == b""
    finally:
        stop(service)
