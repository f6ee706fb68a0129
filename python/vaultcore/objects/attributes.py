"""Versions and their attributes (contract section 4.4)."""

from typing import Any, Final

import msgspec

from vaultcore.errors import BadParameterError

LATEST_DATE: Final = 253_402_300_799  # 9999-12-31T23:59:59Z, the last date that clients can show


class Attributes(msgspec.Struct, frozen=True, rename={"not_before": "nbf", "expires": "exp"}):
    """The attributes that a caller may set (contract 4.4). None does not change one.

    Attributes:
        enabled: whether the version may be used.
        not_before: Unix seconds.
        expires: Unix seconds.
        exportable: keys only; fixed at creation.
    """

    enabled: bool | None = None
    not_before: int | None = None
    expires: int | None = None
    exportable: bool | None = None


class Metadata(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What the store keeps in the clear about a version, bound to its payload.

    Attributes:
        created: Unix seconds.
        updated: Unix seconds.
        enabled: whether the version may be used.
        not_before: Unix seconds, or None.
        expires: Unix seconds, or None.
        content_type: the content type of a secret.
        tags: as the caller sent them; None when none were sent.
        managed: whether a certificate owns the object.
        key_type: the contract's ``kty``, with ``-HSM`` for keys in an HSM.
        key_size: bits, for oct keys.
        operations: the key's ``key_ops``.
        exportable: whether the key may be released.
        public: the public members of the key's JWK.
    """

    created: int
    updated: int
    enabled: bool = True
    not_before: int | None = None
    expires: int | None = None
    content_type: str | None = None
    tags: dict[str, str] | None = None
    managed: bool = False
    key_type: str | None = None
    key_size: int | None = None
    operations: tuple[str, ...] = ()
    exportable: bool = False
    public: dict[str, str] | None = None


class Version(msgspec.Struct, frozen=True):
    """One version of an object, verified.

    Attributes:
        name: as it was first written.
        version: 32 hexadecimal characters.
        metadata: its attributes.
        deleted_at: Unix seconds, if the object is deleted.
        purge_at: Unix seconds, if the object is deleted.
    """

    name: str
    version: str
    metadata: Metadata
    deleted_at: int | None = None
    purge_at: int | None = None


class Page(msgspec.Struct, frozen=True):
    """One page of a list.

    Attributes:
        items: the versions on this page.
        marker: where the next page starts, or None on the last one.
    """

    items: list[Version]
    marker: str | None


def new_metadata(
    now: int, attributes: Attributes, *, tags: dict[str, str] | None, **members: Any
) -> Metadata:
    """Returns the attributes of a new version.

    Args:
        now: Unix seconds.
        attributes: the attributes that the caller set.
        tags: checked tags.
        **members: the kind's own members.

    Raises:
        BadParameterError: a date is out of range, or the dates exclude each other.
    """
    _check_dates(attributes.not_before, attributes.expires)
    return Metadata(
        created=now,
        updated=now,
        enabled=attributes.enabled is not False,
        not_before=attributes.not_before,
        expires=attributes.expires,
        tags=tags,
        **members,
    )


def revised(
    before: Metadata,
    now: int,
    attributes: Attributes,
    *,
    tags: dict[str, str] | None,
    **members: Any,
) -> Metadata:
    """Returns a version's attributes with the changes that the caller requested.

    Raises:
        BadParameterError: a date is out of range, or the dates exclude each other.
    """
    changes = {name: value for name, value in members.items() if value is not None}
    if attributes.enabled is not None:
        changes["enabled"] = attributes.enabled
    if attributes.not_before is not None:
        changes["not_before"] = attributes.not_before
    if attributes.expires is not None:
        changes["expires"] = attributes.expires
    if tags is not None:
        changes["tags"] = tags
    after = msgspec.structs.replace(before, updated=now, **changes)
    _check_dates(after.not_before, after.expires)
    return after


def _check_dates(not_before: int | None, expires: int | None) -> None:
    for name, date in (("nbf", not_before), ("exp", expires)):
        if date is not None and not 0 <= date <= LATEST_DATE:
            raise BadParameterError(
                f"attributes.{name} is not a date: seconds since 1970, at most {LATEST_DATE}"
            )
    if not_before is not None and expires is not None and expires <= not_before:
        raise BadParameterError("attributes.exp must be later than attributes.nbf")
