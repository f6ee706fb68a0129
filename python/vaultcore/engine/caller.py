"""A caller in process."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vaultcore._core import Principal


class Caller:
    """The caller of an operation: who, from where, and until when.

    Args:
        principal: the principal of the caller.
        address: the address that the caller came from; None for a caller in this process, to which
            the firewall, a guard of the network interface, does not apply.
        token: the token that the caller presented, which must stay valid.
    """

    def __init__(
        self, principal: "Principal", address: str | None = None, token: str | None = None
    ) -> None:
        self.principal = principal
        self.address = address
        self.token = token
        self.expires: float | None = None
        self.identity_epoch = -1
