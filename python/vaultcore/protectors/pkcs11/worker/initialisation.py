"""Initialises a software token. Worker side."""

import ctypes
from typing import Any, Final

import pkcs11.exceptions as ck
from pkcs11.constants import TokenFlag

from vaultcore.protectors.pkcs11.messages import InitToken, Opened
from vaultcore.protectors.pkcs11.worker.return_codes import RefusalError, from_code
from vaultcore.protectors.pkcs11.worker.tokens import describe, load, tokens_of

#: The length of a label, padded with spaces, in bytes.
_LABEL_SIZE: Final = 32


def init_token(request: InitToken) -> Opened:
    """Initialises an empty slot and sets its PINs.

    python-pkcs11 has no C_InitToken, so this one call goes directly to the module.

    Raises:
        RefusalError: there is no empty slot, or the module refuses.
    """
    library = load(request.module)
    try:
        slots = [slot for slot in library.get_slots(token_present=True) if _is_empty(slot)]
        if not slots:
            raise RefusalError("configuration", "the module has no empty slot for a new token")
        label = request.label.encode().ljust(_LABEL_SIZE)
        pin = request.so_pin.encode()
        code = ctypes.CDLL(request.module).C_InitToken(
            ctypes.c_ulong(slots[0].slot_id), pin, ctypes.c_ulong(len(pin)), label
        )
        if code:
            text = f"initialising the token: the module answered with code {code & 0xFFFFFFFF:#x}"
            raise RefusalError("configuration", text)
        library.reinitialize()
        found = [token for token in tokens_of(library) if token.label == request.label]
        if len(found) != 1:
            text = f"{len(found)} tokens have the label `{request.label}`: choose another label"
            raise RefusalError("configuration", text)
        session = found[0].open(rw=True, so_pin=request.so_pin)
        session.init_pin(request.pin)
        session.close()
        return describe(found[0])
    except ck.PKCS11Error as error:
        raise from_code(error, "initialising the token") from error


def _is_empty(slot: Any) -> bool:
    return not slot.get_token().flags & TokenFlag.TOKEN_INITIALIZED
