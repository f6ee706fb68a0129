"""The secrets of a vault, in process."""

from typing import TYPE_CHECKING

from vaultcore.library.objects import Objects
from vaultcore.library.results import Properties, Secret
from vaultcore.objects.attributes import Attributes
from vaultcore.objects.secrets import SecretRules
from vaultcore.operations.secrets import SetSecret, UpdateSecret

if TYPE_CHECKING:
    from vaultcore.operations.results import Revealed, Stored


class Secrets(Objects):
    """The secrets of a vault, for one caller."""

    _kind = SecretRules

    def get(self, name: str, version: str = "") -> Secret:
        """Returns a secret with its value.

        Args:
            name: 1 to 127 letters, digits and hyphens, ignoring case.
            version: 32 hexadecimal characters; empty for the current one.

        Raises:
            ForbiddenError: the gate refuses, or the version is disabled or expired.
            NotFoundError: there is no such secret or version.
        """
        revealed: Revealed = self._perform("SecretGet", name, version)
        found = revealed.secret
        return Secret(revealed.value.decode(), found.name, found.version, found.metadata)

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
        attributes = Attributes(enabled, not_before, expires)
        wanted = SetSecret(value, content_type, attributes, tags)
        stored: Stored = self._perform("SecretSet", name, arguments=wanted)
        return self._properties(stored.version)

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
        """Changes attributes of a version; those that are None do not change.

        Raises:
            BadParameterError: a limit is exceeded.
            ForbiddenError: the gate refuses.
            NotFoundError: there is no such secret or version.
        """
        attributes = Attributes(enabled, not_before, expires)
        wanted = UpdateSecret(content_type, attributes, tags)
        return self._properties(self._perform("SecretUpdate", name, version, wanted))
