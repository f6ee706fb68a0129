"""What an administrator does: vaults, access, firewalls, applications, protectors, audit.

Every operation takes keyword arguments and returns plain lists and dictionaries, so that the
command line, the HTTPS door and a caller in process use the same ones. Each is on record.
"""

import contextlib
import re
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from vaultcore._core import Principal
from vaultcore.access.applications import Application, NewSecret
from vaultcore.access.policies import AccessPolicy
from vaultcore.audit.query import query_records
from vaultcore.audit.verifier import verify
from vaultcore.errors import (
    BadParameterError,
    ForbiddenError,
    NotFoundError,
    UsageError,
    VaultcoreError,
    VaultError,
)
from vaultcore.protectors.registry import ProtectorOptions, add_protector, remove_protector
from vaultcore.state import Firewall, VaultSettings, VaultState

if TYPE_CHECKING:
    from vaultcore.engine import Engine

_VAULT_NAME: Final = re.compile(r"[A-Za-z](?:-?[A-Za-z0-9]){2,23}")
_RESERVED: Final = frozenset({"login", "management", "localhost", "system"})
_GUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
#: A principal of a trusted issuer: the prefix of that issuer, and what its token says.
_FOREIGN: Final = re.compile(r"[!-9;-~]{1,64}:[!-~]{1,255}")
_ALL: Final = ("all", "purge")
API_VERSION: Final = "v1"


class Management:
    """The operations of an administrator.

    Args:
        engine: the engine.
        principal: who acts; whoever holds the folder by default.
        address: where the request came from; empty in process.
        client: what the client calls itself.
        remote: whether the request came over the network.
    """

    def __init__(
        self,
        engine: "Engine",
        principal: Principal | None = None,
        address: str = "",
        client: str = "vaultcore",
        *,
        remote: bool = False,
    ) -> None:
        self._engine = engine
        self._principal = principal or engine.administrator()
        self._address = address
        self._client = client
        self._remote = remote

    def perform(self, operation: str, arguments: dict[str, Any]) -> Any:
        """Performs an operation by name and records it.

        Args:
            operation: for example ``vault.create``.
            arguments: the keyword arguments.

        Raises:
            BadParameterError: there is no such operation, or the arguments do not fit it.
            ForbiddenError: the principal is not an administrator.
        """
        started = time.perf_counter()
        found = OPERATIONS.get(operation)
        failure: VaultcoreError | None = None
        status = 200
        try:
            if not self._engine.is_administrator(self._principal):
                raise ForbiddenError(
                    "the caller is not an administrator of this installation; add it with "
                    "`vaultcore access administrator`",
                    inner="AccessDenied",
                )
            if found is None:
                raise BadParameterError(f"there is no operation named `{operation[:64]}`")
            if found.local and self._remote:
                raise ForbiddenError(
                    f"{operation} chooses code and files of the server, and is done on the "
                    "server itself, with --data"
                )
            self._engine.synchronise()
            return found.call(self, arguments)
        except VaultError as refused:
            failure, status = refused, refused.status
            raise
        except (UsageError, msgspec.ValidationError) as refused:
            failure = BadParameterError(f"the arguments do not fit: {refused}")
            status = 400
            raise failure from None
        except VaultcoreError as refused:
            failure, status = refused, 500
            raise
        finally:
            self._engine.audit.record(
                vault=_addressed(operation, arguments),
                operation="ManagementOperation" if found is None else found.audited,
                api_version=API_VERSION,
                status=status,
                result_description="" if failure is None else str(failure),
                duration_ms=(time.perf_counter() - started) * 1000.0,
                address=self._address,
                correlation_id="",
                principal=self._principal,
                request_uri=f"/v1/{operation[:64]}",
                client_info=self._client,
                object_id="",
                extra=None,
            )

    # vaults

    def vault_create(
        self,
        *,
        name: str,
        retention_days: int = 90,
        purge_protection: bool = False,
        secret_expiry: str = "enforce",  # noqa: S107 - a mode, not a secret
        sku: str = "standard",
    ) -> dict[str, Any]:
        """Makes a vault with a key of its own; its creator may do everything in it."""
        if not _VAULT_NAME.fullmatch(name) or name.lower() in _RESERVED:
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
        self._engine.keys.create_vault(settings)
        return self.vault_show(name=name)

    def vault_list(self) -> list[dict[str, Any]]:
        """Lists the vaults by name."""
        return [self._show(state) for state in self._engine.states()]

    def vault_show(self, *, name: str) -> dict[str, Any]:
        """Shows a vault."""
        return self._show(self._engine.state(name))

    def vault_update(
        self,
        *,
        name: str,
        purge_protection: bool | None = None,
        secret_expiry: str | None = None,
        sku: str | None = None,
    ) -> dict[str, Any]:
        """Changes a vault; purge protection cannot be taken back."""

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

        return self._revise(name, revise)

    def vault_delete(self, *, name: str) -> dict[str, Any]:
        """Removes an empty vault, with its key, for good."""
        state = self._engine.state(name)
        shown = self._show(state)
        self._engine.keys.remove_vault(state.id, state.name.lower())
        return shown

    def vault_rotate_key(self, *, name: str) -> dict[str, Any]:
        """Gives the vault key a new generation; what is stored stays readable."""
        state = self._engine.state(name)
        generation = self._engine.keys.rotate(state.id, state.name.lower())
        return {"name": state.name, "generation": generation}

    # access

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
        """Grants a principal exactly these permissions; a kind that is None keeps its own."""
        object_id = self._object_id(principal)
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

        self._revise(vault, revise)
        policies = self._engine.state(vault).settings.policies
        found = next(
            p for p in policies if (p.object_id, p.application_id) == (object_id, application_id)
        )
        return msgspec.to_builtins(found)  # type: ignore[no-any-return]

    def access_remove(self, *, vault: str, principal: str) -> dict[str, Any]:
        """Takes every permission on a vault from a principal."""
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

    def access_list(self, *, vault: str) -> list[dict[str, Any]]:
        """Lists who may do what on a vault."""
        names = {a.object_id: a.name for a in self._engine.issuer.applications.all()}
        names[self._engine.installation.operator] = "local administrator"
        return [
            {**msgspec.to_builtins(policy), "name": names.get(policy.object_id, "")}
            for policy in self._engine.state(vault).settings.policies
        ]

    def access_administrator(self, *, principal: str, remove: bool = False) -> dict[str, Any]:
        """Lets a principal use the management plane over HTTPS, or no longer."""
        object_id = self._object_id(principal)
        engine = self._engine
        rest = tuple(a for a in engine.installation.administrators if a != object_id)
        after = rest if remove else (*rest, object_id)
        installation = msgspec.structs.replace(engine.installation, administrators=after)
        installation.save(engine.store, engine.keys.system)
        engine.synchronise()
        return {"objectId": object_id, "administrator": not remove}

    # firewall

    def firewall_set(self, *, vault: str, default_action: str) -> dict[str, Any]:
        """Sets what happens to addresses that no range holds: Allow or Deny."""
        action = default_action.capitalize()
        return self._firewall(
            vault, lambda wall: msgspec.structs.replace(wall, default_action=action)
        )

    def firewall_add(self, *, vault: str, address: str) -> dict[str, Any]:
        """Allows an address or a CIDR range."""

        def revise(wall: Firewall) -> Firewall:
            if address in wall.ranges:
                return wall
            if len(wall.ranges) >= 1000:  # noqa: PLR2004 - the contract's own number
                raise BadParameterError("a firewall holds at most 1000 ranges")
            return msgspec.structs.replace(wall, ranges=(*wall.ranges, address))

        return self._firewall(vault, revise)

    def firewall_remove(self, *, vault: str, address: str) -> dict[str, Any]:
        """Takes an address or range off the list."""

        def revise(wall: Firewall) -> Firewall:
            if address not in wall.ranges:
                raise NotFoundError(f"`{address[:64]}` is not on the firewall's list")
            return msgspec.structs.replace(
                wall, ranges=tuple(r for r in wall.ranges if r != address)
            )

        return self._firewall(vault, revise)

    def firewall_list(self, *, vault: str) -> dict[str, Any]:
        """Shows a vault's firewall."""
        return msgspec.to_builtins(self._engine.state(vault).settings.firewall)  # type: ignore[no-any-return]

    # applications

    def app_create(self, *, name: str) -> dict[str, Any]:
        """Makes an application with a secret, which is shown this once."""
        return self._shown_once(self._engine.issuer.applications.create(name))

    def app_list(self) -> list[dict[str, Any]]:
        """Lists the applications."""
        return [self._application(found) for found in self._engine.issuer.applications.all()]

    def app_delete(self, *, name: str) -> dict[str, Any]:
        """Removes an application; its tokens are refused at once."""
        return self._application(self._engine.issuer.applications.delete(name))

    def app_add_secret(self, *, name: str) -> dict[str, Any]:
        """Gives an application a further secret, which is shown this once."""
        return self._shown_once(self._engine.issuer.applications.add_secret(name))

    def app_remove_secret(self, *, name: str, id: str) -> dict[str, Any]:  # noqa: A002
        """Removes one secret of an application; the tokens got with it are refused at once."""
        return self._application(self._engine.issuer.applications.remove_secret(name, id))

    # audit

    def audit_query(
        self,
        *,
        vault: str | None = None,
        operation: str | None = None,
        principal: str | None = None,
        status: int | None = None,
        since: str | None = None,
        until: str | None = None,
        limit: int = 100,
    ) -> list[dict[str, Any]]:
        """Returns the newest records that fit, oldest first."""
        return list(
            query_records(
                self._engine.data / "audit",
                vault=vault,
                operation=operation,
                principal=principal,
                status=status,
                since=since,
                until=until,
                limit=limit,
            )
        )

    def audit_verify(self, *, expect: str | None = None) -> dict[str, Any]:
        """Verifies the audit log from its first record to its last."""
        self._engine.audit.checkpoint()
        anchor = None
        if expect is not None:
            sequence, _, head = expect.partition(":")
            if not sequence.isdigit() or not head:
                raise BadParameterError("expect is `SEQUENCE:HASH`, as an earlier verify printed")
            anchor = (int(sequence), head)
        report = verify(
            self._engine.data / "audit",
            public_key=self._engine.audit.public_key(),
            expect=anchor,
        )
        return msgspec.to_builtins(report)  # type: ignore[no-any-return]

    # protectors

    def protector_list(self) -> list[dict[str, Any]]:
        """Lists the protectors of the vault keys."""
        return [
            {"name": p.name, "kind": p.kind, **p.describe()} for p in self._engine.keys.protectors
        ]

    def protector_add(
        self, *, name: str, kind: str, options: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """Wraps every vault key with one more protector."""
        engine = self._engine
        wanted = ProtectorOptions(name=name, kind=kind, options=options or {})
        added = add_protector(engine.keys, engine.data, wanted)
        return {"name": added.name, "kind": added.kind, **added.describe()}

    def protector_remove(self, *, name: str) -> dict[str, Any]:
        """Removes a protector, if another still opens every vault key."""
        remove_protector(self._engine.keys, self._engine.data, name)
        return {"name": name}

    def protector_verify(self) -> list[dict[str, Any]]:
        """Rehearses every protector: each must open every vault key by itself."""
        return list(self._engine.keys.verify())

    # shared

    def _object_id(self, principal: str) -> str:
        with contextlib.suppress(NotFoundError):
            return self._engine.issuer.applications.find(principal).object_id
        if _GUID.fullmatch(principal):
            return principal.lower()
        if _FOREIGN.fullmatch(principal):
            return principal
        raise NotFoundError(
            f"`{principal[:64]}` is neither the name of an application nor an object id: a GUID, "
            "or `issuer:subject` for the principals of a trusted issuer"
        )

    def _application(self, found: Application) -> dict[str, Any]:
        return {
            "name": found.name,
            "client_id": found.client_id,
            "object_id": found.object_id,
            "tenant_id": self._engine.installation.tenant_id,
            "created": found.created,
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

    def _firewall(self, vault: str, revise: Callable[[Firewall], Firewall]) -> dict[str, Any]:
        def revised(settings: VaultSettings) -> VaultSettings:
            wall = revise(settings.firewall)
            self._engine.check_firewall(wall)
            return msgspec.structs.replace(settings, firewall=wall)

        self._revise(vault, revised)
        return self.firewall_list(vault=vault)

    def _revise(
        self, vault: str, revise: Callable[[VaultSettings], VaultSettings]
    ) -> dict[str, Any]:
        state = self._engine.state(vault)
        self._engine.keys.save_vault(state.id, state.name.lower(), revise)
        return self.vault_show(name=vault)

    def _show(self, state: VaultState) -> dict[str, Any]:
        settings = state.settings
        return {
            "name": settings.name,
            "id": state.id,
            "uri": f"{state.url}/",
            "tenantId": self._engine.installation.tenant_id,
            "created": settings.created,
            "softDeleteRetentionInDays": settings.retention_days,
            "enablePurgeProtection": settings.purge_protection,
            "secretExpiry": settings.secret_expiry,
            "sku": settings.sku,
            "networkAcls": {
                "defaultAction": settings.firewall.default_action,
                "ipRules": [{"value": value} for value in settings.firewall.ranges],
            },
            "keyGeneration": state.kek.generation,
        }


def _addressed(operation: str, arguments: dict[str, Any]) -> str:
    """Returns the vault that an operation is about, for its record."""
    name = arguments.get("name" if operation.startswith("vault.") else "vault")
    return name[:64] if isinstance(name, str) else ""


class _Operation:
    """An operation and how the audit log names it."""

    def __init__(self, method: Callable[..., Any], audited: str, *, local: bool = False) -> None:
        self._method = method
        self.audited = audited
        self.local = local
        self._parameters = {
            name: kind
            for name, kind in method.__annotations__.items()
            if name not in {"self", "return"}
        }
        self._required = set(self._parameters) - set(method.__kwdefaults__ or {})

    def call(self, management: Management, arguments: dict[str, Any]) -> Any:
        """Checks the arguments against the method's own types and calls it."""
        unknown = set(arguments) - set(self._parameters)
        missing = self._required - set(arguments)
        if unknown or missing:
            named = ", ".join(sorted(str(name)[:32] for name in unknown | missing))
            raise BadParameterError(f"{'unknown' if unknown else 'missing'} arguments: {named}")
        checked = {
            name: msgspec.convert(value, type=self._parameters[name])
            for name, value in arguments.items()
        }
        return self._method(management, **checked)


OPERATIONS: Final = {
    "vault.create": _Operation(Management.vault_create, "VaultPut"),
    "vault.list": _Operation(Management.vault_list, "VaultList"),
    "vault.show": _Operation(Management.vault_show, "VaultGet"),
    "vault.update": _Operation(Management.vault_update, "VaultPatch"),
    "vault.delete": _Operation(Management.vault_delete, "VaultDelete"),
    "vault.rotate_key": _Operation(Management.vault_rotate_key, "VaultKeyRotate"),
    "access.set": _Operation(Management.access_set, "VaultPatch"),
    "access.remove": _Operation(Management.access_remove, "VaultPatch"),
    "access.list": _Operation(Management.access_list, "VaultGet"),
    "access.administrator": _Operation(Management.access_administrator, "InstallationPatch"),
    "firewall.set": _Operation(Management.firewall_set, "VaultPatch"),
    "firewall.add": _Operation(Management.firewall_add, "VaultPatch"),
    "firewall.remove": _Operation(Management.firewall_remove, "VaultPatch"),
    "firewall.list": _Operation(Management.firewall_list, "VaultGet"),
    "app.create": _Operation(Management.app_create, "ApplicationPut"),
    "app.list": _Operation(Management.app_list, "ApplicationList"),
    "app.delete": _Operation(Management.app_delete, "ApplicationDelete"),
    "app.add_secret": _Operation(Management.app_add_secret, "ApplicationSecretPut"),
    "app.remove_secret": _Operation(Management.app_remove_secret, "ApplicationSecretDelete"),
    "audit.query": _Operation(Management.audit_query, "AuditQuery"),
    "audit.verify": _Operation(Management.audit_verify, "AuditVerify"),
    "protector.list": _Operation(Management.protector_list, "ProtectorList"),
    "protector.add": _Operation(Management.protector_add, "ProtectorPut", local=True),
    "protector.remove": _Operation(Management.protector_remove, "ProtectorDelete", local=True),
    "protector.verify": _Operation(Management.protector_verify, "ProtectorVerify"),
}
