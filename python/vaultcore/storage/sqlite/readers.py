"""The connections for reading: one for each thread, opened when it first reads."""

import os
import sqlite3
import threading
import weakref
from pathlib import Path
from typing import Any, NoReturn

from vaultcore.storage.sqlite.connection import connect, leave_open, rows
from vaultcore.storage.sqlite.presence import Presence
from vaultcore.storage.sqlite.reads import Parameters


class Readers(threading.local):
    """The connection of the current thread.

    Args:
        path: the database.
        presence: checks that it is still the file that was opened.
        every: the connections of all threads.
    """

    def __init__(self, path: Path, presence: Presence, every: "Every") -> None:
        # Runs once in each thread. The holder is destroyed when its thread ends.
        holder = every.add(connect(path), presence)
        # Threads must not read from two databases.
        presence.check()
        self._holder = holder

    def rows(self, sql: str, parameters: Parameters) -> list[Any]:
        """Returns the rows of a query."""
        return self._holder.rows(sql, parameters)


class Refusal:
    """Replaces the connections when none may be used.

    Args:
        error: the class of what is raised.
        message: what a caller that asks for a connection is told.
    """

    def __init__(self, error: type[Exception], message: str) -> None:
        self._error = error
        self._message = message

    def rows(self, _sql: str, _parameters: Parameters) -> NoReturn:
        """Refuses."""
        self.refuse()

    def refuse(self) -> NoReturn:
        """Raises the error."""
        raise self._error(self._message)


class Every:
    """The connections of all threads, so that one of them can close them all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders: weakref.WeakSet[_Holder] = weakref.WeakSet()

    def add(self, connection: sqlite3.Connection, presence: Presence) -> "_Holder":
        """Returns the holder of a connection; the connection is closed with its holder."""
        holder = _Holder(connection, presence)
        with self._lock:
            self._holders.add(holder)
        return holder

    def holders(self) -> "list[_Holder]":
        """Returns the holders of all open connections."""
        with self._lock:
            return list(self._holders)

    def close(self) -> None:
        """Closes the connections of all threads, each after its current query."""
        for holder in self.holders():
            holder.close()


class _Holder:
    """A connection, which no other thread closes while a query runs on it: SQLite would crash."""

    __slots__ = ("__weakref__", "_connection", "_lock", "_pid", "_presence")

    def __init__(self, connection: sqlite3.Connection, presence: Presence) -> None:
        self._connection = connection
        self._presence = presence
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def __del__(self) -> None:
        # After a fork the connection belongs to the parent, and closing it here would disturb it.
        if os.getpid() == self._pid:
            self._close()

    def rows(self, sql: str, parameters: Parameters) -> list[Any]:
        with self._lock:
            return rows(self._connection, sql, parameters)

    def close(self) -> None:
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._presence.in_place():
            self._connection.close()
        else:
            leave_open(self._connection)
