"""Closes some of a worker's connections before the descriptors run out.

The HTTP server accepts every connection, and an accept that finds no free descriptor would stop it.
So a thread counts, and at a limit it shuts down the connections that are worth the least: first
those that never sent anything, then those of callers who never presented a valid token, the oldest
first, and last those of known callers, the longest idle first.
"""

import ctypes
import errno
import logging
import os
import resource
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from vaultcore.service import descriptors
from vaultcore.service.descriptors import Descriptors
from vaultcore.service.listening import waiting

#: How long a connection may be silent before it is among the first to be closed, in seconds.
SILENT_SECONDS: Final = 1.0
#: The pause between two log messages about closed connections, in seconds.
QUIET_SECONDS: Final = 10.0
#: How often the connections are counted, in seconds; more often if few descriptors are free.
LOOK_SECONDS: Final = 0.02
_SHORT_LOOK_SECONDS: Final = 0.005
_AMPLE: Final = 2048
#: A worker that gets no descriptor back for this long exits, in seconds.
RESCUE_SECONDS: Final = 3.0
_VACATE_SECONDS: Final = 1.2
_RESCUE_LOOK_SECONDS: Final = 0.005
#: How many callers are remembered before those whose connections have ended are forgotten.
_REMEMBERED: Final = 4096

_SO_ATTACH_FILTER: Final = 26
_SO_DETACH_FILTER: Final = 27
_REJECT_ALL: Final = struct.pack("=HBBI", 0x06, 0, 0, 0)  # BPF_RET of 0: drop the packet
# Of `struct tcp_info` (linux/tcp.h): the state, milliseconds since data was sent and received, and
# bytes received.
_INFO_BYTES: Final = 136
_INFO: Final = struct.Struct("=B43xI4xI72xQ")
#: The states of a connection that was not ended on this side: established, ended by the peer.
_LIVE: Final = frozenset({1, 8})

#: The order of closing.
_SILENT: Final = 0
_ANONYMOUS: Final = 1
_KNOWN: Final = 2

#: Address and port, both as text, as the server reports its client to the application.
Peer = tuple[str, str]

logger = logging.getLogger("vaultcore.service")


class Connection(NamedTuple):
    """One connection, as the kernel reports it.

    Attributes:
        descriptor: the descriptor of its socket.
        peer: the address and port of the other side.
        silent: whether nothing ever arrived.
        idle: for how long nothing was sent or received, in seconds.
        live: whether it was not ended on this side.
    """

    descriptor: int
    peer: Peer
    silent: bool
    idle: float
    live: bool


class Keeper(threading.Thread):
    """Keeps the number of connections of this process below a limit.

    Args:
        listener: the listening socket that they come from.
        limits: what this process may open.
        admitted: the callers that presented a valid token, by address and port; the data plane
            adds to it, and the keeper removes from it.
    """

    def __init__(self, listener: socket.socket, limits: Descriptors, admitted: set[Peer]) -> None:
        super().__init__(name="vaultcore-connections", daemon=True)
        self._listener = listener
        self._limits = limits
        self._admitted = admitted
        self._ended = threading.Event()
        self._seen: dict[Peer, float] = {}
        self._own = descriptors.opened()
        self._most = self._own + descriptors.OWN
        self._vacate_at: float | None = None
        spare = limits.soft - limits.connections
        self._pause = LOOK_SECONDS if spare >= _AMPLE else _SHORT_LOOK_SECONDS
        #: How many were ended: silent, anonymous and known ones.
        self._closed = [0, 0, 0]
        self._rescues = 0
        self._said = -QUIET_SECONDS
        self._trouble = ""
        # A predecessor that died while it blocked new connections left its filter in place.
        self._open_valve()

    def end(self) -> None:
        """Ends the thread."""
        self._ended.set()
        self.join()

    def run(self) -> None:
        """Checks the connections again and again."""
        while not self._ended.wait(self._pause):
            try:
                self.look()
                self._trouble = ""
            except OSError as error:
                # Whatever it is, the next check is soon, and it is logged once.
                trouble = f"the connections cannot be kept in bounds ({error.strerror})"
                if trouble != self._trouble:
                    logger.error("%s", trouble)  # noqa: TRY400
                self._trouble = trouble

    def look(self) -> None:
        """Closes connections if there are too many.

        Raises:
            OSError: the kernel does not report them.
        """
        opened = descriptors.opened()
        if opened >= self._limits.soft - 1:
            self._rescue()
        elif opened - self._own > self._limits.connections:
            try:
                self._evict(self._limits.connections * 9 // 10)
            except OSError as error:
                if error.errno != errno.EMFILE:
                    raise
                self._rescue()
        elif self._vacate_at is not None and time.monotonic() >= self._vacate_at:
            self._vacate()
        elif len(self._admitted) > _REMEMBERED + 2 * self._limits.connections:
            self._forget(self._scan())
        self._report()

    def _scan(self) -> list[Connection]:
        opened = descriptors.listed()
        port = self._listener.getsockname()[1]
        found = list(connections(opened, port, self._listener.family))
        # A descriptor closed during the scan counts as the scan's own, but there cannot be many.
        self._own = min(len(opened) - len(found), self._most)
        return found

    def _forget(self, found: list[Connection]) -> None:
        live = {connection.peer for connection in found}
        self._admitted.intersection_update(live)
        now = time.monotonic()
        self._seen = {peer: self._seen.get(peer, now) for peer in live}

    def _evict(self, wanted: int) -> None:
        """Shuts down connections until only as many are left as wanted."""
        found = self._scan()
        self._forget(found)
        live = sorted((each for each in found if each.live), key=self._worth)
        for connection in live[: max(0, len(live) - wanted)]:
            self._end_one(connection, self._worth(connection)[0])

    def _end_one(self, connection: Connection, rank: int) -> None:
        if shut_down(connection, self._listener):
            self._closed[rank] += 1

    def _worth(self, connection: Connection) -> tuple[int, float, float]:
        """Returns the key that decides which is closed first: the smallest."""
        if connection.peer in self._admitted:
            return _KNOWN, -connection.idle, 0.0
        seen = self._seen.get(connection.peer, 0.0)
        if connection.descriptor >= self._limits.soft:
            # It has a descriptor that the next rescue needs.
            silent = time.monotonic() - seen >= SILENT_SECONDS
        else:
            silent = connection.silent and connection.idle >= SILENT_SECONDS
        return (_SILENT if silent else _ANONYMOUS), seen, -connection.idle

    def _rescue(self) -> None:
        """Frees descriptors when none is left and the server can accept nothing.

        New connections are dropped on arrival; their kernels try again after a second. Those that
        wait already get the descriptors above the soft limit, so that the server notices which of
        its connections have ended. Stopping before it has noticed would admit the same number
        again.
        """
        until = time.monotonic() + RESCUE_SECONDS
        self._close_valve()
        resource.setrlimit(resource.RLIMIT_NOFILE, (self._limits.hard, self._limits.hard))
        while not self._ended.is_set():
            try:
                self._evict(self._limits.connections // 2)
            except OSError as error:
                if error.errno != errno.EMFILE:
                    raise
            left = descriptors.opened() - self._own
            if left <= self._limits.connections and waiting(self._listener) == 0:
                break
            if time.monotonic() > until:
                # Only the end of the process frees them; the next worker serves what waits.
                logger.critical("the descriptors ran out, and none was freed: the worker exits")
                os.kill(os.getpid(), signal.SIGKILL)
            self._ended.wait(_RESCUE_LOOK_SECONDS)
        resource.setrlimit(resource.RLIMIT_NOFILE, (self._limits.soft, self._limits.hard))
        self._open_valve()
        self._rescues += 1
        self._vacate_at = time.monotonic() + _VACATE_SECONDS

    def _vacate(self) -> None:
        """Frees the descriptors above the soft limit for the next rescue."""
        found = self._scan()
        self._forget(found)
        above = [each for each in found if each.descriptor >= self._limits.soft]
        for connection in above:
            rank = self._worth(connection)[0]
            if connection.live and (rank < _KNOWN or connection.idle >= SILENT_SECONDS):
                self._end_one(connection, rank)
        self._vacate_at = time.monotonic() + _VACATE_SECONDS if above else None

    def _close_valve(self) -> None:
        program = ctypes.create_string_buffer(_REJECT_ALL)
        described = struct.pack("@HP", 1, ctypes.addressof(program))
        self._listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, described)

    def _open_valve(self) -> None:
        try:
            self._listener.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
        except OSError as error:
            if error.errno != errno.ENOENT:  # there was none
                raise

    def _report(self) -> None:
        closed, now = self._closed, time.monotonic()
        if not (any(closed) or self._rescues) or now - self._said < QUIET_SECONDS:
            return
        held_off = (
            f"; the descriptors ran out {self._rescues} times, and new connections were blocked "
            "for a moment"
            if self._rescues
            else ""
        )
        logger.warning(
            "the limit of %d connections was reached: closed %d that were silent, %d without a "
            "valid token and %d others that were idle%s",
            self._limits.connections,
            *closed,
            held_off,
        )
        self._closed, self._rescues, self._said = [0, 0, 0], 0, now


def connections(opened: Iterable[int], port: int, family: int) -> Iterator[Connection]:
    """Yields the connections of this process that came in at a port.

    Args:
        opened: the descriptors to check.
        port: the port.
        family: the family of the listening socket.
    """
    for descriptor in opened:
        try:
            found = socket.SocketType(family, socket.SOCK_STREAM, 0, descriptor)
        except OSError:  # closed by now, or not a socket
            continue
        try:
            if found.getsockname()[1] != port:
                continue
            peer = found.getpeername()
            told = found.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
        except (OSError, IndexError, TypeError):  # the listening socket, or of another family
            continue
        finally:
            found.detach()  # its owner keeps it
        state, sent, received, size = _INFO.unpack(told)
        idle = min(sent, received) / 1000.0
        yield Connection(descriptor, name_of(peer), size == 0, idle, state in _LIVE)


def name_of(address: tuple[Any, ...]) -> Peer:
    """Returns a socket's address in the form used here."""
    return str(address[0]), str(address[1])


def shut_down(connection: Connection, listener: socket.socket) -> bool:
    """Ends a connection; the server then notices the end and closes it.

    The descriptor is pinned and checked again first: it may have been reused by now.

    Returns:
        Whether it was still that connection.
    """
    try:
        pinned = os.dup(connection.descriptor)
    except OSError as error:
        if error.errno == errno.EBADF:
            return False
        raise
    try:
        with socket.socket(listener.family, socket.SOCK_STREAM, fileno=pinned) as found:
            same = found.getsockname()[1] == listener.getsockname()[1]
            if not same or name_of(found.getpeername()) != connection.peer:
                return False
            found.shutdown(socket.SHUT_RDWR)
    except (OSError, IndexError, TypeError):
        return False
    return True
