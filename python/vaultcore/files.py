"""Seals and opens files of any size, in constant memory, with atomic output.

The target gets its name when it is complete, authenticated and on the disk, and not before: until
then it is a hidden file beside it, which is removed if anything fails.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from vaultcore._core import Context, KeyEncryptionKey, StreamOpener, StreamSealer

_PIECE = 1 << 18  # read, processed and written within the cache of a core
_HEAD_ROOM = 256  # more than the head of any suite
_ContextArgument = Context | Mapping[str, str | bytes | int | bool | None] | None
Progress = Callable[[int], None]


def seal_file(
    kek: KeyEncryptionKey,
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    context: _ContextArgument = None,
    progress: Progress | None = None,
    replace: bool = False,
) -> int:
    """Seal a file as a stream.

    Args:
        kek: the key to seal under.
        source: the file to read.
        target: the file to create, with mode 0600.
        context: what the file is about; the same is needed to open it.
        progress: called with the number of bytes of the source that are done, every 256 KiB.
        replace: whether a target that exists is replaced.

    Returns:
        The size of the target.

    Raises:
        UsageError: If the context cannot be encoded.
        FileExistsError: If the target exists and is not to be replaced.
        OSError: If the source cannot be read or the target cannot be written.
    """
    sealer = StreamSealer(kek, context=context)
    return _pass_through(sealer, Path(source), Path(target), progress, replace=replace)


def open_file(
    kek: KeyEncryptionKey,
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    context: _ContextArgument = None,
    progress: Progress | None = None,
    replace: bool = False,
) -> int:
    """Open a file that ``seal_file`` or a ``StreamSealer`` created.

    Args:
        kek: the key that it was sealed under.
        source: the file to read.
        target: the file to create, with mode 0600.
        context: the context that it was sealed with.
        progress: called with the number of bytes of the source that are done, every 256 KiB.
        replace: whether a target that exists is replaced.

    Returns:
        The size of the target.

    Raises:
        DecryptionError: If it cannot be opened or was cut short; there is no target then.
        UsageError: If the context cannot be encoded.
        FileExistsError: If the target exists and is not to be replaced.
        OSError: If the source cannot be read or the target cannot be written.
    """
    opener = StreamOpener(kek, context=context)
    return _pass_through(opener, Path(source), Path(target), progress, replace=replace)


def rewrap_file(
    kek: KeyEncryptionKey, path: str | os.PathLike[str], *, progress: Progress | None = None
) -> None:
    """Wrap the data key of a sealed file under the newest generation.

    The file is copied, so at every moment it is either the old one or the new one; its payload is
    not decrypted.

    Args:
        kek: the key that it was sealed under.
        path: the file.
        progress: called with the number of bytes that are done.

    Raises:
        DecryptionError: If its data key cannot be unwrapped.
        OSError: If it cannot be read or written.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        # Checked first: opening a pipe without a writer would block.
        raise OSError(f"`{path}` is not a regular file; choose another name")
    with path.open("rb", buffering=0) as source:
        start = source.read(_HEAD_ROOM)
        rewrapped = kek.rewrap(start)
        if rewrapped == start:
            return
        with _atomic(path, replace=True) as target:
            done = target.write(rewrapped)
            while piece := source.read(_PIECE):
                done += target.write(piece)
                if progress is not None:
                    progress(done)


def _pass_through(
    stream: StreamSealer | StreamOpener,
    source: Path,
    target: Path,
    progress: Progress | None,
    *,
    replace: bool,
) -> int:
    done = 0
    with source.open("rb", buffering=0) as reader, _atomic(target, replace=replace) as writer:
        while piece := reader.read(_PIECE):
            written = stream.update(piece)
            writer.write(written)
            done += len(piece)
            if progress is not None:
                progress(done)
        writer.write(stream.finalize())
        return writer.tell()


@contextmanager
def _atomic(target: Path, *, replace: bool) -> Iterator[IO[bytes]]:
    """Give a file that becomes ``target`` if the block succeeds, and is removed otherwise."""
    if not replace and target.exists():
        # The decisive check is at the end; this one saves the work.
        raise FileExistsError(
            f"`{target}` exists; choose another name or ask for it to be replaced"
        )
    if target.exists() and not target.is_file():
        # A device or a pipe would become a file, and its other users would be cut off.
        raise OSError(f"`{target}` is not a regular file; choose another name")
    with ExitStack() as clean_up:
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        clean_up.callback(Path(name).unlink, missing_ok=True)
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if replace:
            Path(name).replace(target)
        else:
            os.link(name, target)
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
