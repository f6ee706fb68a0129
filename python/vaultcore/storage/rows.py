"""What the store hands out: one frozen record for each kind of row.

The fields stand in the order of the columns, so that a row of the driver becomes a record in one
call. SQLite keeps a value of any type in any column, so that call checks the types.
"""

import msgspec


class ObjectRow(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A named object of a vault: a secret, a key or a certificate.

    Attributes:
        id: the number of the object; never used twice.
        vault_id: the vault that holds it.
        kind: ``secrets``, ``keys`` or ``certificates``.
        key: the canonical spelling of the name; one object per vault, kind and key.
        name: the name as its creator spelled it.
        current: the sequence of the current version, or 0 if there is none.
        deleted_at: when it was soft-deleted, or None.
        purge_at: when it is to be purged, or None.
        seal: opaque to the store; binds this row to its content.
    """

    id: int
    vault_id: str
    kind: str
    key: str
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
        kind: the kind of what changed.
        key: the canonical name of what changed.
        version: the version that changed, or an empty string.
        what: what happened to it.
        at: when, in seconds since the Unix epoch.
    """

    revision: int
    vault_id: str
    kind: str
    key: str
    version: str
    what: str
    at: int


class Counts(msgspec.Struct, frozen=True, gc=False):
    """How many objects of one kind a vault holds.

    Attributes:
        active: those in use.
        deleted: those that are soft-deleted.
    """

    active: int = 0
    deleted: int = 0
