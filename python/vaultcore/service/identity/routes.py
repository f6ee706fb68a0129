"""The built-in issuer over HTTPS, for the host ``login.<domain>``."""

import json
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from vaultcore._core import Principal
from vaultcore.access.issuer import ADFS, IssuedToken, Issuer, Shape
from vaultcore.clock import Clock
from vaultcore.errors import PayloadTooLargeError, RequestTimeoutError, VaultError
from vaultcore.service.exchange import TWO_CREDENTIALS
from vaultcore.service.identity import refusals
from vaultcore.service.identity.grants import MAXIMUM_FORM, grant, parse_form
from vaultcore.service.identity.refusals import TokenRefusedError
from vaultcore.service.routed import Routed, exchange_of

if TYPE_CHECKING:
    from vaultcore.service.exchange import Exchange

#: The names of these operations in records; the contract has none for them.
TOKEN: Final = "TokenIssue"  # noqa: S105 - the name of an operation
DISCOVERY: Final = "IssuerDiscovery"
KEYS: Final = "IssuerKeyList"
FORM_SECONDS: Final = 15.0
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_OK = 200
_HEADERS = {"x-content-type-options": "nosniff", "strict-transport-security": "max-age=31536000"}
_SECRET = {"cache-control": "no-store, no-cache", "pragma": "no-cache", **_HEADERS}
# Short: a verifier elsewhere should see a rotation soon.
_PUBLIC = {"cache-control": "public, max-age=300", **_HEADERS}


def issuer_place(
    issuer: Issuer, clock: Clock, guard: "Callable[[Exchange], None] | None" = None
) -> "IssuerPlace":
    """Returns the issuer as a place; for the guard, see :class:`Routed`."""
    return IssuerPlace(issuer, IdentityRoutes(issuer, clock=clock), guard)


class IssuerPlace(Routed):
    """The host of the issuer: its routes, and refusals as the client libraries parse them.

    Args:
        issuer: the issuer of the tokens.
        identity: its routes.
        guard: the guard of :class:`Routed`.
    """

    def __init__(
        self,
        issuer: Issuer,
        identity: "IdentityRoutes",
        guard: "Callable[[Exchange], None] | None" = None,
    ) -> None:
        super().__init__(issuer.base_url, identity.routes, guard=guard)
        self._identity = identity
        self._still_allowed = guard

    async def handle(self, exchange: "Exchange") -> tuple[int, bytes]:
        """Lets the route answer, and withholds the answer if its client may no longer have it.

        Raises:
            VaultError: the endpoint or the guard refuses.
        """
        answer = await super().handle(exchange)
        if self._still_allowed is not None:
            # The form may have been slow, and the grant may have waited in a queue.
            self._still_allowed(exchange)
        return answer

    def refuse(self, exchange: "Exchange", failure: VaultError) -> tuple[int, bytes]:
        """Returns a refusal in the shape of OAuth 2.0."""
        refused = _refused(failure)
        exchange.reason = exchange.reason or refused.error
        answer = self._identity.refusal(refused, str(uuid.uuid4()))
        allowed = [header for header in exchange.headers if header[0] == b"allow"]
        exchange.headers = [*answer.raw_headers, *allowed]
        return answer.status_code, bytes(answer.body)


class IdentityRoutes:
    """The routes of the built-in issuer.

    Args:
        issuer: the issuer of the tokens.
        clock: the current time.
    """

    def __init__(self, issuer: Issuer, *, clock: Clock) -> None:
        self._issuer = issuer
        self._clock = clock

    @property
    def routes(self) -> list[Route]:
        """The routes; every address that a client library is known to use is here."""
        token = ["POST", "GET", "PUT", "PATCH", "DELETE"]
        well_known = "/.well-known/openid-configuration"
        tenant = "/{tenant}"
        return [
            Route(f"/{ADFS}/oauth2/token", self._token(Shape.ADFS), methods=token),
            # Served although discovery names the one above: some clients build the address.
            Route(f"/{ADFS}/oauth2/v2.0/token", self._token(Shape.ADFS), methods=token),
            Route(f"{tenant}/oauth2/v2.0/token", self._token(Shape.V2), methods=token),
            Route(f"{tenant}/oauth2/token", self._token(Shape.V1), methods=token),
            Route(f"/{ADFS}{well_known}", self._discovery(Shape.ADFS)),
            Route(f"/{ADFS}/v2.0{well_known}", self._discovery(Shape.ADFS)),
            Route(f"{tenant}/v2.0{well_known}", self._discovery(Shape.V2)),
            Route(f"{tenant}{well_known}", self._discovery(Shape.V1)),
            Route(f"/{ADFS}/discovery/keys", self._keys),
            Route(f"{tenant}/discovery/v2.0/keys", self._keys),
            Route(f"{tenant}/discovery/keys", self._keys),
            Route("/{path:path}", self._nothing, methods=token),
        ]

    def _token(self, shape: Shape) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            exchange = exchange_of(request)
            exchange.operation = TOKEN
            segment = request.path_params.get("tenant", ADFS)
            form: dict[str, str] = {}
            issued: IssuedToken | None = None
            refused: TokenRefusedError | None = None
            try:
                form = await _read_form(request, exchange)
                issued = await run_in_threadpool(
                    grant,
                    self._issuer,
                    segment=segment,
                    shape=shape,
                    form=form,
                    authorization=exchange.authorization,
                )
            except TokenRefusedError as error:
                refused = error
            correlation_id = _correlation_id(request, form)
            exchange.correlation = correlation_id.encode()
            # Text that a caller made up is not an id, and is not recorded as one.
            exchange.object_id = _guid(form.get("client_id", ""))
            if issued is None:
                return self.refusal(refused or refusals.invalid_client(), correlation_id, exchange)
            exchange.principal = Principal(
                object_id=issued.object_id,
                app_id=exchange.object_id,
                tenant_id=self._issuer.resolve_tenant(segment) or "",
                issuer=self._issuer.base_url,
            )
            return _answer(_OK, _token_body(issued, shape), correlation_id, _SECRET)

        return endpoint

    def _discovery(self, shape: Shape) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            exchange = exchange_of(request)
            exchange.operation = DISCOVERY
            correlation_id = _correlation_id(request, {})
            tenant = self._issuer.resolve_tenant(request.path_params.get("tenant", ADFS))
            if tenant is None:
                return self.refusal(refusals.unknown_tenant(), correlation_id, exchange)
            document = self._issuer.discovery(tenant, shape)
            return _answer(_OK, document, correlation_id, _PUBLIC)

        return endpoint

    async def _keys(self, request: Request) -> Response:
        exchange = exchange_of(request)
        exchange.operation = KEYS
        correlation_id = _correlation_id(request, {})
        if self._issuer.resolve_tenant(request.path_params.get("tenant", ADFS)) is None:
            return self.refusal(refusals.unknown_tenant(), correlation_id, exchange)
        keys = await run_in_threadpool(self._issuer.published_keys)
        return _answer(_OK, keys, correlation_id, _PUBLIC)

    async def _nothing(self, request: Request) -> Response:
        correlation_id = _correlation_id(request, {})
        return self.refusal(refusals.unknown_path(), correlation_id, exchange_of(request))

    def refusal(
        self, refused: TokenRefusedError, correlation_id: str, exchange: "Exchange | None" = None
    ) -> Response:
        """Returns a refusal as an answer."""
        if exchange is not None:
            exchange.reason = refused.error
        trace_id = str(uuid.uuid4())
        body = refused.body(now=self._clock.now(), trace_id=trace_id, correlation_id=correlation_id)
        return _answer(refused.status, body, correlation_id, _SECRET, trace_id)


def _refused(failure: VaultError) -> TokenRefusedError:
    """Returns the issuer's refusal for one that is not its own."""
    if failure.status == 403:  # noqa: PLR2004
        return refusals.by_firewall()
    if failure.status == 404:  # noqa: PLR2004
        return refusals.unknown_path()
    if failure.status == 405:  # noqa: PLR2004
        return refusals.wrong_method()
    # The details are for the operator's log, not for an unauthenticated caller.
    if failure.general is not None:
        return refusals.unavailable()
    return refusals.malformed(f"{failure.public[:1].upper()}{failure.public[1:]}.")


async def _read_form(request: Request, exchange: "Exchange") -> dict[str, str]:
    if request.method != "POST":
        raise refusals.wrong_method()
    if exchange.authorization == TWO_CREDENTIALS:
        raise refusals.malformed("The Authorization header occurs twice, or is empty.")
    try:
        body = await exchange.body(MAXIMUM_FORM, FORM_SECONDS)
    except PayloadTooLargeError:
        raise refusals.too_large(MAXIMUM_FORM) from None
    except RequestTimeoutError:
        raise refusals.too_slow() from None
    return parse_form(body, request.headers.get("content-type", ""))


def _token_body(issued: IssuedToken, shape: Shape) -> dict[str, Any]:
    lifetime = issued.expires - issued.issued
    body: dict[str, Any] = {"token_type": "Bearer", "access_token": issued.token}
    if shape is Shape.V1:
        # The first version of the endpoint writes its numbers as text.
        return {
            **body,
            "expires_in": str(lifetime),
            "ext_expires_in": str(lifetime),
            "expires_on": str(issued.expires),
            "not_before": str(issued.issued),
            "resource": issued.resource,
        }
    return {**body, "expires_in": lifetime, "ext_expires_in": lifetime}


def _correlation_id(request: Request, form: Mapping[str, str]) -> str:
    # Only an id of the right form is repeated: the answer contains no other text of the caller.
    for candidate in (
        request.headers.get("client-request-id"),
        request.query_params.get("client-request-id"),
        form.get("client-request-id"),
    ):
        if candidate and _GUID.fullmatch(candidate):
            return candidate.lower()
    return str(uuid.uuid4())


def _guid(text: str) -> str:
    return text.lower() if _GUID.fullmatch(text) else ""


def _answer(
    status: int,
    body: Mapping[str, Any],
    correlation_id: str,
    headers: Mapping[str, str],
    trace_id: str | None = None,
) -> Response:
    return Response(
        json.dumps(body, separators=(",", ":")),
        status_code=status,
        media_type="application/json; charset=utf-8",
        headers={
            **headers,
            "client-request-id": correlation_id,
            "x-ms-request-id": trace_id or str(uuid.uuid4()),
        },
    )
