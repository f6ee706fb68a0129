"""The applications of the built-in issuer, and the secrets that they exchange for a token."""

import hashlib
import hmac
import re
import secrets
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from vaultcore._core import KeyEncryptionKey
from vaultcore.access.documents import Reader, SealedDocuments
from vaultcore.clock import Clock
from vaultcore.errors import BadParameterError, ConflictError, NotFoundError
from vaultcore.storage import Store, Transaction

COLLECTION = "applications"
SECRET_LIFETIME = 730 * 86400
MAXIMUM_SECRETS = 20
MAXIMUM_GROUPS = 100
# The claim that ties a token to the secret that was exchanged for it.
CREDENTIAL_CLAIM = "vaultcore_credential"
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_NAME_LENGTH = 120
_SECRET_LENGTH = 256
# How much of a secret is kept readable, so that people can distinguish their secrets.
_HINT = 3
_DIGEST_LABEL = b"vaultcore application secret v1\0"


class ApplicationSecret(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The stored part of a secret; the secret itself is not stored.

    Attributes:
        id: identifies the secret, to remove it.
        digest: its SHA-256; it has 256 random bits, so a slower hash would not protect it better.
        hint: its first characters.
        created: Unix seconds.
        expires: Unix seconds.
    """

    id: str
    digest: bytes
    hint: str
    created: int
    expires: int

    def __repr__(self) -> str:
        return f"ApplicationSecret(id={self.id!r}, expires={self.expires})"


class Application(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An identity for a program.

    Attributes:
        client_id: the program's name at the token endpoint.
        object_id: its name in access policies.
        name: its name for people; unique, ignoring case.
        created: Unix seconds.
        groups: object ids of the groups that it belongs to.
        secrets: its secrets.
    """

    client_id: str
    object_id: str
    name: str
    created: int
    groups: tuple[str, ...] = ()
    secrets: tuple[ApplicationSecret, ...] = ()


@dataclass(frozen=True)
class NewSecret:
    """A secret, at the only moment when it is shown.

    Attributes:
        application: the application as it is now.
        secret_id: identifies the secret, to remove it.
        client_secret: the secret.
        expires: Unix seconds.
    """

    application: Application
    secret_id: str
    client_secret: str = field(repr=False)
    expires: int


@dataclass(frozen=True)
class Credential:
    """An application that presented one of its secrets.

    Attributes:
        application: the application.
        secret: the stored part of the secret.
        expired: whether the secret was right but is too old.
    """

    application: Application
    secret: ApplicationSecret
    expired: bool


class Applications:
    """The applications in a store; every change takes effect at once, in every process.

    Args:
        store: where they are kept, sealed.
        kek: the key that seals them.
        clock: the current time.
    """

    def __init__(self, store: Store, kek: KeyEncryptionKey, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._documents = SealedDocuments(COLLECTION, Application, kek)
        # For an unknown application, this one is opened and compared instead, so that the time of
        # the answer does not tell which applications exist.
        decoy = Application(
            client_id=str(uuid.UUID(int=0)),
            object_id=str(uuid.UUID(int=0)),
            name="",
            created=0,
            secrets=(self._new_secret(secrets.token_urlsafe(32), SECRET_LIFETIME),),
        )
        self._decoy_key = decoy.client_id
        # Under a key of its own, which no rekey changes; opening it is the same work.
        self._decoys = SealedDocuments(COLLECTION, Application, KeyEncryptionKey.generate())
        self._decoy = self._decoys.seal(decoy.client_id, decoy)

    def create(self, name: str, *, secret_lifetime: int = SECRET_LIFETIME) -> NewSecret:
        """Creates an application with a first secret, which is never shown again.

        Raises:
            BadParameterError: the name or the lifetime is not valid.
            ConflictError: another application has that name.
            StorageError: the store cannot be written.
        """
        _check_name(name)
        client_secret = secrets.token_urlsafe(32)
        secret = self._new_secret(client_secret, secret_lifetime)
        application = Application(
            client_id=str(uuid.uuid4()),
            object_id=str(uuid.uuid4()),
            name=name,
            created=int(self._clock.now()),
            secrets=(secret,),
        )

        def work(transaction: Transaction) -> None:
            folded = name.casefold()
            others = self._documents.all(transaction)
            if any(a.name.casefold() == folded for a in others):
                raise ConflictError(f"an application `{name}` exists already, choose another name")
            self._documents.put(transaction, application.client_id, application, "created")

        self._store.write(work)
        return NewSecret(application, secret.id, client_secret, secret.expires)

    def all(self) -> list[Application]:
        """Returns all applications that verify, by name.

        Raises:
            StorageError: the store cannot be read.
        """
        return sorted(self._documents.all(self._store), key=lambda a: a.name.casefold())

    def get(self, client_id: str) -> Application | None:
        """Returns the application with that client id, or None.

        Raises:
            StorageError: the store cannot be read, or the application does not verify.
        """
        return self._documents.get(self._store, client_id.lower())

    def find(self, text: str) -> Application:
        """Returns the application with that name, client id or object id.

        Raises:
            NotFoundError: there is no such application.
            StorageError: the store cannot be read, or an application does not verify.
        """
        return self._find(self._store, text)

    def delete(self, text: str) -> Application:
        """Removes an application; its tokens are refused from now on.

        Args:
            text: its name, client id or object id.

        Raises:
            NotFoundError: there is none.
            StorageError: the store cannot be written.
        """

        def work(transaction: Transaction) -> Application:
            application = self._find(transaction, text)
            self._documents.remove(transaction, application.client_id)
            return application

        return self._store.write(work)

    def set_groups(self, text: str, groups: Sequence[str]) -> Application:
        """Replaces the groups; tokens issued before have the new ones from the next request on.

        Args:
            text: the application's name, client id or object id.
            groups: object ids of groups; empty for no group.

        Raises:
            BadParameterError: a group is not valid.
            NotFoundError: there is no such application.
            StorageError: the store cannot be written.
        """
        _check_groups(groups)

        def work(transaction: Transaction) -> Application:
            _refuse_taken(groups, self._documents.all(transaction))
            found = self._find(transaction, text)
            changed = msgspec.structs.replace(found, groups=tuple(groups))
            self._documents.put(transaction, changed.client_id, changed, "updated")
            return changed

        return self._store.write(work)

    def add_secret(self, text: str, *, lifetime: int = SECRET_LIFETIME) -> NewSecret:
        """Adds a secret to those that the application has.

        Raises:
            BadParameterError: the lifetime is not valid, or there are too many secrets.
            NotFoundError: there is no such application.
            StorageError: the store cannot be written.
        """
        client_secret = secrets.token_urlsafe(32)
        secret = self._new_secret(client_secret, lifetime)

        def add(application: Application) -> Application:
            if len(application.secrets) >= MAXIMUM_SECRETS:
                raise BadParameterError(
                    f"an application has {MAXIMUM_SECRETS} secrets at most, remove one first"
                )
            return msgspec.structs.replace(application, secrets=(*application.secrets, secret))

        return NewSecret(self._change(text, add), secret.id, client_secret, secret.expires)

    def remove_secret(self, text: str, secret_id: str) -> Application:
        """Removes a secret; tokens that were issued for it are refused from now on.

        Raises:
            NotFoundError: there is no such application, or no such secret.
            StorageError: the store cannot be written.
        """

        def remove(application: Application) -> Application:
            left = tuple(s for s in application.secrets if s.id != secret_id)
            if len(left) == len(application.secrets):
                raise NotFoundError(f"the application `{application.name}` has no such secret")
            return msgspec.structs.replace(application, secrets=left)

        return self._change(text, remove)

    def authenticate(self, client_id: str, client_secret: str) -> Credential | None:
        """Returns the application if the secret is one of its own, else None.

        The work is the same whether the application exists or not.

        Raises:
            StorageError: the store cannot be read, or the application does not verify.
        """
        key = client_id.lower() if _GUID.fullmatch(client_id) else self._decoy_key
        blob = self._documents.blob(self._store, key)
        known = blob is not None and key != self._decoy_key
        application = (
            self._documents.open(key, blob)
            if known and blob is not None
            else self._decoys.open(self._decoy_key, self._decoy)
        )
        shown = _digest(client_secret[:_SECRET_LENGTH])
        found: ApplicationSecret | None = None
        for secret in application.secrets:
            # CT: no early exit, and the comparison itself takes constant time.
            if hmac.compare_digest(secret.digest, shown):
                found = secret
        if not known or found is None or len(client_secret) > _SECRET_LENGTH:
            return None
        return Credential(application, found, expired=self._clock.now() >= found.expires)

    def groups_now(self, claims: Mapping[str, Any]) -> tuple[str, ...] | None:
        """Returns the groups of the application that a token was issued to.

        Args:
            claims: the verified claims of a token of the built-in issuer.

        Returns:
            Object ids of groups; None if the application is gone, or the secret that the token was
            got with.

        Raises:
            StorageError: the store cannot be read, or the application does not verify.
        """
        application = self.get(str(claims.get("appid")))
        if (
            application is None
            or application.object_id != claims.get("oid")
            or not any(s.id == claims.get(CREDENTIAL_CLAIM) for s in application.secrets)
        ):
            return None
        return application.groups

    def _change(self, text: str, change: Callable[[Application], Application]) -> Application:
        def work(transaction: Transaction) -> Application:
            changed = change(self._find(transaction, text))
            self._documents.put(transaction, changed.client_id, changed, "updated")
            return changed

        return self._store.write(work)

    def _find(self, reader: Reader, text: str) -> Application:
        folded = text.casefold()
        # Looked up by its own id, one that does not verify is named; by its name it is not found.
        self._documents.get(reader, folded)
        for application in self._documents.all(reader):
            if folded in {
                application.client_id,
                application.object_id,
                application.name.casefold(),
            }:
                return application
        raise NotFoundError("there is no application with that name, client id or object id")

    def _new_secret(self, client_secret: str, lifetime: int) -> ApplicationSecret:
        if lifetime <= 0:
            raise BadParameterError("a secret lives for one second at least")
        now = int(self._clock.now())
        return ApplicationSecret(
            id=str(uuid.uuid4()),
            digest=_digest(client_secret),
            hint=client_secret[:_HINT],
            created=now,
            expires=now + lifetime,
        )


def _digest(client_secret: str) -> bytes:
    # A lone surrogate cannot be encoded; with a replacement, it equals no secret.
    return hashlib.sha256(_DIGEST_LABEL + client_secret.encode("utf-8", "replace")).digest()


def _check_name(name: str) -> None:
    if not 1 <= len(name) <= _NAME_LENGTH or not name.isprintable() or name != name.strip():
        raise BadParameterError(
            f"the name of an application has 1 to {_NAME_LENGTH} printable characters"
        )
    # A name like an id could be taken for another principal's id in an access policy.
    if _GUID.fullmatch(name) or ":" in name:
        raise BadParameterError(
            "the name of an application is not a GUID and has no colon, choose another name"
        )


def _check_groups(groups: Sequence[str]) -> None:
    if len(groups) > MAXIMUM_GROUPS or not all(_GUID.fullmatch(group) for group in groups):
        raise BadParameterError(f"groups are object ids (GUIDs), {MAXIMUM_GROUPS} at most")


def _refuse_taken(groups: Sequence[str], applications: Sequence[Application]) -> None:
    """Refuses the object id of an application as a group: its members would have its grants."""
    if not {group.lower() for group in groups}.isdisjoint(a.object_id for a in applications):
        raise BadParameterError("the object id of an application is not that of a group")
