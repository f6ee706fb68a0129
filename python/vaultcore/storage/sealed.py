"""Finds sealed data by the header of its envelope (``docs/envelope.md``).

The header names the key and its generation, so a rekey finds everything that it has to move
without opening it.
"""

from typing import Any, Final

from sqlalchemy import ColumnElement, and_, bindparam, func, literal_column, or_, select

from vaultcore.storage.rows import Place
from vaultcore.storage.statements import Statement, page
from vaultcore.storage.tables import documents, objects, versions


def _older(column: Any) -> tuple[ColumnElement[bool], ...]:
    # Counted from one: the identifier of the key, and the generation.
    return (
        func.substr(column, literal_column("7"), literal_column("16")) == bindparam("kek_id"),
        func.substr(column, literal_column("23"), literal_column("4")) != bindparam("generation"),
    )


_FILTER: Final = ("kek_id", "generation")
#: Finds a page of the envelopes in each table.
FIND: Final[dict[str, Statement]] = {
    "versions": Statement(
        page(
            select(versions.c.sequence, versions.c.payload)
            .where(versions.c.sequence > bindparam("after"), *_older(versions.c.payload))
            .order_by(versions.c.sequence)
        ),
        "after",
        *_FILTER,
        "limit",
    ),
    "objects": Statement(
        page(
            select(objects.c.id, objects.c.seal)
            .where(objects.c.id > bindparam("after"), *_older(objects.c.seal))
            .order_by(objects.c.id)
        ),
        "after",
        *_FILTER,
        "limit",
    ),
    "documents": Statement(
        page(
            select(documents.c.collection, documents.c.key, documents.c.blob)
            .where(
                or_(
                    documents.c.collection > bindparam("beyond"),
                    and_(
                        documents.c.collection == bindparam("collection"),
                        documents.c.key > bindparam("after"),
                    ),
                ),
                *_older(documents.c.blob),
            )
            .order_by(documents.c.collection, documents.c.key)
        ),
        "beyond",
        "collection",
        "after",
        *_FILTER,
        "limit",
    ),
}
#: Counts the envelopes in each table.
COUNT: Final[dict[str, Statement]] = {
    "versions": Statement(
        select(func.count()).select_from(versions).where(*_older(versions.c.payload)), *_FILTER
    ),
    "objects": Statement(
        select(func.count()).select_from(objects).where(*_older(objects.c.seal)), *_FILTER
    ),
    "documents": Statement(
        select(func.count()).select_from(documents).where(*_older(documents.c.blob)), *_FILTER
    ),
}


def start(kind: str) -> Place:
    """Returns the place before the first one."""
    return ("", "") if kind == "documents" else (0,)


def header(kek_id: str, generation: int) -> tuple[bytes, bytes]:
    """Returns key and generation in the form of a header."""
    return bytes.fromhex(kek_id), generation.to_bytes(4, "big")
