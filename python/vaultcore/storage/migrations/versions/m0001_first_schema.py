"""Creates the first schema.

A migration never changes once it was released, so it spells its tables out.
"""

import sqlalchemy as sa
from alembic import op

from vaultcore.errors import StorageError

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_APPLICATION_ID = 0x564C5443


def upgrade() -> None:
    """Creates objects, versions, the feed and the documents."""
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    op.create_table(
        "objects",
        sa.Column("id", number, primary_key=True, autoincrement=True),
        sa.Column("vault_id", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("key", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("current", number, nullable=False),
        sa.Column("deleted_at", number),
        sa.Column("purge_at", number),
        sa.Column("seal", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("vault_id", "kind", "key", name="uq_objects_name"),
        sqlite_autoincrement=True,
    )
    for name, columns, condition in (
        ("ix_objects_active", ["vault_id", "kind", "key"], "deleted_at IS NULL"),
        ("ix_objects_deleted", ["vault_id", "kind", "key"], "deleted_at IS NOT NULL"),
        ("ix_objects_purge", ["purge_at"], "purge_at IS NOT NULL"),
    ):
        where = sa.text(condition)
        op.create_index(name, "objects", columns, sqlite_where=where, postgresql_where=where)
    op.create_table(
        "versions",
        sa.Column("sequence", number, primary_key=True, autoincrement=True),
        sa.Column("object_id", number, sa.ForeignKey("objects.id"), nullable=False),
        sa.Column("version", sa.String, nullable=False),
        sa.Column("metadata", sa.Text, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("object_id", "version", name="uq_versions_version"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_versions_order", "versions", ["object_id", "sequence"])
    op.create_table(
        "changes",
        sa.Column("revision", number, primary_key=True, autoincrement=False),
        sa.Column("vault_id", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("key", sa.String, nullable=False),
        sa.Column("version", sa.String, nullable=False),
        sa.Column("what", sa.String, nullable=False),
        sa.Column("at", number, nullable=False),
    )
    op.create_table(
        "documents",
        sa.Column("collection", sa.String, primary_key=True),
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("blob", sa.LargeBinary, nullable=False),
    )


def downgrade() -> None:
    """Refuses: there is nothing before the first schema.

    Raises:
        StorageError: always.
    """
    raise StorageError("there is no schema before the first one: remove the database instead")
