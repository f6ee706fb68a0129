"""Caches objects between calls, until the change feed names them."""

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

T = TypeVar("T")

CACHE_SIZE: Final = 50_000  # entries for each kind; a sealed secret is about 1 KiB


class Cache(Generic[T]):
    """A cache of objects between calls, until the change feed names them.

    What is read from the store may be cached only if nothing was invalidated since before the
    read; otherwise a slow reader would put back what a write has just removed.
    """

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], T] = {}
        self._objects: OrderedDict[str, tuple[tuple[str, str], ...]] = OrderedDict()
        self._epoch = 0
        self._lock = threading.Lock()
        self.get = self._entries.get

    def seen(self) -> int:
        """Returns the moment to pass to :meth:`put`."""
        return self._epoch

    def put(self, place: tuple[str, str], entry: T, seen: int) -> None:
        """Caches an entry that was read after a call of :meth:`seen`.

        Args:
            place: the canonical name, and the version or the empty string.
            entry: what to cache.
            seen: what :meth:`seen` returned before the read.
        """
        with self._lock:
            if seen != self._epoch:
                return
            while len(self._entries) >= CACHE_SIZE:
                _, places = self._objects.popitem(last=False)
                self._forget(places)
            if place not in self._entries:
                self._objects[place[0]] = (*self._objects.get(place[0], ()), place)
            self._entries[place] = entry

    def invalidate(self, key: str) -> None:
        """Forgets every version of an object."""
        with self._lock:
            self._epoch += 1
            self._forget(self._objects.pop(key, ()))

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._epoch += 1
            self._entries.clear()
            self._objects.clear()

    def _forget(self, places: "Iterable[tuple[str, str]]") -> None:
        for place in places:
            self._entries.pop(place, None)
