"""Runs the Alembic scripts that are shipped inside the package."""

from pathlib import Path

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

from vaultcore.errors import StorageError


def scripts() -> ScriptDirectory:
    """Returns the migrations."""
    return ScriptDirectory.from_config(_config())


def check_known(found: str | None) -> None:
    """Checks that this version of vaultcore knows the migration that a database has.

    Raises:
        StorageError: the database was written by a newer version.
    """
    if found is None:
        return
    try:
        known = scripts().get_revision(found)
    except CommandError:
        known = None
    if known is None:
        raise StorageError(
            f"the store has schema `{found[:32]}`, which this version of vaultcore does not know: "
            "install the version that wrote it, or a newer one"
        )


def run(connection: Connection, target: str) -> None:
    """Brings a database to a migration; the caller commits the result, or rolls it back.

    Args:
        connection: a connection inside a transaction.
        target: the migration to reach.
    """
    directory = scripts()

    def steps(revision: str, _context: MigrationContext) -> list[RevisionStep]:
        return directory._upgrade_revs(target, revision)  # noqa: SLF001 - as alembic.command does

    with EnvironmentContext(_config(), directory, fn=steps) as environment:
        environment.configure(connection=connection, transactional_ddl=False)
        environment.run_migrations()


def _config() -> Config:
    config = Config()
    folder = str(Path(__file__).with_name("migrations"))
    # The option is interpolated, and a folder may have any name.
    config.set_main_option("script_location", folder.replace("%", "%%"))
    return config
