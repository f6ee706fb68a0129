"""One operation in progress: requested, admitted, performed, recorded."""

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from vaultcore.audit.event import Event

if TYPE_CHECKING:
    from vaultcore._core import Operation
    from vaultcore.audit.change import Change
    from vaultcore.objects.kinds import OpenVault
    from vaultcore.objects.usable_key import UsableKey


class Request(Event):
    """A requested operation of the data plane.

    Attributes:
        state: the vault.
        asked: the parsed operation, once the gate has admitted it.
        used: the key that was used, if any.
        change: the change of the operation; its record is in the store until the log has it.
        planned: the status of the answer if nothing fails.
        recorded: whether the record is written elsewhere, or the request is not recorded.
    """

    state: "OpenVault"
    asked: "Operation"
    used: "UsableKey | None" = None
    change: "Change | None" = None
    planned = 200
    recorded = False

    def settled(self, failed: int) -> int:
        """Returns the status of a request that failed: a change that was committed has happened.

        Args:
            failed: the status if nothing was committed.
        """
        committed = self.change is not None and self.change.revision is not None
        return self.planned if committed else failed

    @property
    def rules(self) -> Any:
        """The rules of the object's kind."""
        return self.state.rules[self.asked.kind]

    @abstractmethod
    def look_again(self) -> None:
        """Asks the gate again, if anything that it depends on has changed since it was asked.

        Called after each wait, on whatever thread continues: permissions, the firewall, the token
        and the vault must allow the operation when it happens, not only when the request arrived.
        A token that has merely expired meanwhile counts as valid. Afterwards, the cache of objects
        is up to date.

        Raises:
            StorageError: the change feed cannot be read.
            VaultError: the request would no longer be admitted.
        """
