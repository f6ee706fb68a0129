"""One worker process, from the side of the service. Service side."""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from vaultcore.protectors.pkcs11.messages import Answer, Call, Reply, Request, receive, send

#: The module that a worker process runs; only started, never imported here.
WORKER: Final = "vaultcore.protectors.pkcs11.worker.main"
#: Seconds for a worker to end by itself.
_FAREWELL: Final = 1.0
#: The least time that a worker gets, in seconds.
_LEAST: Final = 0.001
#: Variables of the service's environment that are passed on to a worker.
_PASSED_ON: Final = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "SOFTHSM2_CONF", "TZ")


class WorkerLostError(Exception):
    """The worker crashed, or the stream to it broke; a new worker may succeed."""


class WorkerSlowError(Exception):
    """The worker did not answer in time, and was ended because of it."""


class WorkerBehindError(Exception):
    """The caller's time is over, but the worker's is not; `finish` waits for the rest."""


class WorkerProcess:
    """One worker process and the socket to it. Only one thread at a time may use it.

    Args:
        environment: the worker's environment besides the few variables that any
            program needs. The service's own environment is not passed on: it may hold secrets.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        own, theirs = socket.socketpair()
        self._channel = own
        self._number = 0
        try:
            self._process = subprocess.Popen(  # noqa: S603 -- this interpreter and module
                [sys.executable, "-P", "-m", WORKER, str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                env=_environment(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # modules print
                process_group=0,  # Ctrl-C is for the service, which then closes the socket
            )
        except BaseException:
            own.close()
            raise
        finally:
            theirs.close()
        _open_channels.add(own)

    @property
    def pid(self) -> int:
        """The process id of the worker."""
        return self._process.pid

    def is_alive(self) -> bool:
        """Returns whether the process is running."""
        return self._process.poll() is None

    def exchange(self, request: Request, hangs: float, expires: float | None = None) -> Reply:
        """Sends a request and returns its reply; after other exceptions the worker is ended.

        Args:
            request: the request.
            hangs: the reading of the monotonic clock at which the worker counts as hanging.
            expires: the reading at which the caller stops waiting; `hangs` by default.

        Raises:
            WorkerBehindError: `expires` has passed, but `hangs` has not: call `finish`.
            WorkerLostError: the worker has ended.
            WorkerSlowError: the worker did not answer in time.
        """
        self._number += 1
        seconds = max(hangs - time.monotonic(), _LEAST)
        call = Call(number=self._number, seconds=seconds, request=request)
        with self._ended_on_failure():
            self._channel.settimeout(seconds)
            send(self._channel, msgspec.msgpack.encode(call))
            if expires is not None and expires < hangs and not self._replies_by(expires):
                raise WorkerBehindError
            return self._receive(hangs)

    def finish(self, hangs: float) -> None:
        """Waits for a reply that is no longer needed, so that the worker can be used again.

        Raises:
            WorkerLostError: the worker has ended.
            WorkerSlowError: the worker did not answer in time.
        """
        with self._ended_on_failure():
            self._receive(hangs)

    def _replies_by(self, expires: float) -> bool:
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        return bool(poll.poll(max(expires - time.monotonic(), 0) * 1000))

    def _receive(self, hangs: float) -> Reply:
        answer = _DECODER.decode(receive(self._channel, hangs))
        if answer.number != self._number:
            raise EOFError("the worker answered another request")
        return answer.reply

    @contextlib.contextmanager
    def _ended_on_failure(self) -> Iterator[None]:
        try:
            yield
        except WorkerBehindError:
            raise
        except TimeoutError:
            self.end()
            raise WorkerSlowError from None
        except (EOFError, OSError, msgspec.DecodeError):
            self.end()
            raise WorkerLostError from None
        except BaseException:  # an interrupt between request and reply
            self.end()
            raise

    def end(self) -> None:
        """Ends the worker at once and waits until it has ended."""
        self._channel.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        """Asks the worker to end, by closing the socket, and ends it if it does not."""
        self._channel.close()
        try:
            self._process.wait(_FAREWELL)
        except subprocess.TimeoutExpired:
            self.end()


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    # The worker finds the same packages as the service, even where those are not installed.
    own = str(Path(__file__).parents[__name__.count(".")])
    path = [entry for entry in sys.path if entry]
    environment["PYTHONPATH"] = os.pathsep.join([*path, *([] if own in path else [own])])
    return environment | dict(extra)


def _forget_channels() -> None:
    """Closes, in a forked child, the copies of the sockets.

    Otherwise the workers would not notice the end of the service while the child is running.
    """
    for channel in list(_open_channels):
        channel.close()


_DECODER: Final = msgspec.msgpack.Decoder(Answer)
_open_channels: "weakref.WeakSet[socket.socket]" = weakref.WeakSet()
os.register_at_fork(after_in_child=_forget_channels)
