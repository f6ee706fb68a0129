"""Files that only their owner may read."""

import os
import stat
from pathlib import Path

from vaultcore.errors import ProtectorError, ProtectorUnavailableError


def read_private(path: Path, what: str, limit: int, *, follow: bool = True) -> bytes:
    """Returns the content of a file that nobody but its owner can read.

    Args:
        path: the file.
        what: the name of the file in messages, for example "key file".
        limit: the largest accepted size, in bytes.
        follow: whether the path may be a symbolic link.

    Raises:
        ProtectorError: others can read the file, it belongs to another user, or it is not a file.
        ProtectorUnavailableError: the file is missing.
    """
    try:
        # Non-blocking, so that a pipe in the place of the file does not stop the service.
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
        descriptor = os.open(path, flags if follow else flags | os.O_NOFOLLOW)
    except FileNotFoundError:
        raise ProtectorUnavailableError(
            f"the {what} `{path}` is absent: bring it back or correct the path"
        ) from None
    except OSError as error:
        raise ProtectorError(f"the {what} `{path}` cannot be read: {error.strerror}") from None
    try:
        _check(os.fstat(descriptor), path, what)
        content = os.read(descriptor, limit + 1)
    except OSError as error:
        raise ProtectorError(f"the {what} `{path}` cannot be read: {error.strerror}") from None
    finally:
        os.close(descriptor)
    if len(content) > limit:
        raise ProtectorError(f"the {what} `{path}` is larger than any {what}")
    return content


def _check(status: os.stat_result, path: Path, what: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ProtectorError(f"the {what} `{path}` is not a file")
    if status.st_uid not in (os.geteuid(), 0):
        raise ProtectorError(
            f"the {what} `{path}` belongs to user {status.st_uid}: give it to the user that runs "
            "the vault"
        )
    if status.st_mode & 0o077:
        raise ProtectorError(
            f"the {what} `{path}` has mode {stat.S_IMODE(status.st_mode):04o}, so others can "
            "reach it: run chmod 600 on it"
        )


def create_private(path: Path, content: bytes, what: str) -> None:
    """Creates a file with mode 0600, whole or not at all, and on the disk when this returns.

    Args:
        path: the file, which must not exist.
        content: the content.
        what: the name of the file in messages.

    Raises:
        ProtectorError: the file exists, or cannot be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(8).hex()}.new")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            os.link(draft, path)  # unlike a rename, fails if there is a file
        finally:
            draft.unlink()
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except FileExistsError:
        raise ProtectorError(
            f"the {what} `{path}` exists already: open it, or choose another path"
        ) from None
    except OSError as error:
        raise ProtectorError(f"the {what} `{path}` cannot be written: {error.strerror}") from None
