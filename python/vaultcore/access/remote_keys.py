"""Keys that are fetched from an issuer: rarely, in bounded time, and kept after a bad answer."""

import asyncio
import math
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from pathlib import Path

import httpx

from vaultcore.access.jwks import (
    DEFAULT_ALGORITHMS,
    MAXIMUM_DOCUMENT,
    KeySetError,
    VerificationKey,
    parse_key_set,
    strict_json,
)
from vaultcore.errors import ConfigurationError

FLIGHT_SECONDS = 5.0  # for a whole fetch, however slowly the answer arrives
_WITHOUT = (
    "; `token_file` was not sent to this host, which only the discovery document names: if it is "
    "the right one, name its address as `jwks_uri`"
)


class RemoteKeys:
    """The keys of an issuer, fetched over HTTPS from the address in its configuration.

    The time of the last attempt is the whole negative cache: whatever unknown names arrive, there
    is one fetch in `RETRY_AFTER` seconds, and nothing grows with their number. After a fetch that
    failed, no caller waits for the next ones, until one succeeds.

    Args:
        issuer: the issuer's exact URL, which a discovery document must repeat.
        jwks_uri: the address of the key set; without it, discovery finds it.
        discovery: the address of the discovery document; by default below the issuer's URL.
        algorithms: the algorithms that the issuer may sign with, the preferred one first.
        ca_file: the authority to trust for these addresses instead of the system's.
        token_file: a file with a bearer token, read again for each fetch. It is sent to the hosts
            of the addresses above, and to no other that a discovery document names.
        monotonic: returns the seconds since some moment; it never goes back.

    Raises:
        ConfigurationError: an address is not https, or the authority's file cannot be used.
    """

    REFRESH_AFTER = 3600.0  # so that a key withdrawn by the issuer is forgotten
    RETRY_AFTER = 30.0
    STALE_AFTER = 86400.0  # how long keys are used while the issuer is unavailable
    DEADLINE = FLIGHT_SECONDS
    WAITERS = 64  # callers that wait for one fetch; the others are answered at once

    def __init__(
        self,
        issuer: str,
        *,
        jwks_uri: str = "",
        discovery: str = "",
        algorithms: Sequence[str] = DEFAULT_ALGORITHMS,
        ca_file: Path | None = None,
        token_file: Path | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = issuer
        self._jwks_uri = jwks_uri
        self._discovery = discovery or issuer.rstrip("/") + "/.well-known/openid-configuration"
        self._algorithms = tuple(algorithms)
        self._token_file = token_file
        self._monotonic = monotonic
        for address in (jwks_uri or self._discovery, self._discovery):
            if not _is_https(address):
                raise ConfigurationError(
                    f"the keys of an issuer come from an https address, not from `{address}`"
                )
        try:
            self._tls = (
                ssl.create_default_context(cafile=str(ca_file))
                if ca_file
                else httpx.create_ssl_context()
            )
        except OSError as error:
            raise ConfigurationError(
                f"`{ca_file}` cannot be used as the authority of an issuer: {error}"
            ) from error
        # Credentials are sent only to hosts that the configuration itself names.
        self._own = frozenset(
            _origin(address)
            for address in (issuer, jwks_uri, self._discovery)
            if _is_https(address)
        )
        self._lock = threading.Lock()
        self._flight: Future[None] | None = None
        self._waiting = 0
        self._attempted: float | None = None
        self._failed = False  # whether the last fetch did
        # Replaced together, so that a reader without the lock sees one fetch's result.
        self._state: tuple[Mapping[str, VerificationKey], float] = ({}, -math.inf)
        self._problem = "they were not fetched yet"
        self.fetches = 0

    @property
    def problem(self) -> str:
        """Why the last fetch failed, or an empty string."""
        return self._problem

    @property
    def available(self) -> bool:
        """Whether there are keys that are not too old to be used."""
        keys, fetched = self._state
        return bool(keys) and self._monotonic() - fetched <= self.STALE_AFTER

    def find(self, kid: str) -> VerificationKey | None:
        """Returns the key of that name, or None; never waits for the network."""
        return self._state[0].get(kid) if self.available else None

    def refresh(self, kid: str) -> Future[None] | None:
        """Starts a fetch if one is needed, and returns it if this caller should wait for it.

        A caller waits once, for a key that is unknown or was fetched long ago. No caller waits for
        an issuer whose last fetch failed, or for a fetch whose deadline has passed.
        """
        known = self.find(kid) is not None
        if known and self._monotonic() - self._state[1] < self.REFRESH_AFTER:
            return None
        with self._lock:
            flight = self._flight
            if flight is None:
                flight = self._take_off()
                return None if self._failed else flight
            late = self._monotonic() - (self._attempted or 0.0) >= self.DEADLINE
            if known or self._failed or late or self._waiting >= self.WAITERS:
                return None
            self._waiting += 1
            return flight

    def fetch(self) -> None:
        """Fetches the keys, unless that was tried a moment ago, and waits for them.

        After a failure, the old keys are kept. Callers during a fetch wait for that fetch.
        """
        with self._lock:
            flight = self._flight or self._take_off()
        if flight is not None:
            wait([flight], self.DEADLINE + 1.0)

    def _take_off(self) -> Future[None] | None:
        """Starts a fetch unless one was tried a moment ago; the caller holds the lock."""
        now = self._monotonic()
        if self._attempted is not None and now - self._attempted < self.RETRY_AFTER:
            return None
        self._attempted = now
        self._waiting = 1
        self.fetches += 1
        flight: Future[None] = Future()
        self._flight = flight
        # With a thread of its own, the deadline applies even to name resolution, whatever event
        # loop the caller runs.
        thread = threading.Thread(
            target=self._fly, args=(flight,), name="vaultcore-jwks", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            self._flight = None
            self._failed, self._problem = True, "there was no thread to fetch them with"
            return None
        return flight

    def _fly(self, flight: Future[None]) -> None:
        problem = "the fetch broke off"
        try:
            keys = asyncio.run(self._download())
            self._state = (keys, self._monotonic())
            problem = ""
        except (TimeoutError, httpx.TimeoutException):
            problem = f"no answer within {self.DEADLINE:g} s"
        except (
            OSError,
            UnicodeError,
            httpx.HTTPError,
            httpx.InvalidURL,
            httpx.StreamError,
        ) as error:
            problem = f"the issuer could not be reached: {type(error).__name__}"
        except KeySetError as error:
            problem = str(error)
        finally:
            self._problem = problem
            with self._lock:
                self._failed = bool(problem)
                self._flight = None
            flight.set_result(None)

    async def _download(self) -> dict[str, VerificationKey]:
        async with (
            asyncio.timeout(self.DEADLINE),
            # A redirect would let an answer choose whom to trust.
            httpx.AsyncClient(
                verify=self._tls, timeout=self.DEADLINE, follow_redirects=False
            ) as client,
        ):
            address = self._jwks_uri or await self._discover(client)
            return parse_key_set(await self._get(client, address), self._algorithms)

    async def _discover(self, client: httpx.AsyncClient) -> str:
        try:
            document = strict_json(await self._get(client, self._discovery))
        except ValueError as error:
            raise KeySetError(f"the discovery document was refused: {error}") from None
        if document.get("issuer") != self._issuer:
            raise KeySetError("the discovery document names another issuer")
        address = document.get("jwks_uri")
        if not isinstance(address, str) or not _is_https(address):
            raise KeySetError("the discovery document names no https address of keys")
        return address

    async def _get(self, client: httpx.AsyncClient, address: str) -> bytes:
        # Without compression: a small compressed body could expand beyond every limit.
        headers = {"accept": "application/json", "accept-encoding": "identity"}
        own = _origin(address) in self._own
        if self._token_file is not None and own:
            headers["authorization"] = "Bearer " + self._token_file.read_text("ascii").strip()
        body = bytearray()
        async with client.stream("GET", address, headers=headers) as answer:
            if answer.status_code != httpx.codes.OK:
                without = "" if own or self._token_file is None else _WITHOUT
                raise KeySetError(f"the issuer answered {answer.status_code}{without}")
            if answer.headers.get("content-encoding", "identity") != "identity":
                raise KeySetError("the issuer answered in an encoding that was not asked for")
            async for chunk in answer.aiter_raw(8192):
                body += chunk
                if len(body) > MAXIMUM_DOCUMENT:
                    raise KeySetError(f"the answer is larger than {MAXIMUM_DOCUMENT} bytes")
        return bytes(body)


def _origin(address: str) -> tuple[str, str, int | None]:
    """Returns scheme, host and port (RFC 6454); port 443 is None, as in httpx."""
    url = httpx.URL(address)
    return url.scheme, url.host, url.port


def _is_https(address: str) -> bool:
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL:
        return False
    return url.scheme == "https" and bool(url.host) and not url.userinfo
