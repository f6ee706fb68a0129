"""The one session with the token. Worker side: the only process that loads a PKCS#11 module."""

import ctypes
from collections.abc import Iterator
from typing import Any

import pkcs11
import pkcs11.exceptions as ck
from pkcs11.constants import Attribute, ObjectClass, TokenFlag

from vaultcore.protectors.pkcs11.messages import InitToken, Open, Opened
from vaultcore.protectors.pkcs11.worker.return_codes import RefusalError, from_code


class Session:
    """A logged-in session with exactly the token that was asked for.

    Args:
        token: the token.
        session: its open session.
    """

    def __init__(self, token: Any, session: Any) -> None:
        self.token = token
        self.handle = session
        self.name = f"token `{token.label}` with serial number {_serial(token)}"

    @classmethod
    def open(cls, request: Open) -> "Session":
        """Loads the module, finds the token, and logs in.

        Raises:
            RefusalError: the module cannot be loaded, the token is absent or another one, or the
                PIN is wrong.
        """
        library = _load(request.module)
        try:
            token = _find(library, request)
            _check_tries(token)
            return cls(token, token.open(rw=True, user_pin=request.pin))
        except ck.PinLocked as error:
            text = "the PIN of the token is locked: unlock it with the security officer's PIN"
            raise RefusalError("pin", text) from error
        except ck.PKCS11Error as error:
            raise from_code(error, f"opening token `{request.token_label}`") from error

    def describe(self) -> Opened:
        """Returns what the token says of itself."""
        return Opened(
            serial=_serial(self.token),
            label=self.token.label,
            manufacturer=self.token.manufacturer_id,
            model=self.token.model,
        )

    def find(self, what: ObjectClass, criteria: dict[Attribute, Any]) -> list[Any]:
        """Returns the objects of one class that match."""
        attributes = {Attribute.CLASS: what, Attribute.TOKEN: True, **criteria}
        return list(self.handle.get_objects(attributes))


def init_token(request: InitToken) -> Opened:
    """Initialises an empty slot and sets its PINs.

    python-pkcs11 has no C_InitToken, so this one call goes straight to the module.

    Raises:
        RefusalError: there is no empty slot, or the module refuses.
    """
    library = _load(request.module)
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
        found = [token for token in _tokens(library) if token.label == request.label]
        if len(found) != 1:
            text = f"{len(found)} tokens have the label `{request.label}`: choose another label"
            raise RefusalError("configuration", text)
        session = found[0].open(rw=True, so_pin=request.so_pin)
        session.init_pin(request.pin)
        session.close()
        return Session(found[0], None).describe()
    except ck.PKCS11Error as error:
        raise from_code(error, "initialising the token") from error


def _load(module: str) -> Any:
    try:
        return pkcs11.lib(module)
    except ck.PKCS11Error as error:
        if type(error) is ck.PKCS11Error:  # the loader's own words, which name the file
            text = f"the PKCS#11 module `{module}` cannot be loaded: {error}"
            raise RefusalError("configuration", text) from error
        raise from_code(error, f"starting the PKCS#11 module `{module}`") from error


def _find(library: Any, request: Open) -> Any:
    """Returns the token with the label and serial number, before anybody tells it the PIN."""
    tokens = list(_tokens(library))
    named = [token for token in tokens if request.token_label in ("", token.label)]
    if not request.token_label:
        named = [token for token in named if _serial(token) == request.serial]
    if not named:
        present = ", ".join(f"`{token.label}` ({_serial(token)})" for token in tokens) or "none"
        wanted = f"`{request.token_label}`" if request.token_label else f"({request.serial})"
        text = (
            f"the token {wanted} is away: tokens present: {present}; "
            "bring it back or correct the label"
        )
        raise RefusalError("away", text)
    serials = ", ".join(sorted(_serial(token) for token in named))
    if request.serial is None:
        if len(named) > 1:
            text = (
                f"several tokens have the label `{request.token_label}`, with serial numbers "
                f"{serials}: configure the serial number of the right one"
            )
            raise RefusalError("configuration", text)
        return named[0]
    for token in named:
        if _serial(token) == request.serial:
            return token
    text = (
        f"another token has the label `{request.token_label}`: expected serial number "
        f"{request.serial}, found {serials}; it was not shown the PIN"
    )
    raise RefusalError("changed", text)


def _tokens(library: Any) -> Iterator[Any]:
    for slot in library.get_slots(token_present=True):
        try:
            token = slot.get_token()
        except (ck.TokenNotPresent, ck.TokenNotRecognised):
            continue  # pulled between the two calls
        if token.flags & TokenFlag.TOKEN_INITIALIZED:
            yield token


def _check_tries(token: Any) -> None:
    """Refuses to spend the last try: a service that restarts would lock the token by itself."""
    if token.flags & TokenFlag.USER_PIN_LOCKED:
        text = "the PIN of the token is locked: unlock it with the security officer's PIN"
        raise RefusalError("pin", text)
    if token.flags & TokenFlag.USER_PIN_FINAL_TRY:
        text = (
            "one more wrong PIN would lock the token, so it was not tried: log in once by hand "
            "with the right PIN"
        )
        raise RefusalError("pin", text)


def _is_empty(slot: Any) -> bool:
    return not slot.get_token().flags & TokenFlag.TOKEN_INITIALIZED


def _serial(token: Any) -> str:
    return str(token.serial.decode("ascii", "backslashreplace")).strip("\0 ")


_LABEL_SIZE = 32
