"""The built-in issuer: it issues tokens to applications, as Azure clients expect them."""

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from vaultcore._core import KeyEncryptionKey
from vaultcore.access.applications import CREDENTIAL_CLAIM, Applications, Credential
from vaultcore.access.signing import ALGORITHM, KEY_LIFETIME, SigningKeys
from vaultcore.access.trust import TrustedIssuer
from vaultcore.clock import Clock
from vaultcore.errors import ConfigurationError, UsageError
from vaultcore.storage import Store

TOKEN_LIFETIME = 3600
# With this tenant segment, client libraries skip their call to Microsoft.
ADFS = "adfs"


class Shape(Enum):
    """The families of addresses; to its clients, each one is an issuer of its own."""

    ADFS = "adfs"
    V1 = "v1"
    V2 = "v2"


@dataclass(frozen=True)
class IssuedToken:
    """A token and its lifetime.

    Attributes:
        token: the token in compact form.
        issued: Unix seconds.
        expires: Unix seconds.
        resource: the audience, in its configured spelling.
        object_id: the object id of the application.
    """

    token: str
    issued: int
    expires: int
    resource: str
    object_id: str

    def __repr__(self) -> str:
        return f"IssuedToken(resource={self.resource!r}, expires={self.expires})"


class Issuer:
    """Issues tokens to applications, and checks whether these are still valid.

    Args:
        store: where applications and keys are kept, sealed.
        kek: the key that seals them.
        clock: the current time.
        base_url: the issuer's address without a path, for example
            ``https://login.vault.localhost:8443``.
        tenants: tenant ids; the first is also reached as ``adfs``.
        resources: the resources to issue tokens for: that of the vaults, the management plane.
        token_lifetime: in seconds.
        key_lifetime: after how many seconds `maintain` creates a new signing key.

    Raises:
        ConfigurationError: there is no tenant or no resource, or the address has a path.
    """

    def __init__(
        self,
        store: Store,
        kek: KeyEncryptionKey,
        clock: Clock,
        *,
        base_url: str,
        tenants: Sequence[str],
        resources: Collection[str],
        token_lifetime: int = TOKEN_LIFETIME,
        key_lifetime: int = KEY_LIFETIME,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        if not self.base_url.startswith("https://") or self.base_url.count("/") != 2:  # noqa: PLR2004
            raise ConfigurationError("the issuer's address is `https://`, a host and a port")
        if not tenants or not resources or token_lifetime <= 0:
            raise ConfigurationError("the issuer needs a tenant, a resource and a token lifetime")
        self.tenants = tuple(dict.fromkeys(tenant.lower() for tenant in tenants))
        self.applications = Applications(store, kek, clock)
        self.keys = SigningKeys(
            store, kek, clock, token_lifetime=token_lifetime, key_lifetime=key_lifetime
        )
        # To the clients, a trailing slash does not change a resource, so it does not here.
        self._resources = {resource.rstrip("/"): resource for resource in resources}
        self._token_lifetime = token_lifetime
        self._clock = clock

    def resolve_tenant(self, segment: str) -> str | None:
        """Returns the tenant id for a path segment, or None."""
        folded = segment.lower()
        if folded == ADFS:
            return self.tenants[0]
        return folded if folded in self.tenants else None

    def resolve_resource(self, resource: str) -> str | None:
        """Returns the configured spelling of a resource, or None if it is not served."""
        return self._resources.get(resource.rstrip("/"))

    def issuer_url(self, tenant: str, shape: Shape) -> str:
        """Returns the value of ``iss`` in tokens of that shape."""
        return {
            Shape.ADFS: f"{self.base_url}/{ADFS}",
            Shape.V1: f"{self.base_url}/{tenant}/",
            Shape.V2: f"{self.base_url}/{tenant}/v2.0",
        }[shape]

    def issue(
        self, credential: Credential, *, resource: str, tenant: str, shape: Shape
    ) -> IssuedToken:
        """Returns a token for an application that presented a secret.

        Raises:
            UsageError: the resource or the tenant is not one of this issuer's, or the secret has
                expired.
            StorageError: the store cannot be read or written, or a key does not verify.
        """
        audience = self.resolve_resource(resource)
        if audience is None or tenant not in self.tenants or credential.expired:
            raise UsageError("check the resource, the tenant and the secret before issuing a token")
        application = credential.application
        now = int(self._clock.now())
        issuer = self.issuer_url(tenant, shape)
        claims: dict[str, Any] = {
            "aud": audience,
            "iss": issuer,
            "iat": now,
            "nbf": now,
            "exp": now + self._token_lifetime,
            "idp": issuer,
            "app_displayname": application.name,
            "appid": application.client_id,
            "appidacr": "1",
            "azp": application.client_id,
            "azpacr": "1",
            "idtyp": "app",
            "oid": application.object_id,
            "sub": application.object_id,
            "tid": tenant,
            "uti": secrets.token_urlsafe(16),
            "ver": "2.0" if shape is Shape.V2 else "1.0",
            CREDENTIAL_CLAIM: credential.secret.id,
        }
        if application.groups:
            claims["groups"] = list(application.groups)
        return IssuedToken(
            token=self.keys.sign(claims),
            issued=now,
            expires=now + self._token_lifetime,
            resource=audience,
            object_id=application.object_id,
        )

    def trust(self, audiences: Collection[str]) -> list[TrustedIssuer]:
        """Returns what a validator needs to accept this issuer's tokens for some of its resources.

        Give each plane its own resource: a token for one plane is then refused by the others.

        Raises:
            ConfigurationError: a resource is not one of this issuer's.
        """
        resolved = [self.resolve_resource(audience) for audience in audiences]
        if None in resolved:
            raise ConfigurationError("the issuer was not configured with this resource: add it")
        shapes = [
            (f"vaultcore-{shape.value}-{number}", self.issuer_url(tenant, shape), tenant)
            for number, tenant in enumerate(self.tenants)
            for shape in Shape
            if shape is not Shape.ADFS or number == 0
        ]
        return [
            TrustedIssuer(
                name=name,
                issuer=url,
                audiences=frozenset(resource for resource in resolved if resource),
                keys=self.keys,
                tenants=frozenset({tenant}),
                tenant_claim="tid",
                object_id_claims=("oid",),
                token_types=frozenset({"jwt"}),
                maximum_lifetime=self._token_lifetime,
                groups_now=self.applications.groups_now,
            )
            for name, url, tenant in shapes
        ]

    def published_keys(self) -> dict[str, list[dict[str, str]]]:
        """Returns the JWK Set that verifies this issuer's tokens.

        Raises:
            StorageError: the store cannot be read or written, or a key does not verify.
        """
        return self.keys.published()

    def discovery(self, tenant: str, shape: Shape) -> dict[str, Any]:
        """Returns the discovery document of a tenant in that shape (OpenID Connect Discovery)."""
        root = f"{self.base_url}/{ADFS if shape is Shape.ADFS else tenant}"
        oauth = f"{root}/oauth2/v2.0" if shape is Shape.V2 else f"{root}/oauth2"
        keys = f"{root}/discovery/keys" if shape is Shape.ADFS else f"{root}/discovery/v2.0/keys"
        return {
            "issuer": self.issuer_url(tenant, shape),
            "token_endpoint": f"{oauth}/token",
            # Clients insist on it; nobody can log in there yet.
            "authorization_endpoint": f"{oauth}/authorize",
            "jwks_uri": keys,
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
            "grant_types_supported": ["client_credentials"],
            "response_types_supported": ["code"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": [ALGORITHM],
            "scopes_supported": ["openid", "profile", "offline_access"],
            "claims_supported": ["aud", "iss", "iat", "nbf", "exp", "oid", "sub", "tid", "appid"],
        }

    def maintain(self) -> None:
        """Does the periodic work: creates a new signing key in time, and removes old ones.

        Raises:
            StorageError: the store cannot be read or written, or a key does not verify.
        """
        self.keys.maintain()
