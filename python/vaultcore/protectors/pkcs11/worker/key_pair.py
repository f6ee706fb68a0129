"""Key pairs in the token: generate, use, destroy. Worker side."""

import contextlib
import os
from typing import Any, Final

import pkcs11.exceptions as ck
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from pkcs11.constants import Attribute, MechanismFlag, ObjectClass
from pkcs11.mechanisms import MGF, KeyType, Mechanism

from vaultcore.protectors.pkcs11.algorithms import CURVES, SIGNATURES, decode, thumbprint
from vaultcore.protectors.pkcs11.messages import (
    Decrypt,
    Destroy,
    Done,
    Generate,
    Import,
    KeyPair,
    PublicPart,
    Sign,
)
from vaultcore.protectors.pkcs11.worker.key_objects import (
    Attributes,
    attributes_of,
    curve_parameters,
    own_public_key,
    public_jwk,
)
from vaultcore.protectors.pkcs11.worker.return_codes import RefusalError, from_code
from vaultcore.protectors.pkcs11.worker.session import Session

_RSA_USES: Final = (
    MechanismFlag.SIGN | MechanismFlag.VERIFY | MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT
)
_EC_USES: Final = MechanismFlag.SIGN | MechanismFlag.VERIFY
#: The least padding of a PKCS #1 v1.5 signature (RFC 8017, section 9.2), in bytes.
_PKCS1_OVERHEAD: Final = 11
#: How many proved keys are remembered; beyond that, all of them are proved again.
_MAX_PROVED: Final = 4096
#: Mechanism parameters: hash, mask generation function, length of the salt in bytes.
_PSS: Final = {
    "PS256": (Mechanism.SHA256, MGF.SHA256, 32),
    "PS384": (Mechanism.SHA384, MGF.SHA384, 48),
    "PS512": (Mechanism.SHA512, MGF.SHA512, 64),
}
_OAEP: Final = {
    "RSA-OAEP": (Mechanism.SHA_1, MGF.SHA1, None),
    "RSA-OAEP-256": (Mechanism.SHA256, MGF.SHA256, None),
}
#: Errors of modules for OAEP parameters that they do not support.
_OAEP_REFUSED: Final = (
    ck.ArgumentsBad,
    ck.FunctionNotSupported,
    ck.MechanismInvalid,
    ck.MechanismParamInvalid,
)
#: Errors of modules for a wrong ciphertext.
_PADDING_ERRORS: Final = (
    ck.DataInvalid,
    ck.DataLenRange,
    ck.EncryptedDataInvalid,
    ck.EncryptedDataLenRange,
    ck.FunctionFailed,
    ck.GeneralError,
)


class KeyPairs:
    """Uses private keys of one session; each is found by its id and proved before its first use.

    The proof is a signature over a random digest that verifies, outside the token, under the
    public key that the caller expects. No handle outlives the session.

    Args:
        session: the session that the keys are used in.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._proved: dict[bytes, tuple[Any, dict[str, str]]] = {}

    def generate(self, request: Generate) -> KeyPair:
        """Generates a key pair inside the token.

        Raises:
            RefusalError: the token does not offer such keys, or fails.
        """
        private_template = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False}
        arguments: dict[str, Any] = {
            "id": request.key_id,
            "label": request.label,
            "store": True,
            "capabilities": _RSA_USES if request.kty == "RSA" else _EC_USES,
            "private_template": private_template,
        }
        handle = self._session.handle
        try:
            self._destroy(request.key_id)  # left by the same request, in a lost session
            if request.kty == "RSA":
                handle.generate_keypair(KeyType.RSA, request.size, **arguments)
            else:
                parameters = curve_parameters(CURVES[request.curve])
                domain = handle.create_domain_parameters(
                    KeyType.EC, {Attribute.EC_PARAMS: parameters}, local=True
                )
                domain.generate_keypair(mechanism=Mechanism.EC_KEY_PAIR_GEN, **arguments)
        except ck.PKCS11Error as error:
            raise from_code(error, "generating a key") from error
        return self._proved_or_destroyed(request.key_id)

    def import_(self, request: Import) -> KeyPair:
        """Places a private key into the token, which never exports it again.

        Raises:
            RefusalError: the key is refused, or the token accepts no keys.
        """
        public, private = attributes_of(request.jwk)
        both: Attributes = {
            Attribute.ID: request.key_id,
            Attribute.LABEL: request.label,
            Attribute.TOKEN: True,
        }
        public |= {**both, Attribute.VERIFY: True, Attribute.PRIVATE: False}
        private |= {
            **both,
            Attribute.SIGN: True,
            Attribute.UNWRAP: False,
            Attribute.DERIVE: False,
            Attribute.PRIVATE: True,
            Attribute.SENSITIVE: True,
            Attribute.EXTRACTABLE: False,
        }
        try:
            self._destroy(request.key_id)
            self._session.handle.create_object(private)
            self._session.handle.create_object(public)
        except ck.PKCS11Error as error:
            self._discard(request.key_id)
            raise from_code(error, "placing a key into the token") from error
        return self._proved_or_destroyed(request.key_id)

    def public_part(self, request: PublicPart) -> KeyPair:
        """Returns a key with its public JWK.

        Raises:
            RefusalError: the key does not exist or is a different one, or the token fails.
        """
        try:
            jwk = self._proven(request.key_id, request.thumbprint)[1]
            return KeyPair(key_id=request.key_id, jwk=jwk)
        except ck.PKCS11Error as error:
            raise from_code(error, "reading a key") from error

    def sign(self, request: Sign) -> Done:
        """Signs a digest.

        Raises:
            RefusalError: the algorithm does not fit, the key does not exist or is a different one,
                or the token fails.
        """
        try:
            key, jwk = self._proven(request.key_id, request.thumbprint)
            return Done(_sign(key, jwk, request.algorithm, request.data))
        except ck.PKCS11Error as error:
            raise from_code(error, f"signing with {request.algorithm}") from error

    def decrypt(self, request: Decrypt) -> Done:
        """Decrypts with RSAES-OAEP; every wrong ciphertext fails with the same message.

        Raises:
            RefusalError: the ciphertext is wrong, the token does not offer the algorithm, the key
                does not exist or is a different one, or the token fails.
        """
        try:
            key, jwk = self._proven(request.key_id, request.thumbprint)
            if jwk["kty"] != "RSA":
                raise RefusalError("algorithm", f"{request.algorithm} needs an RSA key")
            wrong = RefusalError("decryption", "the ciphertext could not be opened")
            if len(request.data) != len(decode(jwk["n"])):
                raise wrong
            try:
                with contextlib.suppress(*_PADDING_ERRORS):
                    return Done(_decrypt(key, request))
                # SoftHSM returns CKR_GENERAL_ERROR for wrong padding, as others do for a temporary
                # fault of the device. If the key can sign and it fails again, the ciphertext is
                # wrong.
                self._prove(key, jwk)
                try:
                    return Done(_decrypt(key, request))
                except _PADDING_ERRORS:
                    raise wrong from None
            except _OAEP_REFUSED as error:
                text = f"{self._session.name} does not offer {request.algorithm} decryption"
                raise RefusalError("algorithm", text) from error
        except ck.PKCS11Error as error:
            raise from_code(error, f"decrypting with {request.algorithm}") from error

    def destroy(self, request: Destroy) -> Done:
        """Destroys both halves of a key, if they exist and are what the caller expects.

        Raises:
            RefusalError: there is a different key under the id, or the token fails.
        """
        try:
            publics = self._session.find(ObjectClass.PUBLIC_KEY, {Attribute.ID: request.key_id})
            for public in publics:
                self._check(request.key_id, public_jwk(public), request.thumbprint)
            self._destroy(request.key_id)
            return Done()
        except ck.PKCS11Error as error:
            raise from_code(error, "destroying a key") from error

    def _proven(self, key_id: bytes, expected: str) -> tuple[Any, dict[str, str]]:
        found = self._proved.get(key_id)
        if found is None:
            key = self._single(ObjectClass.PRIVATE_KEY, key_id)
            jwk = public_jwk(self._single(ObjectClass.PUBLIC_KEY, key_id))
            self._check(key_id, jwk, expected)
            self._prove(key, jwk)
            if len(self._proved) >= _MAX_PROVED:
                self._proved.clear()
            found = self._proved[key_id] = key, jwk
        self._check(key_id, found[1], expected)
        return found

    def _proved_or_destroyed(self, key_id: bytes) -> KeyPair:
        """Returns a new key if its halves belong together (the pairwise test of FIPS 140)."""
        try:
            key = self._single(ObjectClass.PRIVATE_KEY, key_id)
            jwk = public_jwk(self._single(ObjectClass.PUBLIC_KEY, key_id))
            self._prove(key, jwk)
        except ck.PKCS11Error as error:
            self._discard(key_id)
            raise from_code(error, "proving a new key") from error
        except RefusalError:
            self._discard(key_id)
            raise
        return KeyPair(key_id=key_id, jwk=jwk)

    def _prove(self, key: Any, jwk: dict[str, str]) -> None:
        digest = os.urandom(32)
        signature = _sign(key, jwk, "RS256" if jwk["kty"] == "RSA" else "", digest)
        if not _verifies(jwk, digest, signature):
            text = f"{self._session.name} signs with another key than the public half says"
            raise RefusalError("changed", text)

    def _check(self, key_id: bytes, jwk: dict[str, str], expected: str) -> None:
        if (found := thumbprint(jwk)) != expected:
            text = (
                f"{self._session.name} holds another key under the id {key_id.hex()}: expected "
                f"thumbprint {expected}, found {found}"
            )
            raise RefusalError("changed", text)

    def _single(self, what: ObjectClass, key_id: bytes) -> Any:
        keys = self._session.find(what, {Attribute.ID: key_id})
        if len(keys) != 1:
            count = "no key" if not keys else "several keys"
            text = f"{self._session.name} has {count} with the id {key_id.hex()}"
            raise RefusalError("key", text)
        return keys[0]

    def _discard(self, key_id: bytes) -> None:
        """Destroys a key that was created in vain, as far as the token allows."""
        with contextlib.suppress(ck.PKCS11Error):
            self._destroy(key_id)

    def _destroy(self, key_id: bytes) -> None:
        self._proved.pop(key_id, None)
        for what in (ObjectClass.PRIVATE_KEY, ObjectClass.PUBLIC_KEY):
            for half in self._session.find(what, {Attribute.ID: key_id}):
                half.destroy()


def _sign(key: Any, jwk: dict[str, str], algorithm: str, data: bytes) -> bytes:
    if jwk["kty"] == "EC":
        curve = CURVES[jwk["crv"]]
        if algorithm not in ("", curve.algorithm):
            raise RefusalError("algorithm", f"{algorithm} does not fit a key on {curve.name}")
        return bytes(key.sign(data, mechanism=Mechanism.ECDSA))
    known = SIGNATURES[algorithm]
    if known.kty != "RSA":
        raise RefusalError("algorithm", f"{algorithm} does not fit an RSA key")
    if known.padding == "pss":
        return bytes(
            key.sign(data, mechanism=Mechanism.RSA_PKCS_PSS, mechanism_param=_PSS[algorithm])
        )
    if known.padding == "none" and len(data) > len(decode(jwk["n"])) - _PKCS1_OVERHEAD:
        raise RefusalError("algorithm", f"{algorithm} signs less than that with this key")
    return bytes(key.sign(known.digest_info + data, mechanism=Mechanism.RSA_PKCS))


def _decrypt(key: Any, request: Decrypt) -> bytes:
    return bytes(
        key.decrypt(
            request.data,
            mechanism=Mechanism.RSA_PKCS_OAEP,
            mechanism_param=_OAEP[request.algorithm],
        )
    )


def _verifies(jwk: dict[str, str], digest: bytes, signature: bytes) -> bool:
    public = own_public_key(jwk)
    hashed = utils.Prehashed(hashes.SHA256())
    try:
        if isinstance(public, rsa.RSAPublicKey):
            public.verify(signature, digest, padding.PKCS1v15(), hashed)
            return True
        width = CURVES[jwk["crv"]].width
        r, s = (int.from_bytes(part, "big") for part in (signature[:width], signature[width:]))
        public.verify(utils.encode_dss_signature(r, s), digest, ec.ECDSA(hashed))
    except InvalidSignature:
        return False
    return True
