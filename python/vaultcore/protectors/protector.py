"""What every protector can do: wrap a vault key, and unwrap it again."""

from typing import NoReturn, Protocol, runtime_checkable

from vaultcore.errors import ProtectorError


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
            ProtectorUnavailableError: the token is unavailable; the call may succeed later.
        """
        ...

    def unwrap(self, wrapped: bytes) -> bytes:
        """Returns the 32 bytes that `wrap` was given.

        Raises:
            ProtectorError: the blob was wrapped under another key, or was changed; the message
                says which key is expected and which was found.
            ProtectorUnavailableError: the token is unavailable; the call may succeed later.
        """
        ...

    def close(self) -> None:
        """Releases what the protector holds open; it cannot be used afterwards."""
        ...


class AbsentProtector:
    """Stands for a configured protector that could not be opened; says why when it is asked.

    Args:
        name: what the operator calls it.
        kind: its kind.
        reason: why it could not be opened.
    """

    def __init__(self, name: str, kind: str, reason: ProtectorError) -> None:
        self.name = name
        self.kind = kind
        self._reason = reason

    def describe(self) -> dict[str, str]:
        """Returns why it could not be opened."""
        return {"name": self.name, "kind": self.kind, "absent": str(self._reason)}

    def wrap(self, secret: bytes) -> NoReturn:  # noqa: ARG002
        """Raises what opening raised.

        Raises:
            ProtectorError: always.
        """
        raise self._reason

    def unwrap(self, wrapped: bytes) -> NoReturn:  # noqa: ARG002
        """Raises what opening raised.

        Raises:
            ProtectorError: always.
        """
        raise self._reason

    def close(self) -> None:
        """Does nothing."""
