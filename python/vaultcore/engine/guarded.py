"""Writes that only happen if the caller is still allowed to make them at that time.

Between the admission of a caller and the write, there may be the queue of the writer, the creation
of a key, or a slow body. A revocation that was committed by then applies, and so does one in the
same commit, before the write.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

from vaultcore.engine.feed import OBJECTS
from vaultcore.errors import UnavailableError

if TYPE_CHECKING:
    from vaultcore.objects.lifecycle import Work
    from vaultcore.storage import Store, Transaction

T = TypeVar("T")
#: How often a write yields to changes of the rules before it gives up.
ATTEMPTS: Final = 100


class OvertakenError(UnavailableError):
    """Earlier works of the same commit changed the rules; after it, everybody sees them."""


def guarded(work: "Work[T]", look_again: Callable[[], None]) -> "Work[T]":
    """Returns a work that checks again whether it is allowed, at the time of the write.

    Args:
        work: the work.
        look_again: raises a refusal if the committed rules do not allow the caller to do it. It
            writes nothing, and does not wait for a writer.
    """

    def run(transaction: "Transaction") -> T:
        look_again()
        if not transaction.kinds <= OBJECTS:
            raise OvertakenError("rules are being changed at the same time; try again later")
        return work(transaction)

    return run


def write(store: "Store", work: "Work[T]") -> T:
    """Performs a guarded work.

    Raises:
        OvertakenError: the rules keep changing.
        StorageError: the store cannot be written; UnavailableError if that may be temporary.
        VaultError: the caller is no longer allowed to do it, or what the work raised.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return store.write(work)
        except OvertakenError:
            continue
    return store.write(work)


async def write_async(store: "Store", work: "Work[T]") -> T:
    """The same as :func:`write`, for a coroutine.

    Raises:
        OvertakenError: the rules keep changing.
        StorageError: the store cannot be written; UnavailableError if that may be temporary.
        VaultError: the caller is no longer allowed to do it, or what the work raised.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return await store.write_async(work)
        except OvertakenError:
            continue
    return await store.write_async(work)
