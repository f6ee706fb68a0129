"""The vault as a caller in process sees it: the same gate, rules and audit as over HTTPS."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

import msgspec

from vaultcore._core import object_name
from vaultcore.access import refusals as gate_refusals
from vaultcore.errors import (
    BadParameterError,
    InternalError,
    UnauthorizedError,
    UsageError,
    VaultcoreError,
    VaultError,
)
from vaultcore.keys import KeyParameters, KeyRules, UsableKey, random_bytes, refusals
from vaultcore.lifecycle import Attributes, Lifecycle, Metadata, Page, Version, Work
from vaultcore.secrets import SecretRules

if TYPE_CHECKING:
    from vaultcore._core import Principal
    from vaultcore.engine import Engine
    from vaultcore.state import VaultState
    from vaultcore.storage.rows import VersionRow

T = TypeVar("T")
#: The version of the contract that callers in process speak; audit records name it.
API_VERSION: Final = "2026-04-01"
PAGE_SIZE: Final = 25
#: Random bytes belong to nobody; who may read keys may have some.
RANDOM_PERMISSION: Final = "keys/get"
_CLIENT: Final = "vaultcore"


class Properties(msgspec.Struct, frozen=True, gc=False):
    """An object's version and attributes, without its value.

    Attributes:
        id: the contract's identifier.
        name: as it was first written.
        version: 32 hexadecimal characters.
        metadata: the attributes.
        recovery_level: how deleted objects are kept.
        deleted_at: Unix seconds, when the object is deleted.
        purge_at: Unix seconds, when the object is deleted.
    """

    id: str
    name: str
    version: str
    metadata: Metadata
    recovery_level: str
    deleted_at: int | None = None
    purge_at: int | None = None

    @property
    def enabled(self) -> bool:
        """Whether the version may be used."""
        return self.metadata.enabled

    @property
    def not_before(self) -> int | None:
        """Unix seconds, or None."""
        return self.metadata.not_before

    @property
    def expires(self) -> int | None:
        """Unix seconds, or None."""
        return self.metadata.expires

    @property
    def content_type(self) -> str | None:
        """A secret's content type."""
        return self.metadata.content_type

    @property
    def tags(self) -> dict[str, str]:
        """The tags; empty when there are none."""
        return self.metadata.tags or {}


class Secret:
    """A secret with its value. It does not show the value in ``repr`` and cannot be pickled.

    Attributes:
        value: the secret.
        name: as it was first written.
        version: 32 hexadecimal characters.
        metadata: the attributes.
    """

    __slots__ = ("metadata", "name", "value", "version")

    def __init__(self, value: str, name: str, version: str, metadata: Metadata) -> None:
        self.value = value
        self.name = name
        self.version = version
        self.metadata = metadata

    def __repr__(self) -> str:
        return f"Secret({self.name}/{self.version})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled or copied")


class Encryption(msgspec.Struct, frozen=True):
    """What an encryption returns.

    Attributes:
        key_version: the version of the key that was used.
        ciphertext: the ciphertext.
        nonce: made by the vault for AES-GCM, the caller's own for AES-CBC.
        tag: of AES-GCM.
    """

    key_version: str
    ciphertext: bytes
    nonce: bytes | None = None
    tag: bytes | None = None


class Signature(msgspec.Struct, frozen=True):
    """What signing returns.

    Attributes:
        key_version: the version of the key that was used.
        signature: the signature; raw r || s for ECDSA.
    """

    key_version: str
    signature: bytes


class Caller:
    """Who acts, from where, and until when.

    Args:
        principal: who.
        address: the address that the caller came from; None for a caller in this process, which
            the firewall, a guard of the network door, does not concern.
        token: the token that showed it, which must stay valid.
    """

    def __init__(
        self, principal: "Principal", address: str | None = None, token: str | None = None
    ) -> None:
        self.principal = principal
        self.address = address
        self.token = token
        self.expires: float | None = None
        self.identity_epoch = -1


class Vault:
    """A vault; :meth:`acting_as` gives access to what is in it.

    Args:
        engine: the engine.
        state: the vault's state.
    """

    def __init__(self, engine: "Engine", state: "VaultState") -> None:
        self._engine = engine
        self._state = state

    @property
    def name(self) -> str:
        """The vault's name."""
        return self._state.name

    def acting_as(
        self, caller: "Principal | str", *, address: str | None = None
    ) -> "ActingVault":
        """Returns the vault as one caller sees it.

        Args:
            caller: a principal that this process vouches for, or a token to be validated.
            address: where the caller came from, checked by the firewall; None for this process.

        Raises:
            UnauthorizedError: the token is not valid.
        """
        if isinstance(caller, str):
            who = Caller(self._engine.validate(caller), address, caller)
        else:
            who = Caller(caller, address)
        return ActingVault(self._engine, self._state, who)


class ActingVault:
    """A vault as one caller sees it.

    Attributes:
        secrets: the secrets.
        keys: the keys.
    """

    def __init__(self, engine: "Engine", state: "VaultState", caller: Caller) -> None:
        self.secrets = Secrets(engine, state, caller)
        self.keys = Keys(engine, state, caller)


class _Door:
    """One kind of object behind the gate."""

    kind = ""
    _noun = ""
    _rules: Lifecycle

    def __init__(self, engine: "Engine", state: "VaultState", caller: Caller) -> None:
        self._engine = engine
        self._state = state
        self._caller = caller
        self._principal = caller.principal

    def _admit(self, permission: str) -> None:
        """Takes the caller through the gate (design: the way of a request, steps 3 to 5)."""
        engine, caller = self._engine, self._caller
        engine.synchronise()
        if caller.address is not None and not engine.gate.address_allowed(
            self._state.name, caller.address
        ):
            raise gate_refusals.by_firewall(self._state, caller.address)
        if caller.token is not None:
            engine.refresh(caller)
        if not engine.gate.permitted(self._state.name, caller.principal, permission):
            raise gate_refusals.by_policy(self._state, caller.principal, permission)

    def _perform(
        self,
        operation: str,
        permission: str,
        name: str,
        version: str,
        act: Callable[[str, str], T],
        **extra: str | int | bool,
    ) -> T:
        """Admits, acts and records; the record is written before the answer is returned."""
        started = time.perf_counter()
        key = ""
        try:
            self._admit(permission)
            if name:
                try:
                    name, key = object_name(name)
                except UsageError as refused:
                    raise BadParameterError(str(refused)) from None
            answer = act(name, key)
        except VaultError as refusal:
            self._record(operation, refusal.status, refusal, started, name, version, extra)
            raise
        except VaultcoreError as failure:
            self._record(operation, 500, failure, started, name, version, extra)
            raise
        except Exception as failure:
            wrapped = InternalError(f"{operation} failed: {type(failure).__name__}")
            self._record(operation, 500, wrapped, started, name, version, extra)
            raise
        self._record(operation, 200, None, started, name, version, extra)
        return answer

    def _record(
        self,
        operation: str,
        status: int,
        failure: Exception | None,
        started: float,
        name: str,
        version: str,
        extra: Mapping[str, str | int | bool],
    ) -> None:
        state = self._state
        self._engine.audit.record(
            vault=state.name,
            operation=operation,
            api_version=API_VERSION,
            status=status,
            result_description="" if failure is None else str(failure),
            duration_ms=(time.perf_counter() - started) * 1000.0,
            address=self._caller.address or "",
            correlation_id="",
            principal=self._principal,
            request_uri="",
            client_info=_CLIENT,
            object_id=self._id(name, version) if name else "",
            extra=dict(extra) or None,
        )

    def _id(self, name: str, version: str) -> str:
        base = f"{self._state.url}/{self.kind}/{name}"
        return f"{base}/{version}" if version else base

    def _properties(self, found: Version) -> Properties:
        return Properties(
            self._id(found.name, found.version),
            found.name,
            found.version,
            found.metadata,
            self._state.recovery_level,
            found.deleted_at,
            found.purge_at,
        )

    def _write(self, work: Work[Version]) -> Properties:
        return self._properties(self._engine.store.write(work))

    def _pages(
        self, operation: str, permission: str, name: str, read: Callable[[str, str | None], Page]
    ) -> Iterator[Properties]:
        marker: str | None = None
        while True:
            after = marker
            page = self._perform(
                operation, permission, name, "", lambda _, key, after=after: read(key, after)  # type: ignore[misc]
            )
            yield from map(self._properties, page.items)
            marker = page.marker
            if marker is None:
                return

    def delete(self, name: str) -> Properties:
        """Deletes an object softly.

        Raises:
            ForbiddenError: the gate refuses.
            NotFoundError: there is no such object.
        """
        return self._perform(
            self._noun + "Delete",
            self.kind + "/delete",
            name,
            "",
            lambda _, key: self._write(self._rules.delete(key)),
        )

    def list(self) -> Iterator[Properties]:
        """Lists the objects by name; each page is one access through the gate.

        Raises:
            ForbiddenError: the gate refuses.
        """
        return self._pages(self._noun + "List", self.kind + "/list", "", self._current(deleted=False))

    def list_versions(self, name: str) -> Iterator[Properties]:
        """Lists the versions of an object, newest first.

        Raises:
            ForbiddenError: the gate refuses.
            NotFoundError: there is no such object.
        """
        return self._pages(self._noun + "ListVersions", self.kind + "/list", name, self._versions())

    def list_deleted(self) -> Iterator[Properties]:
        """Lists the deleted objects by name.

        Raises:
            ForbiddenError: the gate refuses.
        """
        return self._pages(self._noun + "ListDeleted", self.kind + "/list", "", self._current(deleted=True))

    def get_deleted(self, name: str) -> Properties:
        """Returns a deleted object, without its value.

        Raises:
            ForbiddenError: the gate refuses.
            NotFoundError: there is no deleted object of that name.
        """

        def act(_: str, key: str) -> Properties:
            return self._properties(
                self._rules.describe(*self._rules.find_deleted(self._engine.store, key))
            )

        return self._perform(self._noun + "GetDeleted", self.kind + "/get", name, "", act)

    def recover(self, name: str) -> Properties:
        """Brings a deleted object back.

        Raises:
            ForbiddenError: the gate refuses.
            NotFoundError: there is no deleted object of that name.
        """
        return self._perform(
            self._noun + "Recover",
            self.kind + "/recover",
            name,
            "",
            lambda _, key: self._write(self._rules.recover(key)),
        )

    def purge(self, name: str) -> None:
        """Removes a deleted object for good.

        Raises:
            ForbiddenError: the gate refuses, or the vault is protected against purging.
            NotFoundError: there is no deleted object of that name.
        """

        def act(_: str, key: str) -> None:
            self._discard(self._engine.store.write(self._rules.purge(key)), key)

        self._perform(self._noun + "Purge", self.kind + "/purge", name, "", act)

    def backup(self, name: str) -> bytes:
        """Returns the object with all its versions, sealed for this vault only.

        Raises:
            ForbiddenError: the gate refuses.
            NotFoundError: there is no such object.
        """
        return self._perform(
            self._noun + "Backup", self.kind + "/backup", name, "", lambda _, key: self._rules.backup(key)
        )

    def restore(self, blob: bytes) -> Properties:
        """Restores a backup under its own name.

        Raises:
            BadParameterError: the blob was changed, or belongs to another vault.
            ConflictError: the name is taken.
            ForbiddenError: the gate refuses.
        """
        return self._perform(
            self._noun + "Restore",
            self.kind + "/restore",
            "",
            "",
            lambda *_: self._write(self._rules.restore(blob, object_name)),
        )

    def _current(self, *, deleted: bool) -> Callable[[str, str | None], Page]:
        return lambda _, after: self._rules.list_current(
            deleted=deleted, after=after or "", limit=PAGE_SIZE
        )

    def _versions(self) -> Callable[[str, str | None], Page]:
        return lambda key, before: self._rules.list_versions(
            key, before=None if before is None else int(before), limit=PAGE_SIZE
        )

    def _discard(self, versions: "Sequence[VersionRow]", key: str) -> None:
        """Removes what purged versions left outside the store."""


class Secrets(_Door):
    """The secrets of a vault, as one caller sees them."""

    kind = "secrets"
    _noun = "Secret"
    _rules: SecretRules

    def __init__(self, engine: "Engine", state: "VaultState", caller: Caller) -> None:
        super().__init__(engine, state, caller)
        self._rules = state.secret_rules

    def get(self, name: str, version: str = "") -> Secret:
        """Returns a secret with its value.

        Args:
            name: 1 to 127 letters, digits and hyphens, in any case.
            version: 32 hexadecimal characters; empty for the current one.

        Raises:
            ForbiddenError: the gate refuses, or the version is disabled or expired.
            NotFoundError: there is no such secret or version.
        """

        def act(_: str, key: str) -> Secret:
            found = self._rules.load(key, version)
            value = self._rules.reveal(found)
            return Secret(value.decode(), found.name, found.version, found.metadata)

        return self._perform("SecretGet", "secrets/get", name, version, act)

    def set(
        self,
        name: str,
        value: str,
        *,
        content_type: str | None = None,
        enabled: bool | None = None,
        not_before: int | None = None,
        expires: int | None = None,
        tags: dict[str, str] | None = None,
    ) -> Properties:
        """Stores a value as a new version.

        Args:
            name: 1 to 127 letters, digits and hyphens.
            value: at most 25 KB of UTF-8.
            content_type: at most 255 characters.
            enabled: whether the version may be used.
            not_before: Unix seconds.
            expires: Unix seconds.
            tags: at most 15.

        Raises:
            BadParameterError: a limit is exceeded.
            ConflictError: the name is deleted but recoverable.
            ForbiddenError: the gate refuses.
        """

        def act(given: str, key: str) -> Properties:
            return self._write(
                self._rules.set(
                    given,
                    key,
                    value,
                    content_type=content_type,
                    attributes=Attributes(enabled, not_before, expires),
                    tags=tags,
                )
            )

        return self._perform("SecretSet", "secrets/set", name, "", act)

    def update(
        self,
        name: str,
        version: str = "",
        *,
        content_type: str | None = None,
        enabled: bool | None = None,
        not_before: int | None = None,
        expires: int | None = None,
        tags: dict[str, str] | None = None,
    ) -> Properties:
        """Changes attributes of a version; what is None stays as it is.

        Raises:
            BadParameterError: a limit is exceeded.
            ForbiddenError: the gate refuses.
            NotFoundError: there is no such secret or version.
        """

        def act(_: str, key: str) -> Properties:
            return self._write(
                self._rules.update(
                    key,
                    version,
                    content_type=content_type,
                    attributes=Attributes(enabled, not_before, expires),
                    tags=tags,
                )
            )

        return self._perform("SecretUpdate", "secrets/set", name, version, act)


class Keys(_Door):
    """The keys of a vault, as one caller sees them."""

    kind = "keys"
    _noun = "Key"
    _rules: KeyRules

    def __init__(self, engine: "Engine", state: "VaultState", caller: Caller) -> None:
        super().__init__(engine, state, caller)
        self._rules = state.key_rules

    def create(
        self,
        name: str,
        kty: str,
        *,
        size: int | None = None,
        curve: str | None = None,
        operations: Sequence[str] | None = None,
        enabled: bool | None = None,
        not_before: int | None = None,
        expires: int | None = None,
        tags: dict[str, str] | None = None,
    ) -> Properties:
        """Makes a key as a new version.

        Args:
            name: 1 to 127 letters, digits and hyphens.
            kty: ``RSA``, ``EC`` or ``oct``, with ``-HSM`` for a key made inside the token.
            size: bits, of RSA and oct.
            curve: of EC.
            operations: what the key may be used for; None for the type's own.
            enabled: whether the version may be used.
            not_before: Unix seconds.
            expires: Unix seconds.
            tags: at most 15.

        Raises:
            BadParameterError: the type, size, curve or an operation does not exist.
            ConflictError: the name is deleted but recoverable.
            ForbiddenError: the gate refuses.
            UnavailableError: the token is away.
        """

        def act(given: str, key: str) -> Properties:
            return self._write(
                self._rules.create(
                    given,
                    key,
                    KeyParameters(kty, size, curve, operations),
                    attributes=Attributes(enabled, not_before, expires),
                    tags=tags,
                )
            )

        return self._perform("KeyCreate", "keys/create", name, "", act)

    def import_(
        self,
        name: str,
        jwk: Mapping[str, Any],
        *,
        hsm: bool = False,
        enabled: bool | None = None,
        not_before: int | None = None,
        expires: int | None = None,
        tags: dict[str, str] | None = None,
    ) -> Properties:
        """Imports a private key as a new version.

        Args:
            name: 1 to 127 letters, digits and hyphens.
            jwk: the key (RFC 7517), with its private members.
            hsm: whether the key shall live in the token.
            enabled: whether the version may be used.
            not_before: Unix seconds.
            expires: Unix seconds.
            tags: at most 15.

        Raises:
            BadParameterError: the key is malformed, weak or public only.
            ConflictError: the name is deleted but recoverable.
            ForbiddenError: the gate refuses.
        """

        def act(given: str, key: str) -> Properties:
            attributes = Attributes(enabled, not_before, expires)
            return self._write(
                self._rules.import_(given, key, jwk, hsm=hsm, attributes=attributes, tags=tags)
            )

        return self._perform("KeyImport", "keys/import", name, "", act)

    def get(self, name: str, version: str = "") -> Properties:
        """Returns a key's public part, as ``metadata.public``, and its attributes.

        Raises:
            ForbiddenError: the gate refuses.
            NotFoundError: there is no such key or version.
        """

        def act(_: str, key: str) -> Properties:
            found = self._rules.load(key, version)
            return self._properties(Version(found.name, found.version, found.metadata))

        return self._perform("KeyGet", "keys/get", name, version, act)

    def update(
        self,
        name: str,
        version: str = "",
        *,
        operations: Sequence[str] | None = None,
        enabled: bool | None = None,
        not_before: int | None = None,
        expires: int | None = None,
        tags: dict[str, str] | None = None,
    ) -> Properties:
        """Changes attributes of a version; what is None stays as it is.

        Raises:
            BadParameterError: a limit is exceeded.
            ForbiddenError: the gate refuses.
            NotFoundError: there is no such key or version.
        """

        def act(_: str, key: str) -> Properties:
            return self._write(
                self._rules.update(
                    key,
                    version,
                    operations=operations,
                    attributes=Attributes(enabled, not_before, expires),
                    tags=tags,
                )
            )

        return self._perform("KeyUpdate", "keys/update", name, version, act)

    def rotate(self, name: str) -> Properties:
        """Makes a new version of the same type, size and operations.

        Raises:
            ForbiddenError: the gate refuses.
            NotFoundError: there is no such key.
        """
        return self._perform(
            "KeyRotate",
            "keys/rotate",
            name,
            "",
            lambda _, key: self._write(self._rules.rotate(key)),
        )

    def sign(self, name: str, algorithm: str, digest: bytes, *, version: str = "") -> Signature:
        """Signs a digest.

        Args:
            name: the key.
            algorithm: for example ``ES256`` (contract 4.2).
            digest: of the algorithm's exact length.
            version: 32 hexadecimal characters; empty for the current one.

        Raises:
            BadParameterError: the algorithm or the digest does not fit the key.
            ForbiddenError: the gate or the key's attributes refuse.
            NotFoundError: there is no such key or version.
            UnavailableError: the token is away.
        """
        return self._use(
            "KeySign",
            "sign",
            name,
            version,
            algorithm,
            lambda key: Signature(key.version, key.sign(algorithm, digest)),
        )

    def verify(
        self, name: str, algorithm: str, digest: bytes, signature: bytes, *, version: str = ""
    ) -> bool:
        """Returns whether a signature is valid.

        Raises:
            BadParameterError: the algorithm or the digest does not fit the key.
            ForbiddenError: the gate or the key's attributes refuse.
            NotFoundError: there is no such key or version.
        """
        return self._use(
            "KeyVerify",
            "verify",
            name,
            version,
            algorithm,
            lambda key: key.verify(algorithm, digest, signature),
        )

    def encrypt(
        self,
        name: str,
        algorithm: str,
        plaintext: bytes,
        *,
        nonce: bytes | None = None,
        associated_data: bytes = b"",
        version: str = "",
    ) -> Encryption:
        """Encrypts.

        Args:
            name: the key.
            algorithm: for example ``A256GCM`` or ``RSA-OAEP-256`` (contract 4.2).
            plaintext: what to encrypt.
            nonce: 16 bytes for AES-CBC; refused for AES-GCM, where the vault makes it.
            associated_data: for AES-GCM.
            version: 32 hexadecimal characters; empty for the current one.

        Raises:
            BadParameterError: the algorithm or the input does not fit the key.
            ForbiddenError: the gate or the key's attributes refuse.
            NotFoundError: there is no such key or version.
        """
        return self._use(
            "KeyEncrypt",
            "encrypt",
            name,
            version,
            algorithm,
            lambda key: Encryption(
                key.version, *key.encrypt(algorithm, plaintext, nonce, associated_data)
            ),
        )

    def decrypt(
        self,
        name: str,
        algorithm: str,
        ciphertext: bytes,
        *,
        nonce: bytes | None = None,
        tag: bytes | None = None,
        associated_data: bytes = b"",
        version: str = "",
    ) -> bytes:
        """Decrypts.

        Raises:
            BadParameterError: the algorithm does not fit the key, or the ciphertext does not open.
            ForbiddenError: the gate or the key's attributes refuse.
            NotFoundError: there is no such key or version.
            UnavailableError: the token is away.
        """
        return self._use(
            "KeyDecrypt",
            "decrypt",
            name,
            version,
            algorithm,
            lambda key: key.decrypt(algorithm, ciphertext, nonce, tag, associated_data),
        )

    def wrap_key(
        self, name: str, algorithm: str, key: bytes, *, version: str = ""
    ) -> Encryption:
        """Wraps a key.

        Raises:
            BadParameterError: the algorithm or the input does not fit the key.
            ForbiddenError: the gate or the key's attributes refuse.
            NotFoundError: there is no such key or version.
        """
        return self._use(
            "KeyWrap",
            "wrapKey",
            name,
            version,
            algorithm,
            lambda found: Encryption(found.version, found.wrap(algorithm, key)),
        )

    def unwrap_key(self, name: str, algorithm: str, wrapped: bytes, *, version: str = "") -> bytes:
        """Unwraps a key.

        Raises:
            BadParameterError: the algorithm does not fit the key, or the wrapped key does not open.
            ForbiddenError: the gate or the key's attributes refuse.
            NotFoundError: there is no such key or version.
            UnavailableError: the token is away.
        """
        return self._use(
            "KeyUnwrap",
            "unwrapKey",
            name,
            version,
            algorithm,
            lambda found: found.unwrap(algorithm, wrapped),
        )

    def random_bytes(self, count: int) -> bytes:
        """Returns 1 to 128 random bytes.

        Raises:
            BadParameterError: the count is out of range.
            ForbiddenError: the gate refuses.
        """
        return self._perform(
            "RandomBytesGet", RANDOM_PERMISSION, "", "", lambda *_: random_bytes(count)
        )

    def _use(
        self,
        operation: str,
        use: str,
        name: str,
        version: str,
        algorithm: str,
        act: Callable[[UsableKey], T],
    ) -> T:
        def find_and_act(_: str, key: str) -> T:
            found = self._rules.load(key, version)
            self._rules.authorize_use(found, use)
            with refusals():
                return act(found)

        return self._perform(
            operation, f"keys/{use}", name, version, find_and_act, Algorithm=algorithm
        )

    def _discard(self, versions: "Sequence[VersionRow]", key: str) -> None:
        self._rules.discard(versions, key)
