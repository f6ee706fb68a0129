"""An operation that a caller in this process requests."""

import time
from typing import TYPE_CHECKING

from vaultcore import _core
from vaultcore._core import API_VERSION
from vaultcore.access.refusals import by_gate
from vaultcore.audit.event import CLIENT
from vaultcore.errors import BadParameterError
from vaultcore.operations.request import Request

if TYPE_CHECKING:
    from vaultcore._core import Admission
    from vaultcore.engine.caller import Caller
    from vaultcore.engine.engine import Engine
    from vaultcore.objects.kinds import OpenVault


class Call(Request):
    """An operation, requested in process.

    Args:
        engine: the engine.
        state: the vault.
        caller: the caller.
        verb: the operation, by its name in the core and the audit log.
        name: the object's name, as the caller wrote it; the empty string for none.
        version: the object's version, as the caller wrote it; the empty string for the current one.
    """

    api_version = API_VERSION
    client = CLIENT

    def __init__(
        self,
        engine: "Engine",
        state: "OpenVault",
        caller: "Caller",
        verb: str,
        name: str = "",
        version: str = "",
    ) -> None:
        self.started = time.perf_counter()
        self.engine = engine
        self.state = state
        self.caller = caller
        self.operation = verb
        self.vault = state.name
        self.principal = caller.principal
        self.address = caller.address or ""
        # As the class has them: each call reads them, and finds its own three times as fast.
        self.object_id = self.reason = self.uri = self.correlation = ""
        self.extra = self.came_by = self.change = self.used = None
        self._name = name
        self._version = version
        self._epoch = -1

    def admit(self) -> None:
        """Checks the caller at the gate (design: the life of a request, steps 1 to 5).

        Raises:
            StorageError: the change feed cannot be read.
            VaultError: the gate refuses.
        """
        engine, caller, state = self.engine, self.caller, self.state
        engine.synchronise()
        if state.removed:
            # First, because the rest looks the vault up by name, which another may have by now.
            state.refuse()
        self._epoch = engine.access_epoch
        gate, address = engine.gate, caller.address
        if caller.token is not None and (
            address is None or gate.address_allowed(state.name, address)
        ):
            engine.refresh(caller)
        admission = self.ask_gate()
        asked = admission.operation
        if asked is not None:
            self.asked = asked
            path = asked.object_path
            if path:
                self.object_id = state.url + path
        if admission.outcome != _core.ADMITTED:
            raise by_gate(admission)

    def ask_gate(self) -> "Admission":
        """Asks the gate about the operation, by its verb and the names as the caller wrote them."""
        return self.engine.gate.authorize(
            self.state.name,
            self.operation,
            self.caller.principal,
            self._name,
            self._version,
            address=self.caller.address,
        )

    def check_types(self) -> None:
        """Checks that name and version are text.

        Raises:
            BadParameterError: one is not.
        """
        for what, text in (("name", self._name), ("version", self._version)):
            if not isinstance(text, str):
                raise BadParameterError(f"a {what} is text, and not {type(text).__name__}")

    def look_again(self) -> None:
        """Asks the gate again if its rules have changed; see :meth:`Request.look_again`."""
        engine = self.engine
        engine.synchronise()
        if engine.access_epoch != self._epoch:
            self.admit()
