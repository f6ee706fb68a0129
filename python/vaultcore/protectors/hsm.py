"""What the engine asks of a token that holds keys."""

from collections.abc import Mapping
from typing import Any, Protocol

from vaultcore.errors import ProtectorUnavailableError


class TokenKey(Protocol):
    """A key pair that a token has made or taken."""

    @property
    def reference(self) -> str:
        """Names the key; of no use without the token."""
        ...

    @property
    def public_jwk(self) -> dict[str, str]:
        """Its public half."""
        ...


class Token(Protocol):
    """The token that holds the keys of ``-HSM`` types; see :class:`~.protectors.HsmKeys`."""

    @property
    def processes(self) -> int:
        """How many calls it carries out at a time."""
        ...

    @property
    def deadline(self) -> float:
        """For how many seconds a call is waited for."""
        ...

    def check(self) -> None:
        """Refuses at once what the token would not answer, as after a missed deadline."""
        ...

    @property
    def available(self) -> bool:
        """Whether the token answered when it was last opened."""
        ...

    def revive(self) -> None:
        """Opens the token, if it is not open."""
        ...

    def generate(self, kty: str, *, size: int | None, curve: str | None, label: str) -> TokenKey:
        """Makes a key pair inside the token."""
        ...

    def import_key(self, jwk: Mapping[str, str], *, label: str) -> TokenKey:
        """Puts a private key into the token."""
        ...

    def sign(self, reference: str, algorithm: str, digest: bytes) -> bytes:
        """Signs a digest inside the token."""
        ...

    def decrypt(self, reference: str, algorithm: str, ciphertext: bytes) -> bytes:
        """Decrypts inside the token."""
        ...

    def offers(self, reference: str, algorithm: str) -> bool:
        """Returns whether the token can do an algorithm with a key."""
        ...

    def destroy(self, reference: str) -> None:
        """Removes a key pair from the token."""
        ...


class AbsentToken:
    """Stands for a token that the engine was opened without."""

    def _away(self, *_: object, **__: object) -> Any:
        raise ProtectorUnavailableError(
            "the token that holds this key is away; open the vault with its pkcs11 protector"
        )

    available = False
    processes = 1
    deadline = 0.0
    check = generate = import_key = sign = decrypt = offers = destroy = revive = _away
