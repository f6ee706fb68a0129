"""The connections for reading: one for each thread, opened when it first reads."""

import os
import sqlite3
import threading
import weakref
from pathlib import Path
from typing import NoReturn

from vaultcore.storage.connection import connect


class Readers(threading.local):
    """Holds the connection of the thread that asks.

    Args:
        path: the database.
        every: the connections of all threads.
    """

    def __init__(self, path: Path, every: "Every") -> None:
        # Runs once in each thread. The holder goes when its thread does.
        self._holder = every.add(connect(path))
        self.connection = self._holder.connection


class Refusal:
    """Stands for the connections when there may be none.

    Args:
        error: what whoever asks for a connection is told.
    """

    def __init__(self, error: type[Exception], message: str) -> None:
        self._error = error
        self._message = message

    @property
    def connection(self) -> sqlite3.Connection:
        """Refuses."""
        return self.refuse()

    def refuse(self) -> NoReturn:
        """Raises the error."""
        raise self._error(self._message)


class Every:
    """The connections of all threads, so that one of them can close them all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders: weakref.WeakSet[_Holder] = weakref.WeakSet()

    def add(self, connection: sqlite3.Connection) -> "_Holder":
        """Returns the holder of a connection; the connection is closed when nobody holds it."""
        holder = _Holder(connection)
        with self._lock:
            self._holders.add(holder)
        return holder

    def holders(self) -> "list[_Holder]":
        """Returns the holders of all open connections."""
        with self._lock:
            return list(self._holders)

    def close(self) -> None:
        """Closes the connections of all threads."""
        for holder in self.holders():
            holder.connection.close()


class _Holder:
    __slots__ = ("__weakref__", "_pid", "connection")

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._pid = os.getpid()

    def __del__(self) -> None:
        # After a fork the connection is the parent's, and closing it here would disturb it.
        if os.getpid() == self._pid:
            self.connection.close()
