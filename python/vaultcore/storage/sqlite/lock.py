"""The write lock between processes: fair, with a deadline, and released when its holder dies.

SQLite's own lock makes writers correct, but a writer that finds it taken sleeps for up to a tenth
of a second and then races again, so that one busy process starves the others. Here a writer first
takes the place at the head of the queue, then the lock: a writer that just released the lock finds
the place taken by the one that waits.
"""

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from vaultcore.errors import UnavailableError

# How long a writer waits before it tries again, in seconds.
_PAUSE: Final = 0.0003

_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC


class WriteLock:
    """An exclusive lock on two files; a context manager, for one thread at a time.

    Args:
        path: the lock; a second file beside it is the place at the head of the queue.
        patience: how long to wait, in seconds.

    Raises:
        UnavailableError: the files cannot be opened.
    """

    def __init__(self, path: Path, *, patience: float) -> None:
        self._patience = patience
        try:
            self._next = os.open(path.with_name(path.name + "-next"), _FLAGS, 0o600)
            try:
                self._lock = os.open(path, _FLAGS, 0o600)
            except OSError:
                os.close(self._next)
                raise
        except OSError as error:
            raise UnavailableError(f"cannot open the lock `{path}`: {error.strerror}") from error

    def __enter__(self) -> Self:
        """Takes the lock.

        Raises:
            UnavailableError: another process holds it for too long.
        """
        deadline = time.monotonic() + self._patience
        _take(self._next, deadline)
        try:
            _take(self._lock, deadline)
        finally:
            fcntl.flock(self._next, fcntl.LOCK_UN)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.leave()

    def try_enter(self) -> bool:
        """Takes the lock if it is free, and returns whether it was."""
        return _try(self._lock)

    def leave(self) -> None:
        """Releases the lock."""
        fcntl.flock(self._lock, fcntl.LOCK_UN)

    def close(self) -> None:
        """Closes the files, which also releases them."""
        os.close(self._next)
        os.close(self._lock)


def _take(descriptor: int, deadline: float) -> None:
    while not _try(descriptor):
        if time.monotonic() >= deadline:
            raise UnavailableError(
                "cannot write to the store: another process holds it: end or resume that process"
            )
        time.sleep(_PAUSE)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
