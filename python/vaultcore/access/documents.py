"""Small sealed documents: the state of the issuer, in which changes to the store are noticed."""

import logging
from typing import Final, Generic, Protocol, TypeVar

import msgspec

from vaultcore._core import Context, KeyEncryptionKey
from vaultcore.errors import DecryptionError, TamperedError
from vaultcore.storage import Transaction

T = TypeVar("T", bound=msgspec.Struct)
_REPORTED: Final = 100  # how many broken documents are remembered

logger = logging.getLogger("vaultcore.access")


class Reader(Protocol):
    """The reads that documents need, of a store or of a transaction."""

    def document(self, collection: str, key: str) -> bytes | None:
        """Returns a document."""
        ...

    def documents(self, collection: str) -> list[tuple[str, bytes]]:
        """Returns all documents of a collection."""
        ...


class SealedDocuments(Generic[T]):
    """One collection of the store, each document sealed under its own key and place.

    A document that was changed, or moved to the place of another, does not open.

    Args:
        collection: the collection's name in the store.
        kind: the type of the documents.
        kek: the key that seals them.
    """

    def __init__(self, collection: str, kind: type[T], kek: KeyEncryptionKey) -> None:
        self._collection = collection
        self._kek = kek
        self._reported: dict[str, bytes] = {}
        self._decoder: msgspec.json.Decoder[T] = msgspec.json.Decoder(kind)

    def context(self, key: str) -> Context:
        """Returns the context that binds a document, and what is sealed inside it, to its place."""
        return Context({"document": self._collection, "key": key})

    def seal(self, key: str, document: T) -> bytes:
        """Returns the document in its stored form."""
        return self._kek.seal(msgspec.json.encode(document), context=self.context(key))

    def open(self, key: str, blob: bytes) -> T:
        """Opens a document in its stored form.

        Raises:
            TamperedError: it was changed outside vaultcore, or belongs elsewhere.
        """
        try:
            return self._decoder.decode(self._kek.open(blob, context=self.context(key)))
        except (DecryptionError, msgspec.DecodeError) as error:
            raise TamperedError(
                f"the document `{key}` of `{self._collection}` does not verify: "
                "restore the store from a backup"
            ) from error

    def get(self, reader: Reader, key: str) -> T | None:
        """Returns a document, or None.

        Raises:
            StorageError: the store cannot be read, or the document does not verify.
        """
        blob = reader.document(self._collection, key)
        return None if blob is None else self.open(key, blob)

    def blob(self, reader: Reader, key: str) -> bytes | None:
        """Returns a document in its stored form, or None.

        Raises:
            StorageError: the store cannot be read.
        """
        return reader.document(self._collection, key)

    def blobs(self, reader: Reader) -> list[tuple[str, bytes]]:
        """Returns all documents in their stored form.

        Raises:
            StorageError: the store cannot be read.
        """
        return reader.documents(self._collection)

    def all(self, reader: Reader) -> list[T]:
        """Returns all documents that verify, in the order of their keys.

        One that does not verify is logged, once per process, and left out; it affects only itself.

        Raises:
            StorageError: the store cannot be read.
        """
        found = []
        for key, blob in self.blobs(reader):
            try:
                found.append(self.open(key, blob))
            except TamperedError as failure:
                self.report(key, blob, failure)
        return found

    def report(self, key: str, blob: bytes, failure: TamperedError) -> None:
        """Logs that a document does not verify, unless that was logged already."""
        if self._reported.get(key) != blob:
            if len(self._reported) >= _REPORTED:
                self._reported.clear()
            self._reported[key] = blob
            logger.error("%s", failure)

    def put(self, transaction: Transaction, key: str, document: T, what: str) -> None:
        """Adds or replaces a document, and adds an entry to the feed.

        Raises:
            StorageError: the store cannot be written.
        """
        transaction.put_document(self._collection, key, self.seal(key, document))
        transaction.changed("", self._collection, key, "", what)

    def remove(self, transaction: Transaction, key: str) -> bool:
        """Removes a document, adds an entry to the feed, and returns whether the document existed.

        Raises:
            StorageError: the store cannot be written.
        """
        removed = transaction.delete_document(self._collection, key)
        if removed:
            transaction.erase()
            transaction.changed("", self._collection, key, "", "deleted")
        return removed
