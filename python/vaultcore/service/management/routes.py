"""The management plane over HTTPS: ``POST /v1/{operation}`` for administrators.

One route is Azure Resource Manager's own: ``az login`` asks which subscriptions the caller has and
goes on when there are none.
"""

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from vaultcore._core import Principal, check_json
from vaultcore.access import refusals
from vaultcore.errors import (
    AuditError,
    BadParameterError,
    InternalError,
    PayloadTooLargeError,
    UnavailableError,
    UsageError,
    VaultcoreError,
    VaultError,
)
from vaultcore.management import API_VERSION, Management
from vaultcore.service.keyvault.wire import error_body

if TYPE_CHECKING:
    from vaultcore.engine import Engine

MAXIMUM_BODY: Final = 64 * 1024
BODY_SECONDS: Final = 30.0


def management_routes(engine: "Engine") -> list[Route]:
    """Returns the routes of the management host."""
    installation = engine.installation
    challenge = (
        f'Bearer authorization="{installation.issuer_url}/{installation.tenant_id}", '
        f'resource="{installation.management_resource}"'
    )

    async def answer(work: Awaitable[Any]) -> Response:
        try:
            try:
                return _answer(200, msgspec.json.encode(await work))
            except VaultError:
                raise
            except AuditError as failure:
                raise UnavailableError(str(failure)) from None
            except VaultcoreError as failure:
                raise InternalError(str(failure)) from None
        except VaultError as refused:
            headers = {"www-authenticate": challenge} if refused.status == 401 else {}  # noqa: PLR2004
            return _answer(refused.status, error_body(refused), headers)

    async def operate(request: Request) -> Response:
        return await answer(_perform(engine, request))

    async def subscriptions(request: Request) -> Response:
        return await answer(_subscriptions(engine, request))

    return [
        Route(f"/{API_VERSION}/{{operation}}", operate, methods=["POST"]),
        Route("/subscriptions", subscriptions, methods=["GET"]),
    ]


async def _perform(engine: "Engine", request: Request) -> Any:
    operation: str = request.path_params["operation"]
    management = Management(
        engine,
        _authenticate(engine, request),
        _address(request),
        request.headers.get("user-agent", ""),
        remote=True,
    )
    body = await _read(request)
    try:
        check_json(body)
        arguments = msgspec.json.decode(body, type=dict[str, Any])
    except (UsageError, msgspec.DecodeError):
        raise BadParameterError("the body is not a JSON object of arguments") from None
    # Off the loop: a new vault asks the token, and a verified audit log is read whole.
    loop = asyncio.get_running_loop()
    return {"result": await loop.run_in_executor(None, management.perform, operation, arguments)}


async def _subscriptions(engine: "Engine", request: Request) -> Any:
    principal = _authenticate(engine, request)
    _record(engine, request, "SubscriptionList", principal=principal)
    return {"value": []}


def _authenticate(engine: "Engine", request: Request) -> Principal:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    try:
        if scheme.lower() != "bearer" or not token:
            raise refusals.no_token()
        engine.synchronise()
        return engine.management_validator.validate(token.strip()).principal
    except VaultError as refused:
        _record(engine, request, "Authentication", refused=refused)
        raise


async def _read(request: Request) -> bytes:
    parts, size = [], 0
    async with asyncio.timeout(BODY_SECONDS):
        async for part in request.stream():
            size += len(part)
            if size > MAXIMUM_BODY:
                raise PayloadTooLargeError(f"the body is larger than {MAXIMUM_BODY} bytes")
            parts.append(part)
    return b"".join(parts) or b"{}"


def _record(
    engine: "Engine",
    request: Request,
    operation: str,
    *,
    principal: Principal | None = None,
    refused: VaultError | None = None,
) -> None:
    engine.audit.record(
        vault="",
        operation=operation,
        api_version=API_VERSION,
        status=200 if refused is None else refused.status,
        result_description="" if refused is None else refused.message,
        duration_ms=0.0,
        address=_address(request),
        correlation_id="",
        principal=principal,
        request_uri=request.url.path[:80],
        client_info=request.headers.get("user-agent", ""),
        object_id="",
        extra=None,
    )


def _address(request: Request) -> str:
    return request.client.host if request.client is not None else ""


def _answer(status: int, body: bytes, headers: dict[str, str] | None = None) -> Response:
    return Response(
        body,
        status,
        {"cache-control": "no-store", "x-content-type-options": "nosniff", **(headers or {})},
        "application/json",
    )
