"""Runs the Alembic scripts that are shipped inside of the package."""

from pathlib import Path

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import URL, Connection, NullPool, create_engine
from sqlalchemy.exc import DBAPIError

from vaultcore.errors import StorageError, UnavailableError


def scripts() -> ScriptDirectory:
    """Returns the migrations."""
    return ScriptDirectory.from_config(_config())


def upgrade(path: Path, found: str | None, target: str) -> None:
    """Brings a database from one migration to another, whole or not at all.

    Args:
        path: the database; the caller holds its write lock.
        found: the migration that the database has, or None.
        target: the migration it shall have.

    Raises:
        StorageError: the database was written by a newer version of vaultcore, or a migration
            failed.
    """
    directory = scripts()
    _check_known(directory, found)
    # AUTOCOMMIT keeps the driver from ending our transaction before each change of the schema.
    engine = create_engine(
        URL.create("sqlite", database=str(path)), poolclass=NullPool, isolation_level="AUTOCOMMIT"
    )
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                _run(directory, connection, target)
            except BaseException:
                connection.exec_driver_sql("ROLLBACK")
                raise
            connection.exec_driver_sql("COMMIT")
    except DBAPIError as error:
        raise UnavailableError(f"cannot migrate the store: {error.orig}: try again") from error
    finally:
        engine.dispose()


def _check_known(directory: ScriptDirectory, found: str | None) -> None:
    if found is None:
        return
    try:
        known = directory.get_revision(found)
    except CommandError:
        known = None
    if known is None:
        raise StorageError(
            f"the store has schema `{found[:32]}`, which this version of vaultcore does not know: "
            "install the version that wrote it, or a newer one"
        )


def _run(directory: ScriptDirectory, connection: Connection, target: str) -> None:
    def steps(revision: str, _context: MigrationContext) -> list[RevisionStep]:
        return directory._upgrade_revs(target, revision)  # noqa: SLF001 - as alembic.command does

    with EnvironmentContext(_config(), directory, fn=steps) as environment:
        environment.configure(connection=connection, transactional_ddl=False)
        environment.run_migrations()


def _config() -> Config:
    config = Config()
    folder = str(Path(__file__).with_name("migrations"))
    # The option is interpolated, and a folder may be called anything.
    config.set_main_option("script_location", folder.replace("%", "%%"))
    return config
