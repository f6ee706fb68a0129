"""Operations on vaults: create, show, change and remove them, and rotate their keys."""

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from vaultcore.access.policies import AccessPolicy
from vaultcore.errors import BadParameterError
from vaultcore.installation.hosts import ISSUER, MANAGEMENT
from vaultcore.installation.settings import SYSTEM
from vaultcore.installation.vault_settings import DEFAULT_RETENTION, VaultSettings
from vaultcore.management.operation import Operator, operation
from vaultcore.objects.kinds import OpenVault

_NAME: Final = re.compile(r"[A-Za-z](?:-?[A-Za-z0-9]){2,23}")
_RESERVED: Final = frozenset({ISSUER, MANAGEMENT, "localhost", SYSTEM})
_ALL: Final = ("all", "purge")


class Vaults(Operator):
    """The vaults of an installation."""

    @operation("vault.create", "VaultPut")
    def vault_create(
        self,
        *,
        name: str,
        retention_days: int = DEFAULT_RETENTION,
        purge_protection: bool = False,
        secret_expiry: str = "enforce",  # noqa: S107 - a mode, not a secret
        sku: str = "standard",
    ) -> dict[str, Any]:
        """Creates a vault with a key of its own; its creator may do everything in it."""
        if not _NAME.fullmatch(name) or name.lower() in _RESERVED:
            raise BadParameterError(
                "the name of a vault is 3 to 24 letters, digits and single hyphens, and begins "
                "with a letter",
                code="VaultNameNotValid",
            )
        owners = {self._principal.object_id, self._engine.installation.operator}
        settings = VaultSettings(
            name=name,
            created=int(self._engine.clock.now()),
            retention_days=retention_days,
            purge_protection=purge_protection,
            secret_expiry=secret_expiry,
            sku=sku,
            policies=tuple(
                AccessPolicy(object_id=owner, keys=_ALL, secrets=_ALL, certificates=_ALL)
                for owner in sorted(owners)
            ),
        )
        settings.check()
        vault_id = self._engine.key_ring.create_vault(settings)
        # The settings as they were stored: another change may have followed.
        return self._shown(vault_id, settings, 1)

    @operation("vault.list", "VaultList")
    def vault_list(self) -> list[dict[str, Any]]:
        """Lists the vaults by name."""
        return [self._show(state) for state in self._engine.states()]

    @operation("vault.show", "VaultGet")
    def vault_show(self, *, name: str) -> dict[str, Any]:
        """Shows a vault."""
        return self._show(self._engine.state(name))

    @operation("vault.update", "VaultPatch")
    def vault_update(
        self,
        *,
        name: str,
        purge_protection: bool | None = None,
        secret_expiry: str | None = None,
        sku: str | None = None,
    ) -> dict[str, Any]:
        """Changes a vault; purge protection cannot be switched off again."""

        def revise(settings: VaultSettings) -> VaultSettings:
            if purge_protection is False and settings.purge_protection:
                raise BadParameterError("purge protection cannot be switched off again")
            changes = {
                "purge_protection": purge_protection,
                "secret_expiry": secret_expiry,
                "sku": sku,
            }
            wanted = {key: value for key, value in changes.items() if value is not None}
            return msgspec.structs.replace(settings, **wanted)

        state = self._engine.state(name)
        return self._shown(state.id, self._revise(name, revise), state.kek.generation)

    @operation("vault.delete", "VaultDelete")
    def vault_delete(self, *, name: str) -> dict[str, Any]:
        """Removes an empty vault, with its key, permanently."""
        state = self._engine.state(name)
        shown = self._show(state)
        self._engine.key_ring.remove_vault(state.id, state.name.lower())
        return shown

    @operation("vault.rotate_key", "VaultKeyRotate")
    def vault_rotate_key(self, *, name: str) -> dict[str, Any]:
        """Gives the vault key a new generation; what is stored remains readable."""
        state = self._engine.state(name)
        generation = self._engine.key_ring.rotate(state.id, state.name.lower())
        return {"name": state.name, "generation": generation}

    def _revise(
        self, vault: str, revise: Callable[[VaultSettings], VaultSettings]
    ) -> VaultSettings:
        """Changes a vault's settings in one transaction, and returns the new ones."""
        state = self._engine.state(vault)
        return self._engine.key_ring.save_vault(state.id, state.name.lower(), revise)

    def _show(self, state: OpenVault) -> dict[str, Any]:
        return self._shown(state.id, state.settings, state.kek.generation)

    def _shown(self, vault_id: str, settings: VaultSettings, generation: int) -> dict[str, Any]:
        installation = self._engine.installation
        return {
            "name": settings.name,
            "id": vault_id,
            "uri": f"{installation.vault_url(settings.name)}/",
            "tenantId": installation.tenant_id,
            "created": settings.created,
            "softDeleteRetentionInDays": settings.retention_days,
            "enablePurgeProtection": settings.purge_protection,
            "secretExpiry": settings.secret_expiry,
            "sku": settings.sku,
            "networkAcls": {
                "defaultAction": settings.firewall.default_action,
                "ipRules": [{"value": value} for value in settings.firewall.ranges],
            },
            "keyGeneration": generation,
        }
