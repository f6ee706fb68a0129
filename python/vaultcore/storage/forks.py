"""What becomes of open stores in a child process.

SQLite forbids a child to use a connection of its parent, or even to close it. So the child keeps
every inherited connection, untouched, and its stores refuse to work.
"""

import os
import weakref
from typing import Protocol


class Forkable(Protocol):
    """Something that must not be used by a child process."""

    def inheritance(self) -> list[object]:
        """Returns what a child must neither use nor destroy."""

    def disinherit(self) -> None:
        """Refuses every further use; called in the child."""


_watched: "weakref.WeakSet[Forkable]" = weakref.WeakSet()
# The threads of the parent are gone in the child, and Python destroys what they alone held before
# it calls anybody. So it is held from before the fork on.
_held: list[object] = []


def watch(forkable: Forkable) -> None:
    """Disinherits the children of this process from now on."""
    _watched.add(forkable)


def _before() -> None:
    for forkable in list(_watched):
        _held.extend(forkable.inheritance())


def _in_parent() -> None:
    _held.clear()


def _in_child() -> None:
    for forkable in list(_watched):
        forkable.disinherit()
    _watched.clear()


os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
