"""A vault for callers in process: the same gate, rules and audit as over HTTPS."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vaultcore._core import Principal
    from vaultcore.engine.engine import Engine
    from vaultcore.objects.kinds import OpenVault

from vaultcore.engine.caller import Caller
from vaultcore.library.keys import Keys
from vaultcore.library.secrets import Secrets


class Vault:
    """A vault; :meth:`acting_as` gives access to its objects.

    Args:
        engine: the engine.
        state: the vault's state.
    """

    def __init__(self, engine: "Engine", state: "OpenVault") -> None:
        self._engine = engine
        self._state = state

    @property
    def name(self) -> str:
        """The vault's name."""
        return self._state.name

    def acting_as(self, caller: "Principal | str", *, address: str | None = None) -> "ActingVault":
        """Returns the vault for one caller.

        Args:
            caller: a principal that this process vouches for, or a token to be validated.
            address: where the caller came from, checked by the firewall; None for this process.

        Raises:
            UnauthorizedError: the token is not valid.
        """
        if isinstance(caller, str):
            who = Caller(self._engine.validate(caller), address, caller)
        else:
            who = Caller(caller, address)
        return ActingVault(self._engine, self._state, who)


class ActingVault:
    """A vault for one caller.

    Attributes:
        secrets: the secrets.
        keys: the keys.
    """

    def __init__(self, engine: "Engine", state: "OpenVault", caller: Caller) -> None:
        self.secrets = Secrets(engine, state, caller)
        self.keys = Keys(engine, state, caller)
