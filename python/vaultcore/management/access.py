"""Operations on access: who may do what in a vault, and who manages the installation."""

import contextlib
import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from vaultcore.access.policies import AccessPolicy
from vaultcore.access.trust import GROUP
from vaultcore.errors import BadParameterError, NotFoundError
from vaultcore.installation.settings import Installation
from vaultcore.installation.vault_settings import VaultSettings
from vaultcore.management.operation import operation
from vaultcore.management.vaults import Vaults

_GUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
#: A principal of a trusted issuer: the prefix of that issuer, and the subject in its token. Or a
#: group: `group:`, and its id or the prefix of its issuer and the group's name in the token.
_FOREIGN: Final = re.compile(r"[!-9;-~]{1,64}:[!-~]{1,255}")


class Access(Vaults):
    """Grants."""

    @operation("access.set", "VaultPatch")
    def access_set(
        self,
        *,
        vault: str,
        principal: str,
        application_id: str | None = None,
        secret_permissions: Sequence[str] | None = None,
        key_permissions: Sequence[str] | None = None,
        certificate_permissions: Sequence[str] | None = None,
    ) -> dict[str, Any]:
        """Grants a principal exactly these permissions; a kind that is None does not change."""
        object_id = self._object_id(principal)
        if application_id is not None and _GUID.fullmatch(application_id):
            application_id = application_id.lower()  # otherwise it would be granted twice
        wanted = {
            "secrets": secret_permissions,
            "keys": key_permissions,
            "certificates": certificate_permissions,
        }
        changes = {kind: tuple(names) for kind, names in wanted.items() if names is not None}
        nothing = AccessPolicy(object_id=object_id, application_id=application_id)

        def revise(settings: VaultSettings) -> VaultSettings:
            place = (object_id, application_id)
            held = {(p.object_id, p.application_id): p for p in settings.policies}
            held[place] = msgspec.structs.replace(held.get(place, nothing), **changes)
            held[place].check()
            return msgspec.structs.replace(settings, policies=tuple(held.values()))

        # The settings as this change stored them: another change may have followed.
        policies = self._revise(vault, revise).policies
        found = next(
            p for p in policies if (p.object_id, p.application_id) == (object_id, application_id)
        )
        return msgspec.to_builtins(found)  # type: ignore[no-any-return]

    @operation("access.remove", "VaultPatch")
    def access_remove(self, *, vault: str, principal: str) -> dict[str, Any]:
        """Removes every permission that a principal has on a vault."""
        object_id = self._object_id(principal)

        def revise(settings: VaultSettings) -> VaultSettings:
            rest = tuple(p for p in settings.policies if p.object_id != object_id)
            if len(rest) == len(settings.policies):
                raise NotFoundError(
                    f"`{principal[:64]}` has no access policy on vault {settings.name}"
                )
            return msgspec.structs.replace(settings, policies=rest)

        self._revise(vault, revise)
        return {"vault": vault, "objectId": object_id}

    @operation("access.list", "VaultGet")
    def access_list(self, *, vault: str) -> list[dict[str, Any]]:
        """Lists who may do what on a vault."""
        names = {a.object_id: a.name for a in self._engine.issuer.applications.all()}
        names[self._engine.installation.operator] = "local administrator"
        return [
            {**msgspec.to_builtins(policy), "name": names.get(policy.object_id, "")}
            for policy in self._engine.state(vault).settings.policies
        ]

    @operation("access.administrator", "InstallationPatch")
    def access_administrator(self, *, principal: str, remove: bool = False) -> dict[str, Any]:
        """Allows a principal to use the management plane over HTTPS, or revokes that."""
        object_id = self._object_id(principal)
        if object_id.startswith(GROUP) and not remove:
            raise BadParameterError("administrators are named one by one; a group cannot be one")

        def revise(installation: Installation) -> Installation:
            rest = tuple(a for a in installation.administrators if a != object_id)
            after = rest if remove else (*rest, object_id)
            return msgspec.structs.replace(installation, administrators=after)

        engine = self._engine
        Installation.revise(engine.store, engine.key_ring.system, revise)
        engine.synchronise()
        return {"objectId": object_id, "administrator": not remove}

    def _object_id(self, principal: str) -> str:
        foreign = _FOREIGN.fullmatch(principal)
        with contextlib.suppress(NotFoundError):
            found = self._engine.issuer.applications.find(principal)
            if foreign:
                # Names with a colon were allowed once, so it is unknown which of the two is meant.
                raise BadParameterError(
                    f"`{principal[:64]}` is the name of an application and could be a principal of "
                    f"a trusted issuer: name the application by its object id, {found.object_id}"
                )
            return found.object_id
        if _GUID.fullmatch(principal):
            return principal.lower()
        if foreign:
            group = principal.removeprefix(GROUP)
            return GROUP + group.lower() if _GUID.fullmatch(group) else principal
        raise NotFoundError(
            f"`{principal[:64]}` is neither the name of an application nor an object id: a GUID, "
            "or `issuer:subject` for the principals of a trusted issuer; a group is `group:` and "
            "its id"
        )
