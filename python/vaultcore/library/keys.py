"""The keys of a vault, in process."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vaultcore.library.objects import Objects
from vaultcore.library.results import Encryption, Properties, Signature
from vaultcore.objects.attributes import Attributes
from vaultcore.objects.keys import KeyRules
from vaultcore.operations.keys import (
    CreateKey,
    Decrypt,
    Encrypt,
    FollowKey,
    ImportKey,
    RandomBytes,
    Sign,
    UpdateKey,
    Verify,
    Wrap,
)

if TYPE_CHECKING:
    from vaultcore._core import KeyEncryptionKey
    from vaultcore.operations.results import Encrypted, KeyResult


class Keys(Objects):
    """The keys of a vault, for one caller."""

    _kind = KeyRules

    def create(
        self,
        name: str,
        kty: str,
        *,
        size: int | None = None,
        curve: str | None = None,
        operations: Sequence[str] | None = None,
        enabled: bool | None = None,
        not_before: int | None = None,
        expires: int | None = None,
        tags: dict[str, str] | None = None,
    ) -> Properties:
        """Creates a key as a new version.

        Args:
            name: 1 to 127 letters, digits and hyphens.
            kty: ``RSA``, ``EC`` or ``oct``, with ``-HSM`` for a key created inside the HSM.
            size: bits, for RSA and oct.
            curve: for EC.
            operations: what the key may be used for; None for the default of its type.
            enabled: whether the version may be used.
            not_before: Unix seconds.
            expires: Unix seconds.
            tags: at most 15.

        Raises:
            BadParameterError: the type, size, curve or an operation does not exist.
            ConflictError: the name is deleted but recoverable.
            ForbiddenError: the gate refuses.
            UnavailableError: the HSM is unavailable.
        """
        attributes = Attributes(enabled, not_before, expires)
        wanted = CreateKey(kty, size, curve, operations, attributes, tags)
        return self._properties(self._perform("KeyCreate", name, arguments=wanted))

    def import_(
        self,
        name: str,
        jwk: Mapping[str, Any],
        *,
        hsm: bool = False,
        enabled: bool | None = None,
        not_before: int | None = None,
        expires: int | None = None,
        tags: dict[str, str] | None = None,
    ) -> Properties:
        """Imports a private key as a new version.

        Args:
            name: 1 to 127 letters, digits and hyphens.
            jwk: the key (RFC 7517), with its private members.
            hsm: whether to put the key into the HSM.
            enabled: whether the version may be used.
            not_before: Unix seconds.
            expires: Unix seconds.
            tags: at most 15.

        Raises:
            BadParameterError: the key is malformed, weak or public only.
            ConflictError: the name is deleted but recoverable.
            ForbiddenError: the gate refuses.
        """
        attributes = Attributes(enabled, not_before, expires)
        wanted = ImportKey(jwk, hsm, attributes, tags)
        return self._properties(self._perform("KeyImport", name, arguments=wanted))

    def get(self, name: str, version: str = "") -> Properties:
        """Returns a key's public part, as ``metadata.public``, and its attributes.

        Raises:
            ForbiddenError: the gate refuses.
            NotFoundError: there is no such key or version.
        """
        return self._properties(self._perform("KeyGet", name, version))

    def update(
        self,
        name: str,
        version: str = "",
        *,
        operations: Sequence[str] | None = None,
        enabled: bool | None = None,
        not_before: int | None = None,
        expires: int | None = None,
        tags: dict[str, str] | None = None,
    ) -> Properties:
        """Changes attributes of a version; those that are None do not change.

        Raises:
            BadParameterError: a limit is exceeded.
            ForbiddenError: the gate refuses.
            NotFoundError: there is no such key or version.
        """
        attributes = Attributes(enabled, not_before, expires)
        wanted = UpdateKey(operations, attributes, tags)
        return self._properties(self._perform("KeyUpdate", name, version, wanted))

    def rotate(self, name: str) -> Properties:
        """Creates a new version of the same type, size and operations.

        Raises:
            ForbiddenError: the gate refuses.
            NotFoundError: there is no such key.
        """
        return self._properties(self._perform("KeyRotate", name))

    def sign(self, name: str, algorithm: str, digest: bytes, *, version: str = "") -> Signature:
        """Signs a digest.

        Args:
            name: the key.
            algorithm: for example ``ES256`` (contract 4.2).
            digest: the digest, of the algorithm's exact length.
            version: 32 hexadecimal characters; empty for the current one.

        Raises:
            BadParameterError: the algorithm or the digest does not fit the key.
            ForbiddenError: the gate or the key's attributes refuse.
            NotFoundError: there is no such key or version.
            UnavailableError: the HSM is unavailable.
        """
        done: KeyResult = self._perform("KeySign", name, version, Sign(algorithm, digest))
        return Signature(done.key.version, done.value)

    def verify(
        self, name: str, algorithm: str, digest: bytes, signature: bytes, *, version: str = ""
    ) -> bool:
        """Returns whether a signature is valid.

        Raises:
            BadParameterError: the algorithm or the digest does not fit the key.
            ForbiddenError: the gate or the key's attributes refuse.
            NotFoundError: there is no such key or version.
        """
        wanted = Verify(algorithm, digest, signature)
        valid: bool = self._perform("KeyVerify", name, version, wanted)
        return valid

    def encrypt(
        self,
        name: str,
        algorithm: str,
        plaintext: bytes,
        *,
        nonce: bytes | None = None,
        associated_data: bytes = b"",
        version: str = "",
    ) -> Encryption:
        """Encrypts.

        Args:
            name: the key.
            algorithm: for example ``A256GCM`` or ``RSA-OAEP-256`` (contract 4.2).
            plaintext: what to encrypt.
            nonce: 16 bytes for AES-CBC; refused for AES-GCM, where the vault creates it.
            associated_data: for AES-GCM.
            version: 32 hexadecimal characters; empty for the current one.

        Raises:
            BadParameterError: the algorithm or the input does not fit the key.
            ForbiddenError: the gate or the key's attributes refuse.
            NotFoundError: there is no such key or version.
        """
        wanted = Encrypt(algorithm, plaintext, nonce, associated_data)
        done: Encrypted = self._perform("KeyEncrypt", name, version, wanted)
        return Encryption(done.key.version, done.ciphertext, done.nonce, done.tag)

    def decrypt(
        self,
        name: str,
        algorithm: str,
        ciphertext: bytes,
        *,
        nonce: bytes | None = None,
        tag: bytes | None = None,
        associated_data: bytes = b"",
        version: str = "",
    ) -> bytes:
        """Decrypts.

        Raises:
            BadParameterError: the algorithm does not fit the key, or the ciphertext does not open.
            ForbiddenError: the gate or the key's attributes refuse.
            NotFoundError: there is no such key or version.
            UnavailableError: the HSM is unavailable.
        """
        wanted = Decrypt(algorithm, ciphertext, nonce, tag, associated_data)
        done: KeyResult = self._perform("KeyDecrypt", name, version, wanted)
        return done.value

    def wrap_key(self, name: str, algorithm: str, key: bytes, *, version: str = "") -> Encryption:
        """Wraps a key.

        Raises:
            BadParameterError: the algorithm or the input does not fit the key.
            ForbiddenError: the gate or the key's attributes refuse.
            NotFoundError: there is no such key or version.
        """
        done: KeyResult = self._perform("KeyWrap", name, version, Wrap(algorithm, key))
        return Encryption(done.key.version, done.value)

    def unwrap_key(self, name: str, algorithm: str, wrapped: bytes, *, version: str = "") -> bytes:
        """Unwraps a key.

        Raises:
            BadParameterError: the algorithm does not fit the key, or the wrapped key does not open.
            ForbiddenError: the gate or the key's attributes refuse.
            NotFoundError: there is no such key or version.
            UnavailableError: the HSM is unavailable.
        """
        done: KeyResult = self._perform("KeyUnwrap", name, version, Wrap(algorithm, wrapped))
        return done.value

    def kek(self, name: str, *, suite: int = 1) -> "KeyEncryptionKey":
        """Returns a key-encryption key that follows a key of type oct; its bytes stay in Rust.

        Each version of the key is a generation, so what was sealed under it opens after any number
        of rotations. After a rotation, call this again to seal under the new version. A caller who
        has the key keeps it: the gate guards this method, not each seal and open.

        Args:
            name: the key.
            suite: the suite of the envelopes; see :meth:`vaultcore.KeyEncryptionKey.generate`.

        Raises:
            BadParameterError: the key is not a software key of type oct with at least 256 bits, or
                there is no such suite.
            ForbiddenError: the gate or the key's attributes refuse ``wrapKey`` or ``unwrapKey``.
            NotFoundError: there is no such key.
        """
        kek: KeyEncryptionKey = self._perform(
            "KeyEncryptionKeyGet", name, arguments=FollowKey(suite)
        )
        return kek

    def random_bytes(self, count: int) -> bytes:
        """Returns 1 to 128 random bytes.

        Raises:
            BadParameterError: the count is out of range.
            ForbiddenError: the gate refuses.
        """
        made: bytes = self._perform("RandomBytesGet", arguments=RandomBytes(count))
        return made
