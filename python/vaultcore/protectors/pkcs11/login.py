"""Starts workers and logs in, and remembers the result. Service side."""

import threading
import time
from collections.abc import Mapping
from typing import Final

from vaultcore.errors import ProtectorError, ProtectorUnavailableError
from vaultcore.protectors.pkcs11.faults import HungError, exception_of
from vaultcore.protectors.pkcs11.messages import Failed, Open, Opened
from vaultcore.protectors.pkcs11.pin import Pin
from vaultcore.protectors.pkcs11.process import WorkerLostError, WorkerProcess, WorkerSlowError

#: Seconds for starting a worker and logging in.
START_DEADLINE: Final = 10.0
#: Seconds between two attempts to open a token that is unavailable.
PAUSE: Final = 0.5


class Login:
    """Logs in to one token, in as many workers as required, one at a time.

    So a wrong PIN is tried once, however many callers wait for the token. The label and the serial
    number of the token that is found first are required from then on. Safe to use from any number
    of threads.

    Args:
        module: the path of the PKCS#11 module.
        label: the label of the token, or nothing if the serial number is known.
        serial: its serial number, or None if it is not known yet.
        pin: the PIN.
        environment: variables that the module needs; only the workers get them.
        deadline: seconds for starting a worker and logging in.
        pause: seconds after a failure in which it is repeated to all callers.

    Attributes:
        module: the path of the PKCS#11 module.
        label: the label of the token.
        serial: its serial number; None until one is known.
        deadline: seconds for starting a worker and logging in.
        opened: the token's last description of itself; None before the first login.
    """

    def __init__(
        self,
        *,
        module: str,
        label: str,
        serial: str | None,
        pin: Pin,
        environment: Mapping[str, str],
        deadline: float,
        pause: float,
    ) -> None:
        self.module = module
        self.label = label
        self.serial = serial
        self.deadline = deadline
        self.opened: Opened | None = None
        self._pin = pin
        self._environment = dict(environment)
        self._pause = pause
        self._lock = threading.Lock()
        self._failure: ProtectorError | None = None
        self._next_try = 0.0

    @property
    def failed(self) -> bool:
        """Whether the last attempt failed."""
        return self._failure is not None

    def start(self) -> WorkerProcess:
        """Starts a worker and logs in.

        Raises:
            HungError: the token did not open in time.
            ProtectorUnavailableError: the token is unavailable, or was so less than a pause ago.
            ProtectorUnavailableError: the token is unavailable, or was so less than a pause ago.
        """
        with self._lock:
            if self._failure is not None and time.monotonic() < self._next_try:
                raise type(self._failure)(str(self._failure))
            try:
                worker = self._start()
            except ProtectorError as error:
                self._failure = error
                self._next_try = time.monotonic() + self._pause
                raise
            self._failure = None
            return worker

    def _start(self) -> WorkerProcess:
        pin = self._pin.read()
        request = Open(module=self.module, token_label=self.label, serial=self.serial, pin=pin)
        try:
            worker = WorkerProcess(self._environment)
        except OSError as error:
            raise ProtectorUnavailableError(
                f"the HSM worker cannot be started: {error.strerror}"
            ) from None
        try:
            reply = worker.exchange(request, time.monotonic() + self.deadline)
        except WorkerSlowError:
            raise HungError(
                f"the token `{self.label}` did not open within {self.deadline:g} s"
            ) from None
        except WorkerLostError:
            raise ProtectorUnavailableError(
                f"the worker of token `{self.label}` crashed while the module "
                f"`{self.module}` opened it"
            ) from None
        if isinstance(reply, Opened):
            self.opened = reply
            self.serial = reply.serial
            self.label = reply.label
            return worker
        worker.end()
        if not isinstance(reply, Failed):
            raise ProtectorError("the HSM worker answered out of turn")
        if reply.category == "pin":
            self._pin.refuse(pin, reply.text)
        raise exception_of(reply)
