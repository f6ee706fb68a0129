"""Finds out whether the database is still the file that was opened.

SQLite continues to read and write a file that was moved, replaced or removed. What is committed
there is acknowledged, and lost with the last process that has it open. So the files are checked
around each commit, and from time to time by processes that only read.
"""

import os
from pathlib import Path
from typing import Final

from vaultcore.errors import UnavailableError
from vaultcore.storage.sqlite import files

_Identity = tuple[int, int]
_PARTED: Final = (
    "the index of the write-ahead log (-shm) was moved or removed while it was open: restart every "
    "process that has the database open"
)


class Presence:
    """The database of a process, and the write-ahead log that its writer has open.

    Args:
        path: the database.
    """

    def __init__(self, path: Path) -> None:
        self._database = str(path)
        self._log = f"{path}{files.LOG}"
        self._index = f"{path}{files.INDEX}"
        self._parted = False
        self._expected: dict[str, _Identity] = {}

    def opened(self) -> None:
        """Remembers the files; the writer calls it after it has connected and read something.

        The database stays the one that was opened first. Its log may change: SQLite removes it
        with the last connection, and the writer connects again after some errors.

        Raises:
            UnavailableError: the database is a different one than before, or does not exist.
        """
        expected = {self._database: self._look(self._database)}
        if os.path.exists(self._log):  # noqa: PTH110 - the names are texts, see below
            expected[self._log] = self._look(self._log)
        if os.path.exists(self._index):  # noqa: PTH110
            expected[self._index] = self._look(self._index)
        self._expected = {**expected, self._database: self._first(expected)}
        self.check()

    def check(self) -> None:
        """Checks that the files are still in their place.

        Raises:
            UnavailableError: one of them was moved, replaced or removed.
        """
        if self._parted:
            raise UnavailableError(_PARTED)
        for name, identity in self._expected.items():
            if name == self._index:
                self._check_index(identity)
                continue
            if self._look(name) != identity:
                raise UnavailableError(
                    "a file of the database was replaced while it was open: put the files back as "
                    "they were, or restart every process that has it open"
                )

    def in_place(self) -> bool:
        """Returns whether the files are still in their place."""
        try:
            self.check()
        except UnavailableError:
            return False
        return True

    def _check_index(self, identity: _Identity) -> None:
        # Other processes create another index if they find none, and from then on their log is a
        # different one: continuing with the old index, or copying according to it, destroys the
        # database. Putting the old index back would do the same.
        try:
            found = os.stat(self._index)  # noqa: PTH116
        except FileNotFoundError:
            # It may have been moved with the whole folder, and can come back with it.
            self._look(self._database)
            self._parted = True
        except OSError as error:
            raise UnavailableError(
                f"the index of the write-ahead log cannot be checked: {error.strerror}"
            ) from error
        else:
            self._parted = (found.st_dev, found.st_ino) != identity
        if self._parted:
            raise UnavailableError(_PARTED)

    def _first(self, expected: dict[str, _Identity]) -> _Identity:
        return self._expected.get(self._database, expected[self._database])

    @staticmethod
    def _look(name: str) -> _Identity:
        try:
            # Around each commit: a Path costs twice as much.
            found = os.stat(name)  # noqa: PTH116
        except OSError:
            raise UnavailableError(
                "a file of the database was moved or removed while it was open: put the files "
                "back as they were, or restart every process that has it open"
            ) from None
        return found.st_dev, found.st_ino
