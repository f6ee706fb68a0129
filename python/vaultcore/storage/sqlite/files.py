"""The files of a store: the database, and the files beside it."""

from pathlib import Path
from typing import Final

from sqlalchemy import URL

from vaultcore.errors import ConfigurationError

# SQLite's names for the write-ahead log of a database, and the index of that log.
LOG: Final = "-wal"
INDEX: Final = "-shm"


def database(url: URL) -> Path:
    """Returns the path of the database that a URL names.

    Raises:
        ConfigurationError: it names no file, or contains more than a path.
    """
    if url.database in (None, "", ":memory:") or url.query:
        raise ConfigurationError("the URL of the store names no file: give sqlite:///PATH")
    return Path(str(url.database)).resolve()


def lock(path: Path) -> Path:
    """Returns the write lock of a database; the place at the head of its queue is beside it."""
    return _beside(path, ".lock")


def signal(path: Path) -> Path:
    """Returns the signal of a database."""
    return _beside(path, ".signal")


def log(path: Path) -> Path:
    """Returns the write-ahead log of a database."""
    return path.with_name(path.name + LOG)


def _beside(path: Path, suffix: str) -> Path:
    # Two databases of one folder must not share a signal.
    return path.with_suffix(suffix) if path.suffix == ".db" else path.with_name(path.name + suffix)
