"""What callers hold: a store, and a transaction of it; each kind of database brings its own."""

from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Protocol, Self, TypeVar

from msgspec import UNSET, UnsetType

from vaultcore.storage.reads import Reads
from vaultcore.storage.rows import Sealed

T = TypeVar("T")


class Transaction(Reads, Protocol):
    """What a work sees and changes; valid until the work returns.

    The changes of a work become visible together, or not at all. A work that changes something
    says so with ``changed`` at least once: everybody who caches lives on the feed.

    Attributes:
        kinds: of what works before this one have changed and not yet committed; such a change is
            seen by this transaction, and by nobody else.
    """

    kinds: set[str]

    def insert_object(
        self,
        vault_id: str,
        kind: str,
        canonical: str,
        name: str,
        seal: bytes = b"",
        *,
        current: int = 0,
        deleted_at: int | None = None,
        purge_at: int | None = None,
    ) -> int:
        """Adds an object and returns its number.

        Raises:
            StorageError: the name is taken, or the store cannot be written; UnavailableError if
                that may pass.
        """

    def update_object(
        self,
        object_id: int,
        *,
        current: int | UnsetType = UNSET,
        deleted_at: int | UnsetType | None = UNSET,
        purge_at: int | UnsetType | None = UNSET,
        seal: bytes | UnsetType = UNSET,
    ) -> None:
        """Changes what is given of an object.

        Raises:
            StorageError: there is no such object, or the store cannot be written;
                UnavailableError if that may pass.
            UsageError: nothing is given.
        """

    def delete_object(self, object_id: int) -> None:
        """Removes an object and all its versions.

        Raises:
            StorageError: there is no such object, or the store cannot be written;
                UnavailableError if that may pass.
        """

    def insert_version(self, object_id: int, version: str, metadata: str, payload: bytes) -> int:
        """Adds a version to an object and returns its sequence.

        Raises:
            StorageError: the object has such a version or does not exist, or the store cannot be
                written; UnavailableError if that may pass.
        """

    def update_version(
        self,
        sequence: int,
        *,
        metadata: str | UnsetType = UNSET,
        payload: bytes | UnsetType = UNSET,
    ) -> None:
        """Changes what is given of a version.

        Raises:
            StorageError: there is no such version, or the store cannot be written;
                UnavailableError if that may pass.
            UsageError: nothing is given.
        """

    def put_sealed(self, row: Sealed, blob: bytes) -> None:
        """Replaces an envelope where it stands.

        Raises:
            StorageError: it is not there any more, or the store cannot be written;
                UnavailableError if that may pass.
            UsageError: there are no envelopes of that kind.
        """

    def put_document(self, collection: str, name: str, blob: bytes) -> None:
        """Adds or replaces a document.

        Raises:
            StorageError: the store cannot be written; UnavailableError if that may pass.
        """

    def delete_document(self, collection: str, name: str) -> bool:
        """Removes a document and returns whether there was one.

        Raises:
            StorageError: the store cannot be written; UnavailableError if that may pass.
        """

    def delete_documents(self, collection: str, last: str) -> int:
        """Removes the documents of a collection up to a name, and returns how many there were.

        Raises:
            StorageError: the store cannot be written; UnavailableError if that may pass.
        """

    def delete_collection(self, prefix: str, collection: bytes) -> int:
        """Removes all documents of a collection, and returns how many there were.

        Args:
            prefix: an ASCII prefix of its name.
            collection: its name as :meth:`collections` returns it.

        Raises:
            StorageError: the store cannot be written; UnavailableError if that may pass.
        """

    def changed(self, vault_id: str, kind: str, canonical: str, version: str, what: str) -> int:
        """Appends to the feed what this work changed, and returns the new revision.

        Raises:
            UsageError: the transaction is over.
        """

    def skip_to(self, revision: int) -> None:
        """Goes on from a revision, where a feed that was put back ends before it."""

    def erase(self) -> None:
        """Says that what this work removes or replaces must not stay readable in any log."""

    def unnoticed(self) -> None:
        """Says that the work changes nothing that anybody caches: the feed needs no entry."""


#: What to do in a transaction. It may be run more than once, so it has no effect but on its
#: transaction; it waits for nothing, since other writers wait for it.
Work = Callable[[Transaction], T]


class Store(Reads, Protocol):
    """A database, shared by any number of threads and processes; see :func:`open_store`.

    Reads see the last committed state. Writes are works, given to ``write``, ``submit`` or
    ``write_async``; those of many callers share one commit, and each is on the disk before its
    caller hears of it.
    """

    def write(self, work: Work[T]) -> T:
        """Runs a work in a transaction and returns its result once it is on the disk.

        Raises:
            ForkError: the store was opened by a parent of this process.
            UsageError: the store is closed, or the caller is itself a work.
            StorageError: the store cannot be written; UnavailableError if that may pass.
            BaseException: whatever the work raised; its changes are undone.
        """

    def submit(self, work: Work[T]) -> Future[T]:
        """Queues a work like ``write`` does, and returns a future for its result.

        Raises:
            ForkError: the store was opened by a parent of this process.
            UsageError: the store is closed, or the caller is itself a work.
        """

    async def write_async(self, work: Work[T]) -> T:
        """Does what ``write`` does, for a coroutine; the event loop is never held up.

        If the coroutine is cancelled, the work may be committed all the same.

        Raises:
            ForkError: the store was opened by a parent of this process.
            UsageError: the store is closed, or the caller is itself a work.
            StorageError: the store cannot be written; UnavailableError if that may pass.
            BaseException: whatever the work raised; its changes are undone.
        """

    def before_works(self, call: Callable[[], None]) -> None:
        """Has a call made before each batch of works runs, with every other writer kept out.

        What it reads is what the works will find. If it raises, none of them runs.

        Args:
            call: runs in the writer's thread; it only reads, and others wait for it.
        """

    def position(self) -> int:
        """Returns the last committed revision, or -1 while a commit may be under way.

        It costs a tenth of a microsecond, and tells of the commits of all processes. A caller that
        gets -1 asks ``revision``.

        Raises:
            ForkError: the store was opened by a parent of this process.
            UsageError: the store is closed.
        """

    def check_presence(self) -> None:
        """Checks that the database is still the one that was opened; costs microseconds.

        Raises:
            UnavailableError: it was moved, replaced or removed: what this process reads is not
                what others see, and what it writes is refused.
        """

    def fsck(self) -> list[str]:
        """Checks the database without the code that wrote it, and returns what is wrong.

        Raises:
            ForkError: the store was opened by a parent of this process.
            StorageError: the database cannot be read; UnavailableError if that may pass.
        """

    def close(self) -> None:
        """Finishes what was submitted, and closes every connection; may be called again."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
