"""The results of calls in process."""

from typing import NoReturn

import msgspec

from vaultcore.objects.attributes import Metadata


class Properties(msgspec.Struct, frozen=True, gc=False):
    """An object's version and attributes, without its value.

    Attributes:
        id: the contract's identifier.
        name: as it was first written.
        version: 32 hexadecimal characters.
        metadata: the attributes.
        recovery_level: how deleted objects are kept.
        deleted_at: Unix seconds, if the object is deleted.
        purge_at: Unix seconds, if the object is deleted.
    """

    id: str
    name: str
    version: str
    metadata: Metadata
    recovery_level: str
    deleted_at: int | None = None
    purge_at: int | None = None

    @property
    def enabled(self) -> bool:
        """Whether the version may be used."""
        return self.metadata.enabled

    @property
    def not_before(self) -> int | None:
        """Unix seconds, or None."""
        return self.metadata.not_before

    @property
    def expires(self) -> int | None:
        """Unix seconds, or None."""
        return self.metadata.expires

    @property
    def content_type(self) -> str | None:
        """A secret's content type."""
        return self.metadata.content_type

    @property
    def tags(self) -> dict[str, str]:
        """The tags; empty if there are none."""
        return self.metadata.tags or {}


class Secret:
    """A secret with its value. It does not show the value in ``repr`` and cannot be pickled.

    Attributes:
        value: the secret.
        name: as it was first written.
        version: 32 hexadecimal characters.
        metadata: the attributes.
    """

    __slots__ = ("metadata", "name", "value", "version")

    def __init__(self, value: str, name: str, version: str, metadata: Metadata) -> None:
        self.value = value
        self.name = name
        self.version = version
        self.metadata = metadata

    def __repr__(self) -> str:
        return f"Secret({self.name}/{self.version})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled or copied")


class Encryption(msgspec.Struct, frozen=True):
    """The result of an encryption.

    Attributes:
        key_version: the version of the key that was used.
        ciphertext: the ciphertext.
        nonce: created by the vault for AES-GCM, the caller's own for AES-CBC.
        tag: the tag, for AES-GCM.
    """

    key_version: str
    ciphertext: bytes
    nonce: bytes | None = None
    tag: bytes | None = None


class Signature(msgspec.Struct, frozen=True):
    """The result of signing.

    Attributes:
        key_version: the version of the key that was used.
        signature: the signature; raw r || s for ECDSA.
    """

    key_version: str
    signature: bytes
