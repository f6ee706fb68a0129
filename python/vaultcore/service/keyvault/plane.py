"""The data plane: one ASGI callable that takes every request through the gate.

The code reads in the order of the gate (design: the way of a request): parse, challenge, firewall,
authenticate, authorize, act, record, answer. The first five are one call into the core.
"""

import asyncio
import logging
import os
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from vaultcore import _core
from vaultcore.errors import (
    AuditError,
    BadParameterError,
    InternalError,
    NotFoundError,
    ObjectNotFoundError,
    ProtectorError,
    StorageError,
    TamperedError,
    ThrottledError,
    UnauthorizedError,
    UnavailableError,
    VaultcoreError,
    VaultError,
)
from vaultcore.service.keyvault.body import BODY_SECONDS, Bodies, drain
from vaultcore.service.keyvault.operations import HANDLERS, Handler, Request, Write
from vaultcore.service.keyvault.wire import error_body

if TYPE_CHECKING:
    from vaultcore.engine import Engine
    from vaultcore.state import VaultState

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

HEALTH: Final = b"/healthz"  # no route of the contract, and answered without a look at the caller
SLOW_THREADS: Final = max(2, (os.cpu_count() or 2))
SLOW_WAITING: Final = 512
_OVERRIDING: Final = frozenset({b"x-http-method", b"x-http-method-override", b"x-http-request"})
_OVERRIDES: Final = frozenset({b"GET", b"PUT", b"PATCH", b"DELETE", b"POST"})
_SERVICE_VERSION: Final = _core.__version__.encode()

logger = logging.getLogger("vaultcore.service")


class Door:
    """A vault as it is reached under one host name.

    Attributes:
        vault: the vault's state.
        base: what identifiers begin with for clients of this name.
        headers: of every answer.
        challenge: the value of WWW-Authenticate.
    """

    __slots__ = ("base", "base_bytes", "challenge", "headers", "vault")

    def __init__(self, vault: "VaultState", base: str, challenge: bytes) -> None:
        self.vault = vault
        self.base = base
        self.base_bytes = base.encode()
        self.challenge = challenge
        self.headers = [
            (b"content-type", b"application/json; charset=utf-8"),
            (b"cache-control", b"no-cache"),
            (b"pragma", b"no-cache"),
            (b"expires", b"-1"),
            (b"strict-transport-security", b"max-age=31536000;includeSubDomains"),
            (b"x-content-type-options", b"nosniff"),
            (b"x-ms-keyvault-region", vault.location.encode()),
            (b"x-ms-keyvault-service-version", _SERVICE_VERSION),
        ]


class _Headers:
    """The headers that the plane reads, picked in one pass."""

    __slots__ = ("agent", "authorization", "chunked", "correlation", "host", "length", "override")

    def __init__(self, headers: Any) -> None:
        self.host = b""
        self.authorization: bytes | None = None
        self.correlation = b""
        self.agent = b""
        self.length = b""
        self.chunked = False
        self.override = b""
        for name, value in headers:
            if name == b"authorization":
                # Two different tokens would let two readers see two callers.
                self.authorization = value if self.authorization is None else b""
            elif name == b"host":
                self.host = value
            elif name == b"user-agent":
                self.agent = value
            elif name == b"x-ms-client-request-id":
                self.correlation = value
            elif name == b"content-length":
                self.length = value
            elif name == b"transfer-encoding":
                self.chunked = True
            elif name in _OVERRIDING:
                self.override = value


class _Passage:
    """How far a request came, for the record."""

    __slots__ = ("operation", "principal", "read", "request")

    def __init__(self) -> None:
        self.operation: _core.Operation | None = None
        self.principal: _core.Principal | None = None
        self.request: Request | None = None
        self.read = False  # whether the body was read to its end


class DataPlane:
    """The Azure Key Vault REST API of every vault of an engine.

    Args:
        engine: the engine.
        others: the application for hosts that are no vault's.
        default_hosts: host names, with port, under which the default vault answers too.
        default_vault: the name of that vault.
        challenge_tenant: the tenant that the challenge names.
    """

    def __init__(
        self,
        engine: "Engine",
        others: Application,
        *,
        default_hosts: tuple[str, ...] = (),
        default_vault: str | None = None,
        challenge_tenant: str | None = None,
    ) -> None:
        self._engine = engine
        self._others = others
        self._default_hosts = frozenset(host.encode() for host in default_hosts)
        self._default_vault = default_vault
        installation = engine.installation
        self._domain = installation.domain.encode()
        tenant = challenge_tenant or installation.tenant_id
        # Values hold no comma, no `=` and no space: three of the SDKs cannot read those.
        self._challenge = (
            f'Bearer authorization="{installation.issuer_url}/{tenant}", '
            f'resource="{installation.resource}"'
        ).encode()
        self._doors: dict[bytes, Door] = {}
        self._slow = ThreadPoolExecutor(SLOW_THREADS, thread_name_prefix="vaultcore-slow")
        self._waiting = 0
        self._bodies = Bodies()
        self._request_prefix = str(uuid.uuid4())[:24]
        self._request_count = int.from_bytes(os.urandom(3), "big")
        self._admit = engine.gate.admit
        self._record = engine.audit.record

    def close(self) -> None:
        """Waits for slow operations that run."""
        self._slow.shutdown(wait=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        started = time.perf_counter()
        if scope["type"] != "http":
            await self._others(scope, receive, send)
            return
        headers = _Headers(scope["headers"])
        door = self._doors.get(headers.host) or self._find_door(headers.host)
        if door is None or scope["raw_path"] == HEALTH:
            await self._others(scope, receive, send)
            return
        address: str = scope["client"][0]
        passage = _Passage()
        failure: VaultError | None = None
        try:
            status, content = await self._handle(passage, door, scope, receive, headers)
        except ObjectNotFoundError as missing:
            asked = passage.operation
            failure = missing if asked is None else missing.spelled(asked.object_name)
        except VaultError as refused:
            failure = refused
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets an answer
            failure = _translate(error)
        if failure is not None:
            status, content = failure.status, error_body(failure)
        operation = passage.operation
        try:
            self._record(
                vault=door.vault.name,
                operation=_audited_name(operation, status),
                api_version="" if operation is None else operation.api_version,
                status=status,
                result_description="" if failure is None else failure.message,
                duration_ms=(time.perf_counter() - started) * 1000.0,
                address=address,
                correlation_id=headers.correlation,
                principal=passage.principal,
                request_uri=door.base_bytes + scope["raw_path"],
                client_info=headers.agent,
                object_id=_object_id(door, operation),
                extra=None if passage.request is None else passage.request.extra,
            )
        except (AuditError, OSError) as error:
            # No record, no answer: what was done or found stays here.
            logger.error("the audit record could not be written: %s", error)  # noqa: TRY400
            failure = UnavailableError(
                "the audit log cannot be written, so that nothing may be answered; try again later"
            )
            status, content = failure.status, error_body(failure)
        closing = False
        if not passage.read and (headers.chunked or headers.length.strip(b"0")):
            closing = not await drain(receive, headers.length)
        await self._answer(send, door, headers, address, status, content, closing=closing)

    async def _handle(
        self, passage: "_Passage", door: Door, scope: Scope, receive: Receive, headers: _Headers
    ) -> tuple[int, bytes]:
        """Takes one request through the gate and acts on it."""
        self._engine.synchronise()
        if door.vault.removed:
            self._doors.clear()
            door.vault.refuse()
        admission = await self._pass_gate(door, scope, headers)
        operation = passage.operation = admission.operation
        principal = passage.principal = admission.principal
        if admission.outcome != _core.ADMITTED or operation is None or principal is None:
            raise _refusal(admission)
        handler = HANDLERS.get(operation.name)
        if handler is None:
            raise NotFoundError(f"the operation {operation.name} is not offered by this version")
        request = passage.request = Request(door.vault, operation, principal, door.base)
        if handler.limit:
            request.body = await self._bodies.read(receive, headers.length, handler.limit)
            passage.read = True
        if handler.slow is None or not handler.slow(request):
            done = handler.act(request)
        else:
            done = await self._act_slowly(handler, request)
        if not isinstance(done, Write):
            return handler.status, done
        result = await self._engine.store.write_async(done.work)
        if done.settle is not None:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._slow, done.settle, result)
        return handler.status, done.render(result)

    # the gate

    async def _pass_gate(self, door: Door, scope: Scope, headers: _Headers) -> _core.Admission:
        """Parse, challenge, firewall, authenticate, authorize: one call for a token seen before."""
        method: str = scope["method"]
        if headers.override and method == "POST" and headers.override in _OVERRIDES:
            method = headers.override.decode()
        question = (
            door.vault.name,
            method,
            scope["raw_path"],
            scope["query_string"],
            scope["client"][0],
            headers.authorization,
        )
        admission = self._admit(*question, self._engine.clock.now())
        if admission.outcome != _core.UNKNOWN_TOKEN:
            return admission
        # The gate's own reading of the header: what it calls unknown is what gets validated.
        token = _core.bearer_token(headers.authorization or b"") or ""
        validator = self._engine.validator
        if validator.needs_fetch(token):
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._slow, validator.fetch_for, token)
        self._engine.accept(token)
        admission = self._admit(*question, self._engine.clock.now())
        if admission.outcome == _core.UNKNOWN_TOKEN:
            raise UnauthorizedError("AKV10000: the token is not valid at this time")
        return admission

    # acting

    async def _act_slowly(self, handler: Handler, request: Request) -> bytes | Write:
        if self._waiting >= SLOW_WAITING:
            raise ThrottledError(
                "Request was not processed because too many requests were received. Reason: "
                "VaultOperationLimitReached"
            )
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._slow, handler.act, request
            )
        finally:
            self._waiting -= 1

    # answering

    async def _answer(
        self,
        send: Send,
        door: Door,
        headers: _Headers,
        address: str,
        status: int,
        content: bytes,
        *,
        closing: bool,
    ) -> None:
        self._request_count += 1
        family = "Ipv6" if ":" in address else "Ipv4"
        network = "InterNetworkV6" if family == "Ipv6" else "InterNetwork"
        shown = [
            *door.headers,
            (
                b"x-ms-keyvault-network-info",
                f"conn_type={family};addr={address};act_addr_fam={network};".encode(),
            ),
            (
                b"x-ms-request-id",
                f"{self._request_prefix}{self._request_count & 0xFFFFFFFFFFFF:012x}".encode(),
            ),
        ]
        if headers.correlation and len(headers.correlation) <= 64:  # noqa: PLR2004 - a GUID fits
            shown.append((b"x-ms-client-request-id", headers.correlation))
        if status == 401:  # noqa: PLR2004
            shown.append((b"www-authenticate", door.challenge))
        elif status in {429, 503}:
            shown.append((b"retry-after", b"1"))
        if closing:
            shown.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": shown})
        await send({"type": "http.response.body", "body": content})

    # hosts

    def _find_door(self, host: bytes) -> Door | None:
        """Finds the vault of a host name; only names that the configuration gives are known."""
        host = host.lower()
        if host in self._default_hosts:
            name = self._default_vault
        elif host.endswith(b"." + self._domain):
            name = host[: -len(self._domain) - 1].decode("latin-1")
        else:
            return None
        if not name or "." in name:
            return None
        try:
            vault = self._engine.state(name)
        except NotFoundError:
            return None
        # Clients keep their challenge per host, so links stay on the host that was asked.
        base = f"https://{host.decode('latin-1')}" if host in self._default_hosts else vault.url
        door = Door(vault, base, self._challenge)
        self._doors[host] = door
        return door


def _refusal(admission: _core.Admission) -> VaultError:
    """Returns what the gate says, in the gate's own words."""
    if admission.refusal is None:
        return InternalError("the gate refused without a reason")
    status, code, message, inner = admission.refusal
    refused = VaultError(message, code=code, inner=inner)
    refused.status = status
    return refused


def _audited_name(operation: _core.Operation | None, status: int) -> str:
    # What never came so far as to name an operation is what Azure calls Authentication.
    if operation is None or status == 401:  # noqa: PLR2004
        return "Authentication"
    return operation.name


def _object_id(door: Door, operation: _core.Operation | None) -> str:
    if operation is None or not operation.object_name:
        return ""
    return f"{door.base}/{operation.kind}/{operation.object_name}" + (
        f"/{operation.version}" if operation.version else ""
    )


def _translate(error: Exception) -> VaultError:
    """Turns what is not a refusal into the contract's error, without text that could leak."""
    if isinstance(error, TimeoutError):
        late = BadParameterError(
            f"the body did not arrive within {BODY_SECONDS:g} seconds", code="RequestTimeout"
        )
        late.status = 408
        return late
    if isinstance(error, TamperedError):
        logger.error("%s", error)
        return InternalError(str(error))
    if isinstance(error, (StorageError, ProtectorError)):
        logger.error("%s", error)
        return UnavailableError(f"{error}; try again later")
    logger.error(
        "unexpected %s", type(error).__name__, exc_info=not isinstance(error, VaultcoreError)
    )
    return InternalError("An unexpected error occurred; the service's log says more.")
