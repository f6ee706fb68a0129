"""Gives the audit log of an open folder new keys."""

from typing import TYPE_CHECKING

import msgspec

from vaultcore.audit.identity import load_keys, rotate_keys
from vaultcore.errors import TamperedError
from vaultcore.installation.settings import Installation

if TYPE_CHECKING:
    from vaultcore.engine.engine import Engine
    from vaultcore.storage import Transaction


def rotate_audit_keys(engine: "Engine") -> dict[str, str]:
    """Gives the log of an open folder new keys, and returns the names of the old and the new one.

    Records and checkpoints so far are not changed: it is known up to which record the old keys
    were in use, with a margin for records in progress.

    Raises:
        AuditError: the log cannot be written.
        StorageError: the store cannot be written.
    """
    audit, system = engine.audit, engine.key_ring.system
    audit.checkpoint()

    def work(transaction: "Transaction") -> tuple[str, str]:
        stored = Installation.load(transaction, system)
        if stored.audit is None:
            raise TamperedError("the installation does not name the keys of its audit log")
        # Read here: another rotation may have come first, and its key has signed as well.
        keys = load_keys(transaction, system, stored.audit)
        now = int(engine.clock.now())
        identity = rotate_keys(transaction, system, stored.audit, keys, audit.sequence, now)
        msgspec.structs.replace(stored, audit=identity).put(transaction, system)
        return stored.audit.signer, identity.signer

    before, after = engine.store.write(work)
    engine.synchronise()
    audit.checkpoint()
    return {"previousKeyId": before, "keyId": after}
