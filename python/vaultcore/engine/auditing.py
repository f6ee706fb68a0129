"""Opens the audit log of a folder with the keys that its installation names.

It also gives the log of an older version its keys, and reconciles a log and a database that were
restored to different times.
"""

import datetime as dt
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from vaultcore.audit.checkpoints import FILE as CHECKPOINTS
from vaultcore.audit.identity import legacy_signer, load_keys, upgrade_keys
from vaultcore.audit.log import Audit, AuditKeys
from vaultcore.audit.state import NOTHING, STATE, TAG, State
from vaultcore.errors import AuditError, TamperedError
from vaultcore.installation.settings import SYSTEM, Installation

if TYPE_CHECKING:
    from vaultcore._core import KeyEncryptionKey
    from vaultcore.clock import Clock
    from vaultcore.storage import Store, Transaction

#: The folder of the log, inside the data folder.
FOLDER: Final = "audit"

logger = logging.getLogger("vaultcore.audit")


def open_audit(data: Path, store: "Store", clock: "Clock", system: "KeyEncryptionKey") -> Audit:
    """Opens the log of a folder, and joins it with the store.

    Raises:
        AuditError: the log cannot be used, or it and the store are from different times.
        TamperedError: a key of the log is missing, was replaced, or does not verify.
    """
    if Installation.load(store, system).audit is None:
        _upgrade(data, store, clock, system)
    keys = _keys(store, system)
    _check_there(data, store)
    audit = Audit(data / FOLDER, clock, keys, lambda: _keys(store, system))
    audit.attach(store)
    return audit


def _check_there(data: Path, store: "Store") -> None:
    """Checks that the folder of the log was not moved away.

    An empty folder in its place would hinder its restoration: `mv` would put the log inside it.
    """
    blob = store.document(*STATE) or b""
    if (data / FOLDER).exists() or not blob:
        return
    # Whether it is genuine is checked when there is a log.
    known = msgspec.json.decode(blob[TAG:], type=State)
    if known.sequence:
        raise AuditError(
            f"the audit log is missing, and the store knows that it had reached record "
            f"{known.sequence}: it was removed or moved: put it back, or see `vaultcore audit "
            "reconcile`"
        )


def reconcile(
    data: Path, store: "Store", clock: "Clock", system: "KeyEncryptionKey"
) -> dict[str, str | int]:
    """Reconciles a log and a database that were restored to different times, and records that.

    Invalid data is moved aside: a log that cannot be continued is renamed, and a new one begins.

    Returns:
        What was found, as in the record.

    Raises:
        AuditError: the log cannot be written, or it and the database are from the same time.
        TamperedError: a key of the log is missing, was replaced, or does not verify.
    """
    keys = _keys(store, system)
    found: dict[str, str | int] = {}
    directory = data / FOLDER
    try:
        audit = Audit(directory, clock, keys)
    except AuditError as error:
        moment = dt.datetime.fromtimestamp(clock.now(), dt.UTC)
        aside = data / f"{FOLDER}-aside-{moment:%Y%m%dT%H%M%SZ}"
        directory.rename(aside)
        found |= {"reason": str(error), "putAside": aside.name}
        audit = Audit(directory, clock, keys)
    else:
        _check_different(audit, store)
    sequence, head, revision = audit.reached()
    try:
        known = audit.known(store)
        found |= {"storeKnewOf": known.sequence, "storeKnewHead": known.head}
    except TamperedError as error:
        found["storeKnew"] = str(error)
    found |= {
        "logEndedAt": sequence,
        "logHead": head,
        "logToldOfChange": revision,
        "storeEndedAtChange": store.revision(),
    }

    def work(transaction: "Transaction") -> None:
        # Everything that the log recorded belongs to another database.
        transaction.skip_to(revision)
        transaction.changed(SYSTEM, "audit-reconciled", str(sequence), "", "reconcile")
        audit.keep(transaction, State(sequence, head, revision))

    store.write(work)
    audit.attach(store)
    try:
        what = "the log and the database were from different times"
        audit.record_own("AuditReconciled", what, found)
        audit.checkpoint()
    finally:
        audit.close()
    return found


def _check_different(audit: Audit, store: "Store") -> None:
    """Checks that there is something to reconcile: otherwise the record of it would be false."""
    try:
        audit.compare(store)
    except (AuditError, TamperedError):
        return
    audit.close()
    raise AuditError(
        "the audit log and the database are from the same time: there is nothing to reconcile"
    )


def _keys(store: "Store", system: "KeyEncryptionKey") -> AuditKeys:
    identity = Installation.load(store, system).audit
    if identity is None:
        raise TamperedError(
            "the installation does not name the keys of its audit log: it was reset to an older "
            "version; restore the database from a backup"
        )
    return load_keys(store, system, identity)


def _upgrade(data: Path, store: "Store", clock: "Clock", system: "KeyEncryptionKey") -> None:
    """Gives the log of an older version a MAC key, after signing its content so far."""
    signer = legacy_signer(store, system)
    checkpoints = data / FOLDER / CHECKPOINTS
    if signer is None and checkpoints.exists() and checkpoints.stat().st_size:
        raise TamperedError(
            "the key that signs the checkpoints of the audit log is missing: it was removed "
            "outside the vault; restore the database from a backup"
        )
    state = State(0, NOTHING)
    if signer is not None:
        old = Audit(data / FOLDER, clock, AuditKeys(signer))
        old.checkpoint()
        sequence, head, _ = old.reached()
        state = State(sequence, head)

    def work(transaction: "Transaction") -> None:
        stored = Installation.load(transaction, system)
        if stored.audit is None:
            identity = upgrade_keys(transaction, system, signer, state)
            msgspec.structs.replace(stored, audit=identity).put(transaction, system)
        else:
            # Another process was faster.
            transaction.unnoticed()

    store.write(work)
    logger.warning("the audit log has a key for the MACs of its records from now on")
