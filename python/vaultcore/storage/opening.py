"""Opens a store: its URL determines the kind of database."""

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from vaultcore.clock import Clock
from vaultcore.errors import ConfigurationError
from vaultcore.storage.protocols import Store
from vaultcore.storage.sqlite import files
from vaultcore.storage.sqlite.store import SqliteStore


def open_store(url: str | URL, *, clock: Clock) -> Store:
    """Opens a store, creates it if there is none, and brings its schema up to date.

    Args:
        url: ``sqlite:///`` and the path of a file; its folder must exist.
        clock: the time of the entries of the feed.

    Raises:
        ConfigurationError: the URL cannot be used.
        ForkError: the store was open when this process was forked.
        StorageError: the database is not a store, or one of a newer version of vaultcore.
        UnavailableError: the database cannot be opened now.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigurationError(
            "the URL of the store cannot be read: try sqlite:///PATH"
        ) from error
    if parsed.get_backend_name() != "sqlite":
        raise ConfigurationError("this version keeps its store in SQLite: give sqlite:///PATH")
    return SqliteStore(files.database(parsed), clock=clock)
