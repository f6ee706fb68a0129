"""The store: objects, their versions, small documents, and the feed of their changes."""

import os
import sqlite3
import weakref
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from vaultcore.clock import Clock
from vaultcore.errors import ConfigurationError, ForkError, UsageError
from vaultcore.storage.jobs import BlockingJob, FutureJob, LoopJob, Work
from vaultcore.storage.sqlite import forks, fsck, schema
from vaultcore.storage.sqlite.connection import PATIENCE, translated
from vaultcore.storage.sqlite.lock import WriteLock
from vaultcore.storage.sqlite.readers import Every, Readers, Refusal
from vaultcore.storage.sqlite.reads import Parameters, Reads
from vaultcore.storage.sqlite.signal import Signal
from vaultcore.storage.sqlite.writer import Writer
from vaultcore.storage.witness import current

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Store(Reads):
    """A database file, shared by any number of threads and processes.

    Reads see the last committed state. Writes are works, given to ``write``, ``submit`` or
    ``write_async``; those of many callers share one commit, and each is on the disk before its
    caller hears of it.

    Args:
        path: the database.
        clock: dates the entries of the feed.
    """

    def __init__(self, path: Path, *, clock: Clock) -> None:
        forks.check(path)
        self._path = path
        self._pid = os.getpid()
        self._lock = WriteLock(_beside(path, ".lock"), patience=PATIENCE)
        try:
            with self._lock:
                schema.upgrade(path)
            signal = Signal(_beside(path, ".signal"))
            self._writer = Writer(path, self._lock, signal, clock)
            self._writer.start()
        except BaseException:
            self._lock.close()
            raise
        self._every = Every()
        self._readers: Readers | Refusal = Readers(path, self._writer.presence, self._every)
        self._position: Callable[[], int] = signal.position
        # Also at the end of the interpreter, and for a store that nobody closed.
        self._finalizer = weakref.finalize(self, self._writer.close)
        forks.watch(self)

    @classmethod
    def open(cls, url: str | URL, *, clock: Clock) -> Self:
        """Opens a store, creates it if there is none, and brings its schema up to date.

        Args:
            url: ``sqlite:///`` and the path of a file; its folder must exist.
            clock: dates the entries of the feed.

        Raises:
            ConfigurationError: the URL cannot be used.
            ForkError: the store was open when this process was forked.
            StorageError: the file is not a store, or one of a newer version of vaultcore.
            UnavailableError: the file cannot be opened now.
        """
        return cls(_path(url), clock=clock)

    @property
    def path(self) -> Path:
        """The database file."""
        return self._path

    def write(self, work: Work[T]) -> T:
        """Runs a work in a transaction and returns its result once it is on the disk.

        Args:
            work: what to do. It may be run more than once, so it has no effect but on its
                transaction; it waits for nothing, since other writers wait for it.

        Raises:
            ForkError: the store was opened by a parent of this process.
            UsageError: the store is closed, or the caller is itself a work.
            StorageError: the store cannot be written; UnavailableError if that may pass.
            BaseException: whatever the work raised; its changes are undone.
        """
        witness = current()
        if witness is None:
            job = BlockingJob(work)
            self._writer.submit(job)
            return job.wait()
        job = BlockingJob(witness.joined(work))
        self._writer.submit(job)
        result = job.wait()
        witness.committed()
        return result

    def submit(self, work: Work[T]) -> Future[T]:
        """Queues a work like ``write`` does, and returns a future for its result.

        Raises:
            ForkError: the store was opened by a parent of this process.
            UsageError: the store is closed, or the caller is itself a work.
        """
        job = FutureJob(work)
        self._writer.submit(job)
        return job.future

    async def write_async(self, work: Work[T]) -> T:
        """Does what ``write`` does, for a coroutine; the event loop is never held up.

        If the coroutine is cancelled, the work may be committed all the same.

        Raises:
            ForkError: the store was opened by a parent of this process.
            UsageError: the store is closed, or the caller is itself a work.
            StorageError: the store cannot be written; UnavailableError if that may pass.
            BaseException: whatever the work raised; its changes are undone.
        """
        witness = current()
        job = LoopJob(work if witness is None else witness.joined(work))
        self._writer.submit(job)
        result = await job.future
        if witness is not None:
            witness.committed()
        return result

    def before_works(self, call: "Callable[[], None]") -> None:
        """Has a call made before each batch of works runs, with every other writer kept out.

        What it reads is what the works will find. If it raises, none of them runs.

        Args:
            call: runs in the writer's thread; it only reads, and others wait for it.
        """
        self._writer.before = call

    def position(self) -> int:
        """Returns the last committed revision, or -1 while a commit may be under way.

        It costs a tenth of a microsecond, and tells of the commits of all processes. Who gets -1
        asks ``revision``.

        Raises:
            ForkError: the store was opened by a parent of this process.
            UsageError: the store is closed.
        """
        return self._position()

    def check_presence(self) -> None:
        """Checks that the database is still the file that was opened; costs two system calls.

        Raises:
            UnavailableError: it was moved, replaced or removed: what this process reads is not
                what others see, and what it writes is refused.
        """
        self._writer.presence.check()

    def fsck(self) -> list[str]:
        """Checks the database file without the code that wrote it, and returns what is wrong.

        Raises:
            StorageError: the file cannot be read; UnavailableError if that may pass.
        """
        forks.check(self._path)
        return fsck.check(self._path)

    def close(self) -> None:
        """Finishes what was submitted, and closes every connection; may be called again."""
        if os.getpid() != self._pid:
            return
        self._finalizer()
        self._refuse(Refusal(UsageError, "the store is closed: open it again"))
        self._every.close()
        forks.unwatch(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _rows(self, sql: str, parameters: Parameters = ()) -> list[Any]:
        try:
            return self._readers.rows(sql, parameters)
        except sqlite3.Error as error:
            if isinstance(self._readers, Refusal):  # closed while this thread began to read
                self._readers.refuse()
            raise translated(error, "read the store") from error

    def inheritance(self) -> list[object]:
        """Returns what a child process must neither use nor destroy."""
        return [self._writer, *self._every.holders()]

    def disinherit(self) -> None:
        """Refuses every further use; called in a child process."""
        self._finalizer.detach()
        message = f"the store was opened before the fork: {forks.ADVICE}"
        self._refuse(Refusal(ForkError, message))

    def _refuse(self, refusal: Refusal) -> None:
        self._readers = refusal
        self._position = refusal.refuse


def _path(url: str | URL) -> Path:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigurationError(
            "the URL of the store cannot be read: try sqlite:///PATH"
        ) from error
    if parsed.get_backend_name() != "sqlite":
        raise ConfigurationError("this version keeps its store in SQLite: give sqlite:///PATH")
    if parsed.database in (None, "", ":memory:") or parsed.query:
        raise ConfigurationError("the URL of the store names no file: give sqlite:///PATH")
    return Path(str(parsed.database)).resolve()


def _beside(path: Path, suffix: str) -> Path:
    # Two databases of one folder must not share a signal.
    return path.with_suffix(suffix) if path.suffix == ".db" else path.with_name(path.name + suffix)
