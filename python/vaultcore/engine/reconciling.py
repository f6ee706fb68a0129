"""Reconciles a folder whose log and database were restored to different times."""

import contextlib
from pathlib import Path

from vaultcore.clock import Clock, SystemClock
from vaultcore.engine.auditing import reconcile
from vaultcore.engine.parts import open_parts


def reconcile_folder(
    data: str | Path, *, passphrase: str | None = None, clock: Clock | None = None
) -> dict[str, str | int]:
    """Records the differences between a log and a database; then the folder opens again.

    A log that cannot be continued is renamed, and a new one begins. Only somebody who knows why
    the two differ should do this: it turns a discovery into a record.

    Args:
        data: the data folder; no service may run on it.
        passphrase: of the file protector, if it has one.
        clock: the current time; the system's by default.

    Returns:
        What was found, as in the record.

    Raises:
        AuditError: the log cannot be written, or there is nothing to reconcile.
        ConfigurationError: there is no vault in the folder, or other users could change it.
        ProtectorError: no protector opens the vault keys; the message says why for each.
        StorageError: the store cannot be read.
        TamperedError: a key of the log is missing, was replaced, or does not verify.
    """
    clock = clock or SystemClock()
    with contextlib.ExitStack() as closing:
        folder = Path(data)
        store, keys = open_parts(folder, closing, passphrase=passphrase, clock=clock)
        return reconcile(folder, store, clock, keys.system)
