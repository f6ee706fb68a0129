"""Lets a witness write in every transaction of an operation, and hear of its commit.

An operation may write in several places far below the code that performs it. What has to be in the
same transaction, such as the record of the change, is joined to the work here and not handed
through all of them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, TypeVar

from vaultcore.storage.protocols import Work

T = TypeVar("T")


class Witness(Protocol):
    """Writes in each transaction of one operation, together with it."""

    def joined(self, work: Work[T]) -> Work[T]:
        """Returns a work that does both; it may be run more than once."""

    def committed(self) -> None:
        """Is called when the work that was joined last is on the disk."""


_current: ContextVar[Witness | None] = ContextVar("vaultcore-witness", default=None)


def current() -> Witness | None:
    """Returns the witness of the current operation of this thread or task."""
    return _current.get()


@contextmanager
def witnessed(witness: Witness) -> Iterator[None]:
    """Makes every write inside the block a part of the witness's operation."""
    token = _current.set(witness)
    try:
        yield
    finally:
        _current.reset(token)
