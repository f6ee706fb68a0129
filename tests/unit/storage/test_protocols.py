"""The contract of a store, on every kind of store."""

import random
import threading

import pytest

from unit.storage.works import KIND, VAULT, add, count, update
from vaultcore.errors import StorageError, UsageError
from vaultcore.storage import (
    ChangeRow,
    Counts,
    ObjectRow,
    Store,
    Transaction,
    VersionRow,
    open_store,
)
from vaultcore.storage.reads import Reads


def test_an_empty_store_holds_nothing(store):
    assert store.object(VAULT, KIND, "A") is None
    assert store.current(VAULT, KIND, "A") is None
    assert store.version(VAULT, KIND, "A", "v1") is None
    assert store.list_objects(VAULT, KIND, deleted=False, limit=25) == []
    assert store.list_objects(VAULT, KIND, deleted=True, limit=25) == []
    assert store.list_versions(1, limit=25) == []
    assert store.versions(1) == []
    assert store.due_for_purge(1 << 40, 25) == []
    assert store.counts(VAULT) == {}
    assert store.changes(0, 25) == []
    assert store.document("apps", "a") is None
    assert store.documents("apps") == []
    assert store.revision() == store.position() == 0


def test_an_object_comes_back_as_it_was_put(store, clock):
    def work(transaction):
        number = transaction.insert_object(VAULT, KIND, "DB-KEY", "Db-Key", b"seal")
        sequence = transaction.insert_version(number, "aa" * 16, '{"a":1}', b"\x00\xff")
        transaction.update_object(
            number, current=sequence, deleted_at=5, purge_at=9, seal=b"\x00seal"
        )
        return number, sequence, transaction.changed(VAULT, KIND, "DB-KEY", "aa" * 16, "set")

    number, sequence, revision = store.write(work)
    expected = ObjectRow(number, VAULT, KIND, "DB-KEY", "Db-Key", sequence, 5, 9, b"\x00seal")
    version = VersionRow(sequence, number, "aa" * 16, '{"a":1}', b"\x00\xff")
    assert store.object(VAULT, KIND, "DB-KEY") == expected
    assert store.current(VAULT, KIND, "DB-KEY") == (expected, version)
    assert store.version(VAULT, KIND, "DB-KEY", "aa" * 16) == (expected, version)
    at = int(clock.now())
    assert store.changes(0, 9) == [ChangeRow(revision, VAULT, KIND, "DB-KEY", "aa" * 16, "set", at)]
    assert store.revision() == store.position() == revision


@pytest.mark.parametrize(
    ("vault", "kind", "key"),
    [("other", KIND, "A"), (VAULT, "keys", "A"), (VAULT, KIND, "B"), (VAULT, KIND, "a")],
)
def test_an_object_is_found_by_its_whole_name_only(store, vault, kind, key):
    store.write(add("A"))
    assert store.object(vault, kind, key) is None
    assert store.current(vault, kind, key) is None
    assert store.version(vault, kind, key, "v1") is None
    assert store.list_objects(vault, kind, deleted=True, limit=9) == []


def test_an_object_without_a_version_is_not_current(store):
    def work(transaction):
        transaction.insert_object(VAULT, KIND, "A", "a")
        transaction.changed(VAULT, KIND, "A", "", "reserve")

    store.write(work)
    assert store.object(VAULT, KIND, "A").current == 0
    assert store.current(VAULT, KIND, "A") is None


def test_columns_that_are_not_named_keep_their_values(store):
    store.write(add("A"))
    store.write(update("A", deleted_at=7, purge_at=8))
    store.write(update("A", purge_at=None))
    found = store.object(VAULT, KIND, "A")
    assert (found.deleted_at, found.purge_at, found.seal) == (7, None, b"v1")


def test_a_version_can_be_changed(store):
    sequence = store.write(add("A", metadata="old", payload=b"old"))

    def work(transaction, **columns):
        transaction.update_version(sequence, **columns)
        transaction.changed(VAULT, KIND, "A", "v1", "update")

    store.write(lambda transaction: work(transaction, metadata="new"))
    assert store.current(VAULT, KIND, "A")[1].metadata == "new"
    assert store.current(VAULT, KIND, "A")[1].payload == b"old"
    store.write(lambda transaction: work(transaction, payload=b"new"))
    assert store.current(VAULT, KIND, "A")[1].payload == b"new"


def test_versions_come_in_the_order_of_their_writing(store):
    names = [f"{random.getrandbits(128):032x}" for _ in range(10)]
    sequences = [store.write(add("A", name)) for name in names]
    store.write(add("B", "other"))
    number = store.object(VAULT, KIND, "A").id
    assert sequences == sorted(sequences)
    assert [row.version for row in store.versions(number)] == names
    pages, before = [], None
    while page := store.list_versions(number, before=before, limit=3):
        pages.append([row.version for row in page])
        before = page[-1].sequence
    assert [len(page) for page in pages] == [3, 3, 3, 1]
    assert [name for page in pages for name in page] == names[::-1]


def test_pages_hold_each_object_once_in_the_order_of_keys(store):
    keys = [f"K{number:03}" for number in range(60)]
    for key in random.sample(keys, len(keys)):
        store.submit(add(key))
    store.write(add("X", vault="other"))
    for key in keys[::2]:
        store.write(update(key, deleted_at=1))
    for deleted, expected in ((False, keys[1::2]), (True, keys[::2])):
        found, after = [], ""
        while page := store.list_objects(VAULT, KIND, deleted=deleted, after=after, limit=7):
            assert all(pair[0].current == pair[1].sequence for pair in page)
            found += [pair[0].canonical for pair in page]
            after = found[-1]
        assert found == expected


def test_paging_is_stable_while_others_write(store):
    stay = {f"S{number:03}" for number in range(50)}
    for key in stay:
        store.submit(add(key))
    store.write(add("GO"))
    stop = threading.Event()

    def disturb():
        turn = 0
        while not stop.is_set():
            turn += 1
            store.write(add(f"S{turn % 50:03}", f"v{turn + 1}"))
            store.write(add(f"N{turn % 97:03}", f"n{turn}"))
            store.write(update(f"N{turn % 97:03}", deleted_at=None if turn % 2 else 1))

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        for _ in range(20):
            found, after = [], ""
            while page := store.list_objects(VAULT, KIND, deleted=False, after=after, limit=7):
                # Each pair comes from one state: the seal names the version.
                assert all(row.seal.decode() == version.version for row, version in page)
                found += [row.canonical for row, _ in page]
                after = found[-1]
            assert found == sorted(set(found))
            assert stay <= set(found)
    finally:
        stop.set()
        thread.join()


def test_an_object_goes_with_its_versions_and_its_number_is_not_used_again(store):
    store.write(add("A", "v1"))
    last = store.write(add("A", "v2"))
    number = store.object(VAULT, KIND, "A").id

    def work(transaction):
        transaction.delete_object(number)
        transaction.changed(VAULT, KIND, "A", "", "purge")

    store.write(work)
    assert store.object(VAULT, KIND, "A") is None
    assert store.versions(number) == []
    assert store.write(add("A", "v1")) > last
    assert store.object(VAULT, KIND, "A").id > number


def test_objects_are_due_when_their_time_has_come(store):
    for number, key in enumerate("CAB"):
        store.write(add(key))
        store.write(update(key, deleted_at=1, purge_at=100 + number))
    store.write(add("D"))
    assert store.due_for_purge(99, 9) == []
    assert [row.canonical for row in store.due_for_purge(101, 9)] == ["C", "A"]
    assert [row.canonical for row in store.due_for_purge(1000, 2)] == ["C", "A"]


def test_objects_are_counted_by_kind(store):
    store.write(add("A"))
    store.write(add("B"))
    store.write(add("B", kind="keys"))
    store.write(add("B", vault="other"))
    store.write(update("A", deleted_at=1))
    assert store.counts(VAULT) == {"secrets": Counts(1, 1), "keys": Counts(1, 0)}


def test_documents_are_put_replaced_and_removed(store):
    def put(key, blob):
        def work(transaction):
            transaction.put_document("apps", key, blob)
            transaction.changed("", "apps", key, "", "put")
            return transaction.document("apps", key)

        return work

    def remove(key):
        def work(transaction):
            existed = transaction.delete_document("apps", key)
            transaction.changed("", "apps", key, "", "delete")
            return existed

        return work

    assert store.write(put("b", b"1")) == b"1"
    store.write(put("a", b"\x00"))
    store.write(put("b", b"2"))
    assert store.document("apps", "b") == b"2"
    assert store.document("vaults", "b") is None
    assert store.documents("apps") == [("a", b"\x00"), ("b", b"2")]
    assert store.write(remove("b")) is True
    assert store.write(remove("b")) is False
    assert store.documents("apps") == [("a", b"\x00")]


def test_the_feed_has_no_gaps_whatever_fails(store):
    def fail(transaction):
        add("X")(transaction)
        raise ValueError

    for number in range(20):
        if number % 3 == 0:
            with pytest.raises(ValueError):
                store.write(fail)
        store.write(count("c"))
    assert [row.revision for row in store.changes(0, 100)] == list(range(1, 21))
    assert [row.revision for row in store.changes(15, 3)] == [16, 17, 18]


def test_a_transaction_sees_its_own_changes_and_nobody_else_does(store):
    store.write(add("A", "v1"))

    def work(transaction):
        add("A", "v2")(transaction)
        add("B", "w1")(transaction)
        assert transaction.current(VAULT, KIND, "A")[1].version == "v2"
        assert transaction.version(VAULT, KIND, "B", "w1")
        listed = transaction.list_objects(VAULT, KIND, deleted=False, limit=9)
        assert [row.canonical for row, _ in listed] == ["A", "B"]
        assert transaction.revision() == 3
        assert [row.version for row in transaction.changes(0, 9)] == ["v1", "v2", "w1"]
        outside = []
        reader = threading.Thread(
            target=lambda: outside.append(
                (store.current(VAULT, KIND, "A")[1].version, store.object(VAULT, KIND, "B"))
            )
        )
        reader.start()
        reader.join()
        return outside

    assert store.write(work) == [("v1", None)]
    assert store.current(VAULT, KIND, "A")[1].version == "v2"


@pytest.mark.parametrize(
    "work",
    [
        lambda t: t.insert_object(VAULT, KIND, "A", "a"),
        lambda t: t.insert_version(t.object(VAULT, KIND, "A").id, "v1", "", b""),
        lambda t: t.insert_version(4711, "v1", "", b""),
        lambda t: t.update_object(4711, current=1),
        lambda t: t.update_version(4711, metadata=""),
        lambda t: t.delete_object(4711),
    ],
    ids=["name", "version", "parent", "object", "row", "delete"],
)
def test_what_contradicts_the_store_is_refused_where_it_is_tried(store, work):
    store.write(add("A"))

    def tried(transaction):
        with pytest.raises(StorageError, match="exist"):
            work(transaction)
        # The work may go on: only the statement failed.
        return count("after")(transaction)

    assert store.write(tried) == 1
    with pytest.raises(StorageError, match="exist"):
        store.write(work)
    assert store.revision() == 2


@pytest.mark.parametrize("key", ["A", "NEW"])
def test_a_change_without_an_entry_of_the_feed_is_refused(store, key):
    store.write(add("A"))

    def work(transaction):
        if key == "A":
            transaction.update_object(transaction.object(VAULT, KIND, key).id, seal=b"x")
        else:
            transaction.insert_object(VAULT, KIND, key, key)

    with pytest.raises(StorageError, match="changed"):
        store.write(work)
    assert store.object(VAULT, KIND, "A").seal == b"v1"
    assert store.object(VAULT, KIND, "NEW") is None
    assert store.revision() == 1


def test_an_update_of_nothing_is_refused(store):
    for update_ in (lambda t: t.update_object(1), lambda t: t.update_version(1)):
        with pytest.raises(UsageError, match="nothing to update"):
            store.write(update_)


def test_what_was_written_is_there_after_reopening(url, clock):
    with open_store(url, clock=clock) as store:
        store.write(add("A"))
        store.write(add("A", "v2"))
    with open_store(url, clock=clock) as store:
        found = store.current(VAULT, KIND, "A")
        assert found is not None
        assert found[1].version == "v2"
        assert store.revision() == store.position() == 2
        assert store.write(add("A", "v3")) > 2
        assert store.revision() == 3


def test_a_closed_store_refuses(url, clock):
    store = open_store(url, clock=clock)
    store.write(add("A"))
    store.close()
    store.close()
    for use in (
        lambda: store.write(add("B")),
        lambda: store.submit(add("B")),
        lambda: store.current(VAULT, KIND, "A"),
        store.position,
    ):
        with pytest.raises(UsageError, match="closed"):
            use()


@pytest.mark.parametrize("protocol", [Reads, Store, Transaction])
def test_a_store_answers_everything_that_its_protocol_says(store, protocol):
    """A method of a protocol has no body: one that a store lacks would return None."""
    made = store.write(lambda transaction: transaction) if protocol is Transaction else store
    promised = {name for name, value in vars(protocol).items() if callable(value)}
    promised = {name for name in promised if not name.startswith("_")}
    assert promised
    for name in promised:
        (owner,) = [kind for kind in type(made).__mro__ if name in vars(kind)][:1]
        assert owner not in {Reads, Store, Transaction}, name
