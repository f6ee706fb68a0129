"""One kind of object behind the gate: what secrets and keys share."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from vaultcore._core import object_name
from vaultcore.access import refusals as gate_refusals
from vaultcore.audit.record import Record
from vaultcore.engine import guarded
from vaultcore.errors import (
    BadParameterError,
    InternalError,
    ObjectNotFoundError,
    UsageError,
    VaultcoreError,
    VaultError,
)
from vaultcore.objects.attributes import (
    Page,
    Version,
)
from vaultcore.objects.lifecycle import Lifecycle, Work
from vaultcore.storage.witness import witnessed

if TYPE_CHECKING:
    from vaultcore.engine.caller import Caller
    from vaultcore.engine.engine import Engine
    from vaultcore.objects.vault import VaultState
    from vaultcore.storage.rows import VersionRow

from vaultcore.library.results import Properties

T = TypeVar("T")
#: The version of the contract that callers in process speak; audit records name it.
API_VERSION: Final = "2026-04-01"
PAGE_SIZE: Final = 25
#: Random bytes belong to nobody; who may read keys may have some.
RANDOM_PERMISSION: Final = "keys/get"
_CLIENT: Final = "vaultcore"


class Door:
    """One kind of object behind the gate."""

    kind = ""
    _noun = ""
    _rules: Lifecycle

    def __init__(self, engine: "Engine", state: "VaultState", caller: "Caller") -> None:
        self._engine = engine
        self._state = state
        self._caller = caller
        self._principal = caller.principal

    def _admit(self, permission: str) -> None:
        """Takes the caller through the gate (design: the way of a request, steps 3 to 5)."""
        engine, caller = self._engine, self._caller
        engine.synchronise()
        if self._state.removed:
            # Before the rest, which goes by the name: another vault may bear it by now.
            self._state.refuse()
        if caller.address is not None and not engine.gate.address_allowed(
            self._state.name, caller.address
        ):
            raise gate_refusals.by_firewall(self._state, caller.address)
        if caller.token is not None:
            engine.refresh(caller)
        if not engine.gate.permitted(self._state.name, caller.principal, permission):
            raise gate_refusals.by_policy(self._state, caller.principal, permission)

    def perform(
        self,
        operation: str,
        permission: str,
        name: str,
        version: str,
        act: Callable[[str, str], T],
        *,
        note: Callable[..., object] | None = None,
        **extra: str | int | bool,
    ) -> T:
        """Admits, acts and records; the record is written before the answer is returned.

        Args:
            operation: the audit's name for it.
            permission: what the caller needs for it.
            name: of the object, or the empty string.
            version: of the object, or the empty string.
            act: is given the name and its canonical spelling.
            note: writes the record; the log does, unless the operation changes something.
            extra: what the record says besides.

        Raises:
            AuditError: it cannot be recorded.
            VaultError: it was refused.
        """
        if note is None:
            audit = self._engine.audit
            note = audit.record
            if audit.refusing:
                audit.require()
        started = time.perf_counter()
        key = ""
        try:
            self._admit(permission)
            if name:
                try:
                    name, key = object_name(name)
                except UsageError as refused:
                    raise BadParameterError(str(refused)) from None
            answer = act(name, key)
        except ObjectNotFoundError as missing:
            refusal = missing.spelled(name)
            self._record(note, operation, refusal.status, refusal, started, name, version, extra)
            raise refusal from None
        except VaultError as refusal:
            self._record(note, operation, refusal.status, refusal, started, name, version, extra)
            raise
        except VaultcoreError as failure:
            self._record(note, operation, 500, failure, started, name, version, extra)
            raise
        except Exception as failure:
            wrapped = InternalError(f"{operation} failed: {type(failure).__name__}")
            self._record(note, operation, 500, wrapped, started, name, version, extra)
            raise
        self._record(note, operation, 200, None, started, name, version, extra)
        return answer

    def change(
        self,
        operation: str,
        permission: str,
        name: str,
        version: str,
        act: Callable[[str, str], T],
        **extra: str | int | bool,
    ) -> T:
        """Does what :meth:`perform` does, for what changes something: the record is committed too.

        Raises:
            AuditError: it cannot be recorded; nothing was changed.
            VaultError: it was refused.
        """
        changes = self._engine.audit.changes
        started = time.perf_counter()
        planned = self._record(Record.of, operation, 200, None, started, name, version, extra)
        change = changes.begin(planned)

        def note(**members: Any) -> None:
            changes.finish(change, **members)

        with witnessed(change):
            return self.perform(operation, permission, name, version, act, note=note, **extra)

    def _record(
        self,
        write: Callable[..., T],
        operation: str,
        status: int,
        failure: Exception | None,
        started: float,
        name: str,
        version: str,
        extra: Mapping[str, str | int | bool],
    ) -> T:
        """Has something written that takes the members of a record, by name."""
        state = self._state
        return write(
            vault=state.name,
            operation=operation,
            api_version=API_VERSION,
            status=status,
            result_description="" if failure is None else str(failure),
            duration_ms=(time.perf_counter() - started) * 1000.0,
            address=self._caller.address or "",
            correlation_id="",
            principal=self._principal,
            request_uri="",
            client_info=_CLIENT,
            object_id=self._id(name, version) if name else "",
            extra=dict(extra) or None,
        )

    def _id(self, name: str, version: str) -> str:
        base = f"{self._state.url}/{self.kind}/{name}"
        return f"{base}/{version}" if version else base

    def _properties(self, found: Version) -> Properties:
        return Properties(
            self._id(found.name, found.version),
            found.name,
            found.version,
            found.metadata,
            self._state.recovery_level,
            found.deleted_at,
            found.purge_at,
        )

    def write(self, work: Work[T], permission: str) -> T:
        """Has the store do a work, if the caller still has the permission when it does.

        Raises:
            ForbiddenError: the caller has the permission no longer.
            StorageError: the store cannot be written; UnavailableError if that may pass.
        """
        return guarded.write(
            self._engine.store, guarded.guarded(work, lambda: self._admit(permission))
        )

    def _change(self, work: Work[Version], permission: str) -> Properties:
        return self._properties(self.write(work, permission))

    def _pages(
        self, operation: str, permission: str, name: str, read: Callable[[str, str | None], Page]
    ) -> Iterator[Properties]:
        marker: str | None = None
        while True:
            after = marker
            page = self.perform(
                operation,
                permission,
                name,
                "",
                lambda _, key, after=after: read(key, after),  # type: ignore[misc]
            )
            yield from map(self._properties, page.items)
            marker = page.marker
            if marker is None:
                return

    def delete(self, name: str) -> Properties:
        """Deletes an object softly.

        Raises:
            ForbiddenError: the gate refuses.
            NotFoundError: there is no such object.
        """
        return self.change(
            self._noun + "Delete",
            self.kind + "/delete",
            name,
            "",
            lambda _, key: self._change(self._rules.delete(key), self.kind + "/delete"),
        )

    def list(self) -> Iterator[Properties]:
        """Lists the objects by name; each page is one access through the gate.

        Raises:
            ForbiddenError: the gate refuses.
        """
        return self._pages(
            self._noun + "List", self.kind + "/list", "", self._current(deleted=False)
        )

    def list_versions(self, name: str) -> Iterator[Properties]:
        """Lists the versions of an object, newest first.

        Raises:
            ForbiddenError: the gate refuses.
            NotFoundError: there is no such object.
        """
        return self._pages(self._noun + "ListVersions", self.kind + "/list", name, self._versions())

    def list_deleted(self) -> Iterator[Properties]:
        """Lists the deleted objects by name.

        Raises:
            ForbiddenError: the gate refuses.
        """
        return self._pages(
            self._noun + "ListDeleted", self.kind + "/list", "", self._current(deleted=True)
        )

    def get_deleted(self, name: str) -> Properties:
        """Returns a deleted object, without its value.

        Raises:
            ForbiddenError: the gate refuses.
            NotFoundError: there is no deleted object of that name.
        """

        def act(_: str, key: str) -> Properties:
            return self._properties(
                self._rules.describe(*self._rules.find_deleted(self._engine.store, key))
            )

        return self.perform(self._noun + "GetDeleted", self.kind + "/get", name, "", act)

    def recover(self, name: str) -> Properties:
        """Brings a deleted object back.

        Raises:
            ForbiddenError: the gate refuses.
            NotFoundError: there is no deleted object of that name.
        """
        return self.change(
            self._noun + "Recover",
            self.kind + "/recover",
            name,
            "",
            lambda _, key: self._change(self._rules.recover(key), self.kind + "/recover"),
        )

    def purge(self, name: str) -> None:
        """Removes a deleted object for good.

        Raises:
            ForbiddenError: the gate refuses, or the vault is protected against purging.
            NotFoundError: there is no deleted object of that name.
        """

        def act(_: str, key: str) -> None:
            purged = self.write(self._rules.purge(key), self.kind + "/purge")
            self._discard(purged, key)

        self.change(self._noun + "Purge", self.kind + "/purge", name, "", act)

    def backup(self, name: str) -> bytes:
        """Returns the object with all its versions, sealed for this vault only.

        Raises:
            ForbiddenError: the gate refuses.
            NotFoundError: there is no such object.
        """
        return self.perform(
            self._noun + "Backup",
            self.kind + "/backup",
            name,
            "",
            lambda _, key: self._rules.backup(key),
        )

    def restore(self, blob: bytes) -> Properties:
        """Restores a backup under its own name.

        Raises:
            BadParameterError: the blob was changed, or belongs to another vault.
            ConflictError: the name is taken.
            ForbiddenError: the gate refuses.
        """
        return self.change(
            self._noun + "Restore",
            self.kind + "/restore",
            "",
            "",
            lambda *_: self._change(self._rules.restore(blob, object_name), self.kind + "/restore"),
        )

    def _current(self, *, deleted: bool) -> Callable[[str, str | None], Page]:
        return lambda _, after: self._rules.list_current(
            deleted=deleted, after=after or "", limit=PAGE_SIZE
        )

    def _versions(self) -> Callable[[str, str | None], Page]:
        return lambda key, before: self._rules.list_versions(
            key, before=None if before is None else int(before), limit=PAGE_SIZE
        )

    def _discard(self, versions: "Sequence[VersionRow]", key: str) -> None:
        """Removes what purged versions left outside the store."""
