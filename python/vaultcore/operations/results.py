"""The results of operations, before a face shows them."""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from vaultcore.objects.attributes import Version
    from vaultcore.objects.secrets import CachedSecret
    from vaultcore.objects.usable_key import UsableKey


class Revealed(NamedTuple):
    """A secret with its value in UTF-8. It does not show the value in ``repr``."""

    secret: "CachedSecret"
    value: bytes

    def __repr__(self) -> str:
        return f"Revealed({self.secret!r})"


class Stored(NamedTuple):
    """A new version of a secret, with its value. It does not show the value in ``repr``."""

    version: "Version"
    value: str

    def __repr__(self) -> str:
        return f"Stored({self.version.name}/{self.version.version})"


class KeyResult(NamedTuple):
    """The result of a key: a signature, a plaintext, a wrapped or an unwrapped key."""

    key: "UsableKey"
    value: bytes

    def __repr__(self) -> str:
        return f"KeyResult({self.key.name}/{self.key.version})"


class Encrypted(NamedTuple):
    """The result of an encryption: nonce and tag if the mode has them, associated data as given."""

    key: "UsableKey"
    ciphertext: bytes
    nonce: bytes | None
    tag: bytes | None
    associated_data: bytes | None
