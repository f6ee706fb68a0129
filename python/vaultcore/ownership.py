"""Who may reach a data folder and the code that it names: looked at whenever a folder is opened.

What belongs to the user of the vault and is open to others is closed, and that is said once. What
belongs to somebody else is refused: he could change it while the vault runs.
"""

import logging
import os
import stat
from pathlib import Path
from typing import Final

from vaultcore.errors import ConfigurationError

#: Files that lie in a data folder itself.
FILES: Final = (
    "vaultcore.db",
    "vaultcore.db-wal",
    "vaultcore.db-shm",
    "vaultcore.lock",
    "vaultcore.lock-next",
    "vaultcore.signal",
    "administrator.json",
    "dev.json",
    ".dev.lock",
)
#: The file that names what is loaded; see :mod:`vaultcore.protectors.list_file`.
LIST: Final = "protectors.json"
#: Folders in a data folder, and which files in them are closed. Key files are not among them: the
#: protector refuses one that others could read, because it may have been read.
FOLDERS: Final = {
    "audit": "**/*",
    "keys": "",
    "tls": "*.key",
    "token": "**/*",
    "writers": "*",
}

_OTHERS: Final = 0o077
_WRITE: Final = 0o022

logger = logging.getLogger("vaultcore.ownership")


def secure_folder(folder: Path) -> None:
    """Closes a data folder, and what vaultcore keeps in it, to everybody but its owner.

    Args:
        folder: the data folder, which exists.

    Raises:
        ConfigurationError: something belongs to another user, cannot be closed, or may have been
            changed by others; the message says what to do.
    """
    status = _stat(folder)
    if not stat.S_ISDIR(status.st_mode):
        raise ConfigurationError(f"`{folder}` is not a folder: name another with --data")
    if status.st_mode & stat.S_ISVTX and status.st_mode & stat.S_IWOTH:
        raise ConfigurationError(
            f"`{folder}` is a folder that everybody shares: move the vault into a folder of its own"
        )
    closed = _close(folder, status)
    check_parents(folder)
    for name in FILES:
        closed |= _close_present(folder / name)
    path = folder / LIST
    if path.is_symlink():
        raise ConfigurationError(
            f"`{path}` is a symbolic link, and names code that is loaded: put the file itself there"
        )
    closed |= _close_present(path, trusted=True)
    for name, pattern in FOLDERS.items():
        inner = folder / name
        if _close_present(inner):
            closed = True
        if pattern and inner.is_dir():
            for found in inner.glob(pattern):
                closed |= _close_present(found)
    if closed:
        logger.warning(
            "the data folder `%s` was open to other users of this machine: it is closed now; who "
            "had read it then still knows the names in it",
            folder,
        )


def check_code(path: Path, what: str) -> None:
    """Checks that nobody but this user and root can change a file that is loaded and run.

    Args:
        path: the file; one that does not exist is not looked at.
        what: what the messages call it, for example "PKCS#11 module".

    Raises:
        ConfigurationError: it belongs to somebody else, or others can write it or its folders.
    """
    path = path.resolve()
    try:
        status = path.stat()
    except FileNotFoundError:
        return  # whoever loads it says so
    except OSError as error:
        raise ConfigurationError(f"the {what} `{path}` cannot be read: {error.strerror}") from None
    _check_owner(path, status)
    if _writable(status):
        raise ConfigurationError(
            f"the {what} `{path}` can be written by other users, and is loaded: run chmod go-w "
            "on it, when you know that it is unchanged"
        )
    check_parents(path)


def check_parents(path: Path) -> None:
    """Checks that nobody else can put another file or folder in the place of a path.

    Raises:
        ConfigurationError: others can write one of the folders above it.
    """
    for parent in path.resolve().parents:
        status = _stat(parent)
        # In a folder with the sticky bit, such as /tmp, others cannot rename what is not theirs.
        if _writable(status) and not status.st_mode & stat.S_ISVTX:
            raise ConfigurationError(
                f"other users can write the folder `{parent}`, and so replace `{path}`: run chmod "
                "go-w on it, or choose another place"
            )


def _close_present(path: Path, *, trusted: bool = False) -> bool:
    try:
        status = path.stat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ConfigurationError(f"`{path}` cannot be looked at: {error.strerror}") from None
    return _close(path, status, trusted=trusted)


def _close(path: Path, status: os.stat_result, *, trusted: bool = False) -> bool:
    """Takes the permissions of others away; returns whether they had any."""
    _check_owner(path, status)
    mode = stat.S_IMODE(status.st_mode)
    if trusted and mode & _WRITE:
        raise ConfigurationError(
            f"`{path}` can be written by other users (mode {mode:04o}), and names code that is "
            "loaded: see that it is as you wrote it, and run chmod 600 on it"
        )
    if not mode & _OTHERS:
        return False
    if status.st_uid != os.geteuid():
        if _writable(status):
            raise ConfigurationError(
                f"`{path}` belongs to root, and other users can write it (mode {mode:04o}): use a "
                "folder that belongs to the user of the vault"
            )
        return False
    try:
        path.chmod(mode & ~_OTHERS)
        still = stat.S_IMODE(path.stat().st_mode) & _OTHERS
    except FileNotFoundError:
        return False  # SQLite removes its log when the last process closes the database
    except OSError as error:
        raise ConfigurationError(
            f"`{path}` is open to other users (mode {mode:04o}) and cannot be closed: "
            f"{error.strerror}"
        ) from None
    if still:
        raise ConfigurationError(
            f"`{path}` is open to other users (mode {mode:04o}), and its file system keeps it so: "
            "choose a place on one that has permissions"
        )
    return True


def _check_owner(path: Path, status: os.stat_result) -> None:
    if status.st_uid not in (os.geteuid(), 0):
        raise ConfigurationError(
            f"`{path}` belongs to user {status.st_uid}, and this is user {os.geteuid()}: run "
            "vaultcore as its owner, or give it to the user that runs the vault"
        )


def _writable(status: os.stat_result) -> bool:
    """Returns whether others can write; the group of a user's own name is the user himself."""
    private = status.st_gid == os.getegid() == os.geteuid()
    return bool(status.st_mode & (stat.S_IWOTH if private else _WRITE))


def _stat(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        raise ConfigurationError(f"`{path}` cannot be looked at: {error.strerror}") from None
