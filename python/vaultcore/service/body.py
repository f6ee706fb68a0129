"""Reads bodies: limited in size before anything parses them, and in time."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from vaultcore.errors import BadParameterError, PayloadTooLargeError, RequestTimeoutError

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

#: The largest body of most requests, in bytes: enough for the longest secret, which the worst
#: possible escaping makes six times as long.
SMALL_BODY: Final = 256 * 1024
#: The largest body of a restore, in bytes: enough for a backup with all its versions.
LARGE_BODY: Final = 32 * 1024 * 1024
#: How long a body may take to arrive, in seconds.
BODY_SECONDS: Final = 30.0
DRAINED_BYTES: Final = 1024 * 1024
DRAINED_SECONDS: Final = 1.0
_DRAINED_DIGITS: Final = len(str(DRAINED_BYTES))
_LOOK_SECONDS: Final = 1.0


class Bodies:
    """Reads the bodies of one event loop, and gives up on those that arrive too slowly.

    One check per second of all that are waiting costs less than a timer for each one, which would
    be a good part of the cost of a request.
    """

    def __init__(self) -> None:
        self._deadlines: dict[asyncio.Task[Any], float] = {}
        self._late: set[asyncio.Task[Any]] = set()
        self._looking: asyncio.AbstractEventLoop | None = None

    async def read(
        self, receive: Receive, length: bytes, limit: int, seconds: float = BODY_SECONDS
    ) -> bytes:
        """Returns a body.

        Args:
            receive: the function of ASGI.
            length: the value of the header Content-Length, or nothing.
            limit: the most bytes that are accepted.
            seconds: how long it may take to arrive.

        Raises:
            BadParameterError: the body ended before its announced length.
            PayloadTooLargeError: it is larger than the limit, or announces that it is.
            RequestTimeoutError: it did not arrive in time.
        """
        announced = -1
        if length:
            announced = int(length) if length.isdigit() else limit + 1
            if announced > limit:
                raise _too_large(limit)
            if announced == 0:
                return b""
        task = self._wait(seconds)
        try:
            return await _collect(receive, announced, limit)
        except asyncio.CancelledError:
            if task in self._late:
                raise RequestTimeoutError(
                    f"the body did not arrive within {seconds:g} seconds"
                ) from None
            raise
        finally:
            del self._deadlines[task]
            self._late.discard(task)

    def _wait(self, seconds: float) -> asyncio.Task[Any]:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a body is read inside a task")
        loop = task.get_loop()
        if self._looking is not loop:
            self._looking = loop
            loop.call_later(_LOOK_SECONDS, self._look, loop)
        self._deadlines[task] = loop.time() + seconds
        return task

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for task, deadline in self._deadlines.items():
            if now >= deadline and task not in self._late:
                self._late.add(task)
                task.cancel()
        self._looking = loop if self._deadlines else None
        if self._looking is not None:
            loop.call_later(_LOOK_SECONDS, self._look, loop)


async def drain(receive: Receive, length: bytes) -> bool:
    """Reads and discards a body, and returns whether it came to its end.

    If a connection is closed while data still arrives, the answer or the client's next request
    is lost. So a body of usual size is read first, for a moment.
    """
    if len(length) > _DRAINED_DIGITS:
        return False
    left = DRAINED_BYTES
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAINED_SECONDS):
            while left > 0:
                message = await receive()
                if not message.get("more_body"):
                    return bool(message["type"] == "http.request")
                left -= len(message.get("body", b""))
    return False


async def _collect(receive: Receive, announced: int, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise BadParameterError("the body ended before its announced length")
        part: bytes = message.get("body", b"")
        size += len(part)
        if size == announced and not parts:
            return part  # the usual case: all of it at once
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
        if size == announced or not message.get("more_body"):
            return b"".join(parts)


def _too_large(limit: int) -> PayloadTooLargeError:
    return PayloadTooLargeError(f"the body is larger than {limit} bytes")
