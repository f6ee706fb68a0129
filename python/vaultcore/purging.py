"""The purge of deleted objects whose retention has passed."""

from typing import TYPE_CHECKING, Final

from vaultcore.audit.outbox import Record
from vaultcore.errors import (
    AuditError,
    NotFoundError,
    StorageError,
    TamperedError,
    UnavailableError,
)
from vaultcore.storage.witness import witnessed

if TYPE_CHECKING:
    from vaultcore.engine import Engine
    from vaultcore.state import VaultState
    from vaultcore.storage.rows import ObjectRow

PURGE_BATCH: Final = 100  # objects that one round purges at most


def purge_due(engine: "Engine") -> int:
    """Purges deleted objects whose retention has passed, and returns how many.

    Raises:
        AuditError: a purge cannot be recorded.
        StorageError: the store cannot be read or written.
    """
    purged = 0
    for row in engine.store.due_for_purge(int(engine.clock.now()), PURGE_BATCH):
        state = engine.vaults.find_by_id(row.vault_id)
        if state is None or row.kind not in {"secrets", "keys"}:
            continue
        purged += _purge_recorded(engine, state, row)
    return purged


def _purge(engine: "Engine", state: "VaultState", row: "ObjectRow") -> None:
    if row.kind == "secrets":
        engine.store.write(state.secret_rules.purge(row.key, due=True))
        return
    versions = engine.store.write(state.key_rules.purge(row.key, due=True))
    state.key_rules.discard(versions, row.key)


def _purge_recorded(engine: "Engine", state: "VaultState", row: "ObjectRow") -> bool:
    """Purges an object and records that; returns whether there was still something to purge."""
    record = Record(
        vault=state.name,
        operation="SecretPurge" if row.kind == "secrets" else "KeyPurge",
        status=204,
        result_description="the retention has passed",
        client_info="vaultcore housekeeping",
        object_id=f"{state.url}/{row.kind}/{row.name}",
    )
    changes = engine.audit.changes
    change = changes.begin(record)
    try:
        with witnessed(change):
            _purge(engine, state, row)
    except NotFoundError:
        changes.abandon(change)  # another process was quicker
        return False
    except (AuditError, StorageError, UnavailableError) as failure:
        changes.abandon(change)
        raise failure from None
    except TamperedError as failure:
        # Who moves a purge date in the database shall not make us destroy anything.
        record.status, record.result_description = 500, str(failure)
        changes.end(change, record)
        return False
    changes.end(change, record)
    return True
