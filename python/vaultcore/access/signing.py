"""The built-in issuer's signing keys: sealed in the store, rotated, published."""

import hashlib
import json
import threading
from collections.abc import Callable
from typing import Any

import jwt
import msgspec

from vaultcore._core import Key, KeyEncryptionKey
from vaultcore.access.documents import SealedDocuments
from vaultcore.access.jwks import VerificationKey, parse_key_set
from vaultcore.clock import Clock
from vaultcore.errors import DecryptionError, KeyFormatError, TamperedError
from vaultcore.storage import Store, Transaction

COLLECTION = "signing-keys"
# Every client library verifies RS256; not all verify an elliptic curve.
ALGORITHM = "RS256"
KEY_LIFETIME = 90 * 86400
_KEY_BITS = 2048
# For tokens that were being signed while the key was retired, and for clock differences.
_MARGIN = 300
_CACHED = 16


class _SigningKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key in its stored form.

    Attributes:
        kid: its thumbprint (RFC 7638).
        created: Unix seconds.
        sealed: the private key, sealed once more by itself, so that Python never holds it in clear.
        retired: until when it verifies the tokens that it signed; None while it signs.
    """

    kid: str
    created: int
    sealed: bytes
    retired: int | None = None


class _Opened:
    """A key in use, and the blob that it was opened from."""

    def __init__(self, blob: bytes, document: _SigningKey, key: Key) -> None:
        self.blob = blob
        self.document = document
        self.key = key
        self.jwk: dict[str, str] = {
            **key.public_jwk(),
            "kid": document.kid,
            "use": "sig",
            "alg": ALGORITHM,
        }
        published = json.dumps({"keys": [self.jwk]}).encode()
        self.verification = parse_key_set(published, (ALGORITHM,))[document.kid]


class _VaultKeyAlgorithm(jwt.algorithms.RSAAlgorithm):
    """RS256 for PyJWT, signed with a key that stays in Rust."""

    def __init__(self) -> None:
        super().__init__(self.SHA256)

    def prepare_key(self, key: Any) -> Any:
        """Returns the key unchanged."""
        return key

    def check_key_length(self, key: Any) -> str | None:  # noqa: ARG002
        """Returns None: all keys have the same length."""
        return None

    def sign(self, msg: bytes, key: Any) -> bytes:
        """Signs with a `Key`."""
        signature: bytes = key.sign(ALGORITHM, hashlib.sha256(msg).digest())
        return signature


_JWS = jwt.PyJWS(algorithms=[])
_JWS.register_algorithm(ALGORITHM, _VaultKeyAlgorithm())


class SigningKeys:
    """The issuer's keys. One signs; the earlier ones verify until their last token has expired.

    It is also the validator's source of keys, so the service need not send itself HTTP requests.
    Each use reads the store, so all processes agree at once.

    Args:
        store: where the keys are kept, sealed.
        kek: the key that seals them.
        clock: the current time.
        token_lifetime: how long a token lives, in seconds.
        key_lifetime: after how many seconds `maintain` creates a new key.
    """

    available = True

    def __init__(
        self,
        store: Store,
        kek: KeyEncryptionKey,
        clock: Clock,
        *,
        token_lifetime: int,
        key_lifetime: int = KEY_LIFETIME,
    ) -> None:
        self._store = store
        self._kek = kek
        self._clock = clock
        self._token_lifetime = token_lifetime
        self._key_lifetime = key_lifetime
        self._documents = SealedDocuments(COLLECTION, _SigningKey, kek)
        # A key is current if it was opened from the same blob that the store contains.
        self._opened: dict[str, _Opened] = {}
        self._lock = threading.Lock()

    def sign(self, claims: dict[str, Any]) -> str:
        """Returns the claims as a signed token; creates the first key if there is none.

        Raises:
            StorageError: the store cannot be read or written, or a key does not verify.
        """
        signer = self._signer() or self._made_signer()
        payload = json.dumps(claims, separators=(",", ":")).encode()
        headers = {"kid": signer.document.kid}
        # PyJWT passes the key to the algorithm above unchanged; its annotation does not say so.
        key: Any = signer.key
        return _JWS.encode(payload, key, ALGORITHM, headers)

    def find(self, kid: str) -> VerificationKey | None:
        """Returns the key of that name, or None.

        Raises:
            StorageError: the store cannot be read, or the key does not verify.
        """
        blob = self._documents.blob(self._store, kid)
        if blob is None:
            return None
        opened = self._open(kid, blob)
        return opened.verification if self._verifies(opened.document) else None

    def refresh(self, kid: str) -> None:
        """Does nothing: the store always has the latest keys."""

    def published(self) -> dict[str, list[dict[str, str]]]:
        """Returns the JWK Set of the keys that verify now; creates the first key if there is none.

        Raises:
            StorageError: the store cannot be read or written, or a key does not verify.
        """
        if self._signer() is None:
            self._made_signer()
        return {"keys": [key.jwk for key in self._usable() if self._verifies(key.document)]}

    def rotate(self) -> str:
        """Creates a new key that signs from now on, and returns its kid.

        Raises:
            StorageError: the store cannot be read or written.
        """
        return self._replace(lambda _: True)

    def replace(self) -> str:
        """Creates a new key and removes all others: every token issued before is refused.

        For keys that somebody else may have.

        Raises:
            StorageError: the store cannot be read or written.
        """
        return self._replace(lambda _: True, at_once=True)

    def maintain(self) -> str | None:
        """Creates a new key if the current one is old, and removes those that verify nothing more.

        Returns:
            The kid of the new key, or None.

        Raises:
            StorageError: the store cannot be read or written, or a key does not verify.
        """
        documents = self._documents.all(self._store)
        now = self._clock.now()
        due = self._due(documents)
        if not due and all(self._verifies(document) for document in documents):
            return None
        if due:
            return self._replace(self._due)

        def work(transaction: Transaction) -> None:
            for document in self._documents.all(transaction):
                if document.retired is not None and document.retired <= now:
                    self._documents.remove(transaction, document.kid)

        self._store.write(work)
        return None

    def _due(self, documents: list[_SigningKey]) -> bool:
        young = self._clock.now() - self._key_lifetime
        return not any(d.retired is None and d.created > young for d in documents)

    def _verifies(self, document: _SigningKey) -> bool:
        return document.retired is None or self._clock.now() < document.retired

    def _signer(self) -> _Opened | None:
        signing = [opened for opened in self._usable() if opened.document.retired is None]
        return max(signing, key=lambda o: (o.document.created, o.document.kid), default=None)

    def _usable(self) -> list[_Opened]:
        """Returns the keys that verify; the others are ignored."""
        found = []
        for kid, blob in self._documents.blobs(self._store):
            try:
                found.append(self._open(kid, blob))
            except TamperedError as failure:
                self._documents.report(kid, blob, failure)
        return found

    def _made_signer(self) -> _Opened:
        self._replace(lambda documents: all(d.retired is not None for d in documents))
        signer = self._signer()
        if signer is None:
            raise TamperedError("the signing key that was just created is gone: check the store")
        return signer

    def _replace(
        self, needed: Callable[[list[_SigningKey]], bool], *, at_once: bool = False
    ) -> str:
        # Created before the transaction, which blocks other writers.
        key = Key.generate("RSA", size=_KEY_BITS)
        kid = key.thumbprint()
        now = int(self._clock.now())

        def work(transaction: Transaction) -> str:
            documents = self._documents.all(transaction)
            # Another process may have been faster.
            if not needed(documents):
                return max(documents, key=lambda d: (d.retired is None, d.created)).kid
            if at_once:
                for old_kid, _ in self._documents.blobs(transaction):
                    self._documents.remove(transaction, old_kid)
                documents = []
            for old in documents:
                if old.retired is None:
                    retired = now + self._token_lifetime + _MARGIN
                    document = msgspec.structs.replace(old, retired=retired)
                    self._documents.put(transaction, old.kid, document, "retired")
                elif old.retired <= now:
                    self._documents.remove(transaction, old.kid)
            # Sealed in the transaction: a rekey could end between an earlier seal and the commit.
            sealed = key.seal(self._kek, self._documents.context("private:" + kid))
            made = _SigningKey(kid=kid, created=now, sealed=sealed)
            self._documents.put(transaction, kid, made, "created")
            return kid

        return self._store.write(work)

    def _open(self, kid: str, blob: bytes) -> _Opened:
        opened = self._opened.get(kid)
        if opened is not None and opened.blob == blob:
            return opened
        document = self._documents.open(kid, blob)
        try:
            key = Key.open(self._kek, document.sealed, self._documents.context("private:" + kid))
        except (DecryptionError, KeyFormatError) as error:
            raise TamperedError(
                f"the signing key `{kid}` does not verify: restore the store from a backup"
            ) from error
        opened = _Opened(blob, document, key)
        with self._lock:
            # The store holds a handful of keys; this forgets those that it no longer holds.
            if len(self._opened) >= _CACHED:
                self._opened.clear()
            self._opened[kid] = opened
        return opened
