"""One kind of object behind the gate, for callers in process."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from vaultcore.library.results import Properties
from vaultcore.operations.action import NOTHING
from vaultcore.operations.call import Call
from vaultcore.operations.perform import perform
from vaultcore.operations.shared import ListPage, Restore

if TYPE_CHECKING:
    from vaultcore.engine.caller import Caller
    from vaultcore.engine.engine import Engine
    from vaultcore.objects.attributes import Page, Version
    from vaultcore.objects.kinds import OpenVault
    from vaultcore.objects.lifecycle import Lifecycle


class Objects:
    """The objects of one kind in a vault, for one caller.

    Args:
        engine: the engine.
        state: the vault.
        caller: the caller.
    """

    _kind: "ClassVar[type[Lifecycle[Any]]]"

    def __init__(self, engine: "Engine", state: "OpenVault", caller: "Caller") -> None:
        self._engine = engine
        self._state = state
        self._caller = caller

    def _perform(
        self, verb: str, name: str = "", version: str = "", arguments: msgspec.Struct = NOTHING
    ) -> Any:
        return perform(
            Call(self._engine, self._state, self._caller, verb, name, version), arguments
        )

    def _properties(self, found: "Version") -> Properties:
        state = self._state
        return Properties(
            f"{state.url}/{self._kind.kind}/{found.name}/{found.version}",
            found.name,
            found.version,
            found.metadata,
            state.recovery_level,
            found.deleted_at,
            found.purge_at,
        )

    def _pages(self, verb: str, name: str = "") -> Iterator[Properties]:
        marker: str | None = ""
        while marker is not None:
            page: Page = self._perform(verb, name, arguments=ListPage(marker))
            yield from map(self._properties, page.items)
            marker = page.marker

    def delete(self, name: str) -> Properties:
        """Deletes an object softly.

        Raises:
            ForbiddenError: the gate refuses.
            NotFoundError: there is no such object.
        """
        return self._properties(self._perform(self._kind.noun + "Delete", name))

    def list(self) -> Iterator[Properties]:
        """Lists the objects by name; each page is one access through the gate.

        Raises:
            ForbiddenError: the gate refuses.
        """
        return self._pages(self._kind.noun + "List")

    def list_versions(self, name: str) -> Iterator[Properties]:
        """Lists the versions of an object, newest first.

        Raises:
            ForbiddenError: the gate refuses.
            NotFoundError: there is no such object.
        """
        return self._pages(self._kind.noun + "ListVersions", name)

    def list_deleted(self) -> Iterator[Properties]:
        """Lists the deleted objects by name.

        Raises:
            ForbiddenError: the gate refuses.
        """
        return self._pages(self._kind.noun + "ListDeleted")

    def get_deleted(self, name: str) -> Properties:
        """Returns a deleted object, without its value.

        Raises:
            ForbiddenError: the gate refuses.
            NotFoundError: there is no deleted object of that name.
        """
        return self._properties(self._perform(self._kind.noun + "GetDeleted", name))

    def recover(self, name: str) -> Properties:
        """Recovers a deleted object.

        Raises:
            ForbiddenError: the gate refuses.
            NotFoundError: there is no deleted object of that name.
        """
        return self._properties(self._perform(self._kind.noun + "Recover", name))

    def purge(self, name: str) -> None:
        """Removes a deleted object permanently.

        Raises:
            ForbiddenError: the gate refuses, or the vault is protected against purging.
            NotFoundError: there is no deleted object of that name.
        """
        self._perform(self._kind.noun + "Purge", name)

    def backup(self, name: str) -> bytes:
        """Returns the object with all its versions, sealed for this vault only.

        Raises:
            ForbiddenError: the gate refuses.
            NotFoundError: there is no such object.
        """
        blob: bytes = self._perform(self._kind.noun + "Backup", name)
        return blob

    def restore(self, blob: bytes) -> Properties:
        """Restores a backup under its own name.

        Raises:
            BadParameterError: the blob was changed, or belongs to another vault.
            ConflictError: the name is taken.
            ForbiddenError: the gate refuses.
        """
        return self._properties(self._perform(self._kind.noun + "Restore", arguments=Restore(blob)))
