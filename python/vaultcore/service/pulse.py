"""A worker's pulse: it reports to the supervisor every second that it still answers.

The report comes from inside, because only the worker knows which connections to the shared port are
its own. The pulse stops if the event loop does not turn, if a request that arrived here is not
answered, or if connections wait and none is accepted; the supervisor then ends the worker.
"""

import asyncio
import contextlib
import ipaddress
import socket
import ssl
import threading
import time
from typing import Final

from vaultcore.service.connections import Peer, connections, name_of
from vaultcore.service.descriptors import listed
from vaultcore.service.health import LIVE
from vaultcore.service.listening import waiting

BEAT: Final = b"."
_BEAT_SECONDS: Final = 1.0
_ASK_SECONDS: Final = 5.0
_ANSWER_SECONDS: Final = 8.0
#: How long a new worker waits for a request of its own to reach itself, in seconds.
_FIRST_SECONDS: Final = 5.0
_FIRST_LOOK_SECONDS: Final = 0.05
_QUESTION: Final = (
    f"GET {LIVE} HTTP/1.1\r\nHost: health.invalid\r\nConnection: close\r\n\r\n".encode()
)
_UNAVAILABLE: Final = b"HTTP/1.1 503"


class Pulse(threading.Thread):
    """Checks this worker, and reports to the supervisor.

    Args:
        listener: the listening socket that it answers on.
        channel: the channel to the supervisor.
        loop: its event loop.
    """

    def __init__(
        self,
        listener: socket.socket,
        channel: socket.socket,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(name="vaultcore-pulse", daemon=True)
        self._listener = listener
        self._channel = channel
        self._loop = loop
        self._ended = threading.Event()
        self._accepted: set[Peer] = set()

    def end(self) -> None:
        """Ends the thread, at its next check."""
        self._ended.set()

    def run(self) -> None:
        """Sends the pulse until it is told to end."""
        self._wait_for_first()
        asked = time.monotonic()
        while not self._ended.wait(_BEAT_SECONDS):
            if time.monotonic() - asked >= _ASK_SECONDS:
                healthy = self._ask() is not False
                asked = time.monotonic()
                if not healthy:
                    continue
            if self._turns() and self._accepts():
                self._beat()

    def _wait_for_first(self) -> None:
        while not self._ended.is_set() and not self._turns():
            pass
        until = time.monotonic() + _FIRST_SECONDS
        # With other workers on the port, most requests are answered by those.
        while not self._ended.is_set() and self._ask(alone=True) is not True:
            if time.monotonic() > until:
                return
            self._ended.wait(_FIRST_LOOK_SECONDS)
        self._beat()

    def _beat(self) -> None:
        with contextlib.suppress(OSError):  # full, or the supervisor has ended, and this ends soon
            self._channel.send(BEAT, socket.MSG_DONTWAIT)

    def _turns(self) -> bool:
        """Returns whether the event loop turns."""
        turned = threading.Event()
        try:
            self._loop.call_soon_threadsafe(turned.set)
        except RuntimeError:  # closed
            self._ended.set()
            return False
        return turned.wait(_ANSWER_SECONDS)

    def _accepts(self) -> bool:
        """Returns whether nothing waits to be accepted, or something was accepted since."""
        if waiting(self._listener) == 0:
            return True
        before = self._accepted
        try:
            self._accepted = self._peers()
        except OSError:  # no descriptor is left for the check
            return False
        return not self._accepted <= before

    def _ask(self, *, alone: bool = False) -> bool | None:
        """Sends a request to the port.

        Args:
            alone: whether an answer counts only if it came from this worker.

        Returns:
            Whether it was answered; None if it went to another worker.
        """
        own: Peer | None = None
        try:
            with socket.create_connection(_reachable(self._listener), _ANSWER_SECONDS) as plain:
                own = name_of(plain.getsockname())
                with _context().wrap_socket(plain) as secured:
                    here = not alone or own in self._peers()
                    secured.sendall(_QUESTION)
                    answer = secured.recv(len(_UNAVAILABLE))
                    if answer and answer != _UNAVAILABLE:
                        return True if here else None
        except OSError:
            pass  # the next line handles a missing answer
        # It is this worker's fault only if the request arrived here.
        try:
            return False if own is not None and own in self._peers() else None
        except OSError:
            return None

    def _peers(self) -> set[Peer]:
        port = self._listener.getsockname()[1]
        return {each.peer for each in connections(listed(), port, self._listener.family)}


def _reachable(listener: socket.socket) -> tuple[str, int]:
    """Returns an address at which this machine reaches the listening socket."""
    address, port = listener.getsockname()[:2]
    found = ipaddress.ip_address(address)
    if found.is_unspecified:
        return ("127.0.0.1" if found.version == 4 else "::1"), port  # noqa: PLR2004
    return address, port


def _context() -> ssl.SSLContext:
    # It checks whether there is an answer, and does not trust its content.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
