# ruff: noqa: D102 - the protocol documents the methods of a store
"""A store in an SQLite file."""

import os
import sqlite3
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from vaultcore.clock import Clock
from vaultcore.errors import ForkError, UsageError
from vaultcore.storage.jobs import BlockingJob, FutureJob, LoopJob
from vaultcore.storage.protocols import Store, Work
from vaultcore.storage.sqlite import files, forks, fsck, schema
from vaultcore.storage.sqlite.connection import PATIENCE
from vaultcore.storage.sqlite.errors import translated
from vaultcore.storage.sqlite.lock import WriteLock
from vaultcore.storage.sqlite.readers import Every, Readers, Refusal
from vaultcore.storage.sqlite.reads import Parameters, SqliteReads
from vaultcore.storage.sqlite.signal import Signal
from vaultcore.storage.sqlite.writer import Writer
from vaultcore.storage.witness import current

T = TypeVar("T")


class SqliteStore(SqliteReads, Store):
    """A database file, shared by any number of threads and processes of one machine.

    Args:
        path: the database; created if it does not exist, and its schema is brought up to date.
        clock: the time of the entries of the feed.

    Raises:
        ForkError: the store was open when this process was forked.
        StorageError: the file is not a store, or one of a newer version of vaultcore.
        UnavailableError: the file cannot be opened now.
    """

    def __init__(self, path: Path, *, clock: Clock) -> None:
        forks.check(path)
        self._path = path
        self._pid = os.getpid()
        self._lock = WriteLock(files.lock(path), patience=PATIENCE)
        try:
            with self._lock:
                schema.upgrade(path)
            signal = Signal(files.signal(path))
            self._writer = Writer(path, self._lock, signal, clock)
            self._writer.start()
        except BaseException:
            self._lock.close()
            raise
        self._every = Every()
        self._readers: Readers | Refusal = Readers(path, self._writer.presence, self._every)
        self._position: Callable[[], int] = signal.position
        # Also at the end of the interpreter, and for a store that was not closed.
        self._finalizer = weakref.finalize(self, self._writer.close)
        forks.watch(self)

    @property
    def path(self) -> Path:
        """The database file."""
        return self._path

    def write(self, work: Work[T]) -> T:
        witness = current()
        if witness is None:
            job = BlockingJob(work)
            self._writer.submit(job)
            result = job.wait()
        else:
            job = BlockingJob(witness.joined(work))
            self._writer.submit(job)
            result = job.wait()
            witness.committed()
        if job.interruption is not None:
            raise job.interruption
        return result

    def submit(self, work: Work[T]) -> Future[T]:
        job = FutureJob(work)
        self._writer.submit(job)
        return job.future

    async def write_async(self, work: Work[T]) -> T:
        witness = current()
        job = LoopJob(work if witness is None else witness.joined(work))
        self._writer.submit(job)
        result = await job.wait()
        if witness is not None:
            witness.committed()
        return result

    def before_works(self, call: Callable[[], None]) -> None:
        self._writer.before = call

    def position(self) -> int:
        return self._position()

    def check_presence(self) -> None:
        self._writer.presence.check()

    def fsck(self) -> list[str]:
        forks.check(self._path)
        return fsck.check(self._path)

    def close(self) -> None:
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
