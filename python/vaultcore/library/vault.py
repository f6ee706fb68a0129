"""A vault for callers in process: the same gate, rules and audit as over HTTPS."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vaultcore.engine.engine import Engine
    from vaultcore.objects.kinds import OpenVault

from vaultcore._core import API_VERSION, Principal
from vaultcore.audit.event import AUTHENTICATION, CLIENT, Event
from vaultcore.engine.caller import Caller
from vaultcore.errors import UsageError, VaultcoreError
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
            UnauthorizedError: the token is not valid; that is on record.
            UsageError: the caller or the address is of another type.
        """
        if not isinstance(address, str | None):
            raise UsageError(f"an address is text, and not {type(address).__name__}")
        if isinstance(caller, str):
            who = Caller(self._validate(caller, address), address, caller)
        elif isinstance(caller, Principal):
            who = Caller(caller, address)
        else:
            raise UsageError(
                f"a caller is a Principal or the text of a token, and not {type(caller).__name__}"
            )
        return ActingVault(self._engine, self._state, who)

    def _validate(self, token: str, address: str | None) -> Principal:
        try:
            return self._engine.validate(token)
        except VaultcoreError as refused:
            event = Event()
            event.vault = self._state.name
            event.operation = AUTHENTICATION
            event.api_version = API_VERSION
            event.address = address or ""
            event.client = CLIENT
            event.write(self._engine.audit.record, event.fail(refused).status)
            raise


class ActingVault:
    """A vault for one caller.

    Attributes:
        secrets: the secrets.
        keys: the keys.
    """

    def __init__(self, engine: "Engine", state: "OpenVault", caller: Caller) -> None:
        self.secrets = Secrets(engine, state, caller)
        self.keys = Keys(engine, state, caller)
