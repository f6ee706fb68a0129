"""The interfaces of a store and its transactions, which each kind of database implements."""

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
    calls ``changed`` at least once: every cache depends on the feed.

    Attributes:
        kinds: the kinds of changes by earlier works that are not yet committed; only this
            transaction sees such changes.
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
                that may be temporary.
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
        """Changes the given columns of an object.

        Raises:
            StorageError: there is no such object, or the store cannot be written;
                UnavailableError if that may be temporary.
            UsageError: nothing is given.
        """

    def delete_object(self, object_id: int) -> None:
        """Removes an object and all its versions.

        Raises:
            StorageError: there is no such object, or the store cannot be written;
                UnavailableError if that may be temporary.
        """

    def insert_version(self, object_id: int, version: str, metadata: str, payload: bytes) -> int:
        """Adds a version to an object and returns its sequence.

        Raises:
            StorageError: the object has such a version or does not exist, or the store cannot be
                written; UnavailableError if that may be temporary.
        """

    def update_version(
        self,
        sequence: int,
        *,
        metadata: str | UnsetType = UNSET,
        payload: bytes | UnsetType = UNSET,
    ) -> None:
        """Changes the given columns of a version.

        Raises:
            StorageError: there is no such version, or the store cannot be written;
                UnavailableError if that may be temporary.
            UsageError: nothing is given.
        """

    def put_sealed(self, row: Sealed, blob: bytes) -> None:
        """Replaces an envelope in its place.

        Raises:
            StorageError: it does not exist any more, or the store cannot be written;
                UnavailableError if that may be temporary.
            UsageError: there are no envelopes of that kind.
        """

    def put_document(self, collection: str, name: str, blob: bytes) -> None:
        """Adds or replaces a document.

        Raises:
            StorageError: the store cannot be written; UnavailableError if that may be temporary.
        """

    def delete_document(self, collection: str, name: str) -> bool:
        """Removes a document and returns whether it existed.

        Raises:
            StorageError: the store cannot be written; UnavailableError if that may be temporary.
        """

    def delete_documents(self, collection: str, last: str) -> int:
        """Removes the documents of a collection up to a name, and returns how many there were.

        Raises:
            StorageError: the store cannot be written; UnavailableError if that may be temporary.
        """

    def delete_collection(self, prefix: str, collection: bytes) -> int:
        """Removes all documents of a collection, and returns how many there were.

        Args:
            prefix: an ASCII prefix of its name.
            collection: its name as :meth:`collections` returns it.

        Raises:
            StorageError: the store cannot be written; UnavailableError if that may be temporary.
        """

    def changed(self, vault_id: str, kind: str, canonical: str, version: str, what: str) -> int:
        """Appends to the feed what this work changed, and returns the new revision.

        Raises:
            UsageError: the transaction is over.
        """

    def skip_to(self, revision: int) -> None:
        """Continues from a revision, if a feed that was restored ends before it."""

    def erase(self) -> None:
        """Declares that what this work removes or replaces must not stay readable in any log."""

    def unnoticed(self) -> None:
        """Declares that the work changes nothing that is cached: the feed needs no entry."""


#: A function of a transaction. It may be run more than once, so its only effect is on its
#: transaction; it must not wait, because other writers wait for it.
Work = Callable[[Transaction], T]


class Store(Reads, Protocol):
    """A database, shared by any number of threads and processes; see :func:`open_store`.

    Reads see the last committed state. Writes are works, given to ``write``, ``submit`` or
    ``write_async``; those of many callers share one commit, and each is on the disk before its
    caller gets the result.
    """

    def write(self, work: Work[T]) -> T:
        """Runs a work in a transaction and returns its result when it is on the disk.

        Raises:
            ForkError: the store was opened by a parent of this process.
            UsageError: the store is closed, or the caller is itself a work.
            StorageError: the store cannot be written; UnavailableError if that may be temporary.
            BaseException: whatever the work raised; its changes are undone.
        """

    def submit(self, work: Work[T]) -> Future[T]:
        """Queues a work as ``write`` does, and returns a future for its result.

        Raises:
            ForkError: the store was opened by a parent of this process.
            UsageError: the store is closed, or the caller is itself a work.
        """

    async def write_async(self, work: Work[T]) -> T:
        """The same as ``write``, for a coroutine; never blocks the event loop.

        If the coroutine is cancelled, the work may be committed all the same.

        Raises:
            ForkError: the store was opened by a parent of this process.
            UsageError: the store is closed, or the caller is itself a work.
            StorageError: the store cannot be written; UnavailableError if that may be temporary.
            BaseException: whatever the work raised; its changes are undone.
        """

    def before_works(self, call: Callable[[], None]) -> None:
        """Registers a call that runs before each batch of works, while no other writer can write.

        The works find what it has read. If it raises, none of them runs.

        Args:
            call: runs in the writer's thread; it only reads, and other writers wait for it.
        """

    def position(self) -> int:
        """Returns the last committed revision, or -1 while a commit may be under way.

        It costs a tenth of a microsecond, and covers the commits of all processes. A caller that
        gets -1 asks ``revision``.

        Raises:
            ForkError: the store was opened by a parent of this process.
            UsageError: the store is closed.
        """

    def check_presence(self) -> None:
        """Checks that the database is still the one that was opened; costs microseconds.

        Raises:
            UnavailableError: it was moved, replaced or removed: this process reads something else
                than others, and its writes are refused.
        """

    def fsck(self) -> list[str]:
        """Checks the database without the code that wrote it, and returns what is wrong.

        Raises:
            ForkError: the store was opened by a parent of this process.
            StorageError: the database cannot be read; UnavailableError if that may be temporary.
        """

    def close(self) -> None:
        """Finishes submitted works, and closes every connection; may be called again."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
