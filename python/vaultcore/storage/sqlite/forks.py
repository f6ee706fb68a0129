"""Keeps a child process from the stores that its parent had open.

SQLite forbids a child to use a connection of its parent, or even to close it. Nor may the child
open the same database again: SQLite remembers which locks it took, but a child does not inherit
them, so it would write to a log that its parent may remove. So the child keeps every inherited
connection untouched, and refuses to work.
"""

import os
import weakref
from pathlib import Path
from typing import Final, Protocol

from vaultcore.errors import ForkError

ADVICE: Final = "close it before the fork, or start the process afresh"


class Forkable(Protocol):
    """Something that must not be used by a child process."""

    @property
    def path(self) -> Path:
        """The database."""

    def inheritance(self) -> list[object]:
        """Returns what a child must neither use nor destroy."""

    def disinherit(self) -> None:
        """Refuses every further use; called in the child."""


_watched: "weakref.WeakSet[Forkable]" = weakref.WeakSet()
# The child does not have the threads of the parent, and Python destroys what only these threads
# referenced before it runs any hook. So a reference is held from before the fork on.
_held: list[object] = []
_inherited: set[Path] = set()


def watch(forkable: Forkable) -> None:
    """Disinherits the children of this process from now on."""
    _watched.add(forkable)


def unwatch(forkable: Forkable) -> None:
    """Forgets something that was closed: a child may open it again."""
    _watched.discard(forkable)


def check(path: Path) -> None:
    """Refuses to open a database that was open when this process was forked.

    Raises:
        ForkError: it was open.
    """
    if path in _inherited:
        raise ForkError(f"the store was open when this process was forked: {ADVICE}")


def _before() -> None:
    for forkable in list(_watched):
        _held.extend(forkable.inheritance())


def _in_parent() -> None:
    _held.clear()


def _in_child() -> None:
    for forkable in list(_watched):
        _inherited.add(forkable.path)
        forkable.disinherit()
    _watched.clear()


os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
