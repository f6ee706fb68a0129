"""The routes of the built-in issuer, for the host ``login.<domain>``."""

import asyncio
import json
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from vaultcore._core import Principal
from vaultcore.access.issuer import ADFS, IssuedToken, Issuer, Shape
from vaultcore.clock import Clock
from vaultcore.errors import AuditError, StorageError, UnavailableError
from vaultcore.service.identity import refusals
from vaultcore.service.identity.grants import MAXIMUM_FORM, grant, parse_form
from vaultcore.service.identity.refusals import TokenRefusedError

if TYPE_CHECKING:
    from vaultcore.engine import Engine

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_OK = 200
_SHOWN = 256
_PATIENCE = 15.0  # seconds, for a form to arrive
_HEADERS = {"x-content-type-options": "nosniff", "strict-transport-security": "max-age=31536000"}
_SECRET = {"cache-control": "no-store, no-cache", "pragma": "no-cache", **_HEADERS}
# Short: a verifier elsewhere should see a rotation soon.
_PUBLIC = {"cache-control": "public, max-age=300", **_HEADERS}


def identity_routes(engine: "Engine") -> list[Route]:
    """Returns the routes of the issuer's host; each token request goes on the engine's record."""

    def record(event: TokenEvent) -> None:
        principal = None
        if event.object_id:
            principal = Principal(
                object_id=event.object_id,
                app_id=event.client_id,
                tenant_id=event.tenant,
                issuer=engine.installation.issuer_url,
            )
        engine.audit.record(
            vault="",
            operation="TokenIssue",
            api_version="",
            status=event.status,
            result_description=event.error,
            duration_ms=event.duration_ms,
            address=event.address,
            correlation_id=event.correlation_id,
            principal=principal,
            request_uri=f"{engine.installation.issuer_url}{event.path}",
            client_info=event.client_info,
            object_id=event.client_id,
            extra=None,
        )

    return IdentityRoutes(engine.issuer, clock=engine.clock, record=record).routes


@dataclass(frozen=True)
class TokenEvent:
    """A request to the token endpoint, as the audit records it.

    Attributes:
        status: the HTTP status of the answer.
        error: the error of OAuth 2.0, or an empty string.
        client_id: what the caller called himself if that has the form of an id, else empty.
        object_id: who the token speaks for, or an empty string.
        tenant: the tenant segment of the path if it is served, else empty.
        address: where the request came from.
        path: the path of the request.
        client_info: what the client calls its program.
        correlation_id: as in the answer.
        duration_ms: how long the answer took.
    """

    status: int
    error: str
    client_id: str
    object_id: str
    tenant: str
    address: str
    path: str
    client_info: str
    correlation_id: str
    duration_ms: float


class IdentityRoutes:
    """Answers for the built-in issuer.

    Args:
        issuer: gives the tokens.
        clock: tells the time.
        record: called with every answer of the token endpoint before it leaves, on a thread of the
            pool. If it raises ``AuditError``, the answer is a refusal.
    """

    def __init__(
        self,
        issuer: Issuer,
        *,
        clock: Clock,
        record: Callable[[TokenEvent], None] | None = None,
    ) -> None:
        self._issuer = issuer
        self._clock = clock
        self._record = record

    @property
    def routes(self) -> list[Route]:
        """The routes; each address that some client library is known to ask for is here."""
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
            started = time.monotonic()
            segment = request.path_params.get("tenant", ADFS)
            form: dict[str, str] = {}
            issued: IssuedToken | None = None
            refused: TokenRefusedError | None = None
            try:
                form = await _read_form(request)
                issued = await run_in_threadpool(
                    grant,
                    self._issuer,
                    segment=segment,
                    shape=shape,
                    form=form,
                    authorization=request.headers.get("authorization"),
                )
            except TokenRefusedError as error:
                refused = error
            except (UnavailableError, StorageError):
                # What broke is for the operator's log, not for someone who has proved nothing.
                refused = refusals.unavailable()
            correlation_id = _correlation_id(request, form)
            if self._record is not None:
                event = TokenEvent(
                    status=refused.status if refused else _OK,
                    error=refused.error if refused else "",
                    client_id=_guid(form.get("client_id", "")),
                    object_id=issued.object_id if issued else "",
                    tenant=self._issuer.resolve_tenant(segment) or "",
                    address=request.client.host if request.client else "",
                    path=request.scope["path"][:_SHOWN],
                    client_info=request.headers.get("user-agent", "")[:_SHOWN],
                    correlation_id=correlation_id,
                    duration_ms=(time.monotonic() - started) * 1000,
                )
                try:
                    await run_in_threadpool(self._record, event)
                except AuditError:
                    issued, refused = None, refusals.unavailable()
            if issued is not None:
                return _answer(_OK, _token_body(issued, shape), correlation_id, _SECRET)
            return self._refusal(refused or refusals.invalid_client(), correlation_id)

        return endpoint

    def _discovery(self, shape: Shape) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            correlation_id = _correlation_id(request, {})
            tenant = self._issuer.resolve_tenant(request.path_params.get("tenant", ADFS))
            if tenant is None:
                return self._refusal(refusals.unknown_tenant(), correlation_id)
            document = self._issuer.discovery(tenant, shape)
            return _answer(_OK, document, correlation_id, _PUBLIC)

        return endpoint

    async def _keys(self, request: Request) -> Response:
        correlation_id = _correlation_id(request, {})
        if self._issuer.resolve_tenant(request.path_params.get("tenant", ADFS)) is None:
            return self._refusal(refusals.unknown_tenant(), correlation_id)
        try:
            keys = await run_in_threadpool(self._issuer.published_keys)
        except (UnavailableError, StorageError):
            return self._refusal(refusals.unavailable(), correlation_id)
        return _answer(_OK, keys, correlation_id, _PUBLIC)

    async def _nothing(self, request: Request) -> Response:
        return self._refusal(refusals.unknown_path(), _correlation_id(request, {}))

    def _refusal(self, refused: TokenRefusedError, correlation_id: str) -> Response:
        trace_id = str(uuid.uuid4())
        body = refused.body(now=self._clock.now(), trace_id=trace_id, correlation_id=correlation_id)
        return _answer(refused.status, body, correlation_id, _SECRET, trace_id)


async def _read_form(request: Request) -> dict[str, str]:
    if request.method != "POST":
        raise refusals.wrong_method()
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:20]) > MAXIMUM_FORM:
        raise refusals.too_large(MAXIMUM_FORM)
    body = bytearray()
    try:
        async with asyncio.timeout(_PATIENCE):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAXIMUM_FORM:
                    raise refusals.too_large(MAXIMUM_FORM)
    except TimeoutError:
        raise refusals.too_slow() from None
    return parse_form(bytes(body), request.headers.get("content-type", ""))


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
    # Only an id of the right form is repeated: the answer shows nothing of the caller's making.
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
