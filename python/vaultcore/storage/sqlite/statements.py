"""The statements in the form of SQLite's driver: compiled once, when this module is loaded.

Building and binding a Core statement costs ten times what SQLite needs to run it. So the store
passes a text and a tuple to the driver.
"""

from functools import cache
from typing import Final

from sqlalchemy import LargeBinary, bindparam, cast, delete, select
from sqlalchemy.dialects import sqlite

from vaultcore.storage import sealed, statements
from vaultcore.storage.statements import Statement
from vaultcore.storage.tables import documents

_DIALECT: Final = sqlite.dialect(paramstyle="qmark")


def compiled(statement: Statement) -> str:
    """Returns the driver's text of a statement.

    Raises:
        LookupError: the statement binds other parameters than it declares, or in another order.
    """
    result = statement.form.compile(dialect=_DIALECT)
    bound = tuple(result.positiontup or ())  # type: ignore[attr-defined]
    if bound != statement.parameters:
        raise LookupError(f"the statement binds {bound}, its caller gives {statement.parameters}")
    return str(result)


OBJECT: Final = compiled(statements.OBJECT)
CURRENT: Final = compiled(statements.CURRENT)
VERSION: Final = compiled(statements.VERSION)
LIST_ACTIVE: Final = compiled(statements.LIST_ACTIVE)
LIST_DELETED: Final = compiled(statements.LIST_DELETED)
VERSIONS: Final = compiled(statements.VERSIONS)
VERSIONS_NEWEST: Final = compiled(statements.VERSIONS_NEWEST)
VERSIONS_BEFORE: Final = compiled(statements.VERSIONS_BEFORE)
DUE_FOR_PURGE: Final = compiled(statements.DUE_FOR_PURGE)
COUNTS: Final = compiled(statements.COUNTS)

CHANGES: Final = compiled(statements.CHANGES)
REVISION: Final = compiled(statements.REVISION)
FORGET_CHANGES: Final = compiled(statements.FORGET_CHANGES)

FIND_SEALED: Final = {kind: compiled(statement) for kind, statement in sealed.FIND.items()}
COUNT_SEALED: Final = {kind: compiled(statement) for kind, statement in sealed.COUNT.items()}

# SQLite stores any bytes as text. So a name that may have been changed is read and compared as
# bytes: one that is not UTF-8 must not prevent the others from being read.
_key = cast(documents.c.key, LargeBinary)
_collection = cast(documents.c.collection, LargeBinary)
_begins = (
    documents.c.collection >= bindparam("first"),
    documents.c.collection < bindparam("behind"),
)

DOCUMENT: Final = compiled(statements.DOCUMENT)
DOCUMENTS: Final = compiled(
    Statement(
        select(_key, documents.c.blob)
        .where(documents.c.collection == bindparam("collection"))
        .order_by(documents.c.key),
        "collection",
    )
)
COLLECTIONS: Final = compiled(
    Statement(
        select(_collection).where(*_begins).distinct().order_by(documents.c.collection),
        "first",
        "behind",
    )
)

INSERT_OBJECT: Final = compiled(statements.INSERT_OBJECT)
DELETE_OBJECT: Final = compiled(statements.DELETE_OBJECT)
INSERT_VERSION: Final = compiled(statements.INSERT_VERSION)
DELETE_VERSIONS: Final = compiled(statements.DELETE_VERSIONS)
INSERT_CHANGE: Final = compiled(statements.INSERT_CHANGE)

_put = sqlite.insert(documents).values(
    {name: bindparam(name) for name in ("collection", "key", "blob")}
)
PUT_DOCUMENT: Final = compiled(
    Statement(
        _put.on_conflict_do_update(
            index_elements=["collection", "key"], set_={"blob": _put.excluded.blob}
        ),
        "collection",
        "key",
        "blob",
    )
)
DELETE_DOCUMENT: Final = compiled(statements.DELETE_DOCUMENT)
DELETE_DOCUMENTS: Final = compiled(statements.DELETE_DOCUMENTS)
DELETE_COLLECTION: Final = compiled(
    Statement(
        delete(documents).where(*_begins, _collection == bindparam("collection")),
        "first",
        "behind",
        "collection",
    )
)


@cache
def update_object(names: tuple[str, ...]) -> str:
    """Returns the update of these columns of one object; its number is the last parameter."""
    return compiled(statements.update_object(names))


@cache
def update_version(names: tuple[str, ...]) -> str:
    """Returns the update of these columns of one version; its sequence is the last parameter."""
    return compiled(statements.update_version(names))
