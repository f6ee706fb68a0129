"""Decides which principal a bearer token stands for, or why it is refused (RFC 7519, RFC 8725).

PyJWT reads the token and verifies its signature; this module says which key, which algorithm and
which claims are acceptable.
"""

import binascii
import itertools
import re
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import jwt
import msgspec

from vaultcore._core import MAX_TOKEN_LENGTH, Principal
from vaultcore.access.jwks import ALGORITHMS, KEY_ID, VerificationKey, strict_json
from vaultcore.access.trust import GROUP, TrustedIssuer
from vaultcore.clock import Clock
from vaultcore.errors import ConfigurationError, UnauthorizedError, UnavailableError

MAXIMUM_HEADER = 1024  # characters, encoded; a header holds a few names
MAXIMUM_SIGNATURE = 1368  # characters, encoded; of an RSA key with 8192 bits
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")
# To the alphabet of RFC 4648 section 4, and characters that only it has to one that none has.
_TO_BASE64 = bytes.maketrans(b"-_+/=", b"+/!!!")
# Each would let the token choose its key, its encoding or its meaning. A bearer token needs none
# of them, so even a harmless value is refused.
_FORBIDDEN_HEADERS = frozenset(
    {"jku", "jwk", "x5u", "x5c", "crit", "b64", "zip", "enc", "epk", "cty", "p2c", "p2s"}
)
_SHOWN = 200
_TEXT = 256
_AUDIENCES = 32
_GROUPS = 256
_APP_ID_CLAIMS = ("appid", "azp", "client_id")
_NAME_CLAIMS = ("upn", "preferred_username", "app_displayname", "name")
# Knows every algorithm by itself; the key and the algorithm are passed with each call.
_JWS = jwt.PyJWS()


@dataclass(frozen=True)
class ValidToken:
    """The content of a valid token.

    Attributes:
        principal: the bearer.
        expires: from when on the token is refused, the leeway included.
        not_before: until when the token is refused, the leeway included.
    """

    principal: Principal
    expires: float
    not_before: float


class _Unverified(msgspec.Struct):
    """The one claim that is read before the signature is verified: it selects the keys."""

    iss: str


_read_unverified = msgspec.json.Decoder(_Unverified).decode


@dataclass(frozen=True)
class _Parts:
    kid: str
    algorithm: str
    token_type: str
    issuer: str


class TokenValidator:
    """Validates tokens of the issuers that the configuration trusts.

    One validator serves one audience: a plane of the service. It never waits for the network. Call
    `refresh` before `validate`, and wait for the fetch that it returns.

    Args:
        issuers: the trusted issuers; every other issuer is refused.
        clock: the current time.
        tenants: the tenants of the vaults. An issuer that has tenants must speak for one of them;
            empty if the tenant does not matter.

    Raises:
        ConfigurationError: two issuers have the same URL or the same name, or could name each
            other's principals.
    """

    def __init__(
        self, issuers: Sequence[TrustedIssuer], *, clock: Clock, tenants: Collection[str] = ()
    ) -> None:
        self._issuers = {issuer.issuer: issuer for issuer in issuers}
        if len(self._issuers) != len(issuers) or len({i.name for i in issuers}) != len(issuers):
            raise ConfigurationError("two trusted issuers have the same name or URL: remove one")
        prefixes = sorted(i.object_id_prefix for i in issuers if i.object_id_prefix)
        for one, following in itertools.pairwise(prefixes):
            # In this order, a prefix comes directly before the names that begin with it.
            if following.startswith(one):
                raise ConfigurationError(
                    f"two trusted issuers could name each other's principals: `{following}` begins "
                    f"with `{one}`; give one another name or object_id_prefix"
                )
        self._prefixes = tuple(prefixes)
        self._tenants = frozenset(tenant.lower() for tenant in tenants)
        self._clock = clock
        # What `refresh` has just read, for the `validate` that follows it.
        self._reading: tuple[str, _Parts | UnauthorizedError] | None = None

    def refresh(self, token: str) -> Future[None] | None:
        """Starts the fetch of keys that a token requires; never raises.

        Returns:
            The fetch, if `validate` should wait for it; or None.
        """
        try:
            parts = _read(token)
        except UnauthorizedError as refused:
            self._reading = token, refused
            return None
        self._reading = token, parts
        issuer = self._issuers.get(parts.issuer)
        return None if issuer is None else issuer.keys.refresh(parts.kid)

    def validate(self, token: str) -> ValidToken:
        """Returns the content of a token, after checking everything that can be checked.

        Args:
            token: the token in compact form, without ``Bearer``.

        Raises:
            UnauthorizedError: the token is refused; the message says why.
            UnavailableError: the keys of its issuer are unavailable, so nothing can be decided.
        """
        reading, self._reading = self._reading, None
        parts = reading[1] if reading is not None and reading[0] is token else _read(token)
        if isinstance(parts, UnauthorizedError):
            raise parts
        issuer = self._issuers.get(parts.issuer)
        if issuer is None:
            raise self._invalid_issuer(parts.issuer)
        key = issuer.keys.find(parts.kid)
        if key is None:
            if not issuer.keys.available:
                raise UnavailableError(
                    f"the keys of the issuer `{issuer.name}` are unavailable, try again later",
                    public="the keys of the token's issuer are unavailable; try again later",
                )
            raise UnauthorizedError(
                "AKV10046: Unable to resolve the key used for signature validation"
            )
        claims = _verified_claims(token, parts, key, issuer)
        # Only verified content counts; what selected the key is not used again.
        if claims.get("iss") != issuer.issuer:
            raise self._invalid_issuer(_string(claims.get("iss")))
        _check_audience(claims, issuer)
        expires, not_before = self._check_times(claims, issuer)
        tenant_id = self._tenant(claims, issuer)
        _check_required(claims, issuer)
        groups: object = claims.get(issuer.groups_claim, [])
        if issuer.groups_now is not None:
            current = issuer.groups_now(claims)
            if current is None:
                raise _refused("what it was issued for was deleted or revoked, request a new one")
            groups = list(current)
        principal = self._principal(claims, issuer, tenant_id, groups)
        return ValidToken(principal, expires, not_before)

    def _check_times(self, claims: Mapping[str, Any], issuer: TrustedIssuer) -> tuple[float, float]:
        now, leeway = self._clock.now(), issuer.leeway
        expires = _time(claims, "exp")
        not_before = _time(claims, "nbf")
        issued = _time(claims, "iat")
        if expires is None:
            raise _refused("it has no expiry")
        if now >= expires + leeway:
            raise _refused("it has expired, request a new one")
        if not_before is not None and now < not_before - leeway:
            raise _refused("it is not valid yet, compare the clocks")
        if issued is not None and now < issued - leeway:
            raise _refused("it was issued in the future, compare the clocks")
        start = issued if issued is not None else not_before
        if expires - (now if start is None else start) > issuer.maximum_lifetime:
            raise _refused(f"it lives longer than {issuer.maximum_lifetime:g} seconds")
        return expires + leeway, 0.0 if not_before is None else not_before - leeway

    def _tenant(self, claims: Mapping[str, Any], issuer: TrustedIssuer) -> str:
        if issuer.tenant_claim:
            tenant = _string(claims.get(issuer.tenant_claim)).lower()
            if tenant not in issuer.tenants:
                raise self._invalid_issuer(issuer.issuer)
        else:
            tenant = next(iter(issuer.tenants), "")
        if self._tenants and issuer.tenants and tenant not in self._tenants:
            raise self._invalid_issuer(issuer.issuer)
        return tenant

    def _principal(
        self, claims: Mapping[str, Any], issuer: TrustedIssuer, tenant: str, groups: object
    ) -> Principal:
        object_id = next((t for n in issuer.object_id_claims if (t := _string(claims.get(n)))), "")
        if not object_id or len(object_id) > _TEXT:
            raise _refused("it names no object id, or one that cannot be used")
        if not isinstance(groups, list) or len(groups) > _GROUPS:
            # Dropping some would decide on incomplete groups; without groups, less is allowed.
            groups = []
        names = [group for group in groups if 0 < len(_string(group)) <= _TEXT]
        if not issuer.object_id_prefix:
            if self._is_of_another(object_id):
                raise _refused("its object id begins as those of another issuer do")
            names = [name for name in names if not self._is_of_another(name)]
        return Principal(
            object_id=issuer.object_id_prefix + object_id,
            app_id=next((t for n in _APP_ID_CLAIMS if (t := _string(claims.get(n)))), "")[:_TEXT],
            tenant_id=tenant,
            issuer=issuer.issuer,
            groups=[issuer.object_id_prefix + name for name in names],
            name=next((t for n in _NAME_CLAIMS if (t := _string(claims.get(n)))), "")[:_TEXT],
        )

    def _is_of_another(self, name: str) -> bool:
        """Returns whether a name without a prefix could come from an issuer with a prefix."""
        return name.startswith((GROUP, *self._prefixes))

    def _invalid_issuer(self, found: str) -> UnauthorizedError:
        expected = ", ".join(list(self._issuers)[:8])
        # A stranger need not know which issuers this installation trusts.
        return UnauthorizedError(
            f"AKV10032: Invalid issuer. Expected one of {expected}, found {_shown(found)}.",
            public=f"AKV10032: Invalid issuer. Found {_shown(found)}, which is not trusted here.",
        )


def _read(token: str) -> _Parts:
    """Reads what selects the key, without trusting it, and no more than that takes.

    Anybody can send a token, so anything long or unusual is refused before it costs anything.
    The claims are read strictly after the signature was verified.
    """
    if len(token) > MAX_TOKEN_LENGTH:
        raise _refused(f"it is longer than {MAX_TOKEN_LENGTH} characters")
    first, _, rest = token.partition(".")
    second, _, third = rest.partition(".")
    if not first or not second or not third or "." in third:
        raise _refused("it is not a signed JSON Web Token in compact form")
    if len(first) > MAXIMUM_HEADER or len(third) > MAXIMUM_SIGNATURE:
        raise _refused("its header or its signature is longer than any that is accepted")
    if not _BASE64URL.fullmatch(first) or not _BASE64URL.fullmatch(third):
        raise _refused("it is not a signed JSON Web Token in compact form")
    kid, algorithm, token_type = _read_header(first)
    try:
        claims = _decode(second)
    except ValueError:
        raise _refused("it is not a signed JSON Web Token in compact form") from None
    try:
        issuer = _read_unverified(claims).iss
    except (ValueError, RecursionError):
        raise _refused("its claims are malformed, or name no issuer") from None
    if not issuer:
        raise _refused("it names no issuer")
    return _Parts(kid, algorithm, token_type, issuer)


def _read_header(text: str) -> tuple[str, str, str]:
    """Returns the key name, the algorithm and the type in a header."""
    try:
        header = strict_json(_decode(text))
    except ValueError:
        raise _refused("its header is malformed") from None
    for name in _FORBIDDEN_HEADERS & header.keys():
        raise _refused(f"its header has the member `{name}`, which is not accepted")
    kid, algorithm, token_type = header.get("kid"), header.get("alg"), header.get("typ", "")
    if not isinstance(kid, str) or not KEY_ID.fullmatch(kid):
        raise _refused("its header names no key, or its key name is not a key id")
    if not isinstance(algorithm, str) or not isinstance(token_type, str):
        raise _refused("its header names no algorithm, or no type")
    if algorithm not in ALGORITHMS:
        raise _refused("its algorithm is not one that is accepted")
    return kid, algorithm, token_type


def _decode(text: str) -> bytes:
    """Decodes base64url without padding (RFC 7515 section 2), strictly."""
    padding = b"=" * (-len(text) % 4)
    return binascii.a2b_base64(text.encode().translate(_TO_BASE64) + padding, strict_mode=True)


def _verified_claims(
    token: str, parts: _Parts, key: VerificationKey, issuer: TrustedIssuer
) -> dict[str, Any]:
    if parts.algorithm != key.algorithm:
        raise _refused("its algorithm is not that of the key it names")
    if parts.token_type.lower() not in issuer.token_types:
        raise _refused("its type is not that of an access token")
    try:
        # The next step reads every character, which is too much work for a forged token.
        data, _, signature = token.rpartition(".")
        algorithm, public = key.key.Algorithm, key.key.key
        if not algorithm.verify(data.encode(), public, _decode(signature)):
            raise jwt.InvalidSignatureError
        verified = _JWS.decode_complete(token, key=key.key, algorithms=[key.algorithm])
    except (jwt.PyJWTError, ValueError):
        raise _refused("its signature does not verify, or its encoding is not strict") from None
    try:
        return strict_json(verified["payload"])
    except ValueError:
        raise _refused("its claims are malformed") from None


def _check_audience(claims: Mapping[str, Any], issuer: TrustedIssuer) -> None:
    audience = claims.get("aud")
    # One path for both shapes: a string is a list of one.
    found = [audience] if isinstance(audience, str) else audience
    if (
        not isinstance(found, list)
        or not 1 <= len(found) <= _AUDIENCES
        or not all(isinstance(entry, str) for entry in found)
    ):
        raise _refused("it names no audience")
    if issuer.audiences.isdisjoint(found):
        expected = " or ".join(sorted(issuer.audiences)[:8])
        raise UnauthorizedError(
            f"AKV10022: Invalid audience. Expected {expected}, found: {_shown(' '.join(found))}."
        )


def _check_required(claims: Mapping[str, Any], issuer: TrustedIssuer) -> None:
    for name, accepted in issuer.required_claims.items():
        if _string(claims.get(name)) not in accepted:
            raise _refused(f"its claim `{_shown(name)}` has none of the configured values")


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None and name not in claims:
        return None
    # In Python a bool is an int, and an int can be too large for a float.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > 2**53:
        raise _refused(f"its claim `{name}` is not a time")
    return float(value)


def _string(value: object) -> str:
    # Text that is not printable includes lone surrogates, which JSON can express.
    return value if isinstance(value, str) and value.isprintable() else ""


def _shown(text: str) -> str:
    # Claims of an unverified token appear in answers and logs: printable, ASCII, and short.
    safe = "".join(
        c if c.isascii() and c.isprintable() and c not in '"\\`' else "?" for c in text[:_SHOWN]
    )
    return safe if len(text) <= _SHOWN else safe + "..."


def _refused(reason: str) -> UnauthorizedError:
    return UnauthorizedError(f"the token was refused: {reason}")
