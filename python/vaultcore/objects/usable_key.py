"""A key ready for use: in the core, or in an HSM (contract section 4.2)."""

from vaultcore._core import Key
from vaultcore.errors import AlgorithmError
from vaultcore.objects.attributes import Metadata
from vaultcore.protectors.hsm import Hsm


class UsableKey:
    """A version of a key, ready for use.

    Attributes:
        name: as it was first written.
        version: 32 hexadecimal characters.
        metadata: its attributes.
        in_hsm: whether its private half is in the HSM.
        slow: whether its private operations take so long that they should not run on an event loop.
    """

    __slots__ = (
        "_hsm",
        "_key",
        "_reference",
        "in_hsm",
        "metadata",
        "name",
        "slow",
        "version",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        version: str,
        metadata: Metadata,
        key: Key,
        *,
        hsm: Hsm | None = None,
        reference: str = "",
    ) -> None:
        self.name = name
        self.version = version
        self.metadata = metadata
        self._key = key
        self._hsm = hsm
        self._reference = reference
        self.in_hsm = hsm is not None
        self.slow = hsm is not None or key.kty == "RSA"

    def sign(self, algorithm: str, digest: bytes) -> bytes:
        """Signs a digest; see :meth:`vaultcore.Key.sign`."""
        if self._hsm is not None:
            return self._hsm.sign(self._reference, algorithm, digest)
        return self._key.sign(algorithm, digest)

    def verify(self, algorithm: str, digest: bytes, signature: bytes) -> bool:
        """Verifies a signature, outside the HSM even for a key in it."""
        return self._key.verify(algorithm, digest, signature)

    def encrypt(
        self, algorithm: str, plaintext: bytes, nonce: bytes | None, associated_data: bytes
    ) -> tuple[bytes, bytes | None, bytes | None]:
        """Encrypts; returns ciphertext, nonce and tag."""
        self._require_decryptable(algorithm)
        done = self._key.encrypt(algorithm, plaintext, nonce=nonce, associated_data=associated_data)
        return done.ciphertext, done.nonce, done.tag

    def decrypt(
        self,
        algorithm: str,
        ciphertext: bytes,
        nonce: bytes | None,
        tag: bytes | None,
        associated_data: bytes,
    ) -> bytes:
        """Decrypts; see :meth:`vaultcore.Key.decrypt`."""
        if self._hsm is not None:
            return self._hsm.decrypt(self._reference, algorithm, ciphertext)
        return self._key.decrypt(
            algorithm, ciphertext, nonce=nonce, tag=tag, associated_data=associated_data
        )

    @property
    def key(self) -> Key:
        """The key itself, or the public half of a key in the HSM."""
        return self._key

    @property
    def size(self) -> int:
        """The size of the key in bits."""
        return self._key.size

    def wrap(self, algorithm: str, key: bytes) -> bytes:
        """Wraps a key."""
        self._require_decryptable(algorithm)
        return self._key.wrap_key(algorithm, key)

    def unwrap(self, algorithm: str, wrapped: bytes) -> bytes:
        """Unwraps a key."""
        if self._hsm is not None:
            return self._hsm.decrypt(self._reference, algorithm, wrapped)
        return self._key.unwrap_key(algorithm, wrapped)

    def _require_decryptable(self, algorithm: str) -> None:
        """Refuses to encrypt what the HSM could not decrypt."""
        if self._hsm is not None and not self._hsm.offers(self._reference, algorithm):
            raise AlgorithmError(
                f"the HSM that holds this key does not decrypt {algorithm[:32]}; use RSA-OAEP"
            )
