"""What every protector can do: wrap a vault key, and unwrap it again."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class Protector(Protocol):
    """Keeps the outermost key of a vault where the database is not.

    Attributes:
        name: what the operator calls this protector.
        kind: how it protects: ``file`` or ``pkcs11``.
    """

    @property
    def name(self) -> str:
        """Returns what the operator calls this protector."""
        ...

    @property
    def kind(self) -> str:
        """Returns how it protects: ``file`` or ``pkcs11``."""
        ...

    def describe(self) -> dict[str, str]:
        """Returns what identifies the key of this protector; nothing in it is secret."""
        ...

    def wrap(self, secret: bytes) -> bytes:
        """Returns the 32 bytes of a key, wrapped.

        Raises:
            ProtectorError: the protector refuses, or holds another key than expected.
            ProtectorUnavailableError: the token is away; the call may succeed later.
        """
        ...

    def unwrap(self, wrapped: bytes) -> bytes:
        """Returns the 32 bytes that `wrap` was given.

        Raises:
            ProtectorError: the blob was wrapped under another key, or was changed; the message
                says which key is expected and which was found.
            ProtectorUnavailableError: the token is away; the call may succeed later.
        """
        ...

    def close(self) -> None:
        """Releases what the protector holds open; it cannot be used afterwards."""
        ...
