"""The PKCS#11 module, and the tokens in its slots. Worker side."""

from collections.abc import Iterator
from typing import Any

import pkcs11
import pkcs11.exceptions as ck
from pkcs11.constants import TokenFlag

from vaultcore.protectors.pkcs11.messages import Opened
from vaultcore.protectors.pkcs11.worker.return_codes import RefusalError, from_code


def load(module: str) -> Any:
    """Loads the module.

    Raises:
        RefusalError: it cannot be loaded, or does not start.
    """
    try:
        return pkcs11.lib(module)
    except ck.PKCS11Error as error:
        if type(error) is ck.PKCS11Error:  # the loader's own words, which name the file
            text = f"the PKCS#11 module `{module}` cannot be loaded: {error}"
            raise RefusalError("configuration", text) from error
        raise from_code(error, f"starting the PKCS#11 module `{module}`") from error


def tokens_of(library: Any) -> Iterator[Any]:
    """Yields the initialised tokens that are present."""
    for slot in library.get_slots(token_present=True):
        try:
            token = slot.get_token()
        except (ck.TokenNotPresent, ck.TokenNotRecognised):
            continue  # removed between the two calls
        if token.flags & TokenFlag.TOKEN_INITIALIZED:
            yield token


def describe(token: Any) -> Opened:
    """Returns a token's description of itself."""
    return Opened(
        serial=serial_of(token),
        label=token.label,
        manufacturer=token.manufacturer_id,
        model=token.model,
    )


def serial_of(token: Any) -> str:
    """Returns the serial number of a token, as text."""
    return str(token.serial.decode("ascii", "backslashreplace")).strip("\0 ")
