"""The signal: one word, shared by all processes, that shows whether anything was committed.

A cache checks before each answer whether it is still current. Asking the database costs
microseconds and a system call; reading a word of a mapped file costs a tenth of a microsecond.

The word is twice the last revision, plus one while a commit is in progress. It is one word so that
no reader can see half of it. The one bit makes it safe: a writer that dies between its commit and
its announcement leaves the bit set, and every process asks the database until the next writer, or
the next check of an idle one, clears it.
"""

import contextlib
import mmap
import os
import tempfile
from pathlib import Path
from typing import Final

from vaultcore.errors import StorageError, UnavailableError

UNKNOWN: Final = -1

# The file begins with these bytes and has this length; its second word is the signal.
_MAGIC: Final = b"vcsignl1"
_SIZE: Final = 4096
_WORD: Final = 1


class Signal:
    """The mapped word beside a database.

    Args:
        path: the file; it is created if it does not exist, and outlives every process.

    Raises:
        StorageError: the file is something else.
        UnavailableError: the file cannot be made or mapped now.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._map()

    def _map(self) -> None:
        try:
            descriptor = _open(self._path)
            try:
                stat = os.fstat(descriptor)
                if stat.st_size != _SIZE or os.pread(descriptor, 8, 0) != _MAGIC:
                    raise StorageError(
                        f"`{self._path}` is not a signal file: stop every process and remove it"
                    )
                mapped = mmap.mmap(descriptor, _SIZE)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise UnavailableError(f"cannot map `{self._path}`: {error.strerror}") from error
        self._identity = (stat.st_dev, stat.st_ino)
        self._words = memoryview(mapped).cast("Q")

    def position(self) -> int:
        """Returns the last committed revision, or UNKNOWN while a commit may be in progress."""
        word: int = self._words[_WORD]
        return UNKNOWN if word & 1 else word >> 1

    def last(self) -> int:
        """Returns the revision that was announced last, even while a commit is in progress."""
        word: int = self._words[_WORD]
        return word >> 1

    def begin(self) -> None:
        """Announces that a commit is in progress; only the holder of the write lock calls it."""
        self._words[_WORD] |= 1

    def settle(self, revision: int) -> None:
        """Announces the last revision; only the holder of the write lock calls it."""
        self._words[_WORD] = revision << 1

    def misplaced(self) -> bool:
        """Returns whether the file was removed or replaced, so that others map another one."""
        try:
            stat = self._path.stat()
        except OSError:
            return True
        return (stat.st_dev, stat.st_ino) != self._identity

    def remap(self) -> None:
        """Maps the file that is there now, after it was replaced.

        Raises:
            StorageError: the file is something else.
            UnavailableError: the file cannot be made or mapped now.
        """
        # A process that still maps the old word must not trust it.
        self._words[_WORD] |= 1
        self._map()


def _open(path: Path) -> int:
    while True:
        with contextlib.suppress(FileNotFoundError):
            return os.open(path, os.O_RDWR | os.O_CLOEXEC)
        _create(path)


def _create(path: Path) -> None:
    # A link appears whole or not at all, and never replaces a file of another process.
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            # Pending, until a process has asked the database.
            file.write((_MAGIC + (1).to_bytes(8, "little")).ljust(_SIZE, b"\0"))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
    finally:
        Path(name).unlink()
