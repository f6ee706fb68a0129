"""Small documents of the store, each sealed for its place."""

import msgspec
import pytest

from vaultcore._core import KeyEncryptionKey
from vaultcore.documents import decode_stored, open_document, seal_document
from vaultcore.errors import DecryptionError, StorageError, TamperedError


class Thing(msgspec.Struct):
    name: str


def test_a_document_opens_in_its_place_and_in_no_other() -> None:
    kek = KeyEncryptionKey.generate()
    sealed = seal_document(kek, b"body", "things", "a")
    assert open_document(kek, sealed, "things", "a") == b"body"
    for collection, key in (("things", "b"), ("others", "a"), ("thingsa", ""), ("", "thingsa")):
        with pytest.raises(TamperedError, match="does not verify"):
            open_document(kek, sealed, collection, key)
    with pytest.raises(TamperedError):
        open_document(KeyEncryptionKey.generate(), sealed, "things", "a")
    with pytest.raises(DecryptionError):
        kek.open(sealed, context={})


def test_one_that_is_not_there_is_no_forgery() -> None:
    with pytest.raises(StorageError) as caught:
        open_document(KeyEncryptionKey.generate(), None, "things", "a")
    assert not isinstance(caught.value, TamperedError)


def test_what_is_stored_is_read_or_was_changed() -> None:
    assert decode_stored(b'{"name":"a"}', Thing, "thing") == Thing("a")
    for blob in (b"", b"{}", b'{"name":1}', b"\xff", b"[]"):
        with pytest.raises(TamperedError, match="the stored thing"):
            decode_stored(blob, Thing, "thing")
