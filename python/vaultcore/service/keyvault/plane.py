"""The data plane: checks every request for a vault at the gate, and performs it.

The code reads in the order of the gate (design: the life of a request): parse, challenge, firewall,
authenticate, authorize, act; the front records and answers. The first five are one call into the
core. Whenever a request has waited for something, the gate is asked again before it acts.
"""

import asyncio
import functools
import os
import uuid
from collections.abc import Awaitable, MutableMapping
from typing import TYPE_CHECKING, Final, NoReturn

from vaultcore import _core
from vaultcore.access.refusals import by_gate
from vaultcore.access.remote_keys import FLIGHT_SECONDS
from vaultcore.errors import NotFoundError, ObjectNotFoundError, UnauthorizedError, VaultError
from vaultcore.operations.action import NOTHING
from vaultcore.operations.perform import perform_async
from vaultcore.operations.pools import Pools
from vaultcore.operations.table import action_of
from vaultcore.service.keyvault.faces import FACES
from vaultcore.service.refusal import RETRY_AFTER, error_body

if TYPE_CHECKING:
    from vaultcore.engine.engine import Engine
    from vaultcore.objects.kinds import OpenVault
    from vaultcore.service.exchange import Exchange, Headers
    from vaultcore.service.front import Place

_OVERRIDES: Final = frozenset({b"GET", b"PUT", b"PATCH", b"DELETE", b"POST"})
_SERVICE_VERSION: Final = _core.__version__.encode()


class VaultHost:
    """A vault at one host name; the place of its requests.

    Args:
        plane: the data plane.
        vault: the vault's state.
        base: the prefix of identifiers for clients of this name.
        challenge: the value of WWW-Authenticate.
    """

    __slots__ = ("_challenge", "_headers", "_plane", "base", "name", "url", "vault")

    def __init__(self, plane: "DataPlane", vault: "OpenVault", base: str, challenge: bytes) -> None:
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
        """Checks a request at the gate and performs it."""
        return self._plane.handle(self, exchange)

    def look_again(self, exchange: "Exchange") -> None:
        """Asks the gate again; see :meth:`DataPlane.look_again`."""
        self._plane.look_again(self, exchange)

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
            shown.append(RETRY_AFTER)
        return shown


class DataPlane:
    """The Azure Key Vault REST API of every vault of an engine.

    Args:
        engine: the engine.
        hosts: the hosts in use, by host name; the data plane adds to them.
        default_hosts: host names, with port, at which the default vault answers too.
        default_vault: the name of that vault.
        challenge_tenant: the tenant that the challenge names.
    """

    def __init__(
        self,
        engine: "Engine",
        hosts: MutableMapping[bytes, "Place"],
        *,
        default_hosts: tuple[str, ...] = (),
        default_vault: str | None = None,
        challenge_tenant: str | None = None,
    ) -> None:
        self._engine = engine
        self._hosts = hosts
        self._default_hosts = frozenset(host.encode() for host in default_hosts)
        self._default_vault = default_vault
        installation = engine.installation
        self._domain = installation.domain.encode()
        tenant = challenge_tenant or installation.tenant_id
        # Values contain no comma, no `=` and no space: three of the SDKs cannot read those.
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
        """Waits for running slow operations."""
        self._pools.close()

    def next_request_id(self) -> bytes:
        """Returns an identifier for an answer."""
        self._request_count += 1
        return b"%b%012x" % (self._request_prefix, self._request_count & 0xFFFFFFFFFFFF)

    async def handle(self, host: VaultHost, exchange: "Exchange") -> tuple[int, bytes]:
        """Checks one request at the gate and performs it.

        Raises:
            VaultError: the gate or the rules of the object refuse.
        """
        if self._audit.refusing:
            self._audit.require()
        self._engine.synchronise()
        if host.vault.removed:
            self._close(host)
        exchange.host_place, exchange.state = host, host.vault
        asked = exchange.asked = await self._pass_gate(host, exchange)
        action = action_of(asked.name)
        face = FACES[asked.name]
        body = b""
        if face.limit:
            body = await exchange.body(face.limit)
            self.look_again(host, exchange)
        elif exchange.unread:
            # Before the act: a client that delays its body would delay the answer.
            await exchange.let_in()
            self.look_again(host, exchange)
        arguments = NOTHING if face.decode is None else face.decode(exchange, body)
        try:
            if action.at_once:
                result = action.run(exchange, arguments)
            else:
                result = await perform_async(exchange, action, arguments, self._engine, self._pools)
        except ObjectNotFoundError as missing:
            raise missing.spelled(asked.object_name) from None
        return action.status, face.render(exchange, host.url, result)

    # the gate

    async def _pass_gate(self, host: VaultHost, exchange: "Exchange") -> _core.Operation:
        """Parse, challenge, firewall, authenticate, authorize: one call for a token seen before."""
        scope = exchange.scope
        method: str = scope["method"]
        if exchange.override and method == "POST" and exchange.override in _OVERRIDES:
            method = exchange.override.decode()
        exchange.question = (
            host.name,
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
                # Without blocking a thread; the validator reports keys that did not arrive in time.
                await asyncio.wait([asyncio.wrap_future(flight)], timeout=FLIGHT_SECONDS)
            exchange.epoch, admission = self._introduce(host, exchange, token)
        operation = admission.operation
        exchange.principal = admission.principal
        if operation is not None:
            exchange.operation = operation.name
            exchange.api_version = operation.api_version
            path = operation.object_path
            if path:
                exchange.object_id = host.url + path
        elif admission.asked is not None:
            exchange.operation = admission.asked
        if admission.outcome != _core.ADMITTED or operation is None:
            raise by_gate(admission)
        return operation

    def _introduce(
        self, host: VaultHost, exchange: "Exchange", token: str
    ) -> tuple[int, _core.Admission]:
        """Validates a token that the gate does not remember, and asks the gate again."""
        engine = self._engine
        engine.accept(token)
        if host.vault.removed:
            self._close(host)
        epoch = engine.access_epoch
        admission = self._admit(*exchange.question, engine.clock.now())
        if admission.outcome == _core.UNKNOWN_TOKEN:
            raise UnauthorizedError("AKV10000: the token is not valid at this time")
        return epoch, admission

    def look_again(self, host: VaultHost, exchange: "Exchange") -> None:
        """Asks the gate again, if its rules have changed; see :meth:`Request.look_again`.

        Raises:
            StorageError: the change feed cannot be read.
            VaultError: the request would no longer be admitted.
        """
        engine = self._engine
        engine.synchronise()
        epoch = engine.access_epoch
        if epoch == exchange.epoch:
            return
        if host.vault.removed:
            self._close(host)
        admission = self._admit(*exchange.question, engine.clock.now())
        if admission.outcome == _core.UNKNOWN_TOKEN:
            epoch, admission = self._introduce(host, exchange, _token(exchange))
        if admission.outcome != _core.ADMITTED:
            raise by_gate(admission)
        exchange.epoch = epoch

    # hosts

    def find(self, host: bytes) -> VaultHost | None:
        """Finds the vault of a host name; only names of the configured domain are known.

        Args:
            host: the host name, in lower case.

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
        # Clients keep their challenge per host, so links stay on the host of the request.
        base = f"https://{host.decode('latin-1')}" if host in self._default_hosts else vault.url
        found = self._hosts[host] = VaultHost(self, vault, base, self._challenge)
        return found

    def _close(self, host: VaultHost) -> NoReturn:
        """Forgets the hosts of a vault that was removed; a new vault may have its name.

        Raises:
            NotFoundError: always, unless the vault cannot be opened, which raises its own error.
        """
        for name, place in list(self._hosts.items()):
            if place is host:
                self._hosts.pop(name, None)
        host.vault.refuse()


def _token(exchange: "Exchange") -> str:
    # The gate's own reading of the header: a token that it does not know is validated.
    return _core.bearer_token(exchange.authorization or b"") or ""


@functools.lru_cache(maxsize=1024)
def _network_info(address: str) -> tuple[bytes, bytes]:
    family = "Ipv6" if ":" in address else "Ipv4"
    network = "InterNetworkV6" if family == "Ipv6" else "InterNetwork"
    text = f"conn_type={family};addr={address};act_addr_fam={network};"
    return b"x-ms-keyvault-network-info", text.encode()
