"""Operations on the protectors of the vault keys."""

from typing import Any

from vaultcore.management.operation import Operator, operation
from vaultcore.protectors.changes import add_protector, remove_protector
from vaultcore.protectors.registry import ProtectorOptions


class Protectors(Operator):
    """The protectors."""

    @operation("protector.list", "ProtectorList")
    def protector_list(self) -> list[dict[str, Any]]:
        """Lists the protectors of the vault keys."""
        return [
            {"name": p.name, "kind": p.kind, **p.describe()} for p in self._engine.keys.protectors
        ]

    @operation("protector.add", "ProtectorPut", local=True)
    def protector_add(
        self, *, name: str, kind: str, options: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """Wraps every vault key with one more protector."""
        engine = self._engine
        wanted = ProtectorOptions(name=name, kind=kind, options=options or {})
        added = add_protector(engine.keys, engine.data, wanted)
        return {"name": added.name, "kind": added.kind, **added.describe()}

    @operation("protector.remove", "ProtectorDelete", local=True)
    def protector_remove(self, *, name: str) -> dict[str, Any]:
        """Removes a protector, if another still opens every vault key."""
        remove_protector(self._engine.keys, self._engine.data, name)
        return {"name": name}

    @operation("protector.verify", "ProtectorVerify")
    def protector_verify(self) -> list[dict[str, Any]]:
        """Rehearses every protector: each must open every vault key by itself."""
        return list(self._engine.keys.verify())
