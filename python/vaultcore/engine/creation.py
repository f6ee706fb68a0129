"""Making a data folder, whole or not at all, whatever ends the process that makes it.

A file in the folder says that the vault in it is not finished. It is there before anything else is,
and removing it is what makes the vault. As long as it is there, nothing opens the folder, and who
makes a vault in it removes what the attempt before has left, and begins again. What is made outside
of the folder is written down in it first. The folder is never renamed: it may be a mount point.
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

#: Says that the vault in a folder is not finished, and what was begun.
UNFINISHED: Final = ".unfinished"
#: Says that `vaultcore dev` made a folder, and may change it.
DEVELOPMENT: Final = ".made-by-dev"
_DATABASE_FILES: Final = (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", f"{DATABASE}-journal")
_LOCKS: Final = ("vaultcore.lock", "vaultcore.lock-next")
_SIGNAL: Final = "vaultcore.signal"
_FOLDERS: Final = ("audit", "writers")
#: What a vault has of its own. Where one of these is, and no vault, something was lost.
_OWN: Final = (*_DATABASE_FILES, _SIGNAL, LIST, *_FOLDERS)
_DRAFTS: Final = (f".{LIST}.*", f".{_SIGNAL}.*", f".{DEVELOPMENT}.*.new", f"{UNFINISHED}.*")

#: What an empty file system holds.
_OF_THE_FILE_SYSTEM: Final = "lost+found"

logger = logging.getLogger("vaultcore.creation")


def holds_vault(folder: Path) -> bool:
    """Returns whether there is a vault in a folder that was made to the end."""
    return (folder / DATABASE).is_file() and not (folder / UNFINISHED).exists()


def check_finished(folder: Path) -> None:
    """Checks that the vault in a folder was made to the end.

    Raises:
        ConfigurationError: it is being made, or whoever made it was stopped.
    """
    if (folder / UNFINISHED).exists():
        raise ConfigurationError(
            f"the vault in `{folder}` is not finished: another process is making it, or was "
            "stopped; wait for it, or run the same command again"
        )


def prepare_place(folder: Path) -> None:
    """Makes the folder of a new vault, and checks that the vault would be its owner's alone.

    Raises:
        OSError: it cannot be made or looked at.
        ConfigurationError: the folder belongs to somebody else, or it is open to others and holds
            something already.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.stat()
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077 and not mode & stat.S_ISVTX:
        if any(path.name != _OF_THE_FILE_SYSTEM for path in folder.iterdir()):
            raise ConfigurationError(
                f"`{folder}` holds other files and is open to other users (mode {mode:04o}): "
                "choose an empty folder, or run chmod 700 on it"
            )
        if status.st_uid == os.geteuid():
            folder.chmod(0o700)
    secure_folder(folder)


class Draft:
    """A vault that is being made; a context manager.

    It is removed if the block ends before :meth:`finish`.

    Args:
        folder: the data folder; made if it does not exist.
        wanted: the protectors that the vault shall have.

    Raises:
        ConfigurationError: the folder holds a vault or what is left of one, others can reach what
            is in it, or another process makes a vault there.
    """

    def __init__(self, folder: Path, wanted: Sequence[ProtectorOptions]) -> None:
        self._folder = folder
        if holds_vault(folder):
            raise ConfigurationError(f"`{folder}` holds a vault already; open it instead")
        try:
            self._made = not folder.exists()
            prepare_place(folder)
            self._descriptor = self._begin()
        except OSError as error:
            raise ConfigurationError(
                f"no vault can be made in `{folder}`: {error.strerror}"
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
                name.unlink(missing_ok=True)  # of somebody who was killed
            self._check_free()
            #: The protectors, with what is known of them before they are made.
            self.plan = [_continued(planned(options), before) for options in wanted]
            for options in self.plan:
                _check_key_file(folder, options)
            token = [o.options["folder"] for o in self.plan if o.kind == "softhsm"]
            absent = [name for name in token if not (folder / name).exists()]
            self._note({"plan": msgspec.to_builtins(self.plan), "absent": absent})
            # As private as the folder, also while a caller of the library keeps another umask.
            os.close(os.open(folder / DATABASE, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except OSError as error:
            self._give_up()
            raise ConfigurationError(
                f"no vault can be made in `{folder}`: {error.strerror}"
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
        """Writes down that a key file is about to be made, so that it can be told from others.

        Raises:
            ConfigurationError: that cannot be written.
        """
        try:
            self._note({"file": str(path.absolute()), "key_id": key_id})
        except OSError as error:
            raise ConfigurationError(
                f"`{self._folder / UNFINISHED}` cannot be written: {error.strerror}"
            ) from None

    def finish(self) -> None:
        """Makes the vault be there, also after a loss of power.

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
                # Whether it is gone for good is not known, so it is put back before all else goes.
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
        """Returns the file that says so, opened and locked; it is made unless it is there."""
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
                        f"another process is making a vault in `{self._folder}`: wait for it"
                    ) from None
                except BaseException:
                    os.close(descriptor)
                    raise
                os.close(descriptor)
                continue
            self._create(marker)

    def _create(self, marker: Path) -> None:
        # A link appears whole, and never replaces that of another process.
        descriptor, name = tempfile.mkstemp(dir=self._folder, prefix=f"{UNFINISHED}.")
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(json.dumps({"made": self._made}) + "\n")
                file.flush()
                os.fsync(file.fileno())
            # Another process was faster, or took the draft for one that was left.
            with contextlib.suppress(FileExistsError, FileNotFoundError):
                os.link(name, marker)
        finally:
            Path(name).unlink(missing_ok=True)
        _sync(self._folder)

    def _lines(self) -> list[dict[str, Any]]:
        """Returns what was written down; the last line may be torn, and then nothing followed it.

        The first line is that of the folder; there are others only if an attempt went on.
        """
        found = []
        text = os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)
        for line in text.split(b"\n"):
            with contextlib.suppress(json.JSONDecodeError, UnicodeDecodeError):
                found.append(json.loads(line))
        self._made = any(line.get("made") for line in found)
        return [line for line in found if "made" not in line]

    def _note(self, line: dict[str, Any]) -> None:
        # A torn line before it stays a line of its own.
        content = f"\n{json.dumps(line)}\n".encode()
        if os.write(self._descriptor, content) != len(content):
            raise OSError(28, "no space left on the device")
        os.fsync(self._descriptor)

    def _check_free(self) -> None:
        for name in _OWN:
            if (self._folder / name).exists():
                raise ConfigurationError(
                    f"`{self._folder}` holds `{name}` of another vault, and no vault: restore "
                    "that, or choose an empty folder"
                )

    def _give_up(self) -> None:
        """Removes what was made; what cannot be removed is left to the next attempt."""
        descriptor = self._descriptor
        try:
            lines = self._lines()
            if lines:
                self._remove(lines)
            # A key in a token may be there: its id is kept, and taken up by the next attempt.
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
        """Removes what an attempt made, and nothing else."""
        folder = self._folder
        for line in lines:
            if "file" in line:
                _remove_key_file(Path(line["file"]), line["key_id"])
            for name in line.get("absent", ()):
                # One elsewhere stays: it may be another's by now, and making it again finds it.
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
    # Whatever else stands there by now is not of this attempt.
    if key_id_of(path) == key_id:
        path.unlink()
        _sync(path.parent)


def _check_unused(folder: Path) -> None:
    """Checks that an unfinished vault was never used, whatever its marker says.

    Raises:
        ConfigurationError: there are secrets or keys in it.
    """
    if not (folder / DATABASE).exists():
        return
    try:
        # The file is looked at as it is: to open it as a store would give it a schema first.
        with contextlib.closing(sqlite3.connect(folder / DATABASE)) as connection:
            ((used,),) = connection.execute("SELECT count(*) FROM objects").fetchall()
    except sqlite3.Error:
        return  # it did not come so far
    if used:
        raise ConfigurationError(
            f"`{folder / UNFINISHED}` says that the vault is not finished, but it was used: remove "
            "that file to open it"
        )


def _check_key_file(folder: Path, options: ProtectorOptions) -> None:
    if options.kind == "file" and (path := folder / options.options["path"]).exists():
        raise ProtectorError(
            f"the key file `{path}` exists already: choose another path, or remove the file if "
            "nothing is opened by it any more"
        )


def _continued(options: ProtectorOptions, before: list[dict[str, Any]]) -> ProtectorOptions:
    """Takes up the id of a key that the attempt before may have left in the same token."""
    for known in _plan(before):
        if known.name != options.name or known.kind != "pkcs11":
            continue
        taken = {**options.options, "key_id": known.options["key_id"]}
        if taken == known.options and options.kind == known.kind:
            return known
        logger.warning(
            "the attempt before may have left the key `%s` with id %s in the token `%s`: remove it "
            "there if nothing else uses it",
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
