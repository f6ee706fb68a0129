"""The place of one worker of a token: a lost worker is replaced. Service side."""

import time
from typing import Final

from vaultcore.errors import ProtectorUnavailableError
from vaultcore.protectors.pkcs11.faults import HungError
from vaultcore.protectors.pkcs11.login import Login
from vaultcore.protectors.pkcs11.messages import Failed, Reply, Request
from vaultcore.protectors.pkcs11.process import (
    WorkerBehindError,
    WorkerLostError,
    WorkerProcess,
    WorkerSlowError,
)

#: Categories of failure that may come from a session with a token that was removed or exchanged.
_DOUBTFUL: Final = ("unavailable", "changed", "key")


class Lane:
    """Holds one worker, or none. Only one thread at a time may use it.

    Args:
        login: starts the worker.
    """

    def __init__(self, login: Login) -> None:
        self._login = login
        self._worker: WorkerProcess | None = None
        self._hangs = 0.0

    @property
    def pid(self) -> int | None:
        """The process id of the worker; None if there is none."""
        worker = self._worker
        return None if worker is None else worker.pid

    def open(self) -> bool:
        """Starts a worker, unless one is running, and returns whether it did.

        Raises:
            HungError: the token did not open in time.
            ProtectorError: the module, the token or the PIN is wrong.
            ProtectorUnavailableError: the token is unavailable.
        """
        return self._running()[1]

    def ask(self, request: Request, seconds: float, expires: float) -> Reply:
        """Asks the worker, and a new one if the first is lost or cannot be trusted.

        Args:
            request: the request.
            seconds: how long a worker may take before it counts as hanging.
            expires: the reading of the monotonic clock at which the caller stops waiting; the time
                that a new worker takes to start is added.

        Raises:
            HungError: the worker, or the token when it was opened, did not answer in time.
            ProtectorError: the module, the token or the PIN is wrong.
            ProtectorUnavailableError: the token is unavailable, or its worker crashed twice.
            WorkerBehindError: `expires` has passed before the worker's time: call `finish`.
        """
        while True:
            started = time.monotonic()
            worker, fresh = self._running()
            now = time.monotonic()
            if fresh:
                expires += now - started
            try:
                reply = self._exchange(worker, request, now + seconds, expires)
            except WorkerLostError:
                if fresh:
                    raise ProtectorUnavailableError(
                        f"the worker of token `{self._login.label}` crashed: the next call starts "
                        "another"
                    ) from None
                continue
            if not (isinstance(reply, Failed) and reply.category in _DOUBTFUL):
                return reply
            # The session may be with a token that was removed or exchanged: modules then return any
            # error, also that the key does not exist. Only a new session is trusted.
            if not (fresh and reply.category == "key"):
                self.end()
            if fresh:
                return reply

    def finish(self) -> bool:
        """Waits for the reply that the last caller did not wait for.

        Returns:
            Whether the worker answered in time, or was lost; it is ended if it did not.
        """
        worker = self._worker
        try:
            if worker is not None:
                worker.finish(self._hangs)
        except WorkerSlowError:
            self._worker = None
            return False
        except WorkerLostError:
            self._worker = None
        return True

    def end(self) -> None:
        """Ends the worker at once."""
        if self._worker is not None:
            self._worker.end()
            self._worker = None

    def close(self) -> None:
        """Asks the worker to end."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    def _running(self) -> tuple[WorkerProcess, bool]:
        """Returns the worker, and whether it was started for this call."""
        if self._worker is not None:
            if self._worker.is_alive():
                return self._worker, False
            self.end()
        self._worker = self._login.start()
        return self._worker, True

    def _exchange(
        self, worker: WorkerProcess, request: Request, hangs: float, expires: float
    ) -> Reply:
        seconds = hangs - time.monotonic()
        try:
            return worker.exchange(request, hangs, expires)
        except WorkerBehindError:
            self._hangs = hangs
            raise
        except WorkerSlowError:
            self._worker = None
            raise HungError(
                f"the token `{self._login.label}` did not answer within {seconds:.3g} s"
            ) from None
        except BaseException:
            self._worker = None
            raise
