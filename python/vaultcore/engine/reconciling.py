"""Goes on with a folder whose log and database were put back to different moments."""

import contextlib
from pathlib import Path

from vaultcore.clock import Clock, SystemClock
from vaultcore.engine.auditing import reconcile
from vaultcore.engine.parts import open_parts


def reconcile_folder(
    data: str | Path, *, passphrase: str | None = None, clock: Clock | None = None
) -> dict[str, str | int]:
    """Records what was found of a log and a database of different moments; the folder opens then.

    A log that cannot be followed is renamed, and a new one begins. Only somebody who knows why the
    two differ should do this: it turns a discovery into a record.

    Args:
        data: the data folder; no service may run on it.
        passphrase: of the file protector, if it has one.
        clock: tells the time; the system's by default.

    Returns:
        What was found, as the record tells it.

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
