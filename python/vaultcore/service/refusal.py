"""The contract's format of a refusal, on every host (section 2.1)."""

from typing import Any, Final

import msgspec

from vaultcore.errors import VaultError

#: The header of an answer that says "try again": after how many seconds.
RETRY_AFTER: Final = (b"retry-after", b"1")


def error_body(error: VaultError) -> bytes:
    """Returns a refusal in the contract's format, in the words for callers over the network."""
    shown: dict[str, Any] = {"code": error.code, "message": error.public}
    if error.inner_code is not None:
        shown["innererror"] = {"code": error.inner_code}
    return msgspec.json.encode({"error": shown})
