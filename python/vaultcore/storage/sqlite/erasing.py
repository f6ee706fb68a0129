"""Removes erased data from the write-ahead log, from time to time.

The database has zeros in the place of erased data (``secure_delete``); the log keeps the data until
the log is emptied.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from vaultcore.errors import VaultcoreError
from vaultcore.storage.sqlite import files

# How often erased data is removed from the log, in seconds.
_PAUSE: Final = 1.0
# After how long the log is emptied in any case: the process that erased something may have died.
_LONGEST: Final = 60.0

logger = logging.getLogger("vaultcore.storage")


class Erasing:
    """Decides when the log of a database is emptied.

    Args:
        path: the database.

    Attributes:
        pending: whether the log may contain erased data.
    """

    def __init__(self, path: Path) -> None:
        self._log = files.log(path)
        # Data that was in the log before this process started may have been erased since.
        self.pending = True
        self._tried = 0.0
        self._trouble = ""

    def run(self, empty: Callable[[], bool], *, last: bool) -> None:
        """Empties the log if it is time; a log that cannot be emptied is tried again.

        Args:
            empty: empties the log and returns whether it is empty.
            last: whether the process is about to close the database.
        """
        now = time.monotonic()
        waited = now - self._tried
        due = self.pending and (waited >= _PAUSE or last)
        if not due and waited < _LONGEST:
            return
        self._tried = now
        try:
            self.pending = self._size() > 0 and not empty()
        except (VaultcoreError, OSError) as error:
            trouble = str(error)
        else:
            trouble = ""
        if trouble and trouble != self._trouble:
            logger.warning("what was purged stays in the write-ahead log for now: %s", trouble)
        self._trouble = trouble

    def _size(self) -> int:
        try:
            return self._log.stat().st_size
        except FileNotFoundError:
            return 0
