"""The keys that verify tokens, parsed strictly.

A key is bound to one algorithm when it is read; a token's header can only agree with it
(RFC 8725, section 3.1).
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import jwt

from vaultcore.errors import ConfigurationError, VaultcoreError

# A kid is used as a dictionary key only, never as a path, a URL or a query.
KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
DEFAULT_ALGORITHMS = ("RS256", "ES256")
MAXIMUM_DOCUMENT = 64 * 1024
MAXIMUM_KEYS = 32
_RSA_BITS = range(2048, 8193)
# A curve or key type has one algorithm, but an RSA key without `alg` may be meant for several.
_FAMILIES: Mapping[tuple[str, str], frozenset[str]] = {
    ("RSA", ""): frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}),
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("EC", "P-521"): frozenset({"ES512"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA"}),
}
# HS* is absent on purpose: a public key must never be usable as a shared secret.
ALGORITHMS = frozenset[str]().union(*_FAMILIES.values())
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"})


class KeySetError(VaultcoreError):
    """A set of keys, or an address of one, was refused; the message says why."""


@dataclass(frozen=True)
class VerificationKey:
    """A public key and the one algorithm that it verifies.

    Attributes:
        kid: the identifier that tokens use for it.
        algorithm: the only accepted value of a token's ``alg``.
        key: the key, bound to the algorithm.
    """

    kid: str
    algorithm: str
    key: jwt.PyJWK = field(repr=False, compare=False)


class KeySource(Protocol):
    """A source of the keys of one issuer."""

    def find(self, kid: str) -> VerificationKey | None:
        """Returns the key of that name, or None; never waits for the network."""
        ...

    def refresh(self, kid: str) -> Future[None] | None:
        """Starts a fetch if one is needed, and returns it if this caller should wait for it."""
        ...

    @property
    def available(self) -> bool:
        """Whether there are keys at all, so that an unknown kid is the caller's fault."""
        ...


def strict_json(document: bytes) -> dict[str, Any]:
    """Parses a JSON object in which every member occurs once and every number is finite.

    Raises:
        ValueError: it is anything else; the message never contains any of the content.
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

    Keys of other types, uses or algorithms are skipped, as the standard requires.

    Args:
        document: the set, at most 64 KiB and 32 keys.
        algorithms: the algorithms that the issuer may sign with, the preferred one first.

    Raises:
        KeySetError: the document is not a key set, is too large, or contains no usable key.
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
    # With two keys of one name, the order of a list would decide which one is trusted.
    keys = {key.kid: key for key in parsed if names.count(key.kid) == 1}
    if not keys:
        raise KeySetError("the key set contains no key that can verify a token")
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
    """A fixed set of keys, for issuers that cannot be reached.

    Args:
        keys: the keys by kid, as `parse_key_set` returns them.
    """

    def __init__(self, keys: Mapping[str, VerificationKey]) -> None:
        self._keys = dict(keys)

    @classmethod
    def from_file(cls, path: Path, algorithms: Sequence[str] = DEFAULT_ALGORITHMS) -> "StaticKeys":
        """Reads a JWK Set from a file.

        Raises:
            ConfigurationError: the file cannot be read, or is not a usable key set.
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

    def refresh(self, kid: str) -> Future[None] | None:  # noqa: ARG002
        """Returns None: there is nothing to fetch."""
        return None


def check_algorithms(algorithms: Iterable[str]) -> None:
    """Checks that every algorithm is asymmetric and known.

    Raises:
        ConfigurationError: one of them is not, or the list is empty.
    """
    names = list(algorithms)
    unknown = [name for name in names if name not in ALGORITHMS]
    if unknown or not names:
        raise ConfigurationError(
            f"an issuer signs with some of {', '.join(sorted(ALGORITHMS))}, "
            f"not with `{', '.join(unknown)}`"
        )
