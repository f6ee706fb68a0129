"""Purges deleted objects whose retention has expired."""

import functools
from typing import TYPE_CHECKING, Final

from vaultcore.audit.event import Event
from vaultcore.audit.record import Record
from vaultcore.errors import (
    NotFoundError,
    TamperedError,
)
from vaultcore.objects.kinds import KINDS
from vaultcore.storage.witness import witnessed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vaultcore.audit.log import Audit
    from vaultcore.engine.vaults import Vaults
    from vaultcore.objects.kinds import OpenVault
    from vaultcore.storage import Store
    from vaultcore.storage.rows import ObjectRow

#: How many objects one round purges at most.
PURGE_BATCH: Final = 100
_PAGE: Final = 100
_PURGED: Final = 204


class Purger:
    """Purges expired objects, and nothing whose date was changed outside the vault.

    Args:
        store: where the objects are.
        vaults: the rules by which each is purged.
        audit: records what was purged, and what was not.
    """

    def __init__(self, store: "Store", vaults: "Vaults", audit: "Audit") -> None:
        self._store = store
        self._vaults = vaults
        self._audit = audit
        # Rows that do not verify: each is on record once, and not again with every round.
        self._refused: set[tuple[int, int | None, bytes]] = set()

    def purge_due(self, now: float) -> int:
        """Purges deleted objects whose retention has expired, and returns how many.

        Args:
            now: Unix seconds.

        Raises:
            AuditError: a purge cannot be recorded.
            StorageError: the store cannot be read or written.
        """
        purged = 0
        for row in self._due(int(now)):
            state = self._vaults.find_by_id(row.vault_id)
            mark = (row.id, row.purge_at, row.seal)
            if state is None or row.kind not in KINDS or mark in self._refused:
                continue
            purged += self._purge_recorded(state, row)
            if purged == PURGE_BATCH:
                break
        return purged

    def _due(self, now: int) -> "Iterator[ObjectRow]":
        """Yields expired objects; one that cannot be purged is skipped, and delays no other."""
        after = (-(2**63), 0)
        while True:
            rows = self._store.due_for_purge(now, _PAGE, after=after)
            yield from rows
            if len(rows) < _PAGE:
                return
            after = (rows[-1].purge_at or 0, rows[-1].id)

    def _purge_recorded(self, state: "OpenVault", row: "ObjectRow") -> bool:
        """Purges an object and records that; returns whether there was something to purge."""
        event = Event()
        event.vault = state.name
        event.operation = f"{KINDS[row.kind].noun}Purge"
        event.reason = "the retention has expired"
        event.client = "vaultcore housekeeping"
        event.object_id = f"{state.url}/{row.kind}/{row.name}"
        changes = self._audit.changes
        change = changes.begin(event.write(Record.of, _PURGED))
        finish = functools.partial(changes.finish, change)
        try:
            with witnessed(change):
                self._purge(state, row)
        except NotFoundError:
            changes.abandon(change)  # another process was faster
            return False
        except TamperedError as failure:
            # An attacker who moves a purge date in the database must not cause a purge.
            event.write(finish, event.fail(failure).status)
            self._refused.add((row.id, row.purge_at, row.seal))
            return False
        except BaseException:
            if change.revision is None:
                changes.abandon(change)
            else:
                # It was committed; what is left is outside the store.
                event.write(finish, _PURGED)
            raise
        event.write(finish, _PURGED)
        return True

    def _purge(self, state: "OpenVault", row: "ObjectRow") -> None:
        rules = state.rules[row.kind]
        versions = self._store.write(rules.purge(row.canonical, due=True))
        left = rules.discard(versions, row.canonical)
        if left is not None:
            left()
