"""Creates a data folder, whole or not at all, however the creating process ends.

A file in the folder marks the vault in it as unfinished. It is created before everything else, and
removing it completes the vault. While it exists, nothing opens the folder, and a process that
creates a vault in it first removes what the previous attempt left. Everything that is created
outside the folder is listed in that file first. The folder is never renamed: it may be a mount
point.
"""

import contextlib
import fcntl
import json
import logging
import os
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from vaultcore.errors import ConfigurationError, ProtectorError
from vaultcore.installation.settings import DATABASE
from vaultcore.ownership import LIST, secure_folder
from vaultcore.protectors.file import key_id_of
from vaultcore.protectors.options import ProtectorOptions, planned

#: Marks the vault in a folder as unfinished, and lists what was begun.
UNFINISHED: Final = ".unfinished"
#: Marks a folder that `vaultcore dev` created, and may change.
DEVELOPMENT: Final = ".made-by-dev"
_DATABASE_FILES: Final = (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", f"{DATABASE}-journal")
_LOCKS: Final = ("vaultcore.lock", "vaultcore.lock-next")
_SIGNAL: Final = "vaultcore.signal"
_FOLDERS: Final = ("audit", "writers")
#: The files of a vault. If one of these exists without a vault, something was lost.
_OWN: Final = (*_DATABASE_FILES, _SIGNAL, LIST, *_FOLDERS)
_DRAFTS: Final = (f".{LIST}.*", f".{_SIGNAL}.*", f".{DEVELOPMENT}.*.new", f"{UNFINISHED}.*")

#: The content of an empty file system.
_OF_THE_FILE_SYSTEM: Final = "lost+found"

logger = logging.getLogger("vaultcore.creation")


def holds_vault(folder: Path) -> bool:
    """Returns whether a folder contains a finished vault."""
    return (folder / DATABASE).is_file() and not (folder / UNFINISHED).exists()


def check_finished(folder: Path) -> None:
    """Checks that the vault in a folder is finished.

    Raises:
        ConfigurationError: it is being created, or its creation was interrupted.
    """
    if (folder / UNFINISHED).exists():
        raise ConfigurationError(
            f"the vault in `{folder}` is not finished: another process is creating it, or was "
            "stopped; wait for it, or run the same command again"
        )


def prepare_place(folder: Path) -> None:
    """Creates the folder of a new vault, and checks that only its owner could reach the vault.

    Raises:
        OSError: it cannot be created or examined.
        ConfigurationError: the folder belongs to somebody else, or it is open to others and already
            contains something.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.stat()
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077 and not mode & stat.S_ISVTX:
        if any(path.name != _OF_THE_FILE_SYSTEM for path in folder.iterdir()):
            raise ConfigurationError(
                f"`{folder}` contains other files and is open to other users (mode {mode:04o}): "
                "choose an empty folder, or run chmod 700 on it"
            )
        if status.st_uid == os.geteuid():
            folder.chmod(0o700)
    secure_folder(folder)


class Draft:
    """A vault that is being created; a context manager.

    It is removed if the block ends before :meth:`finish`.

    Args:
        folder: the data folder; created if it does not exist.
        wanted: the protectors of the new vault.

    Raises:
        ConfigurationError: the folder contains a vault or remains of one, others can reach its
            content, or another process is creating a vault there.
    """

    def __init__(self, folder: Path, wanted: Sequence[ProtectorOptions]) -> None:
        self._folder = folder
        if holds_vault(folder):
            raise ConfigurationError(f"`{folder}` contains a vault already; open it instead")
        try:
            self._made = not folder.exists()
            prepare_place(folder)
            self._descriptor = self._begin()
        except OSError as error:
            raise ConfigurationError(
                f"no vault can be created in `{folder}`: {error.strerror}"
            ) from None
        try:
            _check_unused(folder)
        except BaseException:
            os.close(self._descriptor)  # and nothing is removed
            raise
        try:
            before = self._lines()
            if before:
                self._remove(before)
            for name in folder.glob(f"{UNFINISHED}.*"):
                name.unlink(missing_ok=True)  # of a process that was killed
            self._check_free()
            #: The protectors, with what is known of them before they are created.
            self.plan = [_continued(planned(options), before) for options in wanted]
            for options in self.plan:
                _check_key_file(folder, options)
            token = [o.options["folder"] for o in self.plan if o.kind == "softhsm"]
            absent = [name for name in token if not (folder / name).exists()]
            self._note({"plan": msgspec.to_builtins(self.plan), "absent": absent})
            # As private as the folder, even if a caller of the library has another umask.
            os.close(os.open(folder / DATABASE, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except OSError as error:
            self._give_up()
            raise ConfigurationError(
                f"no vault can be created in `{folder}`: {error.strerror}"
            ) from None
        except BaseException:
            self._give_up()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._descriptor >= 0:
            self._give_up()

    def note_key_file(self, path: Path, key_id: str) -> None:
        """Notes that a key file is about to be created, so that it can be identified later.

        Raises:
            ConfigurationError: the note cannot be written.
        """
        try:
            self._note({"file": str(path.absolute()), "key_id": key_id})
        except OSError as error:
            raise ConfigurationError(
                f"`{self._folder / UNFINISHED}` cannot be written: {error.strerror}"
            ) from None

    def finish(self) -> None:
        """Completes the vault, durably: it also exists after a loss of power.

        Raises:
            ConfigurationError: the folder cannot be written; there is no vault then.
        """
        marker = self._folder / UNFINISHED
        try:
            if self._made:
                _sync(self._folder.absolute().parent)
            _sync(self._folder)
            marker.unlink()
            try:
                _sync(self._folder)
            except OSError:
                # It is not known whether the removal is durable, so the file is restored first.
                self._put_back(marker)
                raise
        except OSError as error:
            raise ConfigurationError(
                f"the vault in `{self._folder}` cannot be finished: {error.strerror}"
            ) from None
        descriptor, self._descriptor = self._descriptor, -1
        os.close(descriptor)

    def _put_back(self, marker: Path) -> None:
        content = os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(marker, flags, 0o600)
        os.close(self._descriptor)
        self._descriptor = descriptor
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.write(descriptor, content)

    def _begin(self) -> int:
        """Returns the marker file, opened and locked; creates it if it does not exist."""
        marker = self._folder / UNFINISHED
        while True:
            with contextlib.suppress(FileNotFoundError):
                descriptor = os.open(marker, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if os.path.samestat(os.fstat(descriptor), marker.stat()):
                        return descriptor
                except BlockingIOError:
                    os.close(descriptor)
                    raise ConfigurationError(
                        f"another process is creating a vault in `{self._folder}`: wait for it"
                    ) from None
                except BaseException:
                    os.close(descriptor)
                    raise
                os.close(descriptor)
                continue
            self._create(marker)

    def _create(self, marker: Path) -> None:
        # A link appears whole, and never replaces the marker of another process.
        descriptor, name = tempfile.mkstemp(dir=self._folder, prefix=f"{UNFINISHED}.")
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(json.dumps({"made": self._made}) + "\n")
                file.flush()
                os.fsync(file.fileno())
            # Another process was faster, or considered the draft abandoned.
            with contextlib.suppress(FileExistsError, FileNotFoundError):
                os.link(name, marker)
        finally:
            Path(name).unlink(missing_ok=True)
        _sync(self._folder)

    def _lines(self) -> list[dict[str, Any]]:
        """Returns the notes; the last line may be torn, and then nothing followed it.

        The first line concerns the folder; there are others only if an attempt got further.
        """
        found = []
        text = os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)
        for line in text.split(b"\n"):
            with contextlib.suppress(json.JSONDecodeError, UnicodeDecodeError):
                found.append(json.loads(line))
        self._made = any(line.get("made") for line in found)
        return [line for line in found if "made" not in line]

    def _note(self, line: dict[str, Any]) -> None:
        # A torn line before this one stays a line of its own.
        content = f"\n{json.dumps(line)}\n".encode()
        if os.write(self._descriptor, content) != len(content):
            raise OSError(28, "no space left on the device")
        os.fsync(self._descriptor)

    def _check_free(self) -> None:
        for name in _OWN:
            if (self._folder / name).exists():
                raise ConfigurationError(
                    f"`{self._folder}` contains `{name}` of another vault, but no vault: restore "
                    "that vault, or choose an empty folder"
                )

    def _give_up(self) -> None:
        """Removes what was created; what cannot be removed is left to the next attempt."""
        descriptor = self._descriptor
        try:
            lines = self._lines()
            if lines:
                self._remove(lines)
            # There may be a key in a token: its id is kept, and the next attempt reuses it.
            if not any(options.kind == "pkcs11" for options in _plan(lines)):
                (self._folder / UNFINISHED).unlink(missing_ok=True)
                _sync(self._folder)
                if self._made:
                    with contextlib.suppress(OSError):
                        self._folder.rmdir()
        except OSError as error:
            logger.warning(
                "what was begun in `%s` could not be removed (%s): run the same command again",
                self._folder,
                error.strerror,
            )
        finally:
            self._descriptor = -1
            os.close(descriptor)

    def _remove(self, lines: list[dict[str, Any]]) -> None:
        """Removes what an attempt created, and nothing else."""
        folder = self._folder
        for line in lines:
            if "file" in line:
                _remove_key_file(Path(line["file"]), line["key_id"])
            for name in line.get("absent", ()):
                # A key file elsewhere is left: it may belong to another vault by now.
                if (folder / name).resolve().is_relative_to(folder.resolve()):
                    shutil.rmtree(folder / name, ignore_errors=True)
        for name in _FOLDERS:
            if (folder / name).exists():
                shutil.rmtree(folder / name)
        for name in (*_DATABASE_FILES, _SIGNAL, LIST, DEVELOPMENT, *_LOCKS):
            (folder / name).unlink(missing_ok=True)
        for pattern in _DRAFTS:
            for draft in folder.glob(pattern):
                draft.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            (folder / "keys").rmdir()
        _sync(folder)


def _remove_key_file(path: Path, key_id: str) -> None:
    for draft in path.parent.glob(f".{path.name}.*.new"):
        draft.unlink(missing_ok=True)
    # Any other file there by now does not belong to this attempt.
    if key_id_of(path) == key_id:
        path.unlink()
        _sync(path.parent)


def _check_unused(folder: Path) -> None:
    """Checks that an unfinished vault was never used, whatever its marker says.

    Raises:
        ConfigurationError: it contains secrets or keys.
    """
    if not (folder / DATABASE).exists():
        return
    try:
        # The file is looked at as it is: to open it as a store would give it a schema first.
        with contextlib.closing(sqlite3.connect(folder / DATABASE)) as connection:
            ((used,),) = connection.execute("SELECT count(*) FROM objects").fetchall()
    except sqlite3.Error:
        return  # the attempt did not get that far
    if used:
        raise ConfigurationError(
            f"`{folder / UNFINISHED}` says that the vault is not finished, but it was used: remove "
            "that file to open it"
        )


def _check_key_file(folder: Path, options: ProtectorOptions) -> None:
    if options.kind == "file" and (path := folder / options.options["path"]).exists():
        raise ProtectorError(
            f"the key file `{path}` exists already: choose another path, or remove the file if "
            "nothing needs it any more"
        )


def _continued(options: ProtectorOptions, before: list[dict[str, Any]]) -> ProtectorOptions:
    """Reuses the id of a key that the previous attempt may have left in the same token."""
    for known in _plan(before):
        if known.name != options.name or known.kind != "pkcs11":
            continue
        taken = {**options.options, "key_id": known.options["key_id"]}
        if taken == known.options and options.kind == known.kind:
            return known
        logger.warning(
            "the previous attempt may have left the key `%s` with id %s in the token `%s`: remove "
            "it there if nothing else uses it",
            known.options["key_label"],
            known.options["key_id"],
            known.options["token_label"],
        )
    return options


def _plan(lines: list[dict[str, Any]]) -> list[ProtectorOptions]:
    plans = [line["plan"] for line in lines if "plan" in line]
    return msgspec.convert(plans[-1], list[ProtectorOptions]) if plans else []


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
