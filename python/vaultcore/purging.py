"""The purge of deleted objects whose retention has passed."""

from typing import TYPE_CHECKING, Final

from vaultcore.errors import NotFoundError, TamperedError

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
        try:
            _purge(engine, state, row)
        except NotFoundError:
            continue  # another process was quicker
        except TamperedError as failure:
            # Who moves a purge date in the database shall not make us destroy anything.
            _record(engine, state, row, 500, str(failure))
        else:
            _record(engine, state, row, 204, "the retention has passed")
            purged += 1
    return purged


def _purge(engine: "Engine", state: "VaultState", row: "ObjectRow") -> None:
    if row.kind == "secrets":
        engine.store.write(state.secret_rules.purge(row.key, due=True))
        return
    versions = engine.store.write(state.key_rules.purge(row.key, due=True))
    state.key_rules.discard(versions, row.key)


def _record(
    engine: "Engine", state: "VaultState", row: "ObjectRow", status: int, reason: str
) -> None:
    engine.audit.record(
        vault=state.name,
        operation="SecretPurge" if row.kind == "secrets" else "KeyPurge",
        api_version="",
        status=status,
        result_description=reason,
        duration_ms=0.0,
        address="",
        correlation_id="",
        principal=None,
        request_uri="",
        client_info="vaultcore housekeeping",
        object_id=f"{state.url}/{row.kind}/{row.name}",
        extra=None,
    )
