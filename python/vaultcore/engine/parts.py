"""The base of an engine: the store of a folder, and the keys under their protectors."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

from vaultcore.clock import Clock
from vaultcore.engine.creation import check_finished
from vaultcore.errors import ConfigurationError
from vaultcore.installation.key_ring import KeyRing
from vaultcore.installation.settings import DATABASE
from vaultcore.installation.vault_keys import Reopen
from vaultcore.ownership import secure_folder
from vaultcore.protectors.protector import Protector
from vaultcore.protectors.registry import open_protectors
from vaultcore.storage import Store, open_store


def open_parts(
    folder: Path, undo: contextlib.ExitStack, *, passphrase: str | None, clock: Clock
) -> tuple[Store, KeyRing]:
    """Opens the base of an engine: the store, and the keys under their protectors.

    Args:
        folder: the data folder.
        undo: receives what closes them again.
        passphrase: of the file protector, if it has one.
        clock: the current time.

    Raises:
        ConfigurationError: there is no vault in the folder, or other users could change it.
        ProtectorError: no protector opens the vault keys; the message says why for each.
        StorageError: the store cannot be read.
    """
    check_finished(folder)
    if not (folder / DATABASE).is_file():
        raise ConfigurationError(
            f"there is no vault in `{folder}`: name the folder of a vault, or create one with "
            "`vaultcore init` or vaultcore.create()"
        )
    secure_folder(folder)
    store = open_store(f"sqlite:///{folder / DATABASE}", clock=clock)
    undo.callback(store.close)
    protectors = open_protectors(folder, passphrase=passphrase)
    undo.callback(close_all, protectors)
    return store, KeyRing(store, protectors, reopen(folder, passphrase))


def reopen(folder: Path, passphrase: str | None) -> Reopen:
    """Returns a function that opens the protectors of a folder again."""
    return lambda held: open_protectors(folder, passphrase=passphrase, held=held)


def close_all(protectors: Sequence[Protector]) -> None:
    """Closes protectors."""
    for protector in protectors:
        protector.close()
