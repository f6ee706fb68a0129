"""The rules of secrets (contract sections 1.1, 4.5 and 7)."""

from typing import TYPE_CHECKING, Any, Final

import msgspec

from vaultcore._core import Context, object_name
from vaultcore.errors import BadParameterError, DecryptionError, ForbiddenError
from vaultcore.objects.attributes import (
    Attributes,
    Metadata,
    Version,
    new_metadata,
    revised,
)
from vaultcore.objects.lifecycle import Lifecycle, Work

if TYPE_CHECKING:
    from vaultcore.storage import Transaction

MAXIMUM_VALUE: Final = 25 * 1024  # bytes of UTF-8
MAXIMUM_CONTENT_TYPE: Final = 255  # characters


class CachedSecret(msgspec.Struct, gc=False, eq=False):
    """A version of a secret in the cache: sealed, with what is needed to open it.

    There may be tens of thousands; the garbage collector does not track them, to save its time.

    Attributes:
        name: as it was first written.
        version: 32 hexadecimal characters.
        metadata: its attributes.
        payload: the sealed value.
        context: the context that the value is bound to.
        bundles: the parts of answers that the service precomputes, for each form of request.
    """

    name: str
    version: str
    metadata: Metadata
    payload: bytes
    context: Context
    bundles: dict[tuple[str, bool], tuple[bytes, bytes]] = msgspec.field(default_factory=dict)

    def __repr__(self) -> str:
        return f"CachedSecret({self.name}/{self.version})"


class SecretRules(Lifecycle[CachedSecret]):
    """The secrets of one vault.

    Args:
        vault: the vault's state.
    """

    kind = "secrets"
    noun = "Secret"
    maximum_tag_length = 512

    @staticmethod
    def shown(identifier: str, found: Version, *, whole: bool) -> dict[str, Any]:  # noqa: ARG004
        """Returns content type and identifier; the value is added where it is shown."""
        members: dict[str, Any] = {}
        if found.metadata.content_type is not None:
            members["contentType"] = found.metadata.content_type
        members["id"] = identifier
        return members

    def set(
        self,
        name: str,
        canonical: str,
        value: str,
        *,
        content_type: str | None = None,
        attributes: Attributes | None = None,
        tags: dict[str, str] | None = None,
    ) -> Work[Version]:
        """Stores a value as a new version.

        Args:
            name: as the caller wrote it.
            canonical: the canonical name.
            value: at most 25 KB of UTF-8.
            content_type: at most 255 characters.
            attributes: enabled, not-before, expiry.
            tags: at most 15.

        Raises:
            BadParameterError: a limit is exceeded.
            ConflictError: the name is deleted but recoverable, or managed (when the work runs).
        """
        attributes = attributes or Attributes()
        _check_content_type(content_type)
        try:
            plaintext = value.encode()
        except UnicodeEncodeError:
            raise BadParameterError("Property value is not valid Unicode") from None
        if len(plaintext) > MAXIMUM_VALUE:
            raise BadParameterError(
                f"Property value is too long: {len(plaintext)} bytes, and a secret holds at most "
                f"{MAXIMUM_VALUE}"
            )
        metadata = new_metadata(
            self.vault.now(), attributes, tags=self.validate_tags(tags), content_type=content_type
        )

        def work(transaction: "Transaction") -> Version:
            return self.add_version(
                transaction,
                name,
                canonical,
                metadata,
                lambda context: self.vault.kek.seal(plaintext, context=context),
                what="set",
            )

        return work

    def update(
        self,
        canonical: str,
        version: str,
        *,
        content_type: str | None = None,
        attributes: Attributes | None = None,
        tags: dict[str, str] | None = None,
    ) -> Work[Version]:
        """Changes attributes of a version; those that are None do not change.

        Raises:
            BadParameterError: a limit is exceeded.
            NotFoundError: there is no such secret or version (when the work runs).
        """
        _check_content_type(content_type)
        checked = self.validate_tags(tags)
        now = self.vault.now()
        return self.change(
            canonical,
            version,
            lambda before: revised(
                before, now, attributes or Attributes(), tags=checked, content_type=content_type
            ),
        )

    def load(self, canonical: str, version: str) -> CachedSecret:
        """Returns a version from the cache, or from the store.

        Args:
            canonical: the canonical name.
            version: 32 hexadecimal characters, or empty for the current one.

        Raises:
            NotFoundError: there is no such secret or version.
            TamperedError: a row does not verify.
        """
        found = self.cache.get((canonical, version))
        if found is not None:
            return found
        seen = self.cache.seen()
        row, stored = self.find(canonical, version)
        found = CachedSecret(
            row.name,
            stored.version,
            self.metadata(row.name, stored),
            stored.payload,
            self.context(canonical, stored.version, stored.metadata),
        )
        self.cache.put((canonical, version), found, seen)
        return found

    def reveal(self, secret: CachedSecret) -> bytes:
        """Opens a version's value, if its attributes allow it.

        Returns:
            The value in UTF-8.

        Raises:
            ForbiddenError: the version is disabled, or has expired in a vault that enforces it.
            TamperedError: the version does not verify.
        """
        metadata = secret.metadata
        if not metadata.enabled:
            self._verify(secret)
            raise ForbiddenError(
                "Operation get is not allowed on a disabled secret.", inner="SecretDisabled"
            )
        if metadata.expires is not None and self.vault.enforces_expiry:
            self._refuse_expired(secret, metadata.expires)
        try:
            return self.vault.kek.open(secret.payload, context=secret.context)
        except DecryptionError:
            return self._reveal_moved(secret)

    def _reveal_moved(self, secret: CachedSecret) -> bytes:
        """Opens the stored version, if a rekey moved it since it was read."""
        _, canonical = object_name(secret.name)
        _, stored = self.find(canonical, secret.version)
        context = self.context(canonical, stored.version, stored.metadata)
        if stored.payload == secret.payload or context != secret.context:
            self.tampered(secret.name, secret.version)
        try:
            return self.vault.kek.open(stored.payload, context=context)
        except DecryptionError:
            self.tampered(secret.name, secret.version)

    def _verify(self, secret: CachedSecret) -> None:
        """Ensures that no refusal rests on attributes that were changed outside the vault."""
        try:
            self.vault.kek.verify(secret.payload, context=secret.context)
        except DecryptionError:
            self._reveal_moved(secret)

    def _refuse_expired(self, secret: CachedSecret, expires: int) -> None:
        if self.vault.clock.now() >= expires:
            self._verify(secret)
            raise ForbiddenError(
                "Operation get is not allowed on an expired secret. Set a later expiry, or a new "
                "version, to use it again.",
                inner="SecretExpired",
            )


def _check_content_type(content_type: str | None) -> None:
    if content_type is not None and len(content_type) > MAXIMUM_CONTENT_TYPE:
        raise BadParameterError(
            f"Property contentType is too long: at most {MAXIMUM_CONTENT_TYPE} characters"
        )
