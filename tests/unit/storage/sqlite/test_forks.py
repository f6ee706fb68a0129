"""A child process must not use a store of its parent."""

import os
import threading
import weakref

import pytest

from unit.storage.works import KIND, VAULT, add, count
from vaultcore.errors import ForkError
from vaultcore.storage.sqlite.store import SqliteStore


def in_child(work):
    """Runs a function in a forked child and returns what it returns, as text."""
    receive, send = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(send, work().encode())
        finally:
            os._exit(0)
    os.close(send)
    with os.fdopen(receive) as answer:
        text = answer.read()
    os.waitpid(pid, 0)
    return text


def refusals(store):
    names = []
    for use in (
        lambda: store.current(VAULT, KIND, "A"),
        store.position,
        store.revision,
        lambda: store.write(count("c")),
        lambda: store.submit(count("c")),
        store.fsck,
    ):
        try:
            use()
        except ForkError:
            names.append("refused")
        else:
            names.append("allowed")
    store.close()
    return " ".join(names)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_is_refused_and_the_parent_goes_on(path, clock):
    with SqliteStore(path, clock=clock) as store:
        store.write(add("A"))
        ready, done = threading.Event(), threading.Event()

        def read_in_thread():
            store.current(VAULT, KIND, "A")
            ready.set()
            done.wait()

        other = threading.Thread(target=read_in_thread, daemon=True)
        other.start()
        ready.wait()
        assert store.current(VAULT, KIND, "A")
        assert in_child(lambda: refusals(store)) == " ".join(["refused"] * 6)
        # The child keeps also the connections of threads that it does not have.
        holders = [weakref.ref(holder) for holder in store._every.holders()]
        assert len(holders) == 2
        assert in_child(lambda: str([holder() is None for holder in holders])) == "[False, False]"
        done.set()
        other.join()
        assert store.current(VAULT, KIND, "A")
        assert store.write(count("c")) == 1


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_may_not_open_what_its_parent_has_open(path, clock):
    """SQLite would believe that the child holds the locks of its parent."""

    def work():
        try:
            SqliteStore(path, clock=clock)
        except ForkError as error:
            return str(error)
        return "opened"

    with SqliteStore(path, clock=clock) as store:
        assert "close it before the fork" in in_child(work)
        assert store.write(count("c")) == 1


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_may_open_what_its_parent_closed(path, clock):
    def work():
        with SqliteStore(path, clock=clock) as mine:
            return str(mine.write(count("c")))

    with SqliteStore(path, clock=clock) as store:
        assert store.write(count("c")) == 1
    assert in_child(work) == "2"
    with SqliteStore(path, clock=clock) as store:
        assert store.write(count("c")) == store.position() == 3
        assert store.fsck() == []
