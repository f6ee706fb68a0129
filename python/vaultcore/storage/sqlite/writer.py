"""The one thread of a process that writes: it commits the works of many callers together.

A commit costs a sync of the disk, which takes longer than hundreds of works. While one batch is
synced the next one gathers, so the disk is waited for once, however many callers there are.
"""

import contextlib
import logging
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from vaultcore.clock import Clock
from vaultcore.errors import ForkError, UnavailableError, UsageError, VaultcoreError
from vaultcore.storage import statements
from vaultcore.storage.jobs import Job, resolve
from vaultcore.storage.sqlite import forks
from vaultcore.storage.sqlite.connection import connect, empty_log, leave_open, translated
from vaultcore.storage.sqlite.lock import WriteLock
from vaultcore.storage.sqlite.presence import Presence
from vaultcore.storage.sqlite.signal import UNKNOWN, Signal
from vaultcore.storage.sqlite.transaction import Entry, Transaction

# Bounds how long one batch keeps the writers of other processes waiting.
_LONGEST_BATCH = 512
# How often an idle writer looks after the signal, in seconds.
_TICK = 1.0
# How often what was erased is taken out of the write-ahead log, in seconds.
_ERASING_PAUSE = 1.0
# After how long the log is emptied in any case: whoever erased something may have died.
_LONGEST_LOG = 60.0
# No feed of ours gets as far: an entry beyond was put there by somebody else. Twice as much still
# fits the word of the signal, and a batch more still fits a column.
HIGHEST_REVISION: Final = 1 << 62
# The kind of the entry that tells of a feed which was put right.
REPAIR: Final = "feed"

logger = logging.getLogger("vaultcore.storage")

_Run = Callable[[list[Job], sqlite3.Connection, int, int], int | None]


class Writer:
    """Runs works in batches, each batch in one transaction.

    Args:
        path: the database.
        lock: the lock that all writers of the database share.
        signal: where commits are announced.
        clock: dates the entries of the feed.
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
        #: Tells whether the database is still the file that was opened.
        self.presence = Presence(path)
        self._ended = False
        #: Called before each batch, when it holds the lock.
        self.before: Callable[[], None] = _nothing
        # What was in the log before this process came may have been erased since.
        self._erased = True
        self._emptied = 0.0
        self._log_trouble = ""
        self._thread = threading.Thread(target=self._loop, name="vaultcore-writer", daemon=True)

    def start(self) -> None:
        """Starts the thread, after making sure that the signal tells the truth.

        Raises:
            StorageError: the database cannot be read; UnavailableError if that may pass.
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
            raise UsageError("a work may not write to the store but through its transaction")
        with self._gate:
            if not self._open:
                raise UsageError("the store is closed: open it again")
            self._queue.put(job)

    def close(self) -> None:
        """Refuses new jobs, finishes those that were queued, and ends the thread."""
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
            with contextlib.suppress(BaseException):  # a caller that went away harms no other
                resolve(jobs)
            self._empty_log()
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
        """Runs the jobs together; if one of them gets in the way of others, one by one."""
        if not self._commit_with(jobs, _run_together):
            self._commit_with(jobs, _run_apart)

    def _commit_with(self, jobs: list[Job], run: _Run) -> bool:
        connection = self._connected()
        connection.execute("BEGIN IMMEDIATE")
        try:
            self.before()
            before = self._repair(connection)
            rows = connection.total_changes
            revision = run(jobs, connection, before, int(self._clock.now()))
            # Rows without an entry in the feed are those of works that say they go unnoticed.
            if revision is None or (revision == before and connection.total_changes == rows):
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                return revision is not None
            self.presence.check()
            self._signal.begin()
            connection.execute("COMMIT")
            # What went into a file that nobody will open again was not committed.
            self.presence.check()
            self._signal.settle(revision)
        except BaseException:
            self._abandon(connection)
            raise
        self._erased = self._erased or any(job.erased for job in jobs)
        return True

    def _empty_log(self) -> None:
        """Takes what was erased out of the write-ahead log, now and then, and at the end.

        The database has zeros in its place already. A log that cannot be emptied is tried again.
        """
        now = time.monotonic()
        waited = now - self._emptied
        due = self._erased and (waited >= _ERASING_PAUSE or self._ended)
        if not due and waited < _LONGEST_LOG:
            return
        self._emptied = now
        try:
            if _size(self._path.with_name(f"{self._path.name}-wal")) == 0:
                self._erased = False
                return
            with self._lock:
                connection = self._connected()
                self.presence.check()
                self._erased = not empty_log(connection)
        except sqlite3.Error as error:
            self._disconnect()
            trouble = str(translated(error, "empty the write-ahead log"))
        except (VaultcoreError, OSError) as error:
            trouble = str(error)
        else:
            trouble = ""
        if trouble and trouble != self._log_trouble:
            logger.warning("what was purged stays in the write-ahead log for now: %s", trouble)
        self._log_trouble = trouble

    def _abandon(self, connection: sqlite3.Connection) -> None:
        # Some errors end the transaction by themselves, and then there is nothing to roll back.
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self._signal.settle(self._word(connection))
        except sqlite3.Error:
            # The signal stays pending: everybody asks the database until it can answer.
            self._disconnect()

    def _settle(self) -> None:
        try:
            connection = self._connected()
            self._commit_repair(connection)
            self._signal.settle(self._word(connection))
        except sqlite3.Error as error:
            self._disconnect()
            raise translated(error, "read the store") from error

    def _commit_repair(self, connection: sqlite3.Connection) -> None:
        if self._signal.last() <= self._word(connection):
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            self._repair(connection)
            self.presence.check()
            self._signal.begin()
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _tend(self) -> None:
        """Repairs, while idle, what a writer that died or an operator left behind."""
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
        """Returns whether the signal says something else than the database, as after a restore."""
        position = self._signal.position()
        try:
            return position == UNKNOWN or position != self._word(self._connected())
        except sqlite3.Error as error:
            self._disconnect()
            raise translated(error, "read the store") from error

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = connect(self._path)
            try:
                # The log is there once something was read.
                self._revision(connection)
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

    def _word(self, connection: sqlite3.Connection) -> int:
        # An implausible entry stays in the feed until the next commit; the signal cannot say it.
        return min(max(self._revision(connection), 0), HIGHEST_REVISION)

    def _repair(self, connection: sqlite3.Connection) -> int:
        """Returns the last revision, after putting right what vaultcore did not do to the feed.

        Entries that no work of ours wrote are removed. A revision that was announced before the
        feed went back is not given out again: who has seen it would take the one for the other.
        Both are told in the feed, so that everybody reads everything again.
        """
        revision, told = self._revision(connection), self._signal.last()
        if told >= HIGHEST_REVISION:
            told = 0
        if told <= revision < HIGHEST_REVISION:
            return revision
        logger.error(
            "the feed of changes was changed outside of vaultcore: it ends at %d, and %d was "
            "announced; it is put right, and every process reads everything again",
            revision,
            told,
        )
        connection.execute(statements.FORGET_CHANGES, (HIGHEST_REVISION - 1, 1))
        revision = max(self._revision(connection), told) + 1
        entry = (revision, "", REPAIR, "", "", "repair", int(self._clock.now()))
        connection.execute(statements.INSERT_CHANGE, entry)
        return revision

    @staticmethod
    def _revision(connection: sqlite3.Connection) -> int:
        revision: int | None = connection.execute(statements.REVISION).fetchall()[0][0]
        return revision or 0


def _nothing() -> None:
    """Does nothing before a batch."""


def _run_together(
    jobs: list[Job], connection: sqlite3.Connection, revision: int, now: int
) -> int | None:
    """Runs jobs without a savepoint for each; returns the last revision.

    Returns None if a job failed after it wrote: its changes cannot be told from those of others.
    """
    feed: list[Entry] = []
    kinds: set[str] = set()
    for job in jobs:
        transaction = Transaction(connection, revision, now, feed, kinds)
        revision = _run(job, transaction, revision)
        if not connection.in_transaction or (job.error is not None and transaction.wrote):
            return None
    try:
        connection.executemany(statements.INSERT_CHANGE, feed)
    except Exception:  # noqa: BLE001 - whatever it is, running apart finds whose it is
        return None
    return revision


def _run_apart(jobs: list[Job], connection: sqlite3.Connection, revision: int, now: int) -> int:
    """Runs jobs, each in its own savepoint; returns the last revision."""
    kinds: set[str] = set()
    for job in jobs:
        revision = _run(job, Transaction(connection, revision, now, None, kinds), revision)
        if not connection.in_transaction:
            # SQLite rolled back everything: a full disk, an I/O error, no memory.
            if isinstance(job.error, VaultcoreError):
                raise job.error
            raise UnavailableError("cannot write to the store: the transaction was lost: try again")
    return revision


def _run(job: Job, transaction: Transaction, revision: int) -> int:
    """Runs a job and returns the last revision after it."""
    try:
        job.result = job.work(transaction)
        revision = transaction.finish()
        job.error = None
        job.erased = transaction.erased
    except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to the caller
        job.error = error
        transaction.undo()
    return revision


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _fail(jobs: list[Job], error: VaultcoreError) -> None:
    for job in jobs:
        # Each caller gets an exception of its own: a traceback belongs to one thread.
        job.error = type(error)(str(error))
