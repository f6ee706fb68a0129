"""The file that lists the protectors of a data folder.

It is a file beside the database, not a row in it: it names a module that is loaded and run, and an
attacker with write access to the database must not be able to choose that module.
"""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from vaultcore.errors import ConfigurationError, ProtectorError, ProtectorUnavailableError
from vaultcore.ownership import LIST
from vaultcore.protectors.options import ProtectorOptions
from vaultcore.protectors.private_file import read_private

_MAXIMUM_LIST: Final = 1 << 20  # bytes


def read_list(folder: Path) -> list[ProtectorOptions]:
    """Returns the protectors of a data folder.

    Raises:
        ConfigurationError: the list is missing or damaged, or others could have changed it.
    """
    try:
        # It names code that is loaded, so it is checked like a key file.
        text = read_private(folder / LIST, "list of protectors", _MAXIMUM_LIST, follow=False)
        return msgspec.json.decode(text, type=list[ProtectorOptions])
    except ProtectorUnavailableError:
        raise ConfigurationError(
            f"`{folder / LIST}` is missing: it names what opens the vault keys; restore it"
        ) from None
    except ProtectorError as refused:
        raise ConfigurationError(str(refused)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"`{folder / LIST}` cannot be read: {error}") from None


def write_list(folder: Path, kept: Sequence[ProtectorOptions]) -> None:
    """Writes the list of the protectors of a data folder, whole or not at all.

    Raises:
        ConfigurationError: the list cannot be written.
    """
    text = msgspec.json.format(msgspec.json.encode(list(kept)), indent=2) + b"\n"
    try:
        for left in folder.glob(f".{LIST}.*"):
            left.unlink()  # of a process that was killed
        descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=f".{LIST}.")
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(folder / LIST)
        directory = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise ConfigurationError(f"`{folder / LIST}` cannot be written: {error}") from None
