"""AES-256 keys of the token that wrap the keys of vaults. Worker side."""

import contextlib
import hashlib
import os
from typing import Any, Final

import pkcs11.exceptions as ck
from pkcs11.constants import Attribute, MechanismFlag, ObjectClass
from pkcs11.mechanisms import GCMParams, KeyType, Mechanism

from vaultcore.protectors.pkcs11.messages import (
    Done,
    FindWrapKey,
    GenerateWrapKey,
    Unwrap,
    Wrap,
    WrapKey,
    Wrapped,
)
from vaultcore.protectors.pkcs11.worker.return_codes import RefusalError, from_code
from vaultcore.protectors.pkcs11.worker.session import Session

#: Bytes of an AES-256 key.
_KEY_SIZE: Final = 32
#: The nonce that is reserved for check values.
_CHECK_NONCE: Final = b"\xff" * 12
#: Errors of modules for a wrong tag.
_TAG_ERRORS: Final = (
    ck.DataInvalid,
    ck.EncryptedDataInvalid,
    ck.EncryptedDataLenRange,
    ck.FunctionFailed,
    ck.GeneralError,
)


class WrapKeys:
    """Uses AES keys of one session; each is found by its id and proved before its first use.

    A handle may refer to another key after a device was reset, so no handle outlives the session,
    and none is used before its check value was compared.

    Args:
        session: the session that the keys are used in.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._proved: dict[bytes, tuple[Any, str]] = {}

    def generate(self, request: GenerateWrapKey) -> WrapKey:
        """Generates a key that can only encrypt and decrypt, inside the token.

        Raises:
            RefusalError: the label is taken, or the token refuses.
        """
        try:
            for present in self._session.find(
                ObjectClass.SECRET_KEY, {Attribute.LABEL: request.label}
            ):
                if bytes(present[Attribute.ID]) != request.key_id:
                    text = (
                        f"{self._session.name} has a key with the label `{request.label}` already"
                    )
                    raise RefusalError("configuration", text)
                present.destroy()  # left by the same request, in a session that was lost
            key = self._session.handle.generate_key(
                KeyType.AES,
                256,
                id=request.key_id,
                label=request.label,
                store=True,
                capabilities=MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT,
                template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
            )
            return WrapKey(key_id=request.key_id, check_value=_check_value(key))
        except ck.PKCS11Error as error:
            raise from_code(error, "generating a wrapping key") from error

    def find(self, request: FindWrapKey) -> WrapKey:
        """Returns id and check value of the key with a label, or with an id.

        Raises:
            RefusalError: there is no such key, there are several, or it is not a safe wrapping key.
        """
        criteria: dict[Attribute, Any] = {Attribute.LABEL: request.label}
        if request.key_id is not None:
            criteria = {Attribute.ID: request.key_id}
        try:
            key = self._single(criteria, f"the label `{request.label}`")
            return WrapKey(key_id=bytes(key[Attribute.ID]), check_value=_check_value(key))
        except ck.PKCS11Error as error:
            raise from_code(error, "finding the wrapping key") from error

    def wrap(self, request: Wrap) -> Wrapped:
        """Encrypts with AES-256-GCM and a random nonce.

        Raises:
            RefusalError: the key does not exist or is a different one, or the token fails.
        """
        try:
            key = self._proven(request.key_id, request.check_value)
            nonce = _fresh_nonce()
            data = _encrypt(key, nonce, request.data, request.associated_data)
        except ck.PKCS11Error as error:
            raise from_code(error, "wrapping") from error
        return Wrapped(nonce=nonce, data=data)

    def unwrap(self, request: Unwrap) -> Done:
        """Decrypts with AES-256-GCM.

        Raises:
            RefusalError: the blob was changed, the key does not exist or is a different one, or the
                token fails.
        """
        try:
            key = self._proven(request.key_id, request.check_value)
            with contextlib.suppress(*_TAG_ERRORS):
                return Done(_decrypt(key, request))
            # SoftHSM returns CKR_GENERAL_ERROR for a wrong tag, as others do for a temporary fault
            # of the device. If the key still has its check value and it fails again, the blob was
            # changed.
            if _check_value(key) != request.check_value:
                raise RefusalError(
                    "unavailable", "unwrapping: the key no longer has its check value"
                )
            try:
                return Done(_decrypt(key, request))
            except _TAG_ERRORS as error:
                text = "the wrapped key does not verify: it was changed"
                raise RefusalError("decryption", text) from error
        except ck.PKCS11Error as error:
            raise from_code(error, "unwrapping") from error

    def _proven(self, key_id: bytes, check_value: str) -> Any:
        if key_id not in self._proved:
            key = self._single({Attribute.ID: key_id}, f"the id {key_id.hex()}")
            self._proved[key_id] = key, _check_value(key)
        key, found = self._proved[key_id]
        if found != check_value:
            text = (
                f"{self._session.name} holds another key under the id {key_id.hex()}: expected "
                f"check value {check_value}, found {found}"
            )
            raise RefusalError("changed", text)
        return key

    def _single(self, criteria: dict[Attribute, Any], words: str) -> Any:
        keys = self._session.find(
            ObjectClass.SECRET_KEY, {Attribute.KEY_TYPE: KeyType.AES, **criteria}
        )
        if not keys:
            held = self._session.find(ObjectClass.SECRET_KEY, {})
            ids = ", ".join(sorted(bytes(key[Attribute.ID]).hex() for key in held)) or "none"
            text = f"{self._session.name} has no AES key with {words}: ids of its keys: {ids}"
            raise RefusalError("key", text)
        if len(keys) > 1:
            raise RefusalError("key", f"{self._session.name} has several AES keys with {words}")
        key = keys[0]
        if key[Attribute.VALUE_LEN] != _KEY_SIZE:
            raise RefusalError("key", f"the key with {words} is not an AES-256 key")
        if not (key[Attribute.ENCRYPT] and key[Attribute.DECRYPT]):
            raise RefusalError("key", f"the key with {words} may not both encrypt and decrypt")
        if key[Attribute.EXTRACTABLE] or not key[Attribute.SENSITIVE]:
            raise RefusalError("key", f"the key with {words} can leave the token, so it is refused")
        return key


def _check_value(key: Any) -> str:
    """Returns eight bytes that distinguish AES keys and do not help to find one.

    The usual check value, E(0), would publish a part of the GCM hash key. This one is a hash of
    what the key encrypts under a nonce that is reserved for this.
    """
    sealed = _encrypt(key, _CHECK_NONCE, bytes(16), b"vaultcore key check value")
    return hashlib.sha256(sealed).digest()[:8].hex()


def _encrypt(key: Any, nonce: bytes, data: bytes, associated_data: bytes) -> bytes:
    return bytes(
        key.encrypt(
            data,
            mechanism=Mechanism.AES_GCM,
            mechanism_param=GCMParams(nonce, associated_data, 128),
        )
    )


def _decrypt(key: Any, request: Unwrap) -> bytes:
    return bytes(
        key.decrypt(
            request.data,
            mechanism=Mechanism.AES_GCM,
            mechanism_param=GCMParams(request.nonce, request.associated_data, 128),
        )
    )


def _fresh_nonce() -> bytes:
    while (nonce := os.urandom(12)) == _CHECK_NONCE:
        pass
    return nonce
