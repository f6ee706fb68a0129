"""The exceptions for failed calls: one for each category of failure. Service side."""

from vaultcore.errors import (
    AlgorithmError,
    DecryptionError,
    KeyFormatError,
    ProtectorError,
    ProtectorUnavailableError,
    VaultcoreError,
)
from vaultcore.protectors.pkcs11.messages import Failed


class HungError(ProtectorUnavailableError):
    """The token missed a deadline."""


def exception_of(failed: Failed) -> VaultcoreError:
    """Returns the exception for a failed call."""
    match failed.category:
        case "algorithm":
            return AlgorithmError(failed.text)
        case "unavailable":
            return ProtectorUnavailableError(failed.text)
        case "decryption":
            return DecryptionError(failed.text)
        case "format":
            return KeyFormatError(failed.text)
        case _:
            return ProtectorError(failed.text)
