"""The configuration of an issuer whose tokens are accepted."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from vaultcore.access.jwks import (
    DEFAULT_ALGORITHMS,
    KeySource,
    StaticKeys,
    check_algorithms,
)
from vaultcore.access.remote_keys import RemoteKeys
from vaultcore.errors import ConfigurationError

MAXIMUM_LEEWAY = 60.0
# Tokens with continuous access evaluation live for up to 28 hours; none usually lives longer.
DEFAULT_LIFETIME = 28 * 3600.0
# The prefix of a group's id in an access policy; see the core's `policy`.
GROUP = "group:"
_NAME_LENGTH = 64
_PREFIX = re.compile(r"[!-~]{1,127}:")
_WELL_KNOWN = "/.well-known/openid-configuration"


@dataclass(frozen=True, kw_only=True)
class TrustedIssuer:
    """One issuer, and the rules for its tokens.

    Attributes:
        name: a short name without a colon, for messages and as the default prefix of object ids.
        issuer: the exact value of ``iss``.
        audiences: the accepted values of ``aud``; one of a token's audiences must be among them.
        keys: where the keys come from.
        tenants: the tenants that the issuer speaks for; empty means every tenant.
        tenant_claim: the claim that names the tenant; empty if the issuer has only one.
        object_id_claims: the claims that may hold the object id, the preferred one first.
        object_id_prefix: the prefix of object ids and group ids, so that no issuer can name the
            principals of another; ends with a colon, or is empty.
        groups_claim: the claim that lists group ids.
        required_claims: claims that must have one of the given values.
        token_types: accepted values of the header ``typ``, in lower case; ``""`` means no ``typ``.
        maximum_lifetime: the longest time in seconds between issue and expiry.
        leeway: how many seconds the clocks may differ, at most 60.
        is_directory: whether the vaults belong to the issuer's tenants, as they belong to the
            tenant of the installation.
        groups_now: called with the verified claims, if the issuer knows the groups better than the
            token does; returns the ids of the groups that the principal is in now, or None if what
            the token was issued for no longer exists.

    Raises:
        ConfigurationError: a rule is missing or outside its limits.
    """

    name: str
    issuer: str
    audiences: frozenset[str]
    keys: KeySource
    tenants: frozenset[str] = frozenset()
    tenant_claim: str = ""
    object_id_claims: tuple[str, ...] = ("oid", "sub")
    object_id_prefix: str = ""
    groups_claim: str = "groups"
    required_claims: Mapping[str, frozenset[str]] = field(default_factory=dict)
    token_types: frozenset[str] = frozenset({"", "jwt", "at+jwt", "application/at+jwt"})
    maximum_lifetime: float = DEFAULT_LIFETIME
    leeway: float = MAXIMUM_LEEWAY
    is_directory: bool = False
    groups_now: Callable[[Mapping[str, Any]], Sequence[str] | None] | None = None

    def __post_init__(self) -> None:
        problem = self._problem_of_names() or self._problem_of_rules()
        if problem:
            raise ConfigurationError(f"the trusted issuer `{self.name}` is refused: {problem}")

    def _problem_of_names(self) -> str:
        """Returns what is wrong with the names of its principals, or an empty string."""
        prefix = self.object_id_prefix
        if not self.issuer or not self.name:
            return "it needs a name and the value of `iss`"
        if ":" in self.name or len(self.name) > _NAME_LENGTH or not self.name.isprintable():
            return (
                f"its name is 1 to {_NAME_LENGTH} printable characters without colons; to keep the "
                "policies of a name with a colon, set `object_id_prefix` to it and a colon"
            )
        if prefix and (not _PREFIX.fullmatch(prefix) or prefix.startswith(GROUP)):
            return (
                "its object_id_prefix is ASCII, has no spaces, ends with a colon, and does not "
                f"begin with `{GROUP}`, which marks groups in access policies"
            )
        return ""

    def _problem_of_rules(self) -> str:
        """Returns which rule allows too much, or an empty string."""
        problem = ""
        if not self.audiences or "" in self.audiences:
            problem = "without an audience, it would admit tokens meant for others: name one"
        elif not 0 <= self.leeway <= MAXIMUM_LEEWAY:
            problem = f"its leeway is 0 to {MAXIMUM_LEEWAY:g} seconds"
        elif self.maximum_lifetime <= 0:
            problem = "its maximum lifetime is more than 0 seconds"
        elif not self.object_id_claims:
            problem = "it needs a claim that holds the object id"
        elif self.tenant_claim and not self.tenants:
            problem = "it names tenants in a claim, so list those to accept"
        elif not self.tenant_claim and len(self.tenants) > 1:
            problem = "without a tenant claim it has one tenant at most"
        return problem


class IssuerSettings(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A trusted issuer in the configuration file; see `docs/identity.md`.

    Attributes:
        name: a short name.
        issuer: the exact value of ``iss``.
        audiences: the accepted values of ``aud``.
        algorithms: the algorithms that the issuer signs with, the preferred one first.
        jwks_uri: the address of the keys; without it and `jwks_file`, discovery finds it.
        jwks_file: a file with the keys, for an issuer that cannot be reached.
        discovery: the address of the discovery document, if it is not below `issuer`.
        ca_file: the authority of these addresses.
        token_file: a file with a bearer token for fetching the keys.
        tenant: the tenant that the issuer speaks for, which must be one of the vaults'; without
            it, the issuer has none.
        object_id_claims: the claims that may hold the object id.
        object_id_prefix: the prefix of object ids; by default the name and a colon.
        groups_claim: the claim that lists group ids.
        required_claims: claims that must have one of the given values.
        token_types: accepted values of the header ``typ``.
        maximum_lifetime: the longest accepted lifetime of a token in seconds.
        leeway: how many seconds the clocks may differ.
    """

    name: str
    issuer: str
    audiences: list[str]
    algorithms: list[str] = msgspec.field(default_factory=lambda: list(DEFAULT_ALGORITHMS))
    jwks_uri: str = ""
    jwks_file: str = ""
    discovery: str = ""
    ca_file: str = ""
    token_file: str = ""
    tenant: str = ""
    object_id_claims: list[str] = msgspec.field(default_factory=lambda: ["sub"])
    object_id_prefix: str | None = None
    groups_claim: str = "groups"
    required_claims: dict[str, list[str]] = msgspec.field(default_factory=dict)
    token_types: list[str] | None = None
    maximum_lifetime: float = DEFAULT_LIFETIME
    leeway: float = MAXIMUM_LEEWAY

    def trust(self) -> TrustedIssuer:
        """Returns the rules, with a source of keys that has not fetched anything yet.

        Raises:
            ConfigurationError: the settings contradict each other or are outside their limits.
        """
        check_algorithms(self.algorithms)
        keys: KeySource
        if self.jwks_file:
            keys = StaticKeys.from_file(Path(self.jwks_file), self.algorithms)
        else:
            keys = RemoteKeys(
                self.issuer,
                jwks_uri=self.jwks_uri,
                discovery=self.discovery,
                algorithms=self.algorithms,
                ca_file=Path(self.ca_file) if self.ca_file else None,
                token_file=Path(self.token_file) if self.token_file else None,
            )
        types = TrustedIssuer.token_types
        if self.token_types is not None:
            types = frozenset(name.lower() for name in self.token_types)
        prefix = self.object_id_prefix
        return TrustedIssuer(
            name=self.name,
            issuer=self.issuer,
            audiences=frozenset(self.audiences),
            keys=keys,
            tenants=frozenset({self.tenant.lower()}) if self.tenant else frozenset(),
            object_id_claims=tuple(self.object_id_claims),
            object_id_prefix=f"{self.name}:" if prefix is None else prefix,
            groups_claim=self.groups_claim,
            required_claims={
                name: frozenset(values) for name, values in self.required_claims.items()
            },
            token_types=types,
            maximum_lifetime=self.maximum_lifetime,
            leeway=self.leeway,
        )


def trust_entra(tenant: str, audiences: frozenset[str]) -> tuple[TrustedIssuer, TrustedIssuer]:
    """Returns the two issuers of an Entra ID tenant: of its version 1 and version 2 tokens.

    Object ids of Entra ID are globally unique and get no prefix, so the ids in existing access
    policies remain valid.

    Raises:
        ConfigurationError: no audience was given.
    """
    tenant = tenant.lower()

    def trust(version: str, issuer: str, discovery: str) -> TrustedIssuer:
        return TrustedIssuer(
            name=f"entra-{version}",
            issuer=issuer,
            audiences=audiences,
            keys=RemoteKeys(issuer, discovery=discovery + _WELL_KNOWN, algorithms=("RS256",)),
            tenants=frozenset({tenant}),
            tenant_claim="tid",
            # Without `oid` the claim would be a per-application `sub`, which no policy means.
            object_id_claims=("oid",),
            is_directory=True,
        )

    login = f"https://login.microsoftonline.com/{tenant}"
    return (
        trust("v1", f"https://sts.windows.net/{tenant}/", login),
        trust("v2", f"{login}/v2.0", f"{login}/v2.0"),
    )
