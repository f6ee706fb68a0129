"""The application: the data plane in front, and Starlette's routes for everything else."""

from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Host, Route, Router

from vaultcore.service.identity.routes import identity_routes
from vaultcore.service.keyvault.plane import HEALTH, DataPlane
from vaultcore.service.management.routes import management_routes

if TYPE_CHECKING:
    from vaultcore.engine import Engine


def build_application(
    engine: "Engine",
    *,
    default_hosts: tuple[str, ...] = (),
    default_vault: str | None = None,
    challenge_tenant: str | None = None,
) -> DataPlane:
    """Returns the whole service as one ASGI application.

    Args:
        engine: the engine.
        default_hosts: host names, with port, under which the default vault answers too.
        default_vault: the name of that vault.
        challenge_tenant: the tenant that the challenge names.
    """
    domain = engine.installation.domain.partition(":")[0]
    others = Starlette(
        routes=[
            Route(HEALTH.decode(), _health(engine), methods=["GET"]),
            Host(f"login.{domain}", Router(identity_routes(engine)), name="identity"),
            Host(f"management.{domain}", Router(management_routes(engine)), name="management"),
            Route("/{path:path}", _no_vault, methods=["GET", "PUT", "POST", "PATCH", "DELETE"]),
        ]
    )
    return DataPlane(
        engine,
        others,
        default_hosts=default_hosts,
        default_vault=default_vault,
        challenge_tenant=challenge_tenant,
    )


def _health(engine: "Engine") -> Any:
    async def health(_: Request) -> Response:
        """Says whether the store answers; costs the same for everybody and names nothing."""
        engine.synchronise()
        return JSONResponse({"status": "ok"})

    return health


async def _no_vault(_: Request) -> Response:
    error = {"code": "VaultNotFound", "message": "no vault is served under this host name"}
    return JSONResponse({"error": error}, status_code=404)
