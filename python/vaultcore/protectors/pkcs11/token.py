"""A token for the service: calls with a deadline, whatever happens to the token.

Service side: the token itself is reached through worker processes.
"""

import os
import queue
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from vaultcore.errors import (
    ConfigurationError,
    ForkError,
    ProtectorError,
    ProtectorUnavailableError,
    UsageError,
)
from vaultcore.protectors.pkcs11.faults import HungError, exception_of
from vaultcore.protectors.pkcs11.guard import Guard
from vaultcore.protectors.pkcs11.lane import Lane
from vaultcore.protectors.pkcs11.login import PAUSE, START_DEADLINE, Login
from vaultcore.protectors.pkcs11.messages import Failed, Opened, Reply, Request
from vaultcore.protectors.pkcs11.pin import Pin
from vaultcore.protectors.pkcs11.process import WorkerBehindError

#: Seconds for one call, including the wait for a worker, but not the opening of the token.
DEADLINE: Final = 5.0
#: The most workers of one token.
MAX_PROCESSES: Final = 64
#: Seconds to wait for a call beyond its deadline, so that a call that did not wait for a worker
#: notices that the worker misses the deadline.
_SLACK: Final = 0.01


class Token:
    """One token, reached through worker processes. Safe to use from any number of threads.

    Nothing is opened before the first call. If a worker crashes or loses its session, it is
    replaced, and the call is repeated once. While the token is unavailable, calls fail fast, and
    every `pause` at most one of them tries to open it again. If a worker hangs, it is ended, and
    calls fail fast until the token, opened in the background, has answered one of them.

    Args:
        module: the path of the PKCS#11 module.
        label: the label of the token; may be omitted if the serial number is given.
        serial: its serial number, or None to require the first one found.
        pin: the PIN, or None if `pin_file` is given.
        pin_file: a file of mode 0600 with the PIN, read at every login.
        environment: variables that the module needs; only the workers get them.
        processes: how many workers, and so how many calls at a time.
        deadline: seconds for one call, including the wait for a worker, but not the opening.
        start_deadline: seconds for starting a worker and logging in.
        pause: seconds between two attempts to open a token that is unavailable.

    Raises:
        ConfigurationError: there is not exactly one PIN, or neither label nor serial number.
        UsageError: a number is out of range.
    """

    def __init__(
        self,
        *,
        module: str | Path,
        label: str = "",
        serial: str | None = None,
        pin: str | None = None,
        pin_file: str | Path | None = None,
        environment: Mapping[str, str] | None = None,
        processes: int = 1,
        deadline: float = DEADLINE,
        start_deadline: float = START_DEADLINE,
        pause: float = PAUSE,
    ) -> None:
        if not 1 <= processes <= MAX_PROCESSES:
            raise UsageError(f"a token takes 1 to {MAX_PROCESSES} worker processes")
        if deadline <= 0 or start_deadline <= 0:
            raise UsageError("a deadline is a positive number of seconds")
        if not label and serial is None:
            raise ConfigurationError("give the label of the token, its serial number, or both")
        self._login = Login(
            module=str(module),
            label=label,
            serial=serial,
            pin=Pin(value=pin, file=pin_file),
            environment=environment or {},
            deadline=start_deadline,
            pause=pause,
        )
        self._deadline = deadline
        self._pid = os.getpid()
        self._closed = False
        self._guard = Guard(pause)
        self._lanes: queue.LifoQueue[Lane] = queue.LifoQueue()
        self._all_lanes = [Lane(self._login) for _ in range(processes)]
        for lane in self._all_lanes:
            self._lanes.put(lane)

    def __repr__(self) -> str:
        return f"Token(label={self.label!r}, serial={self.serial!r})"

    @property
    def module(self) -> str:
        """The path of the PKCS#11 module."""
        return self._login.module

    @property
    def label(self) -> str:
        """The label of the token; empty if only its serial number was given and it is not open."""
        return self._login.label

    @property
    def serial(self) -> str | None:
        """The serial number that the token must have; None until one is known."""
        return self._login.serial

    @property
    def deadline(self) -> float:
        """Seconds for one call."""
        return self._deadline

    @property
    def processes(self) -> int:
        """How many calls the token performs at a time."""
        return len(self._all_lanes)

    @property
    def available(self) -> bool:
        """Whether the token answered when it was last asked, or opened."""
        try:
            self._guard.check()
        except ProtectorUnavailableError:
            return False
        return not self._login.failed

    @property
    def workers(self) -> list[int]:
        """The process ids of the running workers."""
        return [pid for lane in self._all_lanes if (pid := lane.pid) is not None]

    def check(self) -> None:
        """Refuses what the token would not answer now, without a call.

        Raises:
            ProtectorUnavailableError: the token has missed a deadline and not answered since.
        """
        self._probe()
        self._guard.check()

    def open(self) -> Opened:
        """Opens the token, if it is not open, and returns its description of itself.

        Raises:
            ForkError: this is a child of the process that created the token.
            ProtectorError: the module, the token or the PIN is wrong.
            ProtectorUnavailableError: the token is unavailable, or did not answer in time.
        """
        self._require_usable()
        self.check()
        lane = self._take(time.monotonic() + self._login.deadline)
        try:
            lane.open()
        except HungError:
            self._miss()
            raise
        finally:
            self._lanes.put(lane)
        if self._login.opened is None:
            raise ProtectorUnavailableError(f"the token `{self.label}` is not open")
        return self._login.opened

    def call(self, request: Request, *, deadline: float | None = None) -> Reply:
        """Asks the token and returns its reply, which is never a failure.

        Args:
            request: the request; no request does harm if it is repeated.
            deadline: seconds, if not those of the token.

        Raises:
            AlgorithmError: the token does not offer this, or it does not fit the key.
            DecryptionError: a ciphertext is wrong.
            ForkError: this is a child of the process that created the token.
            ProtectorError: the module, the token, the PIN or the key is wrong.
            ProtectorUnavailableError: the token is unavailable, or did not answer in time.
        """
        self._require_usable()
        self._probe()
        trial = self._guard.enter()
        answered = False
        try:
            seconds = self._deadline if deadline is None else deadline
            reply = self._call(request, seconds, trial=trial)
            answered = True
        except HungError:
            self._miss()
            raise
        finally:
            if trial:
                self._guard.leave(answered=answered)
        if isinstance(reply, Failed):
            raise exception_of(reply)
        return reply

    def close(self) -> None:
        """Ends the workers, after the calls in progress, but at most the deadline."""
        already, self._closed = self._closed, True
        if already or os.getpid() != self._pid:
            return
        expires = time.monotonic() + self._deadline
        for _ in self._all_lanes:
            try:
                lane = self._lanes.get(timeout=max(expires - time.monotonic(), 0))
            except queue.Empty:
                break
            lane.close()

    def _require_usable(self) -> None:
        if os.getpid() != self._pid:
            raise ForkError("a token cannot be used in a forked process: open it again there")
        if self._closed:
            raise UsageError("the token is closed: open it again")

    def _take(self, expires: float) -> Lane:
        try:
            return self._lanes.get(timeout=max(expires - time.monotonic(), 0))
        except queue.Empty:
            raise ProtectorUnavailableError(
                f"the token `{self.label}` is busy: every worker was taken until the deadline"
            ) from None

    def _call(self, request: Request, seconds: float, *, trial: bool) -> Reply:
        asked = time.monotonic()
        lane = self._take(asked + seconds)
        try:
            if not trial:
                self._guard.check()  # calls that waited behind the hanging one are refused too
            reply = lane.ask(request, seconds, asked + seconds + _SLACK)
        except WorkerBehindError:
            self._leave(lane)
            raise ProtectorUnavailableError(
                f"the token `{self.label}` is busy: the worker did not answer by the deadline"
            ) from None
        except BaseException:
            self._lanes.put(lane)
            raise
        self._lanes.put(lane)
        return reply

    def _leave(self, lane: Lane) -> None:
        """Gives a worker whose caller has left the rest of its time, in the background."""
        try:
            threading.Thread(
                target=self._wait_out, args=(lane,), name="vaultcore-token-late", daemon=True
            ).start()
        except RuntimeError:  # no thread can be started now
            lane.end()
            self._lanes.put(lane)

    def _wait_out(self, lane: Lane) -> None:
        try:
            if not lane.finish():
                self._miss()
        finally:
            self._lanes.put(lane)

    def _miss(self) -> None:
        self._guard.miss()
        self._probe()

    def _probe(self) -> None:
        """Tries to open a token that hangs, in the background, when it is time."""
        if not self._guard.wants_probe():
            return
        try:
            threading.Thread(
                target=self._open_again, name="vaultcore-token-probe", daemon=True
            ).start()
        except RuntimeError:  # no thread can be started now
            self._guard.opened(hangs=True, usable=False)

    def _open_again(self) -> None:
        hangs, usable = True, False
        try:
            lane = self._take(time.monotonic() + self._login.deadline)
            try:
                hangs, usable = self._try_to_open(lane)
            finally:
                self._lanes.put(lane)
        except ProtectorUnavailableError:
            pass  # every worker is in use: nothing is known
        finally:
            self._guard.opened(hangs=hangs, usable=usable)

    def _try_to_open(self, lane: Lane) -> tuple[bool, bool]:
        """Returns whether the token hangs, and whether it is open."""
        try:
            lane.open()
        except HungError:
            return True, False
        except ProtectorError:
            return False, False
        if self._closed:
            lane.end()
        return False, True
