"""A PKCS#11 token as the service sees it: calls with a deadline, whatever becomes of the token."""

import os
import queue
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from vaultcore.errors import (
    AlgorithmError,
    ConfigurationError,
    DecryptionError,
    ForkError,
    KeyFormatError,
    ProtectorError,
    ProtectorUnavailableError,
    UsageError,
)
from vaultcore.protectors.pkcs11.guard import Guard
from vaultcore.protectors.pkcs11.messages import Failed, Open, Opened, Reply, Request
from vaultcore.protectors.pkcs11.pin import Pin
from vaultcore.protectors.pkcs11.process import (
    WorkerBehindError,
    WorkerLostError,
    WorkerProcess,
    WorkerSlowError,
)


class Token:
    """One token, reached through worker processes. Safe to use from any number of threads.

    Nothing is opened before the first call. When a worker crashes or loses its session, it is
    replaced, and the call is repeated once. While the token is absent, calls fail fast, and every
    `pause` at most one of them tries to open it again. When a worker hangs, it is ended, and calls
    fail fast until the token, opened in the background, has answered one of them.

    Args:
        module: the path of the PKCS#11 module.
        label: the label of the token; may be left out if the serial number is given.
        serial: its serial number, or None to hold to the one that is found first.
        pin: the PIN, or None if `pin_file` is given.
        pin_file: a file of mode 0600 that holds the PIN, read at every login.
        environment: variables that the module needs; only the workers get them.
        processes: how many workers, and so how many calls at a time.
        deadline: seconds for one call, waiting for a worker included, opening the token not.
        start_deadline: seconds for starting a worker and logging in.
        pause: seconds between two tries to open a token that is away.

    Raises:
        ConfigurationError: there is not exactly one PIN, or nothing tells which token is meant.
        UsageError: a number makes no sense.
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
        deadline: float = 5.0,
        start_deadline: float = 10.0,
        pause: float = 0.5,
    ) -> None:
        if not 1 <= processes <= _MAX_PROCESSES:
            raise UsageError(f"a token takes 1 to {_MAX_PROCESSES} worker processes")
        if deadline <= 0 or start_deadline <= 0:
            raise UsageError("a deadline is a positive number of seconds")
        if not label and serial is None:
            raise ConfigurationError("give the label of the token, its serial number, or both")
        self.module = str(module)
        self.label = label
        self._pin = Pin(value=pin, file=pin_file)
        self._environment = dict(environment or {})
        self._deadline = deadline
        self._start_deadline = start_deadline
        self._pause = pause
        self._pid = os.getpid()
        self._closed = False
        self._serial = serial
        self._opened: Opened | None = None
        self._failure: ProtectorError | None = None
        self._next_try = 0.0
        self._guard = Guard(pause)
        self._opening = threading.Lock()
        self._lanes: queue.LifoQueue[_Lane] = queue.LifoQueue()
        self._all_lanes = [_Lane() for _ in range(processes)]
        for lane in self._all_lanes:
            self._lanes.put(lane)

    def __repr__(self) -> str:
        return f"Token(label={self.label!r}, serial={self._serial!r})"

    @property
    def serial(self) -> str | None:
        """The serial number that the token must have; None until one is known."""
        return self._serial

    @property
    def deadline(self) -> float:
        """Seconds for one call."""
        return self._deadline

    @property
    def processes(self) -> int:
        """How many calls the token carries out at a time."""
        return len(self._all_lanes)

    @property
    def available(self) -> bool:
        """Whether the token answered when it was last asked, or opened."""
        try:
            self._guard.check()
        except ProtectorUnavailableError:
            return False
        return self._failure is None

    @property
    def workers(self) -> list[int]:
        """The process ids of the workers that run."""
        return [lane.worker.pid for lane in self._all_lanes if lane.worker is not None]

    def check(self) -> None:
        """Refuses what the token would not answer now; a call need not be made to learn that.

        Raises:
            ProtectorUnavailableError: the token has missed a deadline and not answered since.
        """
        self._probe()
        self._guard.check()

    def open(self) -> Opened:
        """Opens the token, if it is not open, and returns what it says of itself.

        Raises:
            ForkError: this is a child of the process that the token was made in.
            ProtectorError: the module, the token or the PIN is wrong.
            ProtectorUnavailableError: the token is away, or did not answer in time.
        """
        self._require_usable()
        self.check()
        lane = self._take(time.monotonic() + self._start_deadline)
        try:
            self._worker(lane)
        except _HungError:
            self._miss()
            raise
        finally:
            self._lanes.put(lane)
        if self._opened is None:
            raise ProtectorUnavailableError(f"the token `{self.label}` is not open")
        return self._opened

    def call(self, request: Request, *, deadline: float | None = None) -> Reply:
        """Asks the token and returns its reply, which is never a failure.

        Args:
            request: what is asked; no request does harm when it is repeated.
            deadline: seconds, if not those of the token.

        Raises:
            AlgorithmError: the token does not offer this, or it does not fit the key.
            DecryptionError: a ciphertext is wrong.
            ForkError: this is a child of the process that the token was made in.
            ProtectorError: the module, the token, the PIN or the key is wrong.
            ProtectorUnavailableError: the token is away, or did not answer in time.
        """
        self._require_usable()
        self._probe()
        trial = self._guard.enter()
        answered = False
        try:
            seconds = self._deadline if deadline is None else deadline
            reply = self._call(request, seconds, trial=trial)
            answered = True
        except _HungError:
            self._miss()
            raise
        finally:
            if trial:
                self._guard.leave(answered=answered)
        if isinstance(reply, Failed):
            raise _error(reply)
        return reply

    def close(self) -> None:
        """Ends the workers. Calls in progress are waited for, up to the deadline."""
        already, self._closed = self._closed, True
        if already or os.getpid() != self._pid:
            return
        expires = time.monotonic() + self._deadline
        for _ in self._all_lanes:
            try:
                lane = self._lanes.get(timeout=max(expires - time.monotonic(), 0))
            except queue.Empty:
                break
            if lane.worker is not None:
                lane.worker.close()
                lane.worker = None

    def _require_usable(self) -> None:
        if os.getpid() != self._pid:
            raise ForkError("a token cannot be used in a forked process: open it again there")
        if self._closed:
            raise UsageError("the token is closed: open it again")

    def _take(self, expires: float) -> "_Lane":
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
                self._guard.check()  # those who waited behind what hung are refused with it
            reply = self._ask(lane, request, seconds, asked + seconds + _SLACK)
        except BaseException:
            self._lanes.put(lane)
            raise
        if reply is None:
            raise ProtectorUnavailableError(
                f"the token `{self.label}` is busy: the worker did not answer by the deadline"
            )
        self._lanes.put(lane)
        return reply

    def _ask(self, lane: "_Lane", request: Request, seconds: float, expires: float) -> Reply | None:
        """Asks the worker of a lane, and a fresh one if that is lost or not to be believed.

        Returns:
            Its reply, or None when the caller's time was over before the worker's: then a thread
            has the lane, and gives it back.
        """
        while True:
            started = time.monotonic()
            worker, fresh = self._worker(lane)
            now = time.monotonic()
            if fresh:
                expires += now - started
            try:
                reply = self._exchange(lane, worker, request, now + seconds, expires)
            except WorkerBehindError:
                self._leave(lane, worker, now + seconds)
                return None
            except WorkerLostError:
                if fresh:
                    raise ProtectorUnavailableError(
                        f"the worker of token `{self.label}` crashed: the next call starts another"
                    ) from None
                continue
            if not _is_doubtful(reply):
                return reply
            # The session may be one with a token that is gone or was exchanged: modules then say
            # anything, also that there is no such key. Only a fresh session is believed.
            if not (fresh and _is_about_a_key(reply)):
                self._end(lane)
            if fresh:
                return reply

    def _exchange(
        self, lane: "_Lane", worker: WorkerProcess, request: Request, hangs: float, expires: float
    ) -> Reply:
        seconds = hangs - time.monotonic()
        try:
            return worker.exchange(request, hangs, expires)
        except WorkerBehindError:
            raise
        except WorkerSlowError:
            lane.worker = None
            raise _HungError(
                f"the token `{self.label}` did not answer within {seconds:.3g} s"
            ) from None
        except BaseException:
            lane.worker = None
            raise

    def _leave(self, lane: "_Lane", worker: WorkerProcess, hangs: float) -> None:
        """Gives a worker whose caller has left the rest of its time, in the background."""
        threading.Thread(
            target=self._wait_out, args=(lane, worker, hangs), name="vaultcore-token-late",
            daemon=True,
        ).start()  # fmt: skip

    @staticmethod
    def _end(lane: "_Lane") -> None:
        if lane.worker is not None:
            lane.worker.end()
            lane.worker = None

    def _wait_out(self, lane: "_Lane", worker: WorkerProcess, hangs: float) -> None:
        try:
            worker.finish(hangs)
        except WorkerSlowError:
            lane.worker = None
            self._miss()
        except WorkerLostError:
            lane.worker = None
        finally:
            self._lanes.put(lane)

    def _miss(self) -> None:
        self._guard.miss()
        self._probe()

    def _probe(self) -> None:
        """Tries to open a token that hangs, in the background, when that is due."""
        if not self._guard.wants_probe():
            return
        try:
            threading.Thread(
                target=self._open_again, name="vaultcore-token-probe", daemon=True
            ).start()
        except RuntimeError:  # no thread to be had now
            self._guard.opened(hangs=True, usable=False)

    def _open_again(self) -> None:
        hangs, usable = True, False
        try:
            lane = self._take(time.monotonic() + self._start_deadline)
            try:
                hangs, usable = self._try_to_open(lane)
            finally:
                self._lanes.put(lane)
        except ProtectorUnavailableError:
            pass  # every worker is taken: nothing is known
        finally:
            self._guard.opened(hangs=hangs, usable=usable)

    def _try_to_open(self, lane: "_Lane") -> tuple[bool, bool]:
        """Returns whether the token hangs, and whether it is open."""
        try:
            self._worker(lane)
        except _HungError:
            return True, False
        except ProtectorError:
            return False, False
        if self._closed:
            self._end(lane)
        return False, True

    def _worker(self, lane: "_Lane") -> tuple[WorkerProcess, bool]:
        """Returns the worker of a lane, and whether it was started for this call."""
        if lane.worker is not None:
            if lane.worker.is_alive():
                return lane.worker, False
            lane.worker.end()
            lane.worker = None
        lane.worker = self._start()
        return lane.worker, True

    def _start(self) -> WorkerProcess:
        """Starts a worker and logs in; one at a time, so that a wrong PIN is tried once."""
        with self._opening:
            if self._failure is not None and time.monotonic() < self._next_try:
                raise type(self._failure)(str(self._failure))
            try:
                worker = self._log_in()
            except ProtectorError as error:
                self._failure = error
                self._next_try = time.monotonic() + self._pause
                raise
            self._failure = None
            return worker

    def _log_in(self) -> WorkerProcess:
        pin = self._pin.read()
        request = Open(module=self.module, token_label=self.label, serial=self._serial, pin=pin)
        try:
            worker = WorkerProcess(self._environment)
        except OSError as error:
            raise ProtectorUnavailableError(
                f"the HSM worker cannot be started: {error.strerror}"
            ) from None
        try:
            reply = worker.exchange(request, time.monotonic() + self._start_deadline)
        except WorkerSlowError:
            raise _HungError(
                f"the token `{self.label}` did not open within {self._start_deadline:g} s"
            ) from None
        except WorkerLostError:
            raise ProtectorUnavailableError(
                f"the worker of token `{self.label}` crashed while the module "
                f"`{self.module}` opened it"
            ) from None
        if isinstance(reply, Opened):
            self._opened = reply
            self._serial = reply.serial
            self.label = reply.label
            return worker
        worker.end()
        if not isinstance(reply, Failed):
            raise ProtectorError("the HSM worker answered out of turn")
        if reply.category == "pin":
            self._pin.refuse(pin, reply.text)
        raise _error(reply)


def _is_doubtful(reply: Reply) -> bool:
    return isinstance(reply, Failed) and reply.category in _DOUBTFUL


def _is_about_a_key(reply: Reply) -> bool:
    return isinstance(reply, Failed) and reply.category == "key"


class _HungError(ProtectorUnavailableError):
    """The token missed a deadline."""


class _Lane:
    """The place of one worker in the pool; the thread that took it owns the worker."""

    def __init__(self) -> None:
        self.worker: WorkerProcess | None = None


def _error(failed: Failed) -> Exception:
    match failed.category:
        case "algorithm":
            return AlgorithmError(failed.text)
        case "away":
            return ProtectorUnavailableError(failed.text)
        case "decryption":
            return DecryptionError(failed.text)
        case "format":
            return KeyFormatError(failed.text)
        case _:
            return ProtectorError(failed.text)


_DOUBTFUL = ("away", "changed", "key")
_MAX_PROCESSES = 64
_SLACK = 0.01  # seconds; for who did not wait for a worker, its deadline is the caller's
