"""Operations on the applications of the built-in issuer."""

from typing import Any

from vaultcore.access.applications import Application, NewSecret
from vaultcore.management.operation import Operator, operation


class Applications(Operator):
    """Applications and their secrets."""

    @operation("app.create", "ApplicationPut")
    def app_create(self, *, name: str) -> dict[str, Any]:
        """Creates an application with a secret, which is shown only now."""
        return self._shown_once(self._engine.issuer.applications.create(name))

    @operation("app.list", "ApplicationList")
    def app_list(self) -> list[dict[str, Any]]:
        """Lists the applications."""
        return [self._application(found) for found in self._engine.issuer.applications.all()]

    @operation("app.set_groups", "ApplicationGroupsPut")
    def app_set_groups(self, *, name: str, groups: list[str]) -> dict[str, Any]:
        """Puts an application into these groups and no others, from its next request on."""
        return self._application(self._engine.issuer.applications.set_groups(name, groups))

    @operation("app.delete", "ApplicationDelete")
    def app_delete(self, *, name: str) -> dict[str, Any]:
        """Removes an application; its tokens are refused at once."""
        return self._application(self._engine.issuer.applications.delete(name))

    @operation("app.add_secret", "ApplicationSecretPut")
    def app_add_secret(self, *, name: str) -> dict[str, Any]:
        """Gives an application one more secret, which is shown only now."""
        return self._shown_once(self._engine.issuer.applications.add_secret(name))

    @operation("app.remove_secret", "ApplicationSecretDelete")
    def app_remove_secret(self, *, name: str, id: str) -> dict[str, Any]:  # noqa: A002
        """Removes a secret of an application; the tokens got with it are refused at once."""
        return self._application(self._engine.issuer.applications.remove_secret(name, id))

    def _application(self, found: Application) -> dict[str, Any]:
        return {
            "name": found.name,
            "client_id": found.client_id,
            "object_id": found.object_id,
            "tenant_id": self._engine.installation.tenant_id,
            "created": found.created,
            "groups": list(found.groups),
            "secrets": [
                {"id": s.id, "hint": s.hint, "created": s.created, "expires": s.expires}
                for s in found.secrets
            ],
        }

    def _shown_once(self, made: NewSecret) -> dict[str, Any]:
        return {
            "name": made.application.name,
            "client_id": made.application.client_id,
            "client_secret": made.client_secret,
            "object_id": made.application.object_id,
            "tenant_id": self._engine.installation.tenant_id,
            "secret_id": made.secret_id,
            "expires": made.expires,
        }
