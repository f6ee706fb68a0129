"""What an exit status means, and how an error reaches the terminal.

======  ==========================================================================
status  meaning
======  ==========================================================================
0       done
1       refused or failed; the message says why
2       the command line itself is wrong
3       there is no such vault, object, version or application
4       not permitted: no token, a wrong one, the firewall or a missing permission
5       the name is taken, or the object's state conflicts
6       something is unavailable (the service, the store, an HSM): it may succeed later
7       something does not verify or open: it was changed, or the key is the wrong one
======  ==========================================================================
"""

from http import HTTPStatus
from typing import Final

from vaultcore.errors import (
    DecryptionError,
    ProtectorUnavailableError,
    TamperedError,
    VaultcoreError,
    VaultError,
)

FAILED: Final = 1
USAGE: Final = 2
MISSING: Final = 3
NOT_PERMITTED: Final = 4
CONFLICT: Final = 5
AWAY: Final = 6
CHANGED: Final = 7

_BY_STATUS: Final[dict[int, int]] = {
    HTTPStatus.UNAUTHORIZED: NOT_PERMITTED,
    HTTPStatus.FORBIDDEN: NOT_PERMITTED,
    HTTPStatus.NOT_FOUND: MISSING,
    HTTPStatus.CONFLICT: CONFLICT,
    HTTPStatus.TOO_MANY_REQUESTS: AWAY,
    HTTPStatus.SERVICE_UNAVAILABLE: AWAY,
}


class CommandError(VaultcoreError):
    """The command line cannot be carried out as written.

    Args:
        message: what is wrong and what to do.
        status: the exit status.
    """

    def __init__(self, message: str, *, status: int = USAGE) -> None:
        super().__init__(message)
        self.status = status


class UnreachableError(VaultcoreError):
    """The service cannot be reached, or its certificate is not trusted."""


def exit_status(error: Exception) -> int:
    """Returns the exit status for an error."""
    if isinstance(error, CommandError):
        return error.status
    if isinstance(error, VaultError):
        return _BY_STATUS.get(error.status, FAILED)
    if isinstance(error, TamperedError | DecryptionError):
        return CHANGED
    if isinstance(error, ProtectorUnavailableError | UnreachableError):
        return AWAY
    return FAILED


def explain(error: Exception) -> str:
    """Returns the one line that is shown for an error."""
    if isinstance(error, VaultError):
        code = error.code if error.inner_code is None else f"{error.code}, {error.inner_code}"
        return f"{error.message} ({code})"
    return str(error)
