"""Migrates a database file, whole or not at all."""

from pathlib import Path

from sqlalchemy import URL, NullPool, create_engine
from sqlalchemy.exc import DBAPIError

from vaultcore.errors import UnavailableError
from vaultcore.storage import migrate


def upgrade(path: Path, found: str | None, target: str) -> None:
    """Brings a database from one migration to another.

    Args:
        path: the database; the caller holds its write lock.
        found: the migration that the database has, or None.
        target: the migration to reach.

    Raises:
        StorageError: the database was written by a newer version of vaultcore.
        UnavailableError: it cannot be written now.
    """
    migrate.check_known(found)
    # With AUTOCOMMIT, the driver does not end the transaction before each change of the schema.
    engine = create_engine(
        URL.create("sqlite", database=str(path)), poolclass=NullPool, isolation_level="AUTOCOMMIT"
    )
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                migrate.run(connection, target)
            except BaseException:
                connection.exec_driver_sql("ROLLBACK")
                raise
            connection.exec_driver_sql("COMMIT")
    except DBAPIError as error:
        raise UnavailableError(f"cannot migrate the store: {error.orig}: try again") from error
    finally:
        engine.dispose()
