"""The tables of the store, for every dialect.

The migrations create them; a test checks that these create the same tables as defined here.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

#: The newest migration; a test compares it with the scripts.
HEAD: Final = "0001"

metadata = MetaData()

# SQLite counts rows only in a column that is spelled INTEGER; it has 64 bits all the same.
_Number = BigInteger().with_variant(Integer(), "sqlite")

objects = Table(
    "objects",
    metadata,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("vault_id", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("key", String, nullable=False),
    Column("name", String, nullable=False),
    Column("current", _Number, nullable=False, default=0),
    Column("deleted_at", _Number),
    Column("purge_at", _Number),
    Column("seal", LargeBinary, nullable=False),
    UniqueConstraint("vault_id", "kind", "key", name="uq_objects_name"),
    # A number is never reused, not even after the highest object was purged: a sealed payload is
    # bound to its object.
    sqlite_autoincrement=True,
)

# One index for each listing, so that a page costs the same however many objects the other
# listing holds.
Index(
    "ix_objects_active",
    objects.c.vault_id,
    objects.c.kind,
    objects.c.key,
    sqlite_where=objects.c.deleted_at.is_(None),
    postgresql_where=objects.c.deleted_at.is_(None),
)
Index(
    "ix_objects_deleted",
    objects.c.vault_id,
    objects.c.kind,
    objects.c.key,
    sqlite_where=objects.c.deleted_at.is_not(None),
    postgresql_where=objects.c.deleted_at.is_not(None),
)
Index(
    "ix_objects_purge",
    objects.c.purge_at,
    sqlite_where=objects.c.purge_at.is_not(None),
    postgresql_where=objects.c.purge_at.is_not(None),
)

versions = Table(
    "versions",
    metadata,
    Column("sequence", _Number, primary_key=True, autoincrement=True),
    Column("object_id", _Number, ForeignKey("objects.id"), nullable=False),
    Column("version", String, nullable=False),
    Column("metadata", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    UniqueConstraint("object_id", "version", name="uq_versions_version"),
    sqlite_autoincrement=True,
)
Index("ix_versions_order", versions.c.object_id, versions.c.sequence)

changes = Table(
    "changes",
    metadata,
    # Not a counter of the database: an insert that was rolled back would leave a gap in the feed.
    Column("revision", _Number, primary_key=True, autoincrement=False),
    Column("vault_id", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("key", String, nullable=False),
    Column("version", String, nullable=False),
    Column("what", String, nullable=False),
    Column("at", _Number, nullable=False),
)

documents = Table(
    "documents",
    metadata,
    Column("collection", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("blob", LargeBinary, nullable=False),
)
