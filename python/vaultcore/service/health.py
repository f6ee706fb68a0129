"""The health checks: does the process live, and is it ready?

The answers cost no more than a request, need no token, and contain only general words.
"""

from typing import TYPE_CHECKING, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from vaultcore.engine.health import health

if TYPE_CHECKING:
    from vaultcore.engine.engine import Engine

#: Answers while the process lives and its threads run.
LIVE: Final = "/livez"
#: Answers while requests are answered.
READY: Final = "/readyz"
#: The older name of the same.
HEALTHY: Final = "/healthz"
_OK: Final = 200
_UNAVAILABLE: Final = 503


def health_routes(engine: "Engine") -> list[Route]:
    """Returns the routes, which answer at every host name."""

    async def live(_: Request) -> Response:
        """Reports whether the process should continue: it answers, and its threads run."""
        alive = engine.housekeeper.alive
        return _answer([] if alive else ["housekeeping"], serves=alive)

    async def ready(_: Request) -> Response:
        """Reports whether requests should be sent here, and what fails."""
        found = health(engine)
        return _answer(found.reasons, serves=found.serves)

    return [
        Route(LIVE, live, methods=["GET"]),
        Route(READY, ready, methods=["GET"]),
        Route(HEALTHY, ready, methods=["GET"]),
    ]


def _answer(reasons: list[str], *, serves: bool) -> Response:
    status = "unavailable" if not serves else "degraded" if reasons else "ok"
    return JSONResponse(
        {"status": status, "reasons": reasons},
        status_code=_OK if serves else _UNAVAILABLE,
        headers={"cache-control": "no-store", "x-content-type-options": "nosniff"},
    )
