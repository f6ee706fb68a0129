"""Which processes write to a folder: each holds a lock on a file of its own while it runs.

A lock ends with its process, however the process ends, so no process id has to be trusted.
"""

import contextlib
import fcntl
import os
import re
import uuid
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from vaultcore.errors import AuditError

#: The name of a process's file.
_NAME: Final = re.compile(r"[0-9a-f]{32}")

_all: "weakref.WeakSet[Writers]" = weakref.WeakSet()


class Writers:
    """This process, as one of the writers.

    Args:
        directory: the folder of their files, created if it does not exist.

    Attributes:
        name: the name of this process's file.

    Raises:
        AuditError: the folder cannot be used.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        try:
            directory.mkdir(mode=0o700, exist_ok=True)
            self.name, self._descriptor = _enter(directory)
        except OSError as error:
            raise AuditError(f"cannot use `{directory.name}`: {error.strerror}") from error
        _all.add(self)

    def ended(self, candidates: Sequence[str]) -> Iterator[str]:
        """Yields ended processes, one after the other, while no other process does the same.

        Args:
            candidates: names that left something behind, with or without a file; each must
                :func:`name a process <names_a_process>`.

        Raises:
            AuditError: the folder cannot be used.
        """
        try:
            found = (path.name for path in self._directory.glob("[0-9a-f]*"))
            names = {*candidates, *filter(names_a_process, found)}
            names.discard(self.name)
            if not names:
                return
            with _locked(self._directory / ".lock"):
                for name in sorted(names):
                    path = self._directory / name
                    with _taken(path) as free:
                        if free:
                            yield name
                            path.unlink(missing_ok=True)
        except OSError as error:
            raise AuditError(f"cannot use `{self._directory.name}`: {error.strerror}") from error

    def close(self) -> None:
        """Marks this process as ended."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def disinherit(self) -> None:
        """Releases the parent's lock; called in a child process, which would keep it too long."""
        self.close()


def names_a_process(name: str) -> bool:
    """Returns whether a process could have this name, so that it is not a path to elsewhere."""
    return _NAME.fullmatch(name) is not None


def _enter(directory: Path) -> tuple[str, int]:
    name = uuid.uuid4().hex
    while True:
        path = directory / name
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        # Between the two steps, another process may have considered this one ended.
        with contextlib.suppress(FileNotFoundError):
            if os.fstat(descriptor).st_ino == path.stat().st_ino:
                return name, descriptor
        os.close(descriptor)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _taken(path: Path) -> Iterator[bool]:
    """Takes the lock of another process if that has ended; returns whether it was taken."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        # What it left behind came from a backup, which contains no such files.
        yield True
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def _disinherit() -> None:
    for writers in list(_all):
        writers.disinherit()


os.register_at_fork(after_in_child=_disinherit)
