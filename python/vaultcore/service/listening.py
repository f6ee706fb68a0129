"""The service's port: used by one service alone, with a listening socket for each worker."""

import ipaddress
import socket
import struct
from typing import Final

from vaultcore.errors import ConfigurationError

#: Offset of the length of the queue of accepted connections in `struct tcp_info` (linux/tcp.h).
_QUEUE_OFFSET: Final = 24
_QUEUE_BYTES: Final = 4


def listen(address: str, port: int, workers: int, backlog: int) -> list[socket.socket]:
    """Returns a listening socket for each worker, on a port that no other program listens on.

    The sockets belong to the supervisor and outlive the workers, so that the connections in a
    queue are answered by the worker that replaces a dead one.

    Args:
        address: an IP address of this machine, or `0.0.0.0` or `::` for all of them.
        port: the port.
        workers: how many sockets.
        backlog: how many connections may wait in each queue.

    Raises:
        ConfigurationError: the address is not one of this machine, or the port is taken.
    """
    try:
        family = (
            socket.AF_INET if ipaddress.ip_address(address).version == 4 else socket.AF_INET6  # noqa: PLR2004
        )
    except ValueError:
        raise ConfigurationError(
            f"the address to listen on is an IP address, not `{address}`"
        ) from None
    found: list[socket.socket] = []
    try:
        # Without SO_REUSEPORT, the kernel refuses a second service, even in a race. The workers'
        # sockets join while this one has the port.
        alone = _open(family)
        found.append(alone)
        alone.bind((address, port))
        alone.listen(backlog)
        if workers == 1:
            return found
        alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        for _ in range(workers):
            shared = _open(family)
            found.append(shared)
            shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            shared.bind(alone.getsockname())
            shared.listen(backlog)
        found.remove(alone)
        alone.close()
    except OSError as error:
        for opened in found:
            opened.close()
        raise ConfigurationError(
            f"the service cannot listen on port {port} of {address} ({error.strerror}): stop the "
            "program that listens there, perhaps another vaultcore, or choose another address or "
            "port"
        ) from None
    return found


def waiting(listener: socket.socket) -> int:
    """Returns how many connections wait in the queue of a listening socket."""
    told = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _QUEUE_OFFSET + _QUEUE_BYTES)
    return int(struct.unpack_from("=I", told, _QUEUE_OFFSET)[0])


def _open(family: socket.AddressFamily) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Accepted connections inherit it: answers are not delayed until the client acknowledges.
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return opened
