"""Restricts who may reach a data folder and the code that it names, when a folder is opened.

What belongs to the user of the vault and is open to others is closed, and that is logged once. What
belongs to somebody else is refused: its owner could change it while the vault runs.
"""

import logging
import os
import stat
from pathlib import Path
from typing import Final

from vaultcore.errors import ConfigurationError

#: Files in a data folder itself.
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
#: The file that names the code to load; see :mod:`vaultcore.protectors.list_file`.
LIST: Final = "protectors.json"
#: Folders in a data folder, and the files in them that are closed. Key files are not among them:
#: the protector refuses one that others could read, because they may have read it.
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
        raise ConfigurationError(f"`{folder}` is not a folder: name another one with --data")
    if status.st_mode & stat.S_ISVTX and status.st_mode & stat.S_IWOTH:
        raise ConfigurationError(
            f"`{folder}` is a folder that all users share: move the vault into a folder of its own"
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
            "the data folder `%s` was open to other users of this machine: it is closed now; "
            "anyone who read it before still knows the names in it",
            folder,
        )


def check_code(path: Path, what: str) -> None:
    """Checks that nobody but this user and root can change a file that is loaded and run.

    Args:
        path: the file; one that does not exist is not checked.
        what: the name of the file in messages, for example "PKCS#11 module".

    Raises:
        ConfigurationError: it belongs to somebody else, or others can write it or its folders.
    """
    path = path.resolve()
    try:
        status = path.stat()
    except FileNotFoundError:
        return  # the code that loads it reports this
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
        # In a folder with the sticky bit, such as /tmp, users cannot rename the files of others.
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
        raise ConfigurationError(f"`{path}` cannot be checked: {error.strerror}") from None
    return _close(path, status, trusted=trusted)


def _close(path: Path, status: os.stat_result, *, trusted: bool = False) -> bool:
    """Removes the permissions of others; returns whether they had any."""
    _check_owner(path, status)
    mode = stat.S_IMODE(status.st_mode)
    if trusted and mode & _WRITE:
        raise ConfigurationError(
            f"`{path}` can be written by other users (mode {mode:04o}), and names code that is "
            "loaded: check that it is as you wrote it, and run chmod 600 on it"
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
    """Returns whether others can write; a group that belongs to the user alone does not count."""
    private = status.st_gid == os.getegid() == os.geteuid()
    return bool(status.st_mode & (stat.S_IWOTH if private else _WRITE))


def _stat(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        raise ConfigurationError(f"`{path}` cannot be checked: {error.strerror}") from None
