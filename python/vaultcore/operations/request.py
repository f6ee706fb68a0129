"""One operation on its way: asked for, admitted, performed, recorded."""

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from vaultcore.audit.event import Event

if TYPE_CHECKING:
    from vaultcore._core import Operation
    from vaultcore.audit.change import Change
    from vaultcore.objects.kinds import OpenVault
    from vaultcore.objects.usable_key import UsableKey


class Request(Event):
    """An operation of the data plane that somebody asks for.

    Attributes:
        state: the vault.
        asked: what is asked for, once the gate has understood and admitted it.
        used: the key that was used, if any.
        change: what the operation changes; its record lies in the store until the log has it.
    """

    state: "OpenVault"
    asked: "Operation"
    used: "UsableKey | None" = None
    change: "Change | None" = None

    @property
    def rules(self) -> Any:
        """The rules of the kind that is asked for."""
        return self.state.rules[self.asked.kind]

    @abstractmethod
    def look_again(self) -> None:
        """Asks the gate again, if anything that it goes by has changed since it was asked.

        Called after each wait, on whatever thread goes on: permissions, the firewall, the token and
        the vault hold for the act, not for the moment when the request arrived. What is cached of
        objects is up to date after it.

        Raises:
            StorageError: the change feed cannot be read.
            VaultError: the request would not be admitted now.
        """
