"""Writes that happen only if their caller may still make them when they do.

Between the moment when a caller was admitted and the moment when his write is done there are the
queue of the writer, the generation of a key, a slow body. A revocation that was committed by then
counts, and so does one that shares the commit and stands before the write.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

from vaultcore.engine.feed import OBJECTS
from vaultcore.errors import UnavailableError

if TYPE_CHECKING:
    from vaultcore.objects.lifecycle import Work
    from vaultcore.storage import Store, Transaction

T = TypeVar("T")
#: How often a write steps back behind changes of the rules, before it gives up.
ATTEMPTS: Final = 100


class OvertakenError(UnavailableError):
    """Works of the same commit have changed the rules; after it, everybody sees how."""


def guarded(work: "Work[T]", look_again: Callable[[], None]) -> "Work[T]":
    """Returns a work that asks again whether it may be done, where nobody can come between.

    Args:
        work: the work.
        look_again: raises a refusal if the caller may not do it by what is committed. It writes
            nothing, and waits for nobody who does.
    """

    def run(transaction: "Transaction") -> T:
        look_again()
        if not transaction.kinds <= OBJECTS:
            raise OvertakenError("rules are being changed in the same moment; try again later")
        return work(transaction)

    return run


def write(store: "Store", work: "Work[T]") -> T:
    """Does a guarded work.

    Raises:
        OvertakenError: the rules go on changing.
        StorageError: the store cannot be written; UnavailableError if that may pass.
        VaultError: the caller may not do it any more, or what the work raised.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return store.write(work)
        except OvertakenError:
            continue
    return store.write(work)


async def write_async(store: "Store", work: "Work[T]") -> T:
    """Does what :func:`write` does, for a coroutine.

    Raises:
        OvertakenError: the rules go on changing.
        StorageError: the store cannot be written; UnavailableError if that may pass.
        VaultError: the caller may not do it any more, or what the work raised.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return await store.write_async(work)
        except OvertakenError:
            continue
    return await store.write_async(work)
