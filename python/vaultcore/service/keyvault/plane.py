"""The data plane: takes every request for a vault through the gate.

The code reads in the order of the gate (design: the way of a request): parse, challenge, firewall,
authenticate, authorize, act; the front records and answers. The first five are one call into the
core. Whenever a request has waited for something, the gate is asked again before it acts.
"""

import asyncio
import functools
import logging
import os
import uuid
from collections.abc import Awaitable, MutableMapping
from typing import TYPE_CHECKING, Any, Final, NoReturn

from vaultcore import _core
from vaultcore.audit.record import Record
from vaultcore.engine.guarded import guarded as guarded_work
from vaultcore.engine.guarded import write_async
from vaultcore.errors import (
    AuditError,
    InternalError,
    NotFoundError,
    ObjectNotFoundError,
    UnauthorizedError,
    VaultError,
)
from vaultcore.service.keyvault.operations import HANDLERS, Handler, Request, Write, confirm
from vaultcore.service.keyvault.pools import Pools, Where, landed
from vaultcore.service.keyvault.wire import error_body
from vaultcore.storage.witness import witnessed

if TYPE_CHECKING:
    from vaultcore.audit.change import Change
    from vaultcore.engine.engine import Engine
    from vaultcore.objects.vault import VaultState
    from vaultcore.service.exchange import Exchange, Headers
    from vaultcore.service.front import Place

_OVERRIDES: Final = frozenset({b"GET", b"PUT", b"PATCH", b"DELETE", b"POST"})
_SERVICE_VERSION: Final = _core.__version__.encode()

logger = logging.getLogger("vaultcore.service")


class Door:
    """A vault as it is reached under one host name.

    Args:
        plane: what takes requests through the gate.
        vault: the vault's state.
        base: what identifiers begin with for clients of this name.
        challenge: the value of WWW-Authenticate.
    """

    __slots__ = ("_challenge", "_headers", "_plane", "base", "name", "url", "vault")

    def __init__(
        self, plane: "DataPlane", vault: "VaultState", base: str, challenge: bytes
    ) -> None:
        self.vault = vault
        self.name = vault.name
        self.url = base
        self.base = base.encode()
        self._plane = plane
        self._challenge = challenge
        self._headers = [
            (b"content-type", b"application/json; charset=utf-8"),
            (b"cache-control", b"no-cache"),
            (b"pragma", b"no-cache"),
            (b"expires", b"-1"),
            (b"strict-transport-security", b"max-age=31536000;includeSubDomains"),
            (b"x-content-type-options", b"nosniff"),
            (b"x-ms-keyvault-region", vault.location.encode()),
            (b"x-ms-keyvault-service-version", _SERVICE_VERSION),
        ]

    def handle(self, exchange: "Exchange") -> Awaitable[tuple[int, bytes]]:
        """Takes a request through the gate and acts on it."""
        return self._plane.handle(self, exchange)

    def refuse(self, exchange: "Exchange", failure: VaultError) -> tuple[int, bytes]:  # noqa: ARG002
        """Returns a refusal in the contract's shape."""
        return failure.status, error_body(failure)

    def headers(self, exchange: "Exchange", status: int) -> "Headers":
        """Returns the headers of an answer."""
        shown = [
            *self._headers,
            _network_info(exchange.address),
            (b"x-ms-request-id", self._plane.next_request_id()),
        ]
        if exchange.correlation and len(exchange.correlation) <= 64:  # noqa: PLR2004 - a GUID fits
            shown.append((b"x-ms-client-request-id", exchange.correlation))
        if status == 401:  # noqa: PLR2004
            shown.append((b"www-authenticate", self._challenge))
        elif status in {429, 503}:
            shown.append((b"retry-after", b"1"))
        return shown


class DataPlane:
    """The Azure Key Vault REST API of every vault of an engine.

    Args:
        engine: the engine.
        doors: where the doors that are in use are kept, by host name.
        default_hosts: host names, with port, under which the default vault answers too.
        default_vault: the name of that vault.
        challenge_tenant: the tenant that the challenge names.
    """

    def __init__(
        self,
        engine: "Engine",
        doors: MutableMapping[bytes, "Place"],
        *,
        default_hosts: tuple[str, ...] = (),
        default_vault: str | None = None,
        challenge_tenant: str | None = None,
    ) -> None:
        self._engine = engine
        self._doors = doors
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
        self._pools = Pools()
        self._request_prefix = str(uuid.uuid4())[:24].encode()
        self._request_count = int.from_bytes(os.urandom(3), "big")
        self._admit = engine.gate.admit
        self._audit = engine.audit

    def close(self) -> None:
        """Waits for slow operations that run."""
        self._pools.close()

    def next_request_id(self) -> bytes:
        """Returns an identifier for an answer."""
        self._request_count += 1
        return b"%b%012x" % (self._request_prefix, self._request_count & 0xFFFFFFFFFFFF)

    async def handle(self, door: Door, exchange: "Exchange") -> tuple[int, bytes]:
        """Takes one request through the gate and acts on it.

        Raises:
            VaultError: the gate or the rules of the object refuse.
        """
        if self._audit.refusing:
            self._audit.require()
        self._engine.synchronise()
        if door.vault.removed:
            self._close(door)
        operation, principal = await self._pass_gate(door, exchange)
        handler = HANDLERS.get(operation.name)
        if handler is None:
            raise NotFoundError(f"the operation {operation.name} is not offered by this version")
        request = exchange.request = Request(door.vault, operation, principal, door.url)
        try:
            if handler.limit:
                request.body = await exchange.body(handler.limit)
                self._look_again(door, exchange)
            elif exchange.unread:
                # Before the act: a client that holds its body back would hold up the answer.
                await exchange.let_in()
                self._look_again(door, exchange)
            where = Where.LOOP if handler.where is None else handler.where(request)
            if where is Where.LOOP:
                done = handler.act(request)
            else:
                done = await self._pools.run(
                    where,
                    door.vault.key_rules.token,
                    lambda: self._act(door, exchange, handler, request),
                    changes=handler.changes,
                )
                if not isinstance(done, Write):
                    self._look_again(door, exchange)
                    confirm(request)
            if isinstance(done, Write):
                done = await self._write(door, exchange, done, handler.status)
        except ObjectNotFoundError as missing:
            raise missing.spelled(operation.object_name) from None
        return handler.status, done

    # the gate

    async def _pass_gate(
        self, door: Door, exchange: "Exchange"
    ) -> "tuple[_core.Operation, _core.Principal]":
        """Parse, challenge, firewall, authenticate, authorize: one call for a token seen before."""
        scope = exchange.scope
        method: str = scope["method"]
        if exchange.override and method == "POST" and exchange.override in _OVERRIDES:
            method = exchange.override.decode()
        exchange.question = (
            door.name,
            method,
            exchange.raw_path,
            scope["query_string"],
            exchange.address,
            exchange.authorization,
        )
        exchange.epoch = self._engine.access_epoch
        admission = self._admit(*exchange.question, self._engine.clock.now())
        if admission.outcome == _core.UNKNOWN_TOKEN:
            token = _token(exchange)
            flight = self._engine.validator.refresh(token)
            if flight is not None:
                await landed(flight)
            exchange.epoch, admission = self._introduce(door, exchange, token)
        operation = admission.operation
        if operation is not None:
            exchange.operation = operation.name
            exchange.api_version = operation.api_version
            exchange.object_id = _object_id(door, operation)
        principal = exchange.principal = admission.principal
        if admission.outcome != _core.ADMITTED or operation is None or principal is None:
            raise _refusal(admission)
        return operation, principal

    def _introduce(
        self, door: Door, exchange: "Exchange", token: str
    ) -> tuple[int, _core.Admission]:
        """Validates a token that the gate does not remember, and asks again."""
        engine = self._engine
        engine.accept(token)
        if door.vault.removed:
            self._close(door)
        epoch = engine.access_epoch
        admission = self._admit(*exchange.question, engine.clock.now())
        if admission.outcome == _core.UNKNOWN_TOKEN:
            raise UnauthorizedError("AKV10000: the token is not valid at this time")
        return epoch, admission

    def _look_again(self, door: Door, exchange: "Exchange") -> None:
        """Asks the gate again, if anything that it goes by has changed since it was asked.

        Called after each wait, on whatever thread goes on: permissions, the firewall, the token and
        the vault hold for the act, not for the moment when the request arrived. What is cached of
        objects is up to date after it.

        Raises:
            StorageError: the change feed cannot be read.
            VaultError: the request would not be admitted now.
        """
        engine = self._engine
        engine.synchronise()
        epoch = engine.access_epoch
        if epoch == exchange.epoch:
            return
        if door.vault.removed:
            self._close(door)
        admission = self._admit(*exchange.question, engine.clock.now())
        if admission.outcome == _core.UNKNOWN_TOKEN:
            epoch, admission = self._introduce(door, exchange, _token(exchange))
        if admission.outcome != _core.ADMITTED:
            raise _refusal(admission)
        exchange.epoch = epoch

    # acting

    def _act(
        self, door: Door, exchange: "Exchange", handler: Handler, request: Request
    ) -> bytes | Write:
        self._look_again(door, exchange)
        return handler.act(request)

    async def _write(self, door: Door, exchange: "Exchange", write: Write, status: int) -> bytes:
        """Has the store do a write, and returns the body of its answer.

        The record of the change is committed with it; the front gives it to the log.
        """
        work, render, settle = write
        # Here, and not before the queue: what the store sees then holds for the write.
        guarded = guarded_work(work, lambda: self._look_again(door, exchange))
        record = exchange.record(Record.of, door.name, door.base, status)
        change = exchange.change = self._audit.changes.begin(record)
        with witnessed(change):
            # Its task has the context of this moment, and so the witness.
            task = asyncio.ensure_future(write_async(self._engine.store, guarded))
        try:
            result = await asyncio.shield(task)
        except asyncio.CancelledError:
            # Nobody waits for the answer any more; what was begun ends, and is recorded.
            exchange.change = None
            task.add_done_callback(lambda done: self._end_unattended(change, record, done))
            raise
        if settle is not None:
            await self._pools.settle(door.vault, settle(result))
        return render(result)

    def _end_unattended(self, change: "Change", record: Record, done: "asyncio.Task[Any]") -> None:
        if done.cancelled() or done.exception() is not None:
            record.status, record.result_description = 500, "it failed after its caller had left"
        try:
            self._audit.changes.end(change, record)
        except AuditError as error:
            logger.error("%s", error)  # noqa: TRY400 - the reason is in its words

    # hosts

    def find(self, host: bytes) -> Door | None:
        """Finds the vault of a host name; only names that the configuration gives are known.

        Args:
            host: in lower case.

        Raises:
            StorageError: the store cannot be read.
        """
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
        door = self._doors[host] = Door(self, vault, base, self._challenge)
        return door

    def _close(self, door: Door) -> NoReturn:
        """Forgets the doors of a vault that was removed; one of that name may be there again.

        Raises:
            NotFoundError: always, or what keeps the vault from being opened.
        """
        for host, place in list(self._doors.items()):
            if place is door:
                self._doors.pop(host, None)
        door.vault.refuse()


def _token(exchange: "Exchange") -> str:
    # The gate's own reading of the header: what it calls unknown is what gets validated.
    return _core.bearer_token(exchange.authorization or b"") or ""


def _refusal(admission: _core.Admission) -> VaultError:
    """Returns what the gate says, in the gate's own words."""
    if admission.refusal is None:
        return InternalError("the gate refused without a reason")
    status, code, message, inner = admission.refusal
    refused = VaultError(message, code=code, inner=inner)
    refused.status = status
    return refused


@functools.lru_cache(maxsize=1024)
def _network_info(address: str) -> tuple[bytes, bytes]:
    family = "Ipv6" if ":" in address else "Ipv4"
    network = "InterNetworkV6" if family == "Ipv6" else "InterNetwork"
    text = f"conn_type={family};addr={address};act_addr_fam={network};"
    return b"x-ms-keyvault-network-info", text.encode()


def _object_id(door: Door, operation: _core.Operation) -> str:
    name = operation.object_name
    if not name:
        return ""
    version = operation.version
    return f"{door.url}/{operation.kind}/{name}" + (f"/{version}" if version else "")
