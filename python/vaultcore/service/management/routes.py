"""The management plane over HTTPS: ``POST /v1/{operation}`` for administrators.

One route belongs to Azure Resource Manager: ``az login`` lists the subscriptions of the caller, and
continues if there are none.
"""

import asyncio
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from vaultcore import _core
from vaultcore.access import refusals
from vaultcore.access.firewall import MANAGEMENT
from vaultcore.errors import BadParameterError, UsageError
from vaultcore.installation.hosts import MANAGEMENT_VERSION
from vaultcore.management import OPERATIONS, Management
from vaultcore.management.operation import UNKNOWN
from vaultcore.service.body import BODY_SECONDS
from vaultcore.service.routed import Routed, exchange_of

if TYPE_CHECKING:
    from vaultcore.engine.engine import Engine
    from vaultcore.service.exchange import Exchange

MAXIMUM_BODY: Final = 64 * 1024


def management_place(engine: "Engine") -> Routed:
    """Returns the management plane of an engine."""
    installation = engine.installation
    challenge = (
        f'Bearer authorization="{installation.issuer_url}/{installation.tenant_id}", '
        f'resource="{installation.management_resource}"'
    )

    async def operate(request: Request) -> Response:
        operation: str = request.path_params["operation"]
        found = OPERATIONS.get(operation)
        named = UNKNOWN if found is None else found.audited
        return await _perform(engine, exchange_of(request), operation, named)

    async def subscriptions(request: Request) -> Response:
        exchange = exchange_of(request)
        exchange.operation = "SubscriptionList"
        _authenticate(engine, exchange)
        return _answer({"value": []})

    return Routed(
        installation.management_resource,
        [
            Route(f"/{MANAGEMENT_VERSION}/{{operation}}", operate, methods=["POST"]),
            Route("/subscriptions", subscriptions, methods=["GET"]),
        ],
        challenge,
        lambda exchange: _guard(engine, exchange),
    )


async def _perform(
    engine: "Engine", exchange: "Exchange", operation: str, audited: str
) -> Response:
    exchange.api_version = MANAGEMENT_VERSION
    exchange.operation = audited
    # Before the body: a stranger must not make the service read one.
    _authenticate(engine, exchange)
    body = await exchange.body(MAXIMUM_BODY, BODY_SECONDS) or b"{}"
    try:
        _core.check_json(body)
        arguments = msgspec.json.decode(body, type=dict[str, Any])
    except (UsageError, msgspec.DecodeError):
        raise BadParameterError("the body is not a JSON object of arguments") from None

    def perform() -> Any:
        # After the body and the queue: the token may have been revoked meanwhile.
        principal = _authenticate(engine, exchange)
        management = Management(
            engine,
            principal,
            exchange.address,
            exchange.client.decode("latin-1"),
            remote=True,
            peer=exchange.peer,
        )
        # From here on the operation writes its record itself, whatever happens.
        exchange.recorded = True
        return management.perform(operation, arguments)

    # Off the loop: a new vault uses the HSM, and a verified audit log is read completely.
    result = await asyncio.get_running_loop().run_in_executor(None, perform)
    return _answer({"result": result})


def _guard(engine: "Engine", exchange: "Exchange") -> None:
    """Refuses a token from an address that is not allowed; without a token, sends the challenge."""
    if _core.bearer_token(exchange.authorization or b"") is not None:
        engine.check_address(MANAGEMENT, exchange.address)


def _authenticate(engine: "Engine", exchange: "Exchange") -> _core.Principal:
    token = _core.bearer_token(exchange.authorization or b"")
    if token is None:
        raise refusals.no_token()
    engine.check_address(MANAGEMENT, exchange.address)
    principal = engine.management_validator.validate(token).principal
    exchange.principal = principal
    return principal


def _answer(content: Any) -> Response:
    return Response(
        msgspec.json.encode(content),
        200,
        {"cache-control": "no-store", "x-content-type-options": "nosniff"},
        "application/json",
    )
