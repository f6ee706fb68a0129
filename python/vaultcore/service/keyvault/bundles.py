"""The bundles of objects in answers (contract sections 1.1, 1.2 and 4.4)."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from vaultcore._core import api_versions
from vaultcore.objects.attributes import Metadata, Version
from vaultcore.objects.kinds import KINDS

encode: Final = msgspec.json.Encoder().encode

#: The order of the versions of the contract, for what only newer ones show.
_ORDER: Final = {version: place for place, version in enumerate(api_versions())}


def at_least(api_version: str, first: str) -> bool:
    """Returns whether a version of the contract includes what another one introduced."""
    return _ORDER.get(api_version, -1) >= _ORDER[first]


class Bundles:
    """Builds the bundles of one vault for the request of a client.

    Args:
        base: the prefix of identifiers.
        recovery_level: the recovery level of the vault.
        recoverable_days: the retention of the vault.
        api_version: the version in the request; older ones do not show what came later.
    """

    def __init__(
        self, base: str, recovery_level: str, recoverable_days: int, api_version: str
    ) -> None:
        self._base = base
        self._recovery_level = recovery_level
        self._recoverable_days = recoverable_days
        self._api_version = api_version

    def identifier(self, kind: str, name: str, version: str = "") -> str:
        """Returns the identifier of an object, or of a version of it."""
        base = f"{self._base}/{kind}/{name}"
        return f"{base}/{version}" if version else base

    def bundle(self, kind: str, found: Version) -> dict[str, Any]:
        """Returns the bundle of a version; for a secret, without its value."""
        identifier = self.identifier(kind, found.name, found.version)
        return self._finish(KINDS[kind].shown(identifier, found, whole=True), kind, found)

    def item(self, kind: str, found: Version, *, versioned: bool) -> dict[str, Any]:
        """Returns an item of a list; lists of objects name no version, lists of versions do."""
        identifier = self.identifier(kind, found.name, found.version if versioned else "")
        return self._finish(KINDS[kind].shown(identifier, found, whole=False), kind, found)

    def _finish(self, shown: dict[str, Any], kind: str, found: Version) -> dict[str, Any]:
        shown["attributes"] = self._attributes(found.metadata, kind)
        if found.metadata.tags is not None:
            shown["tags"] = found.metadata.tags
        if found.metadata.managed:
            shown["managed"] = True
        if found.deleted_at is not None:
            shown["recoveryId"] = f"{self._base}/deleted{kind}/{found.name}"
            shown["deletedDate"] = found.deleted_at
            shown["scheduledPurgeDate"] = found.purge_at
        return shown

    def _attributes(self, metadata: Metadata, kind: str) -> dict[str, Any]:
        shown: dict[str, Any] = {"enabled": metadata.enabled}
        if metadata.not_before is not None:
            shown["nbf"] = metadata.not_before
        if metadata.expires is not None:
            shown["exp"] = metadata.expires
        shown["created"] = metadata.created
        shown["updated"] = metadata.updated
        shown["recoveryLevel"] = self._recovery_level
        if at_least(self._api_version, "7.1"):
            shown["recoverableDays"] = self._recoverable_days
        more = KINDS[kind].shown_attributes(metadata)
        shown.update(
            (name, value) for first, name, value in more if at_least(self._api_version, first)
        )
        return shown


def split_around_value(bundle: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """Returns what comes before and after the value in a SecretBundle.

    The hot path puts the value between them, so only the value is encoded for each request.
    """
    return b'{"value":', b"," + encode(bundle)[1:]
