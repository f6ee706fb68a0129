"""A port is one service's alone, although its workers share it."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from vaultcore.errors import ConfigurationError
from vaultcore.service.listening import listen, waiting

if TYPE_CHECKING:
    from collections.abc import Iterator

BACKLOG = 16


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def port_of(sockets: list[socket.socket]) -> int:
    return int(sockets[0].getsockname()[1])


def opened(stack: ExitStack, address: str, port: int, workers: int) -> list[socket.socket]:
    return [stack.enter_context(each) for each in listen(address, port, workers, BACKLOG)]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("others", [1, 2])
@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])  # noqa: S104
def test_a_second_service_on_the_port_is_refused(
    stack: ExitStack, workers: int, others: int, address: str
) -> None:
    port = port_of(opened(stack, "127.0.0.1", 0, workers))
    with pytest.raises(ConfigurationError, match=f"port {port} .* another vaultcore"):
        listen(address, port, others, BACKLOG)


def test_another_address_of_the_machine_may_have_the_same_port(stack: ExitStack) -> None:
    port = port_of(opened(stack, "127.0.0.1", 0, 2))
    assert port_of(opened(stack, "127.0.0.2", port, 2)) == port


def test_the_port_is_free_when_the_service_has_ended(stack: ExitStack) -> None:
    first = listen("127.0.0.1", 0, 2, BACKLOG)
    port = port_of(first)
    with socket.create_connection(first[0].getsockname()):
        pass
    for each in first:
        each.close()
    assert len(opened(stack, "127.0.0.1", port, 2)) == 2


def test_the_workers_share_the_connections(stack: ExitStack) -> None:
    sockets = opened(stack, "127.0.0.1", 0, 2)
    for _ in range(20):
        stack.enter_context(socket.create_connection(sockets[0].getsockname()))
    waits = [waiting(each) for each in sockets]
    assert sum(waits) == 20
    assert all(waits)


@pytest.mark.parametrize("address", ["localhost", "vault.example.com", "192.0.2.1"])
def test_what_is_no_address_of_this_machine_is_refused(address: str) -> None:
    with pytest.raises(ConfigurationError, match=address):
        listen(address, 0, 1, BACKLOG)
