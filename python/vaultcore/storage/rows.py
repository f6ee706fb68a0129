"""The results of queries: one frozen record for each kind of row.

The fields are in the order of the columns, so a row of the driver becomes a record in one call.
SQLite stores a value of any type in any column, so that call checks the types.
"""

from typing import Any, Final, TypeVar

import msgspec

from vaultcore.errors import TamperedError

#: The kind of the feed entry for a repair of the feed.
REPAIR: Final = "feed"
#: The tables that hold envelopes.
SEALED_KINDS: Final = ("versions", "objects", "documents")
#: The place of an envelope: the number of its row, or collection and key of its document.
Place = tuple[int] | tuple[str, str]


class ObjectRow(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A named object of a vault: a secret, a key or a certificate.

    Attributes:
        id: the number of the object; never used twice.
        vault_id: its vault.
        kind: ``secrets``, ``keys`` or ``certificates``.
        canonical: the canonical spelling of the name; one object per vault, kind and spelling.
        name: the name as its creator spelled it.
        current: the sequence of the current version, or 0 if there is none.
        deleted_at: when it was soft-deleted, or None.
        purge_at: when it is to be purged, or None.
        seal: opaque to the store; binds this row to its content.
    """

    id: int
    vault_id: str
    kind: str
    canonical: str
    name: str
    current: int
    deleted_at: int | None
    purge_at: int | None
    seal: bytes


class VersionRow(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One version of an object.

    Attributes:
        sequence: its place in the order of all versions of the store; never used twice.
        object_id: the object it belongs to.
        version: its public identifier.
        metadata: JSON, opaque to the store.
        payload: an envelope, opaque to the store.
    """

    sequence: int
    object_id: int
    version: str
    metadata: str
    payload: bytes


class ChangeRow(msgspec.Struct, frozen=True, gc=False):
    """One entry of the change feed.

    Attributes:
        revision: its place in the feed; the feed has no gaps.
        vault_id: the vault that changed.
        kind: the kind of the object.
        key: the canonical name of the object.
        version: the version that changed, or an empty string.
        what: what happened to it.
        at: when, in seconds since the Unix epoch.
    """

    revision: int
    vault_id: str
    kind: str
    name: str
    version: str
    what: str
    at: int


class Counts(msgspec.Struct, frozen=True, gc=False):
    """How many objects of one kind a vault contains.

    Attributes:
        active: those in use.
        deleted: those that are soft-deleted.
    """

    active: int = 0
    deleted: int = 0


class Sealed(msgspec.Struct, frozen=True):
    """A stored envelope.

    Attributes:
        kind: the table; one of ``SEALED_KINDS``.
        place: its place in the table.
        blob: the envelope.
    """

    kind: str
    place: Place
    blob: bytes


Row = TypeVar("Row", ObjectRow, VersionRow)
# The columns of an object; in rows with both, those of a version follow.
_WIDTH: Final = len(ObjectRow.__struct_fields__)


def record(row: tuple[Any, ...], kind: type[Row]) -> Row:
    """Returns the record of a row of the driver.

    Raises:
        TamperedError: it is not as vaultcore writes it.
    """
    try:
        return msgspec.convert(row, kind)
    except msgspec.ValidationError as error:
        raise TamperedError(
            f"a row of the store is not as vaultcore writes it ({error}): it was changed outside "
            "the vault; restore it from a backup"
        ) from None


def pair(row: tuple[Any, ...]) -> tuple[ObjectRow, VersionRow]:
    """Returns the records of a row with the columns of an object and of its version.

    Raises:
        TamperedError: it is not as vaultcore writes it.
    """
    return record(row[:_WIDTH], ObjectRow), record(row[_WIDTH:], VersionRow)
