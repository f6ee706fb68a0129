"""The change feed as one process follows it: what others commit holds here for the next request."""

import threading
from typing import TYPE_CHECKING, Final

from vaultcore.errors import ForkError
from vaultcore.installation import SYSTEM, Installation

if TYPE_CHECKING:
    from vaultcore.engine import Engine

_BATCH: Final = 1000  # entries that are read at once
_NOTHING: Final = -2  # a revision that no position equals: nothing was read yet


class Feed:
    """Takes over what any process has committed.

    Args:
        engine: what is kept fresh.
    """

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine
        self._store = engine.store
        self._seen = _NOTHING
        self._catching_up = threading.Lock()
        self._forked = False

    def synchronise(self) -> None:
        """Takes over what any process has committed since the last call.

        Raises:
            ForkError: this is a child of the process that opened the engine.
            StorageError: the feed cannot be read, so that nothing cached may be used.
        """
        position = self._store.position()
        if position == self._seen and position >= 0:
            return
        self._catch_up()

    def disinherit(self) -> None:
        """Refuses every further use; called in a child process."""
        self._forked = True
        self._seen = _NOTHING

    def _catch_up(self) -> None:
        if self._forked:
            raise ForkError(
                "this engine was opened in the parent process; close it before the fork, or start "
                "a fresh process instead of a fork"
            )
        with self._catching_up:
            if self._seen < 0:
                revision = self._store.revision()
                self._engine.vaults.load_all()
                self._engine.access_epoch += 1
                self._seen = revision
                return
            while True:
                changes = self._store.changes(self._seen, _BATCH)
                for change in changes:
                    self._apply(change.vault_id, change.kind, change.key)
                    self._seen = change.revision
                if len(changes) < _BATCH:
                    return

    def _apply(self, vault_id: str, kind: str, key: str) -> None:
        engine = self._engine
        if kind in {"secrets", "keys", "certificates"}:
            state = engine.vaults.find_by_id(vault_id)
            if state is not None:
                state.invalidate(kind, key)
            return
        if kind == "vaults":
            engine.vaults.load(key)
        elif kind == "vault-keys" and vault_id != SYSTEM:
            engine.keys.forget(vault_id)
            engine.vaults.load(key)
        elif kind == "applications":
            engine.forget_identities()
        elif kind == "installation":
            engine.installation = Installation.load(self._store, engine.keys.system)
        # After it has taken effect: who has seen this count goes by the new rules.
        engine.access_epoch += 1
