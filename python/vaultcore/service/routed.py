"""A host that answers with Starlette's routes."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Router

from vaultcore.errors import BadParameterError, MethodNotAllowedError, NotFoundError, VaultError
from vaultcore.service.refusal import RETRY_AFTER, error_body

if TYPE_CHECKING:
    from starlette.requests import Request

    from vaultcore.service.exchange import Exchange, Headers, Message

_EXCHANGE: Final = "vaultcore.exchange"
_HEADERS: Final = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)
_NOT_FOUND: Final = 404
_NOT_ALLOWED: Final = 405


def exchange_of(request: "Request") -> "Exchange":
    """Returns the exchange of a route's request."""
    found: Exchange = request.scope[_EXCHANGE]
    return found


class Routed:
    """A place that answers with routes. An endpoint returns a response, or raises a refusal.

    Args:
        base: the beginning of its addresses, for the record.
        routes: its routes.
        challenge: the value of WWW-Authenticate on a 401, if there is one.
        guard: called before the routes; raises the refusal of a client that is not allowed.
    """

    name = ""

    def __init__(
        self,
        base: str,
        routes: Sequence[BaseRoute],
        challenge: str = "",
        guard: "Callable[[Exchange], None] | None" = None,
    ) -> None:
        self.base = base.encode()
        self._challenge = challenge.encode()
        self._guard = guard
        # Never a redirect: a path has one meaning.
        self._router = Router(routes, redirect_slashes=False)

    async def handle(self, exchange: "Exchange") -> tuple[int, bytes]:
        """Lets the route answer.

        Raises:
            MethodNotAllowedError: the path exists, but not for this method.
            NotFoundError: the path does not exist.
            VaultError: the endpoint refuses.
        """
        if self._guard is not None:
            self._guard(exchange)
        # With an `app` in the scope, the router raises instead of answering in its own words.
        scope = {**exchange.scope, "app": self, _EXCHANGE: exchange}
        status, parts = 0, []

        async def send(message: "Message") -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                exchange.headers = list(message["headers"])
            else:
                parts.append(message.get("body", b""))

        try:
            await self._router(scope, _receive, send)
        except HTTPException as refused:
            exchange.headers = [(b"allow", v.encode()) for v in (refused.headers or {}).values()]
            raise _refusal(refused) from None
        return status, b"".join(parts)

    def refuse(self, exchange: "Exchange", failure: VaultError) -> tuple[int, bytes]:
        """Returns a refusal in the contract's format."""
        allowed = [header for header in exchange.headers if header[0] == b"allow"]
        shown = [*_HEADERS, *allowed]
        if failure.status == 401 and self._challenge:  # noqa: PLR2004
            shown.append((b"www-authenticate", self._challenge))
        elif failure.status in {429, 503}:
            shown.append(RETRY_AFTER)
        exchange.headers = shown
        return failure.status, error_body(failure)

    def headers(self, exchange: "Exchange", status: int) -> "Headers":  # noqa: ARG002
        """Returns the headers of the route's answer."""
        return list(exchange.headers)


async def _receive() -> "Message":
    raise RuntimeError("a route reads its body with Exchange.body, which limits it")


def _refusal(refused: HTTPException) -> VaultError:
    if refused.status_code == _NOT_FOUND:
        return NotFoundError("there is nothing at this address")
    if refused.status_code == _NOT_ALLOWED:
        return MethodNotAllowedError("this address does not take this method")
    return BadParameterError("the request cannot be read")
