"""What is stored sealed is found by the header of its envelope."""

import pytest

from vaultcore import KeyEncryptionKey
from vaultcore.storage import sealed
from vaultcore.storage.rows import SEALED_KINDS, Sealed


def test_a_header_is_that_of_an_envelope():
    key = KeyEncryptionKey.generate()
    envelope = key.seal(b"x")
    kek_id, generation = sealed.header(key.id, key.generation)
    assert envelope[6:22] == kek_id
    assert envelope[22:26] == generation


def test_each_table_with_envelopes_is_searched_from_its_start():
    assert set(sealed.FIND) == set(sealed.COUNT) == set(SEALED_KINDS)
    assert sealed.start("documents") == ("", "")
    assert sealed.start("versions") == sealed.start("objects") == (0,)


def envelope(kek_id, generation, rest=b"rest"):
    return b"head-6" + b"".join(sealed.header(kek_id, generation)) + rest


@pytest.fixture
def filled(store):
    """A store with envelopes of two generations of a key, and one of another key, in each table."""

    def work(transaction):
        for number in range(4):
            blob = envelope("aa" * 16, 1 + number % 2, b"%d" % number)
            row = transaction.insert_object("v", "secrets", f"K{number}", f"k{number}", blob)
            transaction.insert_version(row, f"v{number}", "{}", blob)
            transaction.put_document(f"c{number // 2}", f"d{number}", blob)
        transaction.put_document("c9", "other", envelope("bb" * 16, 1))
        transaction.changed("v", "secrets", "K", "", "set")

    store.write(work)
    return store


@pytest.mark.parametrize("kind", SEALED_KINDS)
def test_envelopes_of_older_generations_are_found_page_by_page(filled, kind):
    assert filled.sealed_count(kind, "aa" * 16, 2) == 2
    found, after = [], None
    while page := filled.sealed(kind, "aa" * 16, 2, after, 1):
        assert len(page) == 1
        found += page
        after = page[-1].place
    assert [row.blob for row in found] == [
        envelope("aa" * 16, 1, b"0"),
        envelope("aa" * 16, 1, b"2"),
    ]


@pytest.mark.parametrize("kind", SEALED_KINDS)
def test_an_envelope_is_replaced_where_it_stands(filled, kind):
    (first, second) = filled.sealed(kind, "aa" * 16, 2, None, 9)

    def work(transaction):
        transaction.put_sealed(first, envelope("aa" * 16, 2))
        transaction.changed("v", "secrets", "K", "", "rekey")

    filled.write(work)
    assert filled.sealed(kind, "aa" * 16, 2, None, 9) == [second]
    assert filled.sealed_count(kind, "aa" * 16, 1) == 3
    assert isinstance(first, Sealed)
