"""The works of a batch: together, or each so that it can be undone."""

from contextlib import closing

import pytest

from unit.storage.works import KIND, VAULT, add, fail
from vaultcore.errors import StorageError, UnavailableError
from vaultcore.storage.jobs import BlockingJob
from vaultcore.storage.sqlite import schema
from vaultcore.storage.sqlite.batch import run_apart, run_together
from vaultcore.storage.sqlite.connection import connect


@pytest.fixture
def connection(path):
    schema.upgrade(path)
    with closing(connect(path)) as opened:
        opened.execute("BEGIN IMMEDIATE")
        yield opened


def keys(connection):
    return [key for (key,) in connection.execute("SELECT key FROM objects ORDER BY key")]


def jobs_of(*works):
    return [BlockingJob(work) for work in works]


@pytest.mark.parametrize("run", [run_together, run_apart])
def test_works_are_numbered_one_after_another(connection, run):
    jobs = jobs_of(add("A"), lambda transaction: transaction.revision(), add("B"))
    assert run(jobs, connection, 7, 1234) == 9
    assert jobs[1].result == 8
    assert keys(connection) == ["A", "B"]
    feed = connection.execute("SELECT revision, key, at FROM changes").fetchall()
    assert feed == [(8, "A", 1234), (9, "B", 1234)]


@pytest.mark.parametrize("run", [run_together, run_apart])
def test_a_work_that_failed_before_it_wrote_disturbs_nobody(connection, run):
    error = ValueError("mine")
    jobs = jobs_of(add("A"), fail(error, before=True), add("B"))
    assert run(jobs, connection, 0, 0) == 2
    assert [job.error for job in jobs] == [None, error, None]
    assert keys(connection) == ["A", "B"]


def test_a_work_that_failed_after_it_wrote_must_run_apart(connection):
    error = ValueError("mine")
    jobs = jobs_of(add("A"), fail(error, before=False), add("B"))
    assert run_together(jobs, connection, 0, 0) is None
    connection.execute("ROLLBACK")
    connection.execute("BEGIN IMMEDIATE")
    assert run_apart(jobs, connection, 0, 0) == 2
    assert [job.error for job in jobs] == [None, error, None]
    assert keys(connection) == ["A", "B"]


def test_an_entry_of_the_feed_that_cannot_be_written_is_found_apart(connection):
    def odd(transaction):
        transaction.changed(VAULT, KIND, "A", "", None)

    jobs = jobs_of(add("A"), odd)
    assert run_together(jobs, connection, 0, 0) is None
    connection.execute("ROLLBACK")
    connection.execute("BEGIN IMMEDIATE")
    assert run_apart(jobs, connection, 0, 0) == 1
    assert isinstance(jobs[1].error, StorageError)
    assert keys(connection) == ["A"]


def test_a_transaction_that_sqlite_rolled_back_is_lost_for_all(connection):
    def lose(transaction):
        transaction._connection.execute("ROLLBACK")

    jobs = jobs_of(add("A"), lose)
    assert run_together(jobs, connection, 0, 0) is None
    connection.execute("BEGIN IMMEDIATE")
    with pytest.raises(UnavailableError, match="the transaction was lost"):
        run_apart(jobs, connection, 0, 0)


def test_works_know_what_others_of_their_commit_have_changed(connection):
    seen = []
    jobs = jobs_of(add("A"), lambda transaction: seen.append(set(transaction.kinds)))
    run_together(jobs, connection, 0, 0)
    run_apart(jobs_of(*(job.work for job in jobs[1:])), connection, 1, 0)
    assert seen == [{KIND}, set()]


def test_a_job_says_whether_it_erased_something(connection):
    jobs = jobs_of(add("A"), lambda transaction: transaction.erase())
    run_together(jobs, connection, 0, 0)
    assert [job.erased for job in jobs] == [False, True]
