"""The keys that verify tokens: parsed strictly, fetched rarely, never lost to a bad answer.

A key is bound to one algorithm when it enters; a token's header can only agree with it
(RFC 8725, section 3.1).
"""

import asyncio
import json
import math
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import httpx
import jwt

from vaultcore.errors import ConfigurationError, VaultcoreError

# A kid is a dictionary key and nothing else: never a path, a URL or a query.
KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
DEFAULT_ALGORITHMS = ("RS256", "ES256")
MAXIMUM_DOCUMENT = 64 * 1024
MAXIMUM_KEYS = 32
_RSA_BITS = range(2048, 8193)
# One curve or type serves one algorithm, but an RSA key without `alg` may be meant for several.
_FAMILIES: Mapping[tuple[str, str], frozenset[str]] = {
    ("RSA", ""): frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}),
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("EC", "P-521"): frozenset({"ES512"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA"}),
}
# HS* is absent on purpose: a public key must never be able to serve as a shared secret.
ALGORITHMS = frozenset[str]().union(*_FAMILIES.values())
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"})


class KeySetError(VaultcoreError):
    """A set of keys, or the way to it, was refused; the message says why."""


@dataclass(frozen=True)
class VerificationKey:
    """A public key and the one algorithm that it verifies.

    Attributes:
        kid: the identifier that tokens name it by.
        algorithm: the only accepted value of a token's ``alg``.
        key: the key, bound to the algorithm.
    """

    kid: str
    algorithm: str
    key: jwt.PyJWK = field(repr=False, compare=False)


class KeySource(Protocol):
    """Where the keys of one issuer come from."""

    def find(self, kid: str) -> VerificationKey | None:
        """Returns the key of that name, or None; never waits for the network."""
        ...

    def wants_fetch(self, kid: str) -> bool:
        """Tells whether `fetch` may turn up this key, or is due."""
        ...

    def fetch(self) -> None:
        """Fetches the keys anew; waits a bounded time, and keeps the old ones on failure."""
        ...

    @property
    def available(self) -> bool:
        """Whether keys are at hand at all, so that an unknown kid is the caller's fault."""
        ...


def strict_json(document: bytes) -> dict[str, Any]:
    """Parses a JSON object in which every member occurs once and every number is finite.

    Raises:
        ValueError: it is anything else; the message never holds content.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) != len(pairs):
            raise ValueError("a member occurs twice")
        return members

    def finite(text: str) -> float:
        number = float(text)
        if not math.isfinite(number):
            raise ValueError("a number is not finite")
        return number

    try:
        # Only UTF-8 is JSON on the wire (RFC 8259); json.loads would guess UTF-16 and more.
        parsed = json.loads(
            document.decode("utf-8"),
            object_pairs_hook=unique,
            parse_constant=finite,
            parse_float=finite,
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON at offset {error.pos}") from None
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    if not isinstance(parsed, dict):
        raise ValueError("it is not an object")  # noqa: TRY004 (data, not a type of ours)
    return parsed


def parse_key_set(
    document: bytes, algorithms: Sequence[str] = DEFAULT_ALGORITHMS
) -> dict[str, VerificationKey]:
    """Parses a JWK Set (RFC 7517) into the keys that may verify tokens, by kid.

    Keys of other types, uses or algorithms are passed over, as the standard asks.

    Args:
        document: the set, at most 64 KiB and 32 keys.
        algorithms: what the issuer may sign with, the preferred one first.

    Raises:
        KeySetError: the document is not a key set, is too large, or holds no usable key.
    """
    if len(document) > MAXIMUM_DOCUMENT:
        raise KeySetError(f"the key set is larger than {MAXIMUM_DOCUMENT} bytes")
    try:
        members = strict_json(document).get("keys")
    except ValueError as error:
        raise KeySetError(f"the key set was refused: {error}") from None
    if not isinstance(members, list):
        raise KeySetError("the key set has no list of keys")
    if len(members) > MAXIMUM_KEYS:
        raise KeySetError(f"the key set holds more than {MAXIMUM_KEYS} keys")
    parsed = [key for key in (_parse_key(member, algorithms) for member in members) if key]
    names = [key.kid for key in parsed]
    # Two keys of one name would let the order of a list decide who is believed.
    keys = {key.kid: key for key in parsed if names.count(key.kid) == 1}
    if not keys:
        raise KeySetError("the key set holds no key that can verify a token")
    return keys


def _parse_key(member: object, algorithms: Sequence[str]) -> VerificationKey | None:
    if not isinstance(member, dict) or _PRIVATE_MEMBERS & member.keys():
        return None
    kid, kty, curve = member.get("kid"), member.get("kty"), member.get("crv", "")
    operations = member.get("key_ops")
    if not (isinstance(kid, str) and isinstance(kty, str) and isinstance(curve, str)):
        return None
    for_verifying = member.get("use", "sig") == "sig" and (
        operations is None or (isinstance(operations, list) and "verify" in operations)
    )
    if not KEY_ID.fullmatch(kid) or not for_verifying:
        return None
    family = _FAMILIES.get((kty, curve), frozenset())
    allowed = [name for name in algorithms if name in family]
    algorithm = member.get("alg", allowed[0] if allowed else None)
    if algorithm not in allowed:
        return None
    try:
        key = jwt.PyJWK(member, algorithm=algorithm)
    except (jwt.PyJWTError, KeyError, TypeError, ValueError):
        return None
    if kty == "RSA" and key.key.key_size not in _RSA_BITS:
        return None
    return VerificationKey(kid=kid, algorithm=algorithm, key=key)


class StaticKeys:
    """Keys that were given once, for issuers that cannot be reached.

    Args:
        keys: the keys by kid, as `parse_key_set` returns them.
    """

    def __init__(self, keys: Mapping[str, VerificationKey]) -> None:
        self._keys = dict(keys)

    @classmethod
    def from_file(cls, path: Path, algorithms: Sequence[str] = DEFAULT_ALGORITHMS) -> "StaticKeys":
        """Reads a JWK Set from a file.

        Raises:
            ConfigurationError: the file cannot be read, or is no usable key set.
        """
        try:
            return cls(parse_key_set(path.read_bytes(), algorithms))
        except (OSError, KeySetError) as error:
            raise ConfigurationError(
                f"the keys of an issuer cannot be read from `{path}`: {error}"
            ) from error

    available = True

    def find(self, kid: str) -> VerificationKey | None:
        """Returns the key of that name, or None."""
        return self._keys.get(kid)

    def wants_fetch(self, kid: str) -> bool:  # noqa: ARG002
        """Returns False: there is nowhere to fetch from."""
        return False

    def fetch(self) -> None:
        """Does nothing."""


class RemoteKeys:
    """The keys of an issuer, fetched over HTTPS from where its configuration says.

    The time of the last attempt is the whole negative cache: whatever unknown names arrive, there
    is one fetch in `RETRY_AFTER` seconds, and nothing grows with their number.

    Args:
        issuer: the issuer's exact URL, which a discovery document must repeat.
        jwks_uri: the address of the key set; without it, discovery finds it.
        discovery: the address of the discovery document; by default below the issuer's URL.
        algorithms: what the issuer may sign with, the preferred one first.
        ca_file: the authority to trust for these addresses instead of the system's.
        token_file: a file with a bearer token to send, read anew for each fetch.
        monotonic: tells the seconds since some moment; it never goes back.

    Raises:
        ConfigurationError: an address is not https, or the authority's file cannot be used.
    """

    REFRESH_AFTER = 3600.0  # so that a key withdrawn by the issuer is forgotten
    RETRY_AFTER = 30.0
    STALE_AFTER = 86400.0  # the longest time that an issuer may be away
    DEADLINE = 5.0  # for a whole fetch, however slowly its bytes arrive
    WAITERS = 32

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
        self._lock = threading.Lock()
        self._flight: threading.Event | None = None
        self._waiting = 0
        self._attempted: float | None = None
        # Replaced as one, so that a reader without the lock sees one fetch's result.
        self._state: tuple[Mapping[str, VerificationKey], float] = ({}, -math.inf)
        self._problem = "they were not fetched yet"
        self.fetches = 0

    @property
    def problem(self) -> str:
        """Why the last fetch failed, or an empty string."""
        return self._problem

    @property
    def available(self) -> bool:
        """Whether keys are at hand that are not too old to be used."""
        keys, fetched = self._state
        return bool(keys) and self._monotonic() - fetched <= self.STALE_AFTER

    def find(self, kid: str) -> VerificationKey | None:
        """Returns the key of that name, or None; never waits for the network."""
        return self._state[0].get(kid) if self.available else None

    def wants_fetch(self, kid: str) -> bool:
        """Tells whether `fetch` may turn up this key, or is due."""
        known = self.find(kid) is not None
        if known and self._monotonic() - self._state[1] < self.REFRESH_AFTER:
            return False
        with self._lock:
            if self._flight is not None:
                return not known and self._waiting < self.WAITERS
            return self._may_attempt()

    def fetch(self) -> None:
        """Fetches the keys anew; waits a bounded time, and keeps the old ones on failure.

        Callers who come while a fetch is under way wait for that one.
        """
        with self._lock:
            flight = self._flight
            if flight is None:
                if not self._may_attempt():
                    return
                flight = self._flight = threading.Event()
                self._attempted = self._monotonic()
                self.fetches += 1
                # A thread of its own gives a deadline that holds even for name resolution, and
                # works wherever the caller's event loop runs.
                threading.Thread(
                    target=self._fly, args=(flight,), name="vaultcore-jwks", daemon=True
                ).start()
            elif self._waiting >= self.WAITERS:
                return
            self._waiting += 1
        try:
            flight.wait(self.DEADLINE + 1.0)
        finally:
            with self._lock:
                self._waiting -= 1

    def _may_attempt(self) -> bool:
        return self._attempted is None or self._monotonic() - self._attempted >= self.RETRY_AFTER

    def _fly(self, flight: threading.Event) -> None:
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
                self._flight = None
            flight.set()

    async def _download(self) -> dict[str, VerificationKey]:
        async with (
            asyncio.timeout(self.DEADLINE),
            # A redirect would move the trust to whoever is named in an answer.
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
        # Unencoded: a small compressed body could grow beyond every limit.
        headers = {"accept": "application/json", "accept-encoding": "identity"}
        if self._token_file is not None:
            headers["authorization"] = "Bearer " + self._token_file.read_text("ascii").strip()
        body = bytearray()
        async with client.stream("GET", address, headers=headers) as answer:
            if answer.status_code != httpx.codes.OK:
                raise KeySetError(f"the issuer answered {answer.status_code}")
            if answer.headers.get("content-encoding", "identity") != "identity":
                raise KeySetError("the issuer answered in an encoding that was not asked for")
            async for chunk in answer.aiter_raw(8192):
                body += chunk
                if len(body) > MAXIMUM_DOCUMENT:
                    raise KeySetError(f"the answer is larger than {MAXIMUM_DOCUMENT} bytes")
        return bytes(body)


def check_algorithms(algorithms: Iterable[str]) -> None:
    """Checks that every algorithm is asymmetric and known.

    Raises:
        ConfigurationError: one is not, or there is none.
    """
    names = list(algorithms)
    unknown = [name for name in names if name not in ALGORITHMS]
    if unknown or not names:
        raise ConfigurationError(
            f"an issuer signs with some of {', '.join(sorted(ALGORITHMS))}, "
            f"not with `{', '.join(unknown)}`"
        )


def _is_https(address: str) -> bool:
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL:
        return False
    return url.scheme == "https" and bool(url.host) and not url.userinfo
