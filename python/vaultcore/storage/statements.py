"""The statements of the store: written with SQLAlchemy Core, compiled once, run on the driver.

Building and binding a Core statement costs ten times what SQLite needs to run it. So each one is
compiled when this module is loaded, and the store hands its text and a tuple to the driver.
"""

from functools import cache
from typing import Any

from sqlalchemy import (
    LargeBinary,
    bindparam,
    case,
    cast,
    delete,
    func,
    insert,
    literal_column,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql import ClauseElement, Select

from vaultcore.storage.tables import changes, documents, objects, versions

_DIALECT = sqlite.dialect(paramstyle="qmark")


def compiled(statement: ClauseElement, *names: str) -> str:
    """Returns the driver's text of a statement whose parameters stand in the given order.

    Raises:
        LookupError: the statement binds other parameters, or in another order.
    """
    result = statement.compile(dialect=_DIALECT)
    bound = tuple(result.positiontup or ())  # type: ignore[attr-defined]
    if bound != names:
        raise LookupError(f"the statement binds {bound}, its caller gives {names}")
    return str(result)


def page(statement: Select[Any]) -> Select[Any]:
    """Limits a statement to the parameter ``limit``."""
    # Without the explicit offset the dialect would bind one.
    return statement.limit(bindparam("limit")).offset(literal_column("0"))


_both = select(objects, versions).join(versions, versions.c.sequence == objects.c.current)
_named = (
    objects.c.vault_id == bindparam("vault_id"),
    objects.c.kind == bindparam("kind"),
    objects.c.key == bindparam("key"),
)
_NAMED = ("vault_id", "kind", "key")

OBJECT = compiled(select(objects).where(*_named), *_NAMED)
CURRENT = compiled(_both.where(*_named), *_NAMED)
VERSION = compiled(
    select(objects, versions)
    .join(versions, versions.c.object_id == objects.c.id)
    .where(*_named, versions.c.version == bindparam("version")),
    *_NAMED,
    "version",
)


def _listing(*, deleted: bool) -> str:
    which = objects.c.deleted_at.is_not(None) if deleted else objects.c.deleted_at.is_(None)
    name = "ix_objects_deleted" if deleted else "ix_objects_active"
    return compiled(
        page(
            # The planner cannot know that one of two equal indexes skips a million rows.
            _both.with_hint(objects, f"INDEXED BY {name}", "sqlite")
            .where(
                objects.c.vault_id == bindparam("vault_id"),
                objects.c.kind == bindparam("kind"),
                objects.c.key > bindparam("after"),
                which,
            )
            .order_by(objects.c.key)
        ),
        "vault_id",
        "kind",
        "after",
        "limit",
    )


LIST_ACTIVE = _listing(deleted=False)
LIST_DELETED = _listing(deleted=True)

_of_object = versions.c.object_id == bindparam("object_id")
VERSIONS = compiled(select(versions).where(_of_object).order_by(versions.c.sequence), "object_id")
VERSIONS_NEWEST = compiled(
    page(select(versions).where(_of_object).order_by(versions.c.sequence.desc())),
    "object_id",
    "limit",
)
VERSIONS_BEFORE = compiled(
    page(
        select(versions)
        .where(_of_object, versions.c.sequence < bindparam("before"))
        .order_by(versions.c.sequence.desc())
    ),
    "object_id",
    "before",
    "limit",
)

DUE_FOR_PURGE = compiled(
    page(
        select(objects)
        .where(
            objects.c.purge_at <= bindparam("now"),
            tuple_(objects.c.purge_at, objects.c.id)
            > tuple_(bindparam("after_time"), bindparam("after_id")),
        )
        .order_by(objects.c.purge_at, objects.c.id)
    ),
    "now",
    "after_time",
    "after_id",
    "limit",
)
COUNTS = compiled(
    select(
        objects.c.kind,
        func.sum(
            case((objects.c.deleted_at.is_(None), literal_column("1")), else_=literal_column("0"))
        ),
        func.sum(
            case((objects.c.deleted_at.is_(None), literal_column("0")), else_=literal_column("1"))
        ),
    )
    .where(objects.c.vault_id == bindparam("vault_id"))
    .group_by(objects.c.kind),
    "vault_id",
)

CHANGES = compiled(
    page(
        select(changes).where(changes.c.revision > bindparam("after")).order_by(changes.c.revision)
    ),
    "after",
    "limit",
)
REVISION = compiled(select(func.max(changes.c.revision)))
FORGET_CHANGES = compiled(
    delete(changes).where(
        or_(changes.c.revision > bindparam("highest"), changes.c.revision < bindparam("lowest"))
    ),
    "highest",
    "lowest",
)

DOCUMENT = compiled(
    select(documents.c.blob).where(
        documents.c.collection == bindparam("collection"), documents.c.key == bindparam("key")
    ),
    "collection",
    "key",
)
DOCUMENTS = compiled(
    # As bytes: one key that is not UTF-8 must not keep the others from being read.
    select(cast(documents.c.key, LargeBinary), documents.c.blob)
    .where(documents.c.collection == bindparam("collection"))
    .order_by(documents.c.key),
    "collection",
)
COLLECTIONS = compiled(
    # As bytes, so that one is named exactly, whatever was written there.
    select(cast(documents.c.collection, LargeBinary))
    .where(
        documents.c.collection >= bindparam("first"), documents.c.collection < bindparam("behind")
    )
    .distinct()
    .order_by(documents.c.collection),
    "first",
    "behind",
)

_OBJECT_COLUMNS = (
    "vault_id",
    "kind",
    "key",
    "name",
    "current",
    "deleted_at",
    "purge_at",
    "seal",
)
INSERT_OBJECT = compiled(
    insert(objects).values({name: bindparam(name) for name in _OBJECT_COLUMNS}), *_OBJECT_COLUMNS
)
DELETE_OBJECT = compiled(delete(objects).where(objects.c.id == bindparam("number")), "number")
DELETE_VERSIONS = compiled(delete(versions).where(_of_object), "object_id")

_VERSION_COLUMNS = ("object_id", "version", "metadata", "payload")
INSERT_VERSION = compiled(
    insert(versions).values({name: bindparam(name) for name in _VERSION_COLUMNS}),
    *_VERSION_COLUMNS,
)

_CHANGE_COLUMNS = ("revision", "vault_id", "kind", "key", "version", "what", "at")
INSERT_CHANGE = compiled(
    insert(changes).values({name: bindparam(name) for name in _CHANGE_COLUMNS}), *_CHANGE_COLUMNS
)

_put = sqlite.insert(documents).values(
    {name: bindparam(name) for name in ("collection", "key", "blob")}
)
PUT_DOCUMENT = compiled(
    _put.on_conflict_do_update(
        index_elements=["collection", "key"], set_={"blob": _put.excluded.blob}
    ),
    "collection",
    "key",
    "blob",
)
DELETE_DOCUMENTS = compiled(
    delete(documents).where(
        documents.c.collection == bindparam("collection"), documents.c.key <= bindparam("last")
    ),
    "collection",
    "last",
)
DELETE_COLLECTION = compiled(
    # With any keys, also those that are no text.
    delete(documents).where(
        documents.c.collection >= bindparam("first"),
        documents.c.collection < bindparam("behind"),
        cast(documents.c.collection, LargeBinary) == bindparam("collection"),
    ),
    "first",
    "behind",
    "collection",
)
DELETE_DOCUMENT = compiled(
    delete(documents).where(
        documents.c.collection == bindparam("collection"), documents.c.key == bindparam("key")
    ),
    "collection",
    "key",
)


@cache
def update_object(names: tuple[str, ...]) -> str:
    """Returns the update of these columns of one object; its number is the last parameter."""
    return compiled(
        update(objects)
        .where(objects.c.id == bindparam("number"))
        .values({name: bindparam(name) for name in names}),
        *names,
        "number",
    )


@cache
def update_version(names: tuple[str, ...]) -> str:
    """Returns the update of these columns of one version; its sequence is the last parameter."""
    return compiled(
        update(versions)
        .where(versions.c.sequence == bindparam("number"))
        .values({name: bindparam(name) for name in names}),
        *names,
        "number",
    )
