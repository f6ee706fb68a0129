"""Envelopes under threads and after a fork."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Thread

import pytest

from vaultcore._core import Context, KeyEncryptionKey, StreamSealer
from vaultcore.errors import UsageError

CONTEXT = Context({"table": "orders"})


def test_threads_share_a_key_while_it_rotates() -> None:
    kek = KeyEncryptionKey.generate()
    stop = Event()

    def work(number: int) -> int:
        rounds = 0
        while not stop.is_set():
            plaintexts = [b"%d %d" % (number, index) for index in range(150)]
            blobs = kek.seal_many(plaintexts, context=CONTEXT)
            rewrapped = kek.rewrap_many(blobs)
            assert kek.open_many(blobs + rewrapped, context=CONTEXT) == plaintexts * 2
            assert kek.open(kek.seal(b"x" * 200_000), context=None) == b"x" * 200_000
            rounds += 1
        return rounds

    with ThreadPoolExecutor(5) as pool:
        workers = [pool.submit(work, number) for number in range(4)]
        for _ in range(300):
            kek.rotate()
            time.sleep(0.001)
        stop.set()
        assert all(worker.result() > 0 for worker in workers)
    assert kek.generations == list(range(1, 302))


@pytest.fixture
def ticks() -> Iterator[Callable[[], int]]:
    """Count in another thread, which runs only when the interpreter lock is given up on purpose."""
    stop, count = Event(), 0

    def tick() -> None:
        nonlocal count
        while not stop.is_set():
            count += 1
            time.sleep(0)

    interval = sys.getswitchinterval()
    thread = Thread(target=tick)
    thread.start()
    sys.setswitchinterval(1_000)
    yield lambda: count
    sys.setswitchinterval(interval)
    stop.set()
    thread.join()


def test_large_work_lets_other_threads_run_and_small_work_does_not(
    ticks: Callable[[], int],
) -> None:
    kek = KeyEncryptionKey.generate()
    large = bytes(8 << 20)
    small = [bytes(1024)] * 512
    blob, blobs = kek.seal(large), kek.seal_many(small)
    sealer = StreamSealer(kek)
    cases: dict[str, Callable[[], object]] = {
        "seal": lambda: kek.seal(large),
        "open": lambda: kek.open(blob),
        "reseal": lambda: kek.reseal(blob, context=None, new_context=None),
        "seal_many": lambda: kek.seal_many(small),
        "open_many": lambda: kek.open_many(blobs),
        "rewrap_many": lambda: kek.rewrap_many(blobs),
        "update": lambda: sealer.update(large),
    }
    for name, work in cases.items():
        before = ticks()
        # On a busy machine the other thread may be late; without the lock it never comes.
        for _ in range(500):
            work()
            if ticks() > before:
                break
        assert ticks() > before, name
    before = ticks()
    for _ in range(1_000):
        kek.open(kek.seal(small[0], context=CONTEXT), context=CONTEXT)
    assert ticks() == before


def test_a_stream_refuses_a_second_thread() -> None:
    sealer = StreamSealer(KeyEncryptionKey.generate())
    piece = bytes(64 << 20)
    started, done = Event(), Event()

    def busy() -> None:
        started.set()
        sealer.update(piece)
        done.set()

    thread = Thread(target=busy)
    thread.start()
    started.wait()
    refusals: list[str] = []
    while not done.is_set():
        try:
            sealer.update(b"")
        except UsageError as error:
            refusals.append(str(error))
    thread.join()
    assert set(refusals) == {"a stream is used by one thread at a time"}


FORK = """
import os, sys
from vaultcore._core import KeyEncryptionKey
kek = KeyEncryptionKey.generate()
kek.seal(b"")
reader, writer = os.pipe()
child = os.fork()
blobs = [kek.seal(b"x") for _ in range(100)]
if child == 0:
    os.write(writer, b"".join(blobs))
    os._exit(0)
os.close(writer)
with os.fdopen(reader, "rb") as file:
    theirs = file.read()
assert os.waitpid(child, 0)[1] == 0
theirs = [theirs[at : at + len(blobs[0])] for at in range(0, len(theirs), len(blobs[0]))]
assert len(theirs) == 100 and kek.open_many(theirs) == [b"x"] * 100
for start, end in ((26, 38), (86, 98), (98, 130)):
    assert len({blob[start:end] for blob in blobs + theirs}) == 200, (start, end)
"""


def test_a_fork_draws_other_randomness() -> None:
    subprocess.run([sys.executable, "-c", FORK], check=True, timeout=60)
