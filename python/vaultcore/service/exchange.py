"""One request and its answer: what its headers say, and what its record will say."""

import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from vaultcore.audit.event import AUTHENTICATION
from vaultcore.engine.strangers import ANNOUNCEMENT
from vaultcore.errors import UsageError
from vaultcore.operations.request import Request
from vaultcore.service.body import BODY_SECONDS, Bodies, drain

if TYPE_CHECKING:
    from vaultcore.access.proxies import Proxies

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

#: For two Host headers; not a possible host name, so no host is found for it.
TWO_HOSTS: Final = b"\0"
#: For two headers that request another method; no method has this name.
TWO_METHODS: Final = b"?"
#: For two Authorization headers; not a credential of any scheme.
TWO_CREDENTIALS: Final = b""
#: The size in a record of a byte that is not printable ASCII.
_ESCAPED: Final = 6
_OVERRIDING: Final = frozenset({b"x-http-method", b"x-http-method-override", b"x-http-request"})


class Host(Protocol):
    """A vault at one of its host names."""

    def look_again(self, exchange: "Exchange") -> None:
        """Asks the gate again, if anything that it depends on has changed since it was asked."""
        ...


class Exchange(Request):
    """A request, and what is known about it so far.

    The headers that the service reads are picked here in one pass, and nowhere else: a header that
    two readers could understand differently has the same meaning on every host.

    Args:
        scope: the scope of ASGI.
        receive: the function of ASGI.
        bodies: reads the body.
        proxies: the proxies that report the client's address; None if no proxy is trusted.

    Attributes:
        peer: where the connection came from, if a proxy is trusted at all.
        authorization: the credentials; None without any.
        host: the host name in the request.
        override: the method that a header requests instead.
        host_place: the vault at this host name, if it is one.
        question: what the gate was asked.
        epoch: the state of the rules with which the gate answered.
        headers: headers of this answer, if a place does not give every answer the same.
        unread: whether there is a body that was not read.
        closing: whether the connection must not be used again.
    """

    # Most requests leave most of these at their defaults, and need not set them.
    authorization: bytes | None = None
    closing = False
    correlation: bytes = b""
    client: bytes = b""
    headers: Sequence[tuple[bytes, bytes]] = ()
    host_place: "Host | None" = None
    length = b""
    operation = AUTHENTICATION
    peer = ""
    epoch: int
    question: tuple[str, str, bytes, bytes, str, bytes | None]

    def __init__(
        self, scope: Scope, receive: Receive, bodies: Bodies, proxies: "Proxies | None" = None
    ) -> None:
        self.started = time.perf_counter()
        # As the class has them: each request reads them, and finds its own three times as fast.
        self.reason = ""
        self.extra = self.came_by = self.change = None
        self.recorded = False
        self._bodies = bodies
        self._receive = receive
        self.scope = scope
        self.raw_path: bytes = scope["raw_path"]
        self.address: str = scope["client"][0]
        if proxies is not None:
            self._come_by(proxies)
        host: bytes | None = None
        override: bytes | None = None
        chunked = False
        for name, value in scope["headers"]:
            if name == b"authorization":
                # Two different tokens would let two readers see two callers.
                self.authorization = value if self.authorization is None else TWO_CREDENTIALS
            elif name == b"host":
                host = value if host is None else TWO_HOSTS
            elif name == b"user-agent":
                self.client = value
            elif name == b"x-ms-client-request-id":
                self.correlation = value
            elif name == b"content-length":
                self.length = value
            elif name == b"transfer-encoding":
                chunked = True
            elif name in _OVERRIDING:
                override = value if override is None else TWO_METHODS
        self.host = host or b""
        self.override = override or b""
        self.unread = chunked or self.length.strip(b"0") != b""

    def look_again(self) -> None:
        """Asks the gate again; see :meth:`Request.look_again`.

        Raises:
            StorageError: the change feed cannot be read.
            UsageError: this host has no gate of its own.
            VaultError: the request would no longer be admitted.
        """
        if self.host_place is None:
            raise UsageError("only the host of a vault can be asked again")
        self.host_place.look_again(self)

    def announce(self) -> None:
        """Adds to the record that further answers to this address are only counted."""
        self.came_by = {**(self.came_by or {}), **ANNOUNCEMENT}

    def foreign_bytes(self) -> int:
        """Returns about how many bytes of the record the client determines."""
        return sum(
            min(len(text), most) * (1 if text.isascii() else _ESCAPED)
            for text, most in ((self.raw_path, 2048), (self.client, 512), (self.reason, 1024))
        )

    def _come_by(self, proxies: "Proxies") -> None:
        self.peer = self.address
        self.address = proxies.client(self.peer, self.scope["headers"])
        if self.address != self.peer:
            self.came_by = {"peerIpAddress": self.peer}

    async def body(self, limit: int, seconds: float = BODY_SECONDS) -> bytes:
        """Returns the body.

        Args:
            limit: the most bytes that are accepted.
            seconds: how long it may take to arrive.

        Raises:
            BadParameterError: it ended before its announced length.
            PayloadTooLargeError: it is larger than the limit, or announces that it is.
            RequestTimeoutError: it did not arrive in time.
        """
        found = await self._bodies.read(self._receive, self.length, limit, seconds)
        self.unread = False
        return found

    async def let_in(self) -> None:
        """Reads and discards a body, for a moment; see :func:`drain`."""
        self.unread = False
        self.closing = not await drain(self._receive, self.length)
