"""The keys of a vault, in process."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from vaultcore.objects.attributes import Attributes, Version
from vaultcore.objects.key_encryption import key_encryption_key
from vaultcore.objects.key_use import UsableKey, refusals
from vaultcore.objects.keys import KeyParameters, KeyRules, random_bytes

if TYPE_CHECKING:
    from vaultcore._core import KeyEncryptionKey
    from vaultcore.engine.engine import Engine
    from vaultcore.objects.vault import VaultState
    from vaultcore.storage.rows import VersionRow

from vaultcore.engine.caller import Caller
from vaultcore.library.door import RANDOM_PERMISSION, Door
from vaultcore.library.results import Encryption, Properties, Signature

T = TypeVar("T")


class Keys(Door):
    """The keys of a vault, as one caller sees them."""

    kind = "keys"
    _noun = "Key"
    _rules: KeyRules

    def __init__(self, engine: "Engine", state: "VaultState", caller: Caller) -> None:
        super().__init__(engine, state, caller)
        self._rules = state.key_rules

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
        """Makes a key as a new version.

        Args:
            name: 1 to 127 letters, digits and hyphens.
            kty: ``RSA``, ``EC`` or ``oct``, with ``-HSM`` for a key made inside the token.
            size: bits, of RSA and oct.
            curve: of EC.
            operations: what the key may be used for; None for the type's own.
            enabled: whether the version may be used.
            not_before: Unix seconds.
            expires: Unix seconds.
            tags: at most 15.

        Raises:
            BadParameterError: the type, size, curve or an operation does not exist.
            ConflictError: the name is deleted but recoverable.
            ForbiddenError: the gate refuses.
            UnavailableError: the token is away.
        """

        def act(given: str, key: str) -> Properties:
            return self._change(
                self._rules.create(
                    given,
                    key,
                    KeyParameters(kty, size, curve, operations),
                    attributes=Attributes(enabled, not_before, expires),
                    tags=tags,
                ),
                "keys/create",
            )

        return self.change("KeyCreate", "keys/create", name, "", act)

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
            hsm: whether the key shall live in the token.
            enabled: whether the version may be used.
            not_before: Unix seconds.
            expires: Unix seconds.
            tags: at most 15.

        Raises:
            BadParameterError: the key is malformed, weak or public only.
            ConflictError: the name is deleted but recoverable.
            ForbiddenError: the gate refuses.
        """

        def act(given: str, key: str) -> Properties:
            attributes = Attributes(enabled, not_before, expires)
            return self._change(
                self._rules.import_(given, key, jwk, hsm=hsm, attributes=attributes, tags=tags),
                "keys/import",
            )

        return self.change("KeyImport", "keys/import", name, "", act)

    def get(self, name: str, version: str = "") -> Properties:
        """Returns a key's public part, as ``metadata.public``, and its attributes.

        Raises:
            ForbiddenError: the gate refuses.
            NotFoundError: there is no such key or version.
        """

        def act(_: str, key: str) -> Properties:
            found = self._rules.load(key, version)
            return self._properties(Version(found.name, found.version, found.metadata))

        return self.perform("KeyGet", "keys/get", name, version, act)

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
        """Changes attributes of a version; what is None stays as it is.

        Raises:
            BadParameterError: a limit is exceeded.
            ForbiddenError: the gate refuses.
            NotFoundError: there is no such key or version.
        """

        def act(_: str, key: str) -> Properties:
            return self._change(
                self._rules.update(
                    key,
                    version,
                    operations=operations,
                    attributes=Attributes(enabled, not_before, expires),
                    tags=tags,
                ),
                "keys/update",
            )

        return self.change("KeyUpdate", "keys/update", name, version, act)

    def rotate(self, name: str) -> Properties:
        """Makes a new version of the same type, size and operations.

        Raises:
            ForbiddenError: the gate refuses.
            NotFoundError: there is no such key.
        """
        return self.change(
            "KeyRotate",
            "keys/rotate",
            name,
            "",
            lambda _, key: self._change(self._rules.rotate(key), "keys/rotate"),
        )

    def sign(self, name: str, algorithm: str, digest: bytes, *, version: str = "") -> Signature:
        """Signs a digest.

        Args:
            name: the key.
            algorithm: for example ``ES256`` (contract 4.2).
            digest: of the algorithm's exact length.
            version: 32 hexadecimal characters; empty for the current one.

        Raises:
            BadParameterError: the algorithm or the digest does not fit the key.
            ForbiddenError: the gate or the key's attributes refuse.
            NotFoundError: there is no such key or version.
            UnavailableError: the token is away.
        """
        return self._use(
            "KeySign",
            "sign",
            name,
            version,
            algorithm,
            lambda key: Signature(key.version, key.sign(algorithm, digest)),
        )

    def verify(
        self, name: str, algorithm: str, digest: bytes, signature: bytes, *, version: str = ""
    ) -> bool:
        """Returns whether a signature is valid.

        Raises:
            BadParameterError: the algorithm or the digest does not fit the key.
            ForbiddenError: the gate or the key's attributes refuse.
            NotFoundError: there is no such key or version.
        """
        return self._use(
            "KeyVerify",
            "verify",
            name,
            version,
            algorithm,
            lambda key: key.verify(algorithm, digest, signature),
        )

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
            nonce: 16 bytes for AES-CBC; refused for AES-GCM, where the vault makes it.
            associated_data: for AES-GCM.
            version: 32 hexadecimal characters; empty for the current one.

        Raises:
            BadParameterError: the algorithm or the input does not fit the key.
            ForbiddenError: the gate or the key's attributes refuse.
            NotFoundError: there is no such key or version.
        """
        return self._use(
            "KeyEncrypt",
            "encrypt",
            name,
            version,
            algorithm,
            lambda key: Encryption(
                key.version, *key.encrypt(algorithm, plaintext, nonce, associated_data)
            ),
        )

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
            UnavailableError: the token is away.
        """
        return self._use(
            "KeyDecrypt",
            "decrypt",
            name,
            version,
            algorithm,
            lambda key: key.decrypt(algorithm, ciphertext, nonce, tag, associated_data),
        )

    def wrap_key(self, name: str, algorithm: str, key: bytes, *, version: str = "") -> Encryption:
        """Wraps a key.

        Raises:
            BadParameterError: the algorithm or the input does not fit the key.
            ForbiddenError: the gate or the key's attributes refuse.
            NotFoundError: there is no such key or version.
        """
        return self._use(
            "KeyWrap",
            "wrapKey",
            name,
            version,
            algorithm,
            lambda found: Encryption(found.version, found.wrap(algorithm, key)),
        )

    def unwrap_key(self, name: str, algorithm: str, wrapped: bytes, *, version: str = "") -> bytes:
        """Unwraps a key.

        Raises:
            BadParameterError: the algorithm does not fit the key, or the wrapped key does not open.
            ForbiddenError: the gate or the key's attributes refuse.
            NotFoundError: there is no such key or version.
            UnavailableError: the token is away.
        """
        return self._use(
            "KeyUnwrap",
            "unwrapKey",
            name,
            version,
            algorithm,
            lambda found: found.unwrap(algorithm, wrapped),
        )

    def kek(self, name: str, *, suite: int = 1) -> "KeyEncryptionKey":
        """Returns a key-encryption key that follows a key of type oct; its bytes stay in Rust.

        Each version of the key is a generation, so that what was sealed under it opens after any
        number of rotations. After a rotation, ask again to seal under the new version. Whoever has
        it goes on to have it: the gate guards getting it, not each seal and open.

        Args:
            name: the key.
            suite: of the envelopes; see :meth:`vaultcore.KeyEncryptionKey.generate`.

        Raises:
            BadParameterError: the key is not a software key of type oct with at least 256 bits, or
                there is no such suite.
            ForbiddenError: the gate or the key's attributes refuse ``wrapKey`` or ``unwrapKey``.
            NotFoundError: there is no such key.
        """

        def act(_: str, key: str) -> "KeyEncryptionKey":
            self._admit("keys/unwrapKey")
            return key_encryption_key(self._rules, key, suite)

        return self.perform("KeyEncryptionKeyGet", "keys/wrapKey", name, "", act)

    def random_bytes(self, count: int) -> bytes:
        """Returns 1 to 128 random bytes.

        Raises:
            BadParameterError: the count is out of range.
            ForbiddenError: the gate refuses.
        """
        return self.perform(
            "RandomBytesGet", RANDOM_PERMISSION, "", "", lambda *_: random_bytes(count)
        )

    def _use(
        self,
        operation: str,
        use: str,
        name: str,
        version: str,
        algorithm: str,
        act: Callable[[UsableKey], T],
    ) -> T:
        def find_and_act(_: str, key: str) -> T:
            found = self._rules.load(key, version)
            self._rules.authorize_use(found, use)
            with refusals():
                answer = act(found)
            if found.in_token:
                # The token or its queue may have taken long: what holds by now counts.
                self._admit(f"keys/{use}")
                self._rules.confirm(found, key, version, use)
            return answer

        return self.perform(
            operation, f"keys/{use}", name, version, find_and_act, Algorithm=algorithm
        )

    def _discard(self, versions: "Sequence[VersionRow]", key: str) -> None:
        self._rules.discard(versions, key)
