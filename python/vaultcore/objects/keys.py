"""The rules of keys (contract sections 1.2 and 4)."""

import functools
import logging
import secrets as random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from vaultcore._core import Context, Key
from vaultcore.errors import (
    BadParameterError,
    DecryptionError,
    ForbiddenError,
    KeyFormatError,
    TamperedError,
    VaultError,
)
from vaultcore.objects.attributes import (
    Attributes,
    Metadata,
    Version,
    new_metadata,
    revised,
)
from vaultcore.objects.key_use import UsableKey, refusals
from vaultcore.objects.lifecycle import Lifecycle, Work
from vaultcore.protectors.hsm import AbsentHsm, Hsm, HsmKey

if TYPE_CHECKING:
    from collections.abc import Callable

    from vaultcore.objects.vault import VaultState
    from vaultcore.storage import Transaction
    from vaultcore.storage.rows import VersionRow

#: Every operation that a key may be limited to (JWK ``key_ops``, contract 4.3).
OPERATIONS: Final = ("encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey")
_DEFAULT_OPERATIONS: Final = {
    "RSA": OPERATIONS,
    "EC": ("sign", "verify"),
    "oct": ("encrypt", "decrypt", "wrapKey", "unwrapKey"),
}
_ALLOWED_OPERATIONS: Final = {"RSA": OPERATIONS, "EC": ("sign", "verify"), "oct": OPERATIONS}
#: Refused before not-before and from expiry on; the others go on (contract 4.5).
_BOUND_TO_DATES: Final = frozenset({"encrypt", "sign", "wrapKey"})
_SIZES: Final = {"RSA": (2048, 3072, 4096), "oct": (128, 192, 256, 384, 512)}
_DEFAULT_SIZE: Final = {"RSA": 2048, "oct": 256}
_CURVES: Final = ("P-256", "P-384", "P-521", "P-256K")
#: Every algorithm that some key of a vault has (contract 4.2).
ALGORITHMS: Final = frozenset(
    (
        *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "RSNULL"),
        *("RSA1_5", "RSA-OAEP", "RSA-OAEP-256"),
        *("ES256", "ES256K", "ES384", "ES512", "HS256", "HS384", "HS512"),
        *(f"A{size}{mode}" for size in (128, 192, 256) for mode in ("GCM", "CBC", "CBCPAD")),
        *(f"A{size}{mode}" for size in (128, 192, 256) for mode in ("KW", "KWPAD")),
        *("CKM_AES_KEY_WRAP", "CKM_AES_KEY_WRAP_PAD"),
    )
)
#: Types of other versions of the contract; refused by name, as Azure does.
_OTHER_TYPES: Final = frozenset({"oct-HSM", "OKP", "OKP-HSM", "AKP", "AKP-HSM"})
_PUBLIC_MEMBERS: Final = ("n", "e", "crv", "x", "y")
#: What the types of keys in the token end with.
HSM: Final = "-HSM"

logger = logging.getLogger("vaultcore.keys")


class KeyParameters(msgspec.Struct, frozen=True):
    """What a new key shall be.

    Attributes:
        kty: ``RSA``, ``EC`` or ``oct``, with ``-HSM`` for a key made inside the token.
        size: bits, of RSA and oct.
        curve: of EC.
        operations: the key's ``key_ops``, or None for the type's own.
    """

    kty: str
    size: int | None = None
    curve: str | None = None
    operations: Sequence[str] | None = None


class KeyRules(Lifecycle):
    """The keys of one vault.

    Args:
        vault: the vault's state.
        token: the token for ``-HSM`` types, or None.
    """

    maximum_tag_length = 256

    def __init__(self, vault: "VaultState", token: Hsm | None) -> None:
        super().__init__(vault, "keys")
        self.token = token

    def create(
        self,
        name: str,
        key: str,
        parameters: KeyParameters,
        *,
        attributes: Attributes | None = None,
        tags: dict[str, str] | None = None,
    ) -> Work[Version]:
        """Makes a key, here or in the token, and returns the work that stores it.

        Raises:
            BadParameterError: the type, size, curve or an operation does not exist.
            ConflictError: the name is deleted but recoverable, or managed (when the work runs).
            UnavailableError: the token is away.
        """
        attributes = attributes or Attributes()
        family, in_token, size, curve = self._shape(parameters)
        operations = _check_operations(family, parameters.operations)
        checked = self.validate_tags(tags)
        metadata = new_metadata(self.vault.now(), attributes, tags=checked, operations=operations)
        _refuse_release(attributes)
        self.refuse_deleted_name(key)
        if in_token:
            token = self._require_token(parameters.kty)
            held = _in_token(
                lambda: token.generate(family, size=size, curve=curve, label=name[:32])
            )
            return self._store_reference(name, key, metadata, held, family + HSM)
        made = Key.generate(family, size=size, curve=curve)
        return self._store_key(name, key, metadata, made)

    def import_(
        self,
        name: str,
        key: str,
        jwk: Mapping[str, Any],
        *,
        hsm: bool = False,
        attributes: Attributes | None = None,
        tags: dict[str, str] | None = None,
    ) -> Work[Version]:
        """Imports a private key, into the token if asked to.

        Args:
            name: as the caller wrote it.
            key: the canonical name.
            jwk: the key (RFC 7517), with its private members.
            hsm: whether the key shall live in the token.
            attributes: enabled, not-before, expiry.
            tags: at most 15.

        Raises:
            BadParameterError: the key is malformed, weak or public only; the message says why.
            ConflictError: the name is deleted but recoverable, or managed (when the work runs).
        """
        attributes = attributes or Attributes()
        kty = jwk.get("kty")
        if not isinstance(kty, str):
            raise BadParameterError("Property key.kty is missing")
        family = kty.removesuffix(HSM)
        if family not in _DEFAULT_OPERATIONS:
            raise _unknown_type(kty)
        listed = jwk.get("key_ops")
        if listed is not None and not (
            isinstance(listed, list) and all(isinstance(item, str) for item in listed)
        ):
            raise BadParameterError("Property key.key_ops is not a list of operations")
        operations = _check_operations(family, listed or None)
        members = {
            member: value
            for member, value in jwk.items()
            if member not in {"kid", "key_ops", "kty", "key_hsm"} and value is not None
        }
        try:
            made = Key.from_jwk({**members, "kty": family})
        except KeyFormatError as refused:
            raise BadParameterError(f"Property key is not a valid key: {refused}") from None
        if not made.is_private:
            raise BadParameterError("Property key holds a public key only; import the private key")
        if made.kty in _SIZES and made.size not in _SIZES[made.kty]:
            _refuse_size(made.size, _SIZES[made.kty])
        metadata = new_metadata(
            self.vault.now(), attributes, tags=self.validate_tags(tags), operations=operations
        )
        _refuse_release(attributes)
        self.refuse_deleted_name(key)
        if hsm or kty.endswith(HSM):
            token = self._require_token(family + HSM)
            jwk_in = {**members, "kty": family}
            held = _in_token(lambda: token.import_key(jwk_in, label=name[:32]))
            return self._store_reference(name, key, metadata, held, family + HSM)
        return self._store_key(name, key, metadata, made)

    def rotate(self, key: str) -> Work[Version]:
        """Makes a new version of the same type, size and operations.

        Raises:
            NotFoundError: there is no such key.
        """
        row, stored = self.find(key)
        before = self.describe(row, stored).metadata
        self.refuse_managed(before)
        public = before.public or {}
        kty = before.key_type or ""
        size = before.key_size
        if kty.startswith("RSA"):
            size = self.load(key, stored.version).size
        return self.create(
            row.name,
            key,
            KeyParameters(kty, size, public.get("crv"), before.operations),
            tags=before.tags,
        )

    def update(
        self,
        key: str,
        version: str,
        *,
        operations: Sequence[str] | None = None,
        attributes: Attributes | None = None,
        tags: dict[str, str] | None = None,
    ) -> Work[Version]:
        """Changes attributes of a version; what is None stays as it is.

        Raises:
            BadParameterError: a limit is exceeded.
            NotFoundError: there is no such key or version (when the work runs).
        """
        attributes = attributes or Attributes()
        _refuse_release(attributes)
        checked = self.validate_tags(tags)
        now = self.vault.now()

        def revise(before: Metadata) -> Metadata:
            family = (before.key_type or "").removesuffix(HSM)
            listed = None if operations is None else _check_operations(family, operations)
            return revised(before, now, attributes, tags=checked, operations=listed)

        return self.change(key, version, revise)

    def load(self, key: str, version: str) -> UsableKey:
        """Returns a version ready for use, from the cache or the store.

        Raises:
            NotFoundError: there is no such key or version.
            TamperedError: a row does not verify.
        """
        found: UsableKey | None = self.vault.key_cache.get((key, version))
        if found is not None:
            return found
        seen = self.vault.key_cache.seen()
        row, stored = self.find(key, version)
        found = self._open(row.name, key, stored)
        self.vault.key_cache.put((key, version), found, seen)
        return found

    def authorize_use(self, found: UsableKey, operation: str) -> None:
        """Checks that a key's own attributes allow an operation (contract 4.5).

        Raises:
            ForbiddenError: the key is disabled, outside its dates, or not meant for this.
        """
        metadata = found.metadata
        if not metadata.enabled:
            raise ForbiddenError(
                f"Operation {operation} is not allowed on a disabled key.", inner="KeyDisabled"
            )
        if operation not in metadata.operations:
            raise ForbiddenError(
                f"Operation {operation} is not permitted on this key.",
                inner="KeyOperationForbidden",
            )
        if operation in _BOUND_TO_DATES and (metadata.not_before or metadata.expires):
            now = self.vault.clock.now()
            if metadata.not_before is not None and now < metadata.not_before:
                raise ForbiddenError(
                    f"Operation {operation} is not allowed on a key that is not yet valid.",
                    inner="KeyNotYetValid",
                )
            if metadata.expires is not None and now >= metadata.expires:
                raise ForbiddenError(
                    f"Operation {operation} is not allowed on an expired key.", inner="KeyExpired"
                )

    def confirm(self, found: UsableKey, key: str, version: str, operation: str) -> None:
        """Checks that a key may still do what it has just done, after a wait for pool or token.

        Args:
            found: what :meth:`load` returned.
            key: the canonical name that it was loaded by.
            version: the version that it was loaded by.
            operation: what it has done.

        Raises:
            ForbiddenError: it was disabled or limited meanwhile.
            NotFoundError: it was deleted or purged meanwhile.
        """
        if self.vault.key_cache.get((key, version)) is not found:
            self.authorize_use(self.load(key, found.version), operation)

    def in_token(self, versions: "Sequence[VersionRow]", key: str) -> "list[VersionRow]":
        """Returns those of some purged versions that may keep a key pair in a token."""
        return [version for version in versions if self._may_be_in_token(version, key)]

    def _may_be_in_token(self, version: "VersionRow", key: str) -> bool:
        try:
            return (self.metadata(key, version).key_type or "").endswith(HSM)
        except TamperedError:
            return True  # `discard` says what that means

    def discard(self, versions: "Sequence[VersionRow]", key: str) -> None:
        """Removes from the token what purged versions kept there, as far as it can be reached.

        The purge has happened by then. A key pair that cannot be removed stays in the token, where
        nothing leads to it any more; the log says which.
        """
        token: Hsm = self.token or AbsentHsm()
        for version in self.in_token(versions, key):
            try:
                context = self.context(key, version.version, version.metadata)
                reference = self.vault.kek.open(version.payload, context=context).decode()
                _in_token(functools.partial(token.destroy, reference))
            except DecryptionError:
                # The object is gone, as was asked; which pair it meant cannot be known any more.
                logger.warning(
                    "version %s of the purged key %s of vault %s does not verify: if it was in "
                    "the token, its pair stays there",
                    version.version,
                    key,
                    self.vault.name,
                )
            except VaultError as failure:
                logger.warning(
                    "vault %s: the key %s, version %s, was purged, but its key pair stays in the "
                    "token: %s",
                    self.vault.name,
                    key,
                    version.version,
                    failure,
                )

    def refuse_deleted_name(self, key: str) -> None:
        """Refuses a name that a deleted key holds, before a key is made for it."""
        row = self.store.object(self.vault.id, self.kind, key)
        if row is not None:
            self.refuse_deleted(row)

    def refuse_backup(self, metadata: Metadata) -> None:
        """Refuses a backup that could not be restored: the token keeps its keys to itself."""
        super().refuse_backup(metadata)
        if (metadata.key_type or "").endswith(HSM):
            raise BadParameterError(
                "a key in the token never leaves it and cannot be backed up here; use the "
                "token's own means of backup"
            )

    def _shape(self, wanted: KeyParameters) -> tuple[str, bool, int | None, str | None]:
        family = wanted.kty.removesuffix(HSM)
        in_token = wanted.kty.endswith(HSM)
        if family not in _DEFAULT_OPERATIONS:
            raise _unknown_type(wanted.kty)
        if in_token and family == "oct":
            raise BadParameterError(
                "Invalid kty value: oct-HSM; this vault makes RSA-HSM and EC-HSM keys in its "
                "token, and oct keys in software",
                inner="KeyTypeNotSupported",
            )
        if family == "EC":
            if wanted.size is not None and wanted.curve is None:
                raise BadParameterError("Property key_size does not apply to EC keys; give crv")
            curve = wanted.curve or "P-256"
            if curve not in _CURVES:
                raise BadParameterError(
                    f"Unsupported curve. Supported curves are [{', '.join(_CURVES)}]"
                )
            return family, in_token, None, curve
        if wanted.curve is not None:
            raise BadParameterError(f"Property crv does not apply to {family} keys")
        size = _DEFAULT_SIZE[family] if wanted.size is None else wanted.size
        if size not in _SIZES[family]:
            _refuse_size(size, _SIZES[family])
        return family, in_token, size, None

    def _require_token(self, kty: str) -> Hsm:
        if self.token is None or self.vault.settings.sku != "premium":
            raise BadParameterError(
                f"Invalid kty value: {kty}; this vault has no token for keys of HSM types. Ask "
                "for a software key, or add a pkcs11 protector and make the vault premium",
                inner="KeyTypeNotSupported",
            )
        return self.token

    def _store_key(self, name: str, key: str, metadata: Metadata, made: Key) -> Work[Version]:
        described = msgspec.structs.replace(
            metadata,
            key_type=made.kty,
            key_size=made.size if made.kty == "oct" else None,
            public=_public(made.public_jwk()),
        )

        def work(transaction: "Transaction") -> Version:
            return self.add_version(
                transaction,
                name,
                key,
                described,
                lambda context: made.seal(self.vault.kek, context),
                what="create",
            )

        return work

    def _store_reference(
        self,
        name: str,
        key: str,
        metadata: Metadata,
        held: HsmKey,
        kty: str,
    ) -> Work[Version]:
        reference = held.reference.encode()
        described = msgspec.structs.replace(metadata, key_type=kty, public=_public(held.public_jwk))

        def work(transaction: "Transaction") -> Version:
            return self.add_version(
                transaction,
                name,
                key,
                described,
                lambda context: self.vault.kek.seal(reference, context=context),
                what="create",
            )

        return work

    def _open(self, name: str, key: str, stored: "VersionRow") -> UsableKey:
        context: Context = self.context(key, stored.version, stored.metadata)
        metadata = self.metadata(name, stored)
        kty = metadata.key_type or ""
        try:
            if not kty.endswith(HSM):
                opened = Key.open(self.vault.kek, stored.payload, context)
                return UsableKey(name, stored.version, metadata, opened)
            reference = self.vault.kek.open(stored.payload, context=context).decode()
        except DecryptionError:
            self.tampered(name, stored.version)
        public = Key.from_jwk({**(metadata.public or {}), "kty": kty.removesuffix(HSM)})
        token = self.token or AbsentHsm()
        return UsableKey(name, stored.version, metadata, public, token=token, reference=reference)


def random_bytes(count: int) -> bytes:
    """Returns random bytes (contract 1.2, GetRandomBytes).

    Args:
        count: 1 to 128.

    Raises:
        BadParameterError: the count is out of range.
    """
    if not 1 <= count <= 128:  # noqa: PLR2004 - the contract's own number
        raise BadParameterError("Property count must be 1 to 128")
    return random.token_bytes(count)


def _in_token(call: "Callable[[], Any]") -> Any:
    with refusals():
        return call()


def _public(jwk: Mapping[str, str]) -> dict[str, str] | None:
    return {member: jwk[member] for member in _PUBLIC_MEMBERS if member in jwk} or None


def _check_operations(family: str, operations: Sequence[str] | None) -> tuple[str, ...]:
    if operations is None:
        return _DEFAULT_OPERATIONS[family]
    allowed = _ALLOWED_OPERATIONS[family]
    for operation in operations:
        if operation not in allowed:
            raise BadParameterError(
                f"Property key_ops holds an operation that does not exist for {family} keys; "
                f"the operations are [{', '.join(allowed)}]"
            )
    if len(set(operations)) != len(operations):
        raise BadParameterError("Property key_ops names an operation twice")
    return tuple(operations)


def _unknown_type(kty: str) -> BadParameterError:
    # What is no word of the contract could be anything, and is not repeated.
    shown = f": {kty}" if kty in _OTHER_TYPES else ""
    return BadParameterError(f"Invalid kty value{shown}", inner="KeyTypeNotSupported")


def _refuse_size(size: int, sizes: Sequence[int]) -> None:
    listed = ", ".join(str(item) for item in sizes)
    raise BadParameterError(f"Unsupported key size ({size}). Supported sizes are [{listed}]")


def _refuse_release(attributes: Attributes) -> None:
    if attributes.exportable:
        raise BadParameterError(
            "Property attributes.exportable is not supported: this vault does not release keys"
        )
