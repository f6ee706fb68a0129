"""The housekeeping of an open folder: checkpoints are signed, and what is due is purged."""

import contextlib
import threading
from typing import TYPE_CHECKING, Final

from vaultcore.errors import VaultcoreError
from vaultcore.purging import purge_due

if TYPE_CHECKING:
    from vaultcore.engine import Engine

CHECKPOINT_SECONDS: Final = 1.0
PURGE_SECONDS: Final = 60.0


class Housekeeper:
    """The thread that does what is due now and then.

    Args:
        engine: the open folder.
    """

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Starts the thread, unless it runs."""
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, name="vaultcore-housekeeping", daemon=True
            )
            self._thread.start()

    def close(self) -> None:
        """Ends the thread, when it has done what it is at."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        engine = self._engine
        last_purge = 0.0
        while not self._closing.wait(CHECKPOINT_SECONDS):
            # A failure here is tried again in a second; requests report it to those who wait.
            with contextlib.suppress(VaultcoreError, OSError):
                engine.feed.look()
                engine.count_strangers()
                engine.audit.checkpoint()
                if engine.clock.now() - last_purge >= PURGE_SECONDS:
                    last_purge = engine.clock.now()
                    engine.issuer.maintain()
                    purge_due(engine)
