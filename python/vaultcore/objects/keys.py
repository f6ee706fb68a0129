"""The rules of keys (contract sections 1.2 and 4)."""

import functools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from vaultcore._core import Context, Key
from vaultcore.errors import (
    BadParameterError,
    DecryptionError,
    ForbiddenError,
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
from vaultcore.objects.contract_errors import contract_errors
from vaultcore.objects.key_parameters import (
    HSM,
    KeyParameters,
    check_operations,
    public_members,
    read_jwk,
    refuse_release,
    shape,
)
from vaultcore.objects.lifecycle import Lifecycle, Work
from vaultcore.objects.usable_key import UsableKey
from vaultcore.protectors.hsm import AbsentHsm, Hsm, HsmKey
from vaultcore.storage.rows import VersionRow

if TYPE_CHECKING:
    from vaultcore.storage import Transaction

#: Refused before not-before and from expiry on; the others remain allowed (contract 4.5).
_BOUND_TO_DATES: Final = frozenset({"encrypt", "sign", "wrapKey"})
_WITH_KEY_SIZE: Final = "2026-01-01-preview"

#: Makes a key, here or in the HSM, and returns the work that stores it. It raises UnavailableError
#: while the HSM is unavailable; the work raises ConflictError if the name was taken meanwhile.
Making = Callable[[], Work[Version]]

logger = logging.getLogger("vaultcore.keys")


class KeyRules(Lifecycle[UsableKey]):
    """The keys of one vault.

    Args:
        vault: the vault's state.
    """

    kind = "keys"
    noun = "Key"
    maximum_tag_length = 256

    @staticmethod
    def shown(identifier: str, found: Version, *, whole: bool) -> dict[str, Any]:
        """Returns the public key as a JWK, or the key's identifier in a list."""
        if not whole:
            return {"kid": identifier}
        metadata = found.metadata
        jwk = {
            "kid": identifier,
            "kty": metadata.key_type,
            "key_ops": metadata.operations,
            **(metadata.public or {}),
        }
        return {"key": jwk}

    @staticmethod
    def shown_attributes(metadata: Metadata) -> Iterator[tuple[str, str, Any]]:
        """Yields whether the key may be released, and the size of a symmetric one."""
        yield "7.3", "exportable", metadata.exportable
        if metadata.key_size is not None:
            yield _WITH_KEY_SIZE, "key_size", metadata.key_size

    def plan_creation(
        self,
        name: str,
        canonical: str,
        parameters: KeyParameters,
        *,
        attributes: Attributes | None = None,
        tags: dict[str, str] | None = None,
    ) -> Making:
        """Checks whether a key may be created, and returns what creates it, here or in the HSM.

        Raises:
            BadParameterError: the type, size, curve or an operation does not exist.
            ConflictError: the name is deleted but recoverable.
        """
        attributes = attributes or Attributes()
        family, in_hsm, size, curve = shape(parameters)
        operations = check_operations(family, parameters.operations)
        checked = self.validate_tags(tags)
        metadata = new_metadata(self.vault.now(), attributes, tags=checked, operations=operations)
        refuse_release(attributes)
        self.refuse_deleted_name(canonical)
        if not in_hsm:
            return lambda: self._store_key(
                name, canonical, metadata, Key.generate(family, size=size, curve=curve)
            )
        device = self._require_hsm(parameters.kty)

        def make() -> Work[Version]:
            with contract_errors():
                held = device.generate(family, size=size, curve=curve, label=name[:32])
            return self._store_reference(name, canonical, metadata, held, family + HSM)

        return make

    def plan_import(
        self,
        name: str,
        canonical: str,
        jwk: Mapping[str, Any],
        *,
        hsm: bool = False,
        attributes: Attributes | None = None,
        tags: dict[str, str] | None = None,
    ) -> Making:
        """Checks whether a private key may be imported, and returns what imports it.

        Args:
            name: as the caller wrote it.
            canonical: the canonical name.
            jwk: the key (RFC 7517), with its private members.
            hsm: whether to put the key into the HSM.
            attributes: enabled, not-before, expiry.
            tags: at most 15.

        Raises:
            BadParameterError: the key is malformed, weak or public only; the message says why.
            ConflictError: the name is deleted but recoverable.
        """
        attributes = attributes or Attributes()
        read = read_jwk(jwk)
        checked = self.validate_tags(tags)
        metadata = new_metadata(
            self.vault.now(), attributes, tags=checked, operations=read.operations
        )
        refuse_release(attributes)
        self.refuse_deleted_name(canonical)
        if not (hsm or read.in_hsm):
            return lambda: self._store_key(name, canonical, metadata, read.key)
        kty = read.family + HSM
        device = self._require_hsm(kty)

        def make() -> Work[Version]:
            with contract_errors():
                held = device.import_key(read.jwk, label=name[:32])
            return self._store_reference(name, canonical, metadata, held, kty)

        return make

    def plan_rotation(self, canonical: str) -> Making:
        """Checks whether a key may be rotated, and returns what creates its new version.

        The new version has the type, size and operations of the current one.

        Raises:
            ConflictError: the name is deleted but recoverable.
            ForbiddenError: the key is managed.
            NotFoundError: there is no such key.
        """
        row, stored = self.find(canonical)
        before = self.describe(row, stored).metadata
        self.refuse_managed(before)
        public = before.public or {}
        kty = before.key_type or ""
        size = before.key_size
        if kty.startswith("RSA"):
            size = self.load(canonical, stored.version).size
        parameters = KeyParameters(kty, size, public.get("crv"), before.operations)
        return self.plan_creation(row.name, canonical, parameters, tags=before.tags)

    def update(
        self,
        canonical: str,
        version: str,
        *,
        operations: Sequence[str] | None = None,
        attributes: Attributes | None = None,
        tags: dict[str, str] | None = None,
    ) -> Work[Version]:
        """Changes attributes of a version; those that are None do not change.

        Raises:
            BadParameterError: a limit is exceeded.
            NotFoundError: there is no such key or version (when the work runs).
        """
        attributes = attributes or Attributes()
        refuse_release(attributes)
        checked = self.validate_tags(tags)
        now = self.vault.now()

        def revise(before: Metadata) -> Metadata:
            family = (before.key_type or "").removesuffix(HSM)
            listed = None if operations is None else check_operations(family, operations)
            return revised(before, now, attributes, tags=checked, operations=listed)

        return self.change(canonical, version, revise)

    def load(self, canonical: str, version: str) -> UsableKey:
        """Returns a version ready for use, from the cache or the store.

        Raises:
            NotFoundError: there is no such key or version.
            TamperedError: a row does not verify.
        """
        found = self.cache.get((canonical, version))
        if found is not None:
            return found
        seen = self.cache.seen()
        row, stored = self.find(canonical, version)
        found = self._open(row.name, canonical, stored)
        self.cache.put((canonical, version), found, seen)
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

    def confirm(self, found: UsableKey, canonical: str, version: str, operation: str) -> None:
        """Checks that a key may still do what it has just done, after a wait for a pool or the HSM.

        Args:
            found: what :meth:`load` returned.
            canonical: the canonical name that it was loaded by.
            version: the version that it was loaded by.
            operation: what it has done.

        Raises:
            ForbiddenError: it was disabled or limited meanwhile.
            NotFoundError: it was deleted or purged meanwhile.
        """
        if self.cache.get((canonical, version)) is not found:
            self.authorize_use(self.load(canonical, found.version), operation)

    def discard(self, versions: Sequence[VersionRow], canonical: str) -> Callable[[], None] | None:
        """Returns a function that removes purged key pairs from the HSM; None if there are none.

        The purge has happened by then. A key pair that cannot be removed stays in the HSM, where
        nothing refers to it any more; the service's log names it.
        """
        held = [version for version in versions if self._may_be_in_hsm(version, canonical)]
        return functools.partial(self._destroy, held, canonical) if held else None

    def _may_be_in_hsm(self, version: VersionRow, canonical: str) -> bool:
        try:
            return (self.metadata(canonical, version).key_type or "").endswith(HSM)
        except TamperedError:
            return True  # `_destroy` says what that means

    def _destroy(self, versions: Sequence[VersionRow], canonical: str) -> None:
        device: Hsm = self.vault.hsm or AbsentHsm()
        for version in versions:
            try:
                context = self.context(canonical, version.version, version.metadata)
                reference = self.vault.kek.open(version.payload, context=context).decode()
                with contract_errors():
                    device.destroy(reference)
            except DecryptionError:
                # The object is gone, as requested; which pair it referred to is no longer known.
                logger.warning(
                    "version %s of the purged key %s of vault %s does not verify: if it was in "
                    "the HSM, its key pair stays there",
                    version.version,
                    canonical,
                    self.vault.name,
                )
            except VaultError as failure:
                logger.warning(
                    "vault %s: the key %s, version %s, was purged, but its key pair stays in the "
                    "HSM: %s",
                    self.vault.name,
                    canonical,
                    version.version,
                    failure,
                )

    def refuse_deleted_name(self, canonical: str) -> None:
        """Refuses a name that a deleted key has, before a key is created for it."""
        row = self.store.object(self.vault.id, self.kind, canonical)
        if row is not None:
            self.refuse_deleted(row)

    def refuse_backup(self, metadata: Metadata) -> None:
        """Refuses a backup that could not be restored: keys never leave the HSM."""
        super().refuse_backup(metadata)
        if (metadata.key_type or "").endswith(HSM):
            raise BadParameterError(
                "a key in the HSM never leaves it and cannot be backed up here; use the "
                "HSM's own means of backup"
            )

    def _require_hsm(self, kty: str) -> Hsm:
        if self.vault.hsm is None or self.vault.settings.sku != "premium":
            raise BadParameterError(
                f"Invalid kty value: {kty}; this vault has no HSM for keys of HSM types. Ask "
                "for a software key, or add a pkcs11 protector and make the vault premium",
                inner="KeyTypeNotSupported",
            )
        return self.vault.hsm

    def _store_key(self, name: str, canonical: str, metadata: Metadata, made: Key) -> Work[Version]:
        described = msgspec.structs.replace(
            metadata,
            key_type=made.kty,
            key_size=made.size if made.kty == "oct" else None,
            public=public_members(made.public_jwk()),
        )

        return self._store(name, canonical, described, lambda c: made.seal(self.vault.kek, c))

    def _store_reference(
        self, name: str, canonical: str, metadata: Metadata, held: HsmKey, kty: str
    ) -> Work[Version]:
        reference = held.reference.encode()
        described = msgspec.structs.replace(
            metadata, key_type=kty, public=public_members(held.public_jwk)
        )
        return self._store(
            name, canonical, described, lambda c: self.vault.kek.seal(reference, context=c)
        )

    def _store(
        self, name: str, canonical: str, metadata: Metadata, seal: Callable[[Context], bytes]
    ) -> Work[Version]:
        def work(transaction: "Transaction") -> Version:
            return self.add_version(transaction, name, canonical, metadata, seal, what="create")

        return work

    def _open(self, name: str, canonical: str, stored: "VersionRow") -> UsableKey:
        context: Context = self.context(canonical, stored.version, stored.metadata)
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
        device = self.vault.hsm or AbsentHsm()
        return UsableKey(name, stored.version, metadata, public, hsm=device, reference=reference)
