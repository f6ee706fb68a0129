"""The engine's interface to a hardware security module (HSM) with keys."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from vaultcore.errors import ProtectorUnavailableError


class HsmKey(NamedTuple):
    """A key pair in an HSM.

    Attributes:
        reference: names the key; kept by the caller; not a secret.
        public_jwk: its public half, as a JSON Web Key.
    """

    reference: str
    public_jwk: dict[str, str]


class Hsm(Protocol):
    """The HSM that holds the keys of ``-HSM`` types.

    See :class:`vaultcore.protectors.pkcs11.hsm_keys.HsmKeys`.
    """

    @property
    def processes(self) -> int:
        """How many calls it performs at a time."""
        ...

    @property
    def deadline(self) -> float:
        """How long a call may take, in seconds."""
        ...

    def check(self) -> None:
        """Refuses at once what the HSM would not answer, for example after a missed deadline.

        Raises:
            ProtectorUnavailableError: the HSM is unavailable.
        """
        ...

    @property
    def available(self) -> bool:
        """Whether the HSM answered when it was last opened."""
        ...

    def revive(self) -> None:
        """Opens the HSM, if it is not open.

        Raises:
            ProtectorError: it cannot be opened.
            ProtectorUnavailableError: the HSM is unavailable, or did not answer in time.
        """
        ...

    def generate(self, kty: str, *, size: int | None, curve: str | None, label: str) -> HsmKey:
        """Creates a key pair inside the HSM.

        Raises:
            AlgorithmError: there are no such keys, or the HSM does not offer them.
            ProtectorError: the HSM refuses.
            ProtectorUnavailableError: the HSM is unavailable, or did not answer in time.
        """
        ...

    def import_key(self, jwk: Mapping[str, str], *, label: str) -> HsmKey:
        """Puts a private key into the HSM.

        Raises:
            KeyFormatError: it is not a private key that the HSM accepts.
            ProtectorError: the HSM refuses.
            ProtectorUnavailableError: the HSM is unavailable, or did not answer in time.
        """
        ...

    def sign(self, reference: str, algorithm: str, digest: bytes) -> bytes:
        """Signs a digest inside the HSM.

        Raises:
            AlgorithmError: the algorithm does not fit the key or the digest.
            ProtectorError: the key is not in the HSM, or is a different one.
            ProtectorUnavailableError: the HSM is unavailable, or did not answer in time.
        """
        ...

    def decrypt(self, reference: str, algorithm: str, ciphertext: bytes) -> bytes:
        """Decrypts inside the HSM.

        Raises:
            AlgorithmError: the algorithm does not fit the key, or the HSM does not offer it.
            DecryptionError: the ciphertext is wrong.
            ProtectorError: the key is not in the HSM, or is a different one.
            ProtectorUnavailableError: the HSM is unavailable, or did not answer in time.
        """
        ...

    def offers(self, reference: str, algorithm: str) -> bool:
        """Returns whether the HSM can do an algorithm with a key.

        Raises:
            AlgorithmError: there is no such algorithm.
            ProtectorError: the key is not in the HSM, or is a different one.
            ProtectorUnavailableError: the HSM is unavailable, or did not answer in time.
        """
        ...

    def destroy(self, reference: str) -> None:
        """Removes a key pair from the HSM.

        Raises:
            ProtectorError: there is a different key in its place, or the HSM refuses.
            ProtectorUnavailableError: the HSM is unavailable, or did not answer in time.
        """
        ...


class AbsentHsm:
    """Takes the place of an HSM that the engine was opened without."""

    def _away(self, *_: object, **__: object) -> Any:
        raise ProtectorUnavailableError(
            "the HSM that holds this key is unavailable; open the vault with its pkcs11 protector"
        )

    available = False
    processes = 1
    deadline = 0.0
    check = generate = import_key = sign = decrypt = offers = destroy = revive = _away
