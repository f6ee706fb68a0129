"""The one session with the token. Worker side."""

from typing import Any

import pkcs11.exceptions as ck
from pkcs11.constants import Attribute, ObjectClass, TokenFlag

from vaultcore.protectors.pkcs11.messages import Open, Opened
from vaultcore.protectors.pkcs11.worker.return_codes import RefusalError, from_code
from vaultcore.protectors.pkcs11.worker.tokens import describe, load, serial_of, tokens_of


class Session:
    """A logged-in session with exactly the requested token.

    Args:
        token: the token.
        session: its open session.
    """

    def __init__(self, token: Any, session: Any) -> None:
        self.token = token
        self.handle = session
        self.name = f"token `{token.label}` with serial number {serial_of(token)}"

    @classmethod
    def open(cls, request: Open) -> "Session":
        """Loads the module, finds the token, and logs in.

        Raises:
            RefusalError: the module cannot be loaded, the token is missing or a different one, or
                the PIN is wrong.
        """
        library = load(request.module)
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
        """Returns the token's description of itself."""
        return describe(self.token)

    def find(self, what: ObjectClass, criteria: dict[Attribute, Any]) -> list[Any]:
        """Returns the objects of one class that match."""
        attributes = {Attribute.CLASS: what, Attribute.TOKEN: True, **criteria}
        return list(self.handle.get_objects(attributes))


def _find(library: Any, request: Open) -> Any:
    """Returns the token with the label and serial number, before the PIN is sent to it."""
    tokens = list(tokens_of(library))
    named = [token for token in tokens if request.token_label in ("", token.label)]
    if not request.token_label:
        named = [token for token in named if serial_of(token) == request.serial]
    if not named:
        present = ", ".join(f"`{token.label}` ({serial_of(token)})" for token in tokens) or "none"
        wanted = f"`{request.token_label}`" if request.token_label else f"({request.serial})"
        text = (
            f"the token {wanted} is unavailable: tokens present: {present}; "
            "bring it back or correct the label"
        )
        raise RefusalError("unavailable", text)
    serials = ", ".join(sorted(serial_of(token) for token in named))
    if request.serial is None:
        if len(named) > 1:
            text = (
                f"several tokens have the label `{request.token_label}`, with serial numbers "
                f"{serials}: configure the serial number of the right one"
            )
            raise RefusalError("configuration", text)
        return named[0]
    for token in named:
        if serial_of(token) == request.serial:
            return token
    text = (
        f"another token has the label `{request.token_label}`: expected serial number "
        f"{request.serial}, found {serials}; it was not shown the PIN"
    )
    raise RefusalError("changed", text)


def _check_tries(token: Any) -> None:
    """Refuses to use the last try: a service that restarts would lock the token by itself."""
    if token.flags & TokenFlag.USER_PIN_LOCKED:
        text = "the PIN of the token is locked: unlock it with the security officer's PIN"
        raise RefusalError("pin", text)
    if token.flags & TokenFlag.USER_PIN_FINAL_TRY:
        text = (
            "one more wrong PIN would lock the token, so it was not tried: log in once by hand "
            "with the right PIN"
        )
        raise RefusalError("pin", text)
