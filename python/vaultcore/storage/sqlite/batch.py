"""Runs the works of one batch in one transaction: together, or each with a savepoint."""

import sqlite3

from vaultcore.errors import UnavailableError, VaultcoreError
from vaultcore.storage.jobs import Job
from vaultcore.storage.sqlite import statements
from vaultcore.storage.sqlite.transaction import Entry, SqliteTransaction


def run_together(
    jobs: list[Job], connection: sqlite3.Connection, revision: int, now: int
) -> int | None:
    """Runs jobs without a savepoint for each; returns the last revision.

    Returns None if a job failed after it wrote: its changes cannot be separated from others.
    """
    feed: list[Entry] = []
    kinds: set[str] = set()
    for job in jobs:
        transaction = SqliteTransaction(connection, revision, now, feed, kinds)
        revision = _run(job, transaction, revision)
        if not connection.in_transaction or (job.error is not None and transaction.wrote):
            return None
    try:
        connection.executemany(statements.INSERT_CHANGE, feed)
    except Exception:  # noqa: BLE001 - whatever it is, running apart finds its job
        return None
    return revision


def run_apart(jobs: list[Job], connection: sqlite3.Connection, revision: int, now: int) -> int:
    """Runs jobs, each in its own savepoint; returns the last revision."""
    kinds: set[str] = set()
    for job in jobs:
        revision = _run(job, SqliteTransaction(connection, revision, now, None, kinds), revision)
        if not connection.in_transaction:
            # SQLite rolled back everything: a full disk, an I/O error, no memory.
            if isinstance(job.error, VaultcoreError):
                raise job.error
            raise UnavailableError("cannot write to the store: the transaction was lost: try again")
    return revision


def _run(job: Job, transaction: SqliteTransaction, revision: int) -> int:
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
