"""The shapes of the contract on the wire: bodies in, bundles out (sections 1.1, 1.2, 2.1)."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from vaultcore._core import api_versions, check_json
from vaultcore.errors import BadParameterError, UsageError, VaultError
from vaultcore.objects.attributes import (
    Attributes,
    Metadata,
    Version,
)

encode: Final = msgspec.json.Encoder().encode

_WITH_KEY_SIZE: Final = "2026-01-01-preview"
#: The place of each version of the contract, for what only newer ones show.
_ORDER: Final = {version: place for place, version in enumerate(api_versions())}


class SecretSetBody(msgspec.Struct, frozen=True, rename="camel"):
    """The body of SetSecret."""

    value: str
    content_type: str | None = None
    attributes: Attributes | None = None
    tags: dict[str, str] | None = None


class SecretUpdateBody(msgspec.Struct, frozen=True, rename="camel"):
    """The body of UpdateSecret."""

    content_type: str | None = None
    attributes: Attributes | None = None
    tags: dict[str, str] | None = None


class BlobBody(msgspec.Struct, frozen=True):
    """The body of the restore operations."""

    value: str


class KeyCreateBody(msgspec.Struct, frozen=True):
    """The body of CreateKey."""

    kty: str
    key_size: int | None = None
    public_exponent: int | None = None
    key_ops: list[str] | None = None
    crv: str | None = None
    attributes: Attributes | None = None
    tags: dict[str, str] | None = None
    release_policy: dict[str, Any] | None = None


class KeyImportBody(msgspec.Struct, frozen=True):
    """The body of ImportKey; the member that asks for the token is spelled ``Hsm``."""

    key: dict[str, Any]
    hsm: bool | None = msgspec.field(default=None, name="Hsm")
    attributes: Attributes | None = None
    tags: dict[str, str] | None = None
    release_policy: dict[str, Any] | None = None


class KeyUpdateBody(msgspec.Struct, frozen=True):
    """The body of UpdateKey."""

    key_ops: list[str] | None = None
    attributes: Attributes | None = None
    tags: dict[str, str] | None = None
    release_policy: dict[str, Any] | None = None


class KeyOperationBody(msgspec.Struct, frozen=True):
    """The body of encrypt, decrypt, wrapkey, unwrapkey and sign."""

    alg: str
    value: str
    iv: str | None = None
    aad: str | None = None
    tag: str | None = None


class KeyVerifyBody(msgspec.Struct, frozen=True):
    """The body of verify."""

    alg: str
    digest: str
    value: str


class RandomBody(msgspec.Struct, frozen=True):
    """The body of GetRandomBytes."""

    count: int


def reader(shape: type) -> Any:
    """Returns a function that reads a body of one shape, strictly.

    The function raises BadParameterError; the message names the member and the kind of the
    mistake, never what was sent.
    """
    decode: Any = msgspec.json.Decoder(shape).decode

    def read(body: bytes) -> Any:
        try:
            check_json(body)
            return decode(body)
        except UsageError as refused:
            raise BadParameterError(f"the body is not valid JSON: {refused}") from None
        except msgspec.ValidationError as refused:
            raise BadParameterError(f"Property has invalid value\r\n{refused}") from None
        except msgspec.DecodeError:
            raise BadParameterError("the body is not valid JSON") from None

    return read


def at_least(api_version: str, first: str) -> bool:
    """Returns whether a version of the contract has what came with another."""
    return _ORDER.get(api_version, -1) >= _ORDER[first]


def error_body(error: VaultError) -> bytes:
    """Returns the contract's error shape, in the words for callers over the network."""
    shown: dict[str, Any] = {"code": error.code, "message": error.public}
    if error.inner_code is not None:
        shown["innererror"] = {"code": error.inner_code}
    return encode({"error": shown})


class Bundles:
    """Writes bundles for one vault, as one client asked for it.

    Args:
        base: what identifiers begin with.
        recovery_level: of the vault.
        recoverable_days: of the vault.
        api_version: of the request; older ones do not show what came later.
    """

    def __init__(
        self, base: str, recovery_level: str, recoverable_days: int, api_version: str
    ) -> None:
        self._base = base
        self._recovery_level = recovery_level
        self._recoverable_days = recoverable_days
        self._api_version = api_version

    def secret(self, found: Version) -> dict[str, Any]:
        """Returns a SecretBundle without its value."""
        metadata = found.metadata
        bundle: dict[str, Any] = {}
        if metadata.content_type is not None:
            bundle["contentType"] = metadata.content_type
        bundle["id"] = f"{self._base}/secrets/{found.name}/{found.version}"
        return self._finish(bundle, "secrets", found)

    def secret_item(self, found: Version, *, versioned: bool) -> dict[str, Any]:
        """Returns a SecretItem; lists of secrets name no version, lists of versions do."""
        item: dict[str, Any] = {}
        if found.metadata.content_type is not None:
            item["contentType"] = found.metadata.content_type
        item["id"] = f"{self._base}/secrets/{found.name}" + (
            f"/{found.version}" if versioned else ""
        )
        return self._finish(item, "secrets", found)

    def key(self, found: Version) -> dict[str, Any]:
        """Returns a KeyBundle."""
        metadata = found.metadata
        jwk = {
            "kid": f"{self._base}/keys/{found.name}/{found.version}",
            "kty": metadata.key_type,
            "key_ops": metadata.operations,
            **(metadata.public or {}),
        }
        return self._finish({"key": jwk}, "keys", found)

    def key_item(self, found: Version, *, versioned: bool) -> dict[str, Any]:
        """Returns a KeyItem."""
        kid = f"{self._base}/keys/{found.name}" + (f"/{found.version}" if versioned else "")
        return self._finish({"kid": kid}, "keys", found)

    def kid(self, name: str, version: str) -> str:
        """Returns the identifier of a version of a key."""
        return f"{self._base}/keys/{name}/{version}"

    def _finish(self, bundle: dict[str, Any], kind: str, found: Version) -> dict[str, Any]:
        bundle["attributes"] = self._attributes(found.metadata, kind)
        if found.metadata.tags is not None:
            bundle["tags"] = found.metadata.tags
        if found.metadata.managed:
            bundle["managed"] = True
        if found.deleted_at is not None:
            bundle["recoveryId"] = f"{self._base}/deleted{kind}/{found.name}"
            bundle["deletedDate"] = found.deleted_at
            bundle["scheduledPurgeDate"] = found.purge_at
        return bundle

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
        if kind == "keys" and at_least(self._api_version, "7.3"):
            shown["exportable"] = metadata.exportable
            if metadata.key_size is not None and at_least(self._api_version, _WITH_KEY_SIZE):
                shown["key_size"] = metadata.key_size
        return shown


def split_around_value(bundle: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """Returns what stands before and after the value in a SecretBundle.

    The hot path puts the value between them, so that only the value is encoded for each request.
    """
    return b'{"value":', b"," + encode(bundle)[1:]
