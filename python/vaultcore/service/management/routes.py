"""The management plane over HTTPS: ``POST /v1/{operation}`` for administrators."""

import asyncio
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from vaultcore._core import check_json
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

    async def operate(request: Request) -> Response:
        operation: str = request.path_params["operation"]
        address = request.client.host if request.client is not None else ""
        try:
            try:
                done = await _perform(engine, request, operation, address)
                return _answer(200, msgspec.json.encode({"result": done}))
            except VaultError:
                raise
            except AuditError as failure:
                raise UnavailableError(str(failure)) from None
            except VaultcoreError as failure:
                raise InternalError(str(failure)) from None
        except VaultError as refused:
            headers = {"www-authenticate": challenge} if refused.status == 401 else {}  # noqa: PLR2004
            return _answer(refused.status, error_body(refused), headers)

    return [Route(f"/{API_VERSION}/{{operation}}", operate, methods=["POST"])]


async def _perform(engine: "Engine", request: Request, operation: str, address: str) -> Any:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    loop = asyncio.get_running_loop()
    if scheme.lower() != "bearer" or not token:
        _record_refusal(engine, request, operation, address, refusals.no_token())
        raise refusals.no_token()
    token = token.strip()
    try:
        engine.synchronise()
        principal = engine.management_validator.validate(token).principal
    except VaultError as refused:
        _record_refusal(engine, request, operation, address, refused)
        raise
    management = Management(
        engine,
        principal,
        address,
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
    return await loop.run_in_executor(None, management.perform, operation, arguments)


async def _read(request: Request) -> bytes:
    parts, size = [], 0
    async with asyncio.timeout(BODY_SECONDS):
        async for part in request.stream():
            size += len(part)
            if size > MAXIMUM_BODY:
                raise PayloadTooLargeError(f"the body is larger than {MAXIMUM_BODY} bytes")
            parts.append(part)
    return b"".join(parts) or b"{}"


def _record_refusal(
    engine: "Engine", request: Request, operation: str, address: str, refused: VaultError
) -> None:
    engine.audit.record(
        vault="",
        operation="Authentication",
        api_version=API_VERSION,
        status=refused.status,
        result_description=refused.message,
        duration_ms=0.0,
        address=address,
        correlation_id="",
        principal=None,
        request_uri=f"/{API_VERSION}/{operation[:64]}",
        client_info=request.headers.get("user-agent", ""),
        object_id="",
        extra=None,
    )


def _answer(status: int, body: bytes, headers: dict[str, str] | None = None) -> Response:
    return Response(
        body,
        status,
        {"cache-control": "no-store", "x-content-type-options": "nosniff", **(headers or {})},
        "application/json",
    )
