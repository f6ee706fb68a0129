"""The PIN of a token: where it comes from, and whether it was refused. Service side."""

import hmac
from pathlib import Path
from typing import Final

from vaultcore.errors import ConfigurationError, ProtectorError
from vaultcore.protectors.private_file import read_private

#: The greatest PIN file, in bytes.
MAX_PIN_FILE: Final = 4096


class Pin:
    """A PIN, given directly or in a file that only its owner can read.

    A PIN that the token refused is not tried again, because three tries lock most tokens. If the
    PIN file changes, its new PIN is tried.

    Args:
        value: the PIN itself, or None.
        file: the file that contains it, or None.

    Raises:
        ConfigurationError: neither or both were given.
    """

    def __init__(self, *, value: str | None = None, file: str | Path | None = None) -> None:
        if (value is None) == (file is None):
            raise ConfigurationError("give either the PIN of the token or the file that holds it")
        self._value = value
        self._file = None if file is None else Path(file)
        self._refused: str | None = None
        self._reason = ""

    def __repr__(self) -> str:
        return "Pin(...)"

    def read(self) -> str:
        """Returns the PIN.

        Raises:
            ProtectorError: the file cannot be used, or the token has refused this PIN before.
            ProtectorUnavailableError: the file is missing.
        """
        value = self._value
        if self._file is not None:
            try:
                value = read_private(self._file, "PIN file", MAX_PIN_FILE).decode().rstrip("\r\n")
            except UnicodeDecodeError:
                raise ProtectorError(f"the PIN file `{self._file}` is not text") from None
        if not value:
            raise ProtectorError(f"the PIN file `{self._file}` is empty: write the PIN into it")
        if self._refused is not None and hmac.compare_digest(
            self._refused.encode(), value.encode()
        ):
            raise ProtectorError(
                f"{self._reason}: it is not tried again, so that the token is not locked; "
                "correct the PIN"
            )
        return value

    def refuse(self, value: str, reason: str) -> None:
        """Remembers that the token refused a PIN, and its message."""
        self._refused = value
        self._reason = reason
