"""Small documents of the store, each sealed under the key that it concerns."""

from typing import TypeVar

import msgspec

from vaultcore._core import Context, KeyEncryptionKey
from vaultcore.errors import DecryptionError, StorageError, TamperedError

Document = TypeVar("Document")


def decode_stored(blob: bytes, kind: type[Document], what: str) -> Document:
    """Reads a stored document.

    Raises:
        TamperedError: it cannot be read.
    """
    try:
        return msgspec.json.decode(blob, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise TamperedError(
            f"the stored {what} cannot be read: it was changed outside the vault; restore the "
            "database from a backup"
        ) from None


def document_context(collection: str, name: str) -> Context:
    """Returns the context that binds a document to its place."""
    return Context({"purpose": "document", "collection": collection, "key": name})


def seal_document(kek: KeyEncryptionKey, body: bytes, collection: str, name: str) -> bytes:
    """Seals a document for its place."""
    return kek.seal(body, context=document_context(collection, name))


def open_document(kek: KeyEncryptionKey, blob: bytes | None, collection: str, name: str) -> bytes:
    """Opens a document.

    Raises:
        StorageError: it does not exist.
        TamperedError: it does not verify.
    """
    if blob is None:
        raise StorageError(f"the store has no {collection}; it was not fully initialised")
    try:
        return kek.open(blob, context=document_context(collection, name))
    except DecryptionError:
        raise TamperedError(
            f"the stored {collection} does not verify: it was changed outside the vault; restore "
            "the database from a backup"
        ) from None
