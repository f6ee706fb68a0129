"""Private keys in a token: the keys of type `RSA-HSM` and `EC-HSM`. Service side."""

import threading
import urllib.parse
from collections.abc import Mapping
from typing import Final

from vaultcore.errors import AlgorithmError, DecryptionError, ProtectorError, UsageError
from vaultcore.protectors.hsm import HsmKey
from vaultcore.protectors.pkcs11 import algorithms
from vaultcore.protectors.pkcs11.messages import (
    Decrypt,
    Destroy,
    Done,
    Generate,
    Import,
    KeyPair,
    PublicPart,
    Reply,
    Sign,
    new_key_id,
)
from vaultcore.protectors.pkcs11.token import Token

#: The beginning of a reference, and the number of its parts.
_SCHEME: Final = "pkcs11"
_PARTS: Final = 4
#: Seconds for generating a key pair, which takes long on some devices.
_GENERATE_DEADLINE: Final = 60.0
#: Bytes; longer than the ciphertext of any RSA key, so that longer ones are refused unsent.
_MAX_CIPHERTEXT: Final = 1024
#: The members of a private key that are sent to a token.
_JWK_MEMBERS: Final = frozenset(("kty", "n", "e", "d", "p", "q", "crv", "x", "y"))


class HsmKeys:
    """Creates and uses private keys inside a token; none ever leaves it.

    A reference names the serial number of the token, the CKA_ID of the key and the RFC 7638
    thumbprint of its public half, so that no other key can be used in its place.

    Args:
        token: the token that holds the keys.
    """

    def __init__(self, token: Token) -> None:
        self._token = token
        self._offers: dict[str, bool] = {}
        self._lock = threading.Lock()

    @property
    def processes(self) -> int:
        """How many calls the token performs at a time."""
        return self._token.processes

    @property
    def deadline(self) -> float:
        """How long a call may take, in seconds."""
        return self._token.deadline

    def check(self) -> None:
        """Refuses what the token would not answer now; see :meth:`Token.check`.

        Raises:
            ProtectorUnavailableError: the token has missed a deadline and not answered since.
        """
        self._token.check()

    @property
    def available(self) -> bool:
        """Whether the token answered when it was last opened."""
        return self._token.available

    def revive(self) -> None:
        """Opens the token, if it is not open.

        Raises:
            ProtectorError: it cannot be opened.
        """
        self._token.open()

    def generate(
        self, kty: str, *, size: int | None = None, curve: str | None = None, label: str = ""
    ) -> HsmKey:
        """Generates a key inside the token.

        Args:
            kty: ``RSA`` or ``EC``.
            size: bits of an RSA key: 2048 (the default), 3072 or 4096.
            curve: ``P-256`` (the default), ``P-256K``, ``P-384`` or ``P-521``.
            label: the label that other tools show for the key.

        Raises:
            AlgorithmError: there are no such keys, or the token does not offer them.
            ProtectorError: the token refuses.
            ProtectorUnavailableError: the token is unavailable, or did not answer in time.
        """
        if kty == "RSA":
            size, curve = size or 2048, curve or ""
            if curve or size not in algorithms.RSA_SIZES:
                raise AlgorithmError("an RSA key in a token has 2048, 3072 or 4096 bits")
        elif kty == "EC":
            size, curve = size or 0, curve or "P-256"
            if size or curve not in algorithms.CURVES:
                raise AlgorithmError("an EC key in a token is on P-256, P-256K, P-384 or P-521")
        else:
            raise AlgorithmError("a key in a token is of type RSA or EC")
        request = Generate(key_id=new_key_id(), kty=kty, size=size, curve=curve, label=label)
        return self._made(self._token.call(request, deadline=_GENERATE_DEADLINE))

    def import_key(self, jwk: Mapping[str, str], *, label: str = "") -> HsmKey:
        """Imports a private key into the token, which never exports it again.

        Args:
            jwk: the private key; its ``key_ops``, ``kid`` and the like are ignored.
            label: the label that other tools show for the key.

        Raises:
            KeyFormatError: it is not an RSA or EC private key that a token accepts.
            ProtectorError: the token refuses, for example because it accepts no keys.
            ProtectorUnavailableError: the token is unavailable, or did not answer in time.
        """
        members = {
            name: value
            for name, value in jwk.items()
            if name in _JWK_MEMBERS and isinstance(value, str)
        }
        request = Import(key_id=new_key_id(), jwk=members, label=label)
        return self._made(self._token.call(request))

    def public_jwk(self, reference: str) -> dict[str, str]:
        """Returns the public half of a key, as the token has it.

        Raises:
            ProtectorError: the key is not in the token, or is a different one.
            ProtectorUnavailableError: the token is unavailable, or did not answer in time.
            UsageError: the reference is malformed.
        """
        key_id, thumbprint = self._parse(reference)
        reply = self._token.call(PublicPart(key_id=key_id, thumbprint=thumbprint))
        if not isinstance(reply, KeyPair):
            raise _out_of_turn()
        return reply.jwk

    def sign(self, reference: str, algorithm: str, digest: bytes) -> bytes:
        """Signs a digest; an ECDSA signature is r and s side by side.

        Args:
            reference: the key.
            algorithm: RS*, PS*, ES* or RSNULL.
            digest: the digest, or for RSNULL the whole block to sign.

        Raises:
            AlgorithmError: the algorithm does not fit the key or the digest, or the token does not
                offer it.
            ProtectorError: the key is not in the token, or is a different one.
            ProtectorUnavailableError: the token is unavailable, or did not answer in time.
            UsageError: the reference is malformed.
        """
        algorithms.signature(algorithm, digest)
        key_id, thumbprint = self._parse(reference)
        request = Sign(
            key_id=key_id, thumbprint=thumbprint, algorithm=algorithm, data=bytes(digest)
        )
        return self._data(self._token.call(request))

    def decrypt(self, reference: str, algorithm: str, ciphertext: bytes) -> bytes:
        """Decrypts, or unwraps a key, with RSA-OAEP or RSA-OAEP-256.

        Raises:
            AlgorithmError: the algorithm is not one of these, does not fit the key, or the token
                does not offer it.
            DecryptionError: the ciphertext is wrong.
            ProtectorError: the key is not in the token, or is a different one.
            ProtectorUnavailableError: the token is unavailable, or did not answer in time.
            UsageError: the reference is malformed.
        """
        algorithms.check_decryption(algorithm)
        key_id, thumbprint = self._parse(reference)
        if len(ciphertext) > _MAX_CIPHERTEXT:
            raise DecryptionError
        request = Decrypt(
            key_id=key_id, thumbprint=thumbprint, algorithm=algorithm, data=bytes(ciphertext)
        )
        return self._data(self._token.call(request))

    def offers(self, reference: str, algorithm: str) -> bool:
        """Returns whether the token can decrypt with an algorithm; tried once, with an RSA key.

        Some tokens support RSA-OAEP with SHA-1 only. Call this before encrypting a plaintext that
        could not be decrypted again.

        Raises:
            AlgorithmError: there is no such decryption algorithm.
            ProtectorError: the key is not in the token, or is a different one.
            ProtectorUnavailableError: the token is unavailable, or did not answer in time.
            UsageError: the reference is malformed.
        """
        algorithms.check_decryption(algorithm)
        jwk = self.public_jwk(reference)
        if jwk["kty"] != "RSA":
            return False
        with self._lock:
            known = self._offers.get(algorithm)
        if known is None:
            try:
                self.decrypt(reference, algorithm, bytes(len(algorithms.decode(jwk["n"]))))
                known = True
            except DecryptionError:
                known = True
            except AlgorithmError:
                known = False
            with self._lock:
                self._offers[algorithm] = known
        return known

    def destroy(self, reference: str) -> None:
        """Destroys a key; it is not an error if the key does not exist.

        Raises:
            ProtectorError: there is a different key in its place, or the token refuses.
            ProtectorUnavailableError: the token is unavailable, or did not answer in time.
            UsageError: the reference is malformed.
        """
        key_id, thumbprint = self._parse(reference)
        self._token.call(Destroy(key_id=key_id, thumbprint=thumbprint))

    def _made(self, reply: Reply) -> HsmKey:
        if not isinstance(reply, KeyPair):
            raise _out_of_turn()
        serial = urllib.parse.quote(self._token.serial or "", safe="")
        thumbprint = algorithms.thumbprint(reply.jwk)
        return HsmKey(f"{_SCHEME}:{serial}:{reply.key_id.hex()}:{thumbprint}", reply.jwk)

    def _data(self, reply: Reply) -> bytes:
        if not isinstance(reply, Done):
            raise _out_of_turn()
        return reply.data

    def _parse(self, reference: str) -> tuple[bytes, str]:
        """Returns id and thumbprint, if the reference belongs to this token."""
        parts = reference.split(":")
        if len(parts) != _PARTS or parts[0] != _SCHEME:
            raise UsageError("a reference to a key in a token was expected")
        serial = urllib.parse.unquote(parts[1])
        if self._token.serial is None:
            self._token.open()
        if serial != self._token.serial:
            raise ProtectorError(
                f"the key was created in another token: expected the token with serial number "
                f"{serial}, found `{self._token.label}` with serial number {self._token.serial}"
            )
        try:
            return bytes.fromhex(parts[2]), parts[3]
        except ValueError:
            raise UsageError("a reference to a key in a token was expected") from None


def _out_of_turn() -> ProtectorError:
    return ProtectorError("the HSM worker answered out of turn")
