"""Operations on the protectors of the vault keys."""

import logging
from collections.abc import Mapping
from typing import Any, Final

from vaultcore.installation.protector_changes import add_protector, remove_protector
from vaultcore.management.operation import Operator, operation
from vaultcore.protectors.options import ProtectorOptions

#: Members that name files of this machine, and members that may.
_PLACES: Final = frozenset({"path", "module", "pin_file"})
_REASONS: Final = frozenset({"absent", "reason"})

logger = logging.getLogger("vaultcore.management")


class Protectors(Operator):
    """The protectors."""

    @operation("protector.list", "ProtectorList")
    def protector_list(self) -> list[dict[str, Any]]:
        """Lists the protectors of the vault keys."""
        return [
            self._told({"name": p.name, "kind": p.kind, **p.describe()})
            for p in self._engine.key_ring.protectors
        ]

    @operation("protector.add", "ProtectorPut", local=True)
    def protector_add(
        self, *, name: str, kind: str, options: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """Wraps every vault key with one more protector."""
        engine = self._engine
        wanted = ProtectorOptions(name=name, kind=kind, options=options or {})
        added = add_protector(engine.key_ring, engine.data, wanted)
        return {"name": added.name, "kind": added.kind, **added.describe()}

    @operation("protector.remove", "ProtectorDelete", local=True)
    def protector_remove(self, *, name: str) -> dict[str, Any]:
        """Removes a protector, if another one still opens every vault key."""
        remove_protector(self._engine.key_ring, self._engine.data, name)
        return {"name": name}

    @operation("protector.verify", "ProtectorVerify")
    def protector_verify(self) -> list[dict[str, Any]]:
        """Tries every protector: each must open every vault key by itself."""
        return [self._told(row) for row in self._engine.key_ring.verify()]

    def _told(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Returns what may be shown of a protector; over the network, nothing about this host."""
        if not self._remote:
            return dict(row)
        shown = {member: value for member, value in row.items() if member not in _PLACES}
        for member in _REASONS & shown.keys():
            logger.warning("protector %s: %s", row["name"], shown[member])
            shown[member] = "the service's log says why"
        return shown
