"""Reads files that people name: completely, up to a limit, and without waiting for ever.

A name may lead to anything: a folder, a device without an end, a pipe that nobody writes to. Each
of these is refused with one line that names the file.
"""

import os
import select
import stat
from pathlib import Path
from typing import Final

from vaultcore.errors import UnreadableError

#: How long a pipe may stay silent before its first byte, in seconds; a person may have to type.
PIPE_SECONDS: Final = 60.0
_PIECE: Final = 1 << 18


def read_input(path: Path, *, limit: int) -> bytes:
    """Reads a file completely.

    Args:
        path: a file, or a pipe or device that ends.
        limit: the most bytes that it may have.

    Raises:
        UnreadableError: it is missing, a folder, larger than the limit, a pipe that stays silent
            for :data:`PIPE_SECONDS`, or the system refuses to read it.
    """
    try:
        # Non-blocking: opening a pipe without a writer would wait for one.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise UnreadableError(f"`{path}` cannot be read: {_reason(error)}") from None
    try:
        kind = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(kind):
            raise UnreadableError(f"`{path}` cannot be read: it is a folder; name a file")
        if stat.S_ISFIFO(kind) and not _speaks(descriptor):
            raise UnreadableError(
                f"`{path}` is a pipe, and nothing came through it in {PIPE_SECONDS:.0f} seconds"
            )
        os.set_blocking(descriptor, True)
        return _read_whole(descriptor, path, limit)
    except OSError as error:
        raise UnreadableError(f"`{path}` cannot be read: {_reason(error)}") from None
    finally:
        os.close(descriptor)


def read_text_input(path: Path, *, limit: int) -> str:
    """Reads a file of UTF-8 text completely.

    Args:
        path: a file, or a pipe or device that ends.
        limit: the most bytes that it may have.

    Raises:
        UnreadableError: it is not text, or cannot be read; see :func:`read_input`.
    """
    try:
        return read_input(path, limit=limit).decode()
    except UnicodeDecodeError:
        raise UnreadableError(f"`{path}` is not UTF-8 text") from None


def _read_whole(descriptor: int, path: Path, limit: int) -> bytes:
    parts, size = [], 0
    while piece := os.read(descriptor, _PIECE):
        size += len(piece)
        if size > limit:
            raise UnreadableError(f"`{path}` is larger than {limit} bytes, the most that is read")
        parts.append(piece)
    return b"".join(parts)


def _speaks(descriptor: int) -> bool:
    """Returns whether data came through a pipe, or its writer came and went."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(PIPE_SECONDS * 1000))


def _reason(error: OSError | ValueError) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)
