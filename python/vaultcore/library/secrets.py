"""The secrets of a vault, in process."""

from typing import TYPE_CHECKING

from vaultcore.objects.attributes import Attributes
from vaultcore.objects.secrets import SecretRules

if TYPE_CHECKING:
    from vaultcore.engine.engine import Engine
    from vaultcore.objects.vault import VaultState

from vaultcore.engine.caller import Caller
from vaultcore.library.door import Door
from vaultcore.library.results import Properties, Secret


class Secrets(Door):
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

        return self.perform("SecretGet", "secrets/get", name, version, act)

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
            return self._change(
                self._rules.set(
                    given,
                    key,
                    value,
                    content_type=content_type,
                    attributes=Attributes(enabled, not_before, expires),
                    tags=tags,
                ),
                "secrets/set",
            )

        return self.change("SecretSet", "secrets/set", name, "", act)

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
            return self._change(
                self._rules.update(
                    key,
                    version,
                    content_type=content_type,
                    attributes=Attributes(enabled, not_before, expires),
                    tags=tags,
                ),
                "secrets/set",
            )

        return self.change("SecretUpdate", "secrets/set", name, version, act)
