"""Adds and removes protectors, so that an interrupted change can be continued or reverted.

The list in the folder names the change before anything is done. A protector counts once the store
has its wraps, all of them in one transaction: only then does anything depend on it.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from vaultcore.errors import ConfigurationError, ProtectorError
from vaultcore.protectors.list_file import read_list, write_list
from vaultcore.protectors.options import ProtectorOptions, is_made, planned
from vaultcore.protectors.protector import Protector
from vaultcore.protectors.registry import create_planned, open_protector

if TYPE_CHECKING:
    from vaultcore.installation.key_ring import KeyRing


def add_protector(ring: "KeyRing", folder: Path, options: ProtectorOptions) -> Protector:
    """Creates one more protector and wraps every vault key with it.

    If an earlier attempt was interrupted, this continues it.

    Raises:
        ConfigurationError: the name is taken, or an option is wrong.
        ProtectorError: the protector cannot be created, or another one is unavailable.
    """
    with _alone(folder):
        present = read_list(folder)
        others = [known for known in present if known.name != options.name]
        begun = next((known for known in present if known.name == options.name), None)
        if begun is not None and options.name in {p.name for p in ring.protectors}:
            _finish(folder, others, begun)
            raise ConfigurationError(f"there is a protector named `{options.name}` already")
        begun = _begun(folder, others, begun, options)
        try:
            protector, made = _made(folder, begun)
        except (ConfigurationError, ProtectorError):
            if begun.kind == "file" and not (folder / begun.options["path"]).exists():
                write_list(folder, others)
            raise
        try:
            write_list(folder, [*others, made])
            ring.add(protector)
        except BaseException:
            protector.close()
            raise
        _finish(folder, others, made)
    return protector


def remove_protector(ring: "KeyRing", folder: Path, name: str) -> None:
    """Removes a protector and its wraps; continues an attempt that was interrupted.

    Raises:
        ConfigurationError: there is no protector of that name.
        ProtectorError: it is the last one that opens the vault keys.
    """
    with _alone(folder):
        present = read_list(folder)
        rest = [known for known in present if known.name != name]
        if len(rest) == len(present) and name not in ring.wrapping():
            raise ConfigurationError(f"there is no protector named `{name[:64]}`")
        ring.check_removable(name)
        write_list(
            folder,
            [
                msgspec.structs.replace(known, state="removing") if known.name == name else known
                for known in present
            ],
        )
        ring.remove(name)
        write_list(folder, rest)


def _begun(
    folder: Path,
    others: list[ProtectorOptions],
    before: ProtectorOptions | None,
    options: ProtectorOptions,
) -> ProtectorOptions:
    """Notes the change in the list, or returns the note of an attempt that was interrupted."""
    adding = before if before is not None and before.state == "adding" else None
    if adding is not None and _continues(adding, options):
        return adding
    if adding is not None and is_made(adding):
        raise ConfigurationError(
            f"adding `{options.name}` was begun with other options and not finished: add it with "
            "those, or remove it first"
        )
    # What is left of a removal is dropped; its key is not reused.
    begun = msgspec.structs.replace(planned(options), state="adding")
    if adding is not None and "key_id" in adding.options and begun.kind != "file":
        # So that a remnant of the first attempt in the token, if there is one, is known.
        known = {**begun.options, "key_id": adding.options["key_id"]}
        begun = msgspec.structs.replace(begun, options=known)
    if begun.kind == "file" and (folder / begun.options["path"]).exists():
        raise ProtectorError(
            f"the key file `{folder / begun.options['path']}` exists already: choose another path, "
            "or remove the file if nothing needs it any more"
        )
    write_list(folder, [*others, begun])
    return begun


def _made(folder: Path, begun: ProtectorOptions) -> tuple[Protector, ProtectorOptions]:
    """Creates the key, or opens the one that an interrupted attempt created."""
    if is_made(begun):
        return open_protector(folder, begun, None), begun
    if begun.kind == "file" and (folder / begun.options["path"]).exists():
        # The path was free when this was begun, and key files are whole or absent.
        protector = open_protector(folder, msgspec.structs.replace(begun, state=""), None)
        key_id = protector.describe()["key_id"]
        made = msgspec.structs.replace(begun, options={**begun.options, "key_id": key_id})
        return protector, made
    return create_planned(folder, begun)


def _continues(begun: ProtectorOptions, options: ProtectorOptions) -> bool:
    return begun.kind == options.kind and options.options.items() <= begun.options.items()


def _finish(folder: Path, others: list[ProtectorOptions], made: ProtectorOptions) -> None:
    write_list(folder, [*others, msgspec.structs.replace(made, state="")])


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Makes a second change of the protectors wait until this one has ended."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
