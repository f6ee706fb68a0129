"""The interface of every protector: it wraps a vault key, and unwraps it again."""

from typing import NoReturn, Protocol, runtime_checkable

from vaultcore.errors import ProtectorError


@runtime_checkable
class Protector(Protocol):
    """Keeps the outermost key of a vault outside the database.

    Attributes:
        name: the operator's name for this protector.
        kind: how it protects: ``file`` or ``pkcs11``.
    """

    @property
    def name(self) -> str:
        """Returns the operator's name for this protector."""
        ...

    @property
    def kind(self) -> str:
        """Returns how it protects: ``file`` or ``pkcs11``."""
        ...

    def describe(self) -> dict[str, str]:
        """Returns the identity of this protector's key; nothing in it is secret."""
        ...

    def wrap(self, secret: bytes) -> bytes:
        """Returns the 32 bytes of a key, wrapped.

        Raises:
            ProtectorError: the protector refuses, or has another key than expected.
            ProtectorUnavailableError: the HSM is unavailable; the call may succeed later.
        """
        ...

    def unwrap(self, wrapped: bytes) -> bytes:
        """Returns the 32 bytes that `wrap` was called with.

        Raises:
            ProtectorError: the blob was wrapped under another key, or was changed; the message
                says which key is expected and which was found.
            ProtectorUnavailableError: the HSM is unavailable; the call may succeed later.
        """
        ...

    def close(self) -> None:
        """Releases what the protector holds open; it cannot be used afterwards."""
        ...


class AbsentProtector:
    """Takes the place of a configured protector that could not be opened; raises the reason.

    Args:
        name: the operator's name for it.
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
        """Raises the error of the opening.

        Raises:
            ProtectorError: always.
        """
        raise self._reason

    def unwrap(self, wrapped: bytes) -> NoReturn:  # noqa: ARG002
        """Raises the error of the opening.

        Raises:
            ProtectorError: always.
        """
        raise self._reason

    def close(self) -> None:
        """Does nothing."""
