"""The statements that every database understands, written with SQLAlchemy Core.

The packages of the databases compile each of them once, to the text for their driver, and contain
those statements that they need in another form.
"""

from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal_column,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.sql import ClauseElement

from vaultcore.storage.tables import changes, documents, objects, versions


class Statement:
    """A statement, and the order in which its caller passes the parameters.

    Args:
        form: the statement.
        parameters: the names of its parameters.
    """

    def __init__(self, form: ClauseElement, *parameters: str) -> None:
        self.form = form
        self.parameters = parameters


def page(statement: Select[Any]) -> Select[Any]:
    """Limits a statement to the parameter ``limit``."""
    # Without an explicit offset, the dialect would bind one.
    return statement.limit(bindparam("limit")).offset(literal_column("0"))


_both = select(objects, versions).join(versions, versions.c.sequence == objects.c.current)
_named = (
    objects.c.vault_id == bindparam("vault_id"),
    objects.c.kind == bindparam("kind"),
    objects.c.key == bindparam("key"),
)
_NAMED = ("vault_id", "kind", "key")

OBJECT = Statement(select(objects).where(*_named), *_NAMED)
CURRENT = Statement(_both.where(*_named), *_NAMED)
VERSION = Statement(
    select(objects, versions)
    .join(versions, versions.c.object_id == objects.c.id)
    .where(*_named, versions.c.version == bindparam("version")),
    *_NAMED,
    "version",
)


def _listing(which: ColumnElement[bool]) -> Statement:
    return Statement(
        page(
            _both.where(
                objects.c.vault_id == bindparam("vault_id"),
                objects.c.kind == bindparam("kind"),
                objects.c.key > bindparam("after"),
                which,
            ).order_by(objects.c.key)
        ),
        "vault_id",
        "kind",
        "after",
        "limit",
    )


LIST_ACTIVE = _listing(objects.c.deleted_at.is_(None))
LIST_DELETED = _listing(objects.c.deleted_at.is_not(None))

_of_object = versions.c.object_id == bindparam("object_id")
VERSIONS = Statement(select(versions).where(_of_object).order_by(versions.c.sequence), "object_id")
VERSIONS_NEWEST = Statement(
    page(select(versions).where(_of_object).order_by(versions.c.sequence.desc())),
    "object_id",
    "limit",
)
VERSIONS_BEFORE = Statement(
    page(
        select(versions)
        .where(_of_object, versions.c.sequence < bindparam("before"))
        .order_by(versions.c.sequence.desc())
    ),
    "object_id",
    "before",
    "limit",
)

DUE_FOR_PURGE = Statement(
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
COUNTS = Statement(
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

CHANGES = Statement(
    page(
        select(changes).where(changes.c.revision > bindparam("after")).order_by(changes.c.revision)
    ),
    "after",
    "limit",
)
REVISION = Statement(select(func.max(changes.c.revision)))
FORGET_CHANGES = Statement(
    delete(changes).where(
        or_(changes.c.revision > bindparam("highest"), changes.c.revision < bindparam("lowest"))
    ),
    "highest",
    "lowest",
)

DOCUMENT = Statement(
    select(documents.c.blob).where(
        documents.c.collection == bindparam("collection"), documents.c.key == bindparam("key")
    ),
    "collection",
    "key",
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
INSERT_OBJECT = Statement(
    insert(objects).values({name: bindparam(name) for name in _OBJECT_COLUMNS}), *_OBJECT_COLUMNS
)
DELETE_OBJECT = Statement(delete(objects).where(objects.c.id == bindparam("number")), "number")
DELETE_VERSIONS = Statement(delete(versions).where(_of_object), "object_id")

_VERSION_COLUMNS = ("object_id", "version", "metadata", "payload")
INSERT_VERSION = Statement(
    insert(versions).values({name: bindparam(name) for name in _VERSION_COLUMNS}),
    *_VERSION_COLUMNS,
)

_CHANGE_COLUMNS = ("revision", "vault_id", "kind", "key", "version", "what", "at")
INSERT_CHANGE = Statement(
    insert(changes).values({name: bindparam(name) for name in _CHANGE_COLUMNS}), *_CHANGE_COLUMNS
)

DELETE_DOCUMENTS = Statement(
    delete(documents).where(
        documents.c.collection == bindparam("collection"), documents.c.key <= bindparam("last")
    ),
    "collection",
    "last",
)
DELETE_DOCUMENT = Statement(
    delete(documents).where(
        documents.c.collection == bindparam("collection"), documents.c.key == bindparam("key")
    ),
    "collection",
    "key",
)


def update_object(names: tuple[str, ...]) -> Statement:
    """Returns the update of these columns of one object; its number is the last parameter."""
    return Statement(
        update(objects)
        .where(objects.c.id == bindparam("number"))
        .values({name: bindparam(name) for name in names}),
        *names,
        "number",
    )


def update_version(names: tuple[str, ...]) -> Statement:
    """Returns the update of these columns of one version; its sequence is the last parameter."""
    return Statement(
        update(versions)
        .where(versions.c.sequence == bindparam("number"))
        .values({name: bindparam(name) for name in names}),
        *names,
        "number",
    )
