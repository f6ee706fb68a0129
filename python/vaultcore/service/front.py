"""The outermost handler: every request of every host arrives here, and every answer leaves here.

It finds the place of a host name, lets that place answer, writes the one record, and sends the
answer. Failures, expected or not, are answered and recorded here too.
"""

import asyncio
import functools
import logging
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Final, Protocol

from vaultcore.access.proxies import Proxies
from vaultcore.audit.event import AUTHENTICATION
from vaultcore.engine.strangers import Strangers, Verdict
from vaultcore.errors import (
    AuditError,
    BadParameterError,
    NotFoundError,
    VaultcoreError,
    VaultError,
    as_refusal,
)
from vaultcore.service.body import Bodies
from vaultcore.service.exchange import Exchange, Headers, Receive, Scope, Send
from vaultcore.service.health import HEALTHY, LIVE, READY

if TYPE_CHECKING:
    from vaultcore.audit.change import Change

#: Paths of health checks, at any host; the answer is the same for all, and not recorded.
HEALTH: Final = frozenset(path.encode() for path in (LIVE, READY, HEALTHY))
#: For how long a failure is not logged again, in seconds; each one is in the audit log.
SILENT_SECONDS: Final = 60.0
_SAID: Final = 256  # failures that are remembered for that
#: The value of Host (RFC 9110 section 7.2): a name or an address, and optionally a port; no user.
_HOST: Final = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]+)(?::[0-9]{0,5})?", re.ASCII
)
_DEFAULT_PORT: Final = b":443"
_WITHOUT_HOST: Final = frozenset({"1", "1.0"})
_UNAUTHORIZED: Final = 401
_LEFT: Final = 500  # the record of a request whose caller left before the answer

logger = logging.getLogger("vaultcore.service")


class Place(Protocol):
    """The destination of a host name: a vault, the issuer, the management plane."""

    @property
    def name(self) -> str:
        """The name of the vault; empty for any other place."""
        ...

    @property
    def base(self) -> bytes:
        """The beginning of a request's address, for the record."""
        ...

    def handle(self, exchange: Exchange) -> Awaitable[tuple[int, bytes]]:
        """Performs the request, and returns the status and the content of the answer.

        Raises:
            VaultError: the answer is a refusal.
        """
        ...

    def refuse(self, exchange: Exchange, failure: VaultError) -> tuple[int, bytes]:
        """Returns the status and the content of a refusal, in the format of this place."""
        ...

    def headers(self, exchange: Exchange, status: int) -> Headers:
        """Returns the headers of the answer."""
        ...


class Front:
    """The service as one ASGI application.

    Args:
        known: the places by host name; those that are found are added.
        find: returns the place of a host name in lower case, or None.
        nowhere: the place that answers if no other place is found, and for health checks.
        record: writes a record; called with the members of :meth:`Exchange.write`.
        end: writes the record of a request that changed something; called with the change and the
            members of :meth:`Exchange.write`.
        strangers: decides which answers to strangers are recorded.
        proxies: the proxies that report the client's address; None if no proxy is trusted.
        close: called at the end.
    """

    def __init__(
        self,
        known: MutableMapping[bytes, Place],
        find: Callable[[bytes], Place | None],
        nowhere: Place,
        record: Callable[..., object],
        end: Callable[..., None],
        strangers: Strangers,
        proxies: Proxies | None = None,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self._known = known
        self._find = find
        self._nowhere = nowhere
        self._record = record
        self._end = end
        self._strangers = strangers
        self._proxies = proxies
        self._bodies = Bodies()
        self._said: dict[str, float] = {}
        self.close = close
        #: The connections with an authenticated caller, by the other side's address and port.
        self.admitted: set[tuple[str, str]] = set()

    async def __call__(  # noqa: C901, PLR0912 - the life of a request, in one piece
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            raise NotImplementedError(f"only HTTP is answered, not {scope['type']}")
        exchange = Exchange(scope, receive, self._bodies, self._proxies)
        found = self._known.get(exchange.host)
        place = found or self._nowhere
        try:
            if found is None or exchange.raw_path in HEALTH:
                place = self._locate(exchange)
            exchange.vault, exchange.uri = place.name, place.base + exchange.raw_path
            status, content = await place.handle(exchange)
        except VaultError as refused:
            status, content = self._refuse(place, exchange, refused)
        except (asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit):
            exchange.reason = "the caller left before the answer"
            if exchange.change is not None:
                # A change that was committed is on record as made.
                exchange.write(self._ending(exchange.change), exchange.settled(_LEFT))
            elif exchange.principal is not None and not exchange.recorded:
                # A key may have been used.
                exchange.write(self._record, _LEFT)
            raise
        except BaseException as error:  # noqa: BLE001 - a panic too: the caller gets an answer
            status, content = self._fail(place, exchange, error)
        if not exchange.recorded:
            try:
                if exchange.change is None:
                    if exchange.principal is None:
                        self._record_stranger(place, exchange, status)
                    else:
                        exchange.write(self._record, status)
                else:
                    # If the log refuses it now, it is in the store: the request is answered.
                    end = self._ending(exchange.change)
                    exchange.write(end, status)
            except Exception as error:  # noqa: BLE001 - whatever it is, there is no record
                # No record, no answer: what was done or found is not sent.
                status, content = self._refuse(place, exchange, as_refusal(_unrecorded(error)))
        if exchange.principal is not None:
            self.admitted.add(scope["client"])
        await self._send(send, place, exchange, status, content)

    @staticmethod
    async def _send(
        send: Send, place: Place, exchange: Exchange, status: int, content: bytes
    ) -> None:
        if exchange.unread:
            await exchange.let_in()
        headers = place.headers(exchange, status)
        if exchange.closing:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def _ending(self, change: "Change") -> Callable[..., None]:
        return functools.partial(self._end, change)

    def _record_stranger(self, place: Place, exchange: Exchange, status: int) -> None:
        """Records an answer to a stranger, which may only be counted."""
        verdict = self._strangers.judge(
            exchange.address, status, place.name, exchange.foreign_bytes()
        )
        if verdict is Verdict.COUNT:
            return
        if verdict is Verdict.ANNOUNCE:
            exchange.announce()
        exchange.write(self._record, status)

    def _fail(self, place: Place, exchange: Exchange, failure: BaseException) -> tuple[int, bytes]:
        if not isinstance(failure, VaultcoreError):
            logger.error("unexpected %s", type(failure).__name__, exc_info=failure)
        return self._refuse(place, exchange, as_refusal(failure))

    def _refuse(self, place: Place, exchange: Exchange, failure: VaultError) -> tuple[int, bytes]:
        if failure.status == _UNAUTHORIZED:
            exchange.operation = AUTHENTICATION
        exchange.fail(failure)
        if failure.general is not None and self._is_new(failure.message):
            # The caller reads general words; the details are logged here.
            logger.error("%s", failure.message)
        return place.refuse(exchange, failure)

    def _is_new(self, message: str) -> bool:
        """Returns whether a message was not logged lately: strangers must not fill the disk."""
        now = time.monotonic()
        if now - self._said.get(message, -SILENT_SECONDS) < SILENT_SECONDS:
            return False
        if len(self._said) >= _SAID:
            self._said.clear()
        self._said[message] = now
        return True

    def _locate(self, exchange: Exchange) -> Place:
        """Finds the place of a request whose host is not known yet.

        Raises:
            BadParameterError: there is no host, more than one, or one that is not possible (RFC
                9112, section 3.2).
            NotFoundError: nothing is served at this name.
        """
        exchange.uri = self._nowhere.base + exchange.raw_path
        host = exchange.host
        asks_for_health = exchange.raw_path in HEALTH
        # Some health checks use HTTP/1.0, which has no Host.
        hostless = asks_for_health and not host and exchange.scope["http_version"] in _WITHOUT_HOST
        if not (hostless or _HOST.fullmatch(host)):
            raise BadParameterError(
                "the request names no host, more than one, or one that is malformed"
            )
        if asks_for_health:
            exchange.recorded = True
            return self._nowhere
        name = host.lower().removesuffix(_DEFAULT_PORT)
        place = self._known.get(name) or self._find(name)
        if place is None:
            raise NotFoundError("no vault is served under this host name", code="VaultNotFound")
        return place


def _unrecorded(error: Exception) -> AuditError:
    """Returns any failure to write a record as one of the audit log."""
    return error if isinstance(error, AuditError) else AuditError(str(error))
