"""The one thread of a process that writes: it commits the works of many callers together.

A commit costs a sync of the disk, which takes longer than hundreds of works. While one batch is
synced, the next one gathers, so the disk is waited for once, however many callers there are.
"""

import contextlib
import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from vaultcore.clock import Clock
from vaultcore.errors import ForkError, UsageError, VaultcoreError
from vaultcore.storage.jobs import Job, resolve
from vaultcore.storage.sqlite import feed, forks
from vaultcore.storage.sqlite.batch import run_apart, run_together
from vaultcore.storage.sqlite.connection import connect, empty_log, leave_open
from vaultcore.storage.sqlite.erasing import Erasing
from vaultcore.storage.sqlite.errors import translated
from vaultcore.storage.sqlite.lock import WriteLock
from vaultcore.storage.sqlite.presence import Presence
from vaultcore.storage.sqlite.signal import UNKNOWN, Signal

# Limits how long one batch makes the writers of other processes wait.
_LONGEST_BATCH: Final = 512
# How often an idle writer checks the signal, in seconds.
_TICK: Final = 1.0

_Run = Callable[[list[Job], sqlite3.Connection, int, int], int | None]


class Writer:
    """Runs works in batches, each batch in one transaction.

    Args:
        path: the database.
        lock: the lock that all writers of the database share.
        signal: the place of announcements.
        clock: the time of the entries of the feed.
    """

    def __init__(self, path: Path, lock: WriteLock, signal: Signal, clock: Clock) -> None:
        self._path = path
        self._lock = lock
        self._signal = signal
        self._clock = clock
        self._pid = os.getpid()
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._gate = threading.Lock()
        self._open = True
        self._connection: sqlite3.Connection | None = None
        #: Checks that the database is still the file that was opened.
        self.presence = Presence(path)
        self._ended = False
        #: Called before each batch, when it holds the lock.
        self.before: Callable[[], None] = _nothing
        self._erasing = Erasing(path)
        self._thread = threading.Thread(target=self._loop, name="vaultcore-writer", daemon=True)

    def start(self) -> None:
        """Starts the thread, after checking that the signal is correct.

        Raises:
            StorageError: the database cannot be read; UnavailableError if that may be temporary.
        """
        with self._lock:
            self._settle()
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queues a job.

        Raises:
            ForkError: this process is a child of the one that opened the store.
            UsageError: the store is closed, or the caller is itself a work.
        """
        if os.getpid() != self._pid:
            raise ForkError(f"the store was opened before the fork: {forks.ADVICE}")
        if threading.get_ident() == self._thread.ident:
            raise UsageError("a work must write to the store through its transaction only")
        with self._gate:
            if not self._open:
                raise UsageError("the store is closed: open it again")
            self._queue.put(job)

    def close(self) -> None:
        """Refuses new jobs, finishes the queued ones, and ends the thread."""
        if os.getpid() != self._pid:
            return
        with self._gate:
            if self._open:
                self._open = False
                self._queue.put(None)
        if threading.get_ident() != self._thread.ident:
            self._thread.join()

    def _loop(self) -> None:
        while not self._ended:
            jobs: list[Job] = []
            try:
                jobs = self._gather()
                if jobs:
                    self._process(jobs)
                else:
                    self._tend()
            except BaseException as error:  # noqa: BLE001 - the thread must outlive any error
                self._disconnect()
                for job in jobs:
                    job.error = error
            with contextlib.suppress(BaseException):  # a caller that left must not harm others
                resolve(jobs)
            self._erasing.run(self._empty_log, last=self._ended)
        self._disconnect()
        self._lock.close()

    def _gather(self) -> list[Job]:
        try:
            job = self._queue.get(timeout=_TICK)
        except queue.Empty:
            return []
        jobs: list[Job] = []
        try:
            while job is not None:
                if job.start():
                    jobs.append(job)
                if len(jobs) == _LONGEST_BATCH:
                    return jobs
                job = self._queue.get_nowait()
        except queue.Empty:
            return jobs
        self._ended = True
        return jobs

    def _process(self, jobs: list[Job]) -> None:
        try:
            with self._lock:
                self._commit(jobs)
        except sqlite3.Error as error:
            self._disconnect()
            _fail(jobs, translated(error, "write to the store"))
        except VaultcoreError as error:
            _fail(jobs, error)

    def _commit(self, jobs: list[Job]) -> None:
        """Runs the jobs together; if one of them interferes with others, one by one."""
        if not self._commit_with(jobs, run_together):
            self._commit_with(jobs, run_apart)

    def _commit_with(self, jobs: list[Job], run: _Run) -> bool:
        connection = self._connected()
        connection.execute("BEGIN IMMEDIATE")
        try:
            self.before()
            now = int(self._clock.now())
            before = feed.repair(connection, self._signal.last(), now)
            rows = connection.total_changes
            revision = run(jobs, connection, before, now)
            # Rows without an entry in the feed are those of works that called `unnoticed`.
            if revision is None or (revision == before and connection.total_changes == rows):
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                return revision is not None
            self.presence.check()
            self._signal.begin()
            connection.execute("COMMIT")
            # A commit into a file that nobody will open again does not count.
            self.presence.check()
            self._signal.settle(revision)
        except BaseException:
            self._abandon(connection)
            raise
        if any(job.erased for job in jobs):
            self._erasing.pending = True
        return True

    def _empty_log(self) -> bool:
        """Empties the write-ahead log, and returns whether it is empty."""
        try:
            with self._lock:
                connection = self._connected()
                self.presence.check()
                return empty_log(connection)
        except sqlite3.Error as error:
            self._disconnect()
            raise translated(error, "empty the write-ahead log") from error

    def _abandon(self, connection: sqlite3.Connection) -> None:
        # Some errors end the transaction by themselves; then there is nothing to roll back.
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self._signal.settle(feed.plausible(connection))
        except sqlite3.Error:
            # The signal stays pending: every process asks the database until it can answer.
            self._disconnect()

    def _settle(self) -> None:
        try:
            connection = self._connected()
            self._commit_repair(connection)
            self._signal.settle(feed.plausible(connection))
        except sqlite3.Error as error:
            self._disconnect()
            raise translated(error, "read the store") from error

    def _commit_repair(self, connection: sqlite3.Connection) -> None:
        if self._signal.last() <= feed.plausible(connection):
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            feed.repair(connection, self._signal.last(), int(self._clock.now()))
            self.presence.check()
            self._signal.begin()
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _tend(self) -> None:
        """Repairs, while idle, what a dead writer or an operator left."""
        if self._ended:
            return
        if self._signal.misplaced():
            self._signal.remap()
        if self._strayed() and self._lock.try_enter():
            try:
                self._settle()
            finally:
                self._lock.leave()

    def _strayed(self) -> bool:
        """Returns whether the signal and the database differ, for example after a restore."""
        position = self._signal.position()
        try:
            return position == UNKNOWN or position != feed.plausible(self._connected())
        except sqlite3.Error as error:
            self._disconnect()
            raise translated(error, "read the store") from error

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = connect(self._path)
            try:
                # The log exists once something was read.
                feed.revision(connection)
                self.presence.opened()
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self.presence.in_place():
            connection.close()
        else:
            leave_open(connection)


def _nothing() -> None:
    """Does nothing before a batch."""


def _fail(jobs: list[Job], error: VaultcoreError) -> None:
    for job in jobs:
        # Each caller gets its own exception: a traceback belongs to one thread.
        job.error = type(error)(str(error))
