"""Many writers at once, in threads and in processes, on every kind of store.

What they do is as if one came after the other.
"""

import threading
from concurrent.futures import ThreadPoolExecutor

from unit.storage.processes import processes
from unit.storage.works import KIND, VAULT, count
from vaultcore.storage import open_store


def test_threads_see_a_counter_grow_by_one(store):
    with ThreadPoolExecutor(16) as pool:
        seen = list(pool.map(lambda _: store.write(count("c")), range(800)))
    assert sorted(seen) == list(range(1, 801))


def test_each_read_follows_the_writes_before_it(store):
    """A reader of one register never goes back, and never misses an acknowledged write."""
    acknowledged = 0
    stop = threading.Event()
    errors = []

    def read():
        last = 0
        while not stop.is_set():
            floor = acknowledged
            value = int(store.document("counters", "c") or b"0")
            if value < max(floor, last):
                errors.append((floor, last, value))
            last = value

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for _ in range(150):
        acknowledged = store.write(count("c"))
    stop.set()
    for reader in readers:
        reader.join()
    assert errors == []


def test_processes_are_linearizable(url, clock):
    """Each write is seen once, in the order of the feed, and never before it was acknowledged."""
    writes = 100
    expression = (
        "[[number, store.write(count('shared')), store.write(add('OBJECT', f'%s-{number}'))]"
        f" for number in range({writes})]"
    )
    with open_store(url, clock=clock) as store, processes(url, 3) as others:
        for at, other in enumerate(others):
            other.ask(expression % at)
        mine = [store.write(count("shared")) for _ in range(writes)]
        answers = [other.answer() for other in others]
        counted = mine + [row[1] for rows in answers for row in rows]
        assert sorted(counted) == list(range(1, 4 * writes + 1))
        for rows in answers:
            assert rows == sorted(rows, key=lambda row: row[1])
        sequences = [row[2] for rows in answers for row in rows]
        assert len(set(sequences)) == 3 * writes
        found = store.current(VAULT, KIND, "OBJECT")
        assert found is not None
        row, newest = found
        assert newest.sequence == max(sequences)
        versions = store.versions(row.id)
        assert len({version.version for version in versions}) == len(versions) == 3 * writes
        # The feed tells of the versions in the order in which they became current.
        told = [change.version for change in store.changes(0, 10_000) if change.kind == KIND]
        assert told == [version.version for version in versions]
        assert store.fsck() == []


def test_no_process_starves(url, clock):
    """One process writes without pause; another one gets its turns."""
    with open_store(url, clock=clock) as store, processes(url, 1) as (other,):
        stop = threading.Event()

        def hog():
            while not stop.is_set():
                store.write(count("hog"))

        threads = [threading.Thread(target=hog) for _ in range(4)]
        for thread in threads:
            thread.start()
        slowest = other.run(
            "max([-time.monotonic() + (store.write(count('other')), time.monotonic())[1]"
            " for _ in range(50)])"
        )
        stop.set()
        for thread in threads:
            thread.join()
        hogged = store.document("counters", "hog")
        assert hogged is not None
        assert int(hogged) > 50
        assert slowest < 2


def test_processes_that_open_an_empty_store_together_make_it_once(url):
    with processes(url, 4) as started:
        for process in started:
            process.ask("store.write(count('c'))")
        assert sorted(process.answer() for process in started) == [1, 2, 3, 4]
