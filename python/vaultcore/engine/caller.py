"""A caller in process."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vaultcore._core import Principal


class Caller:
    """Who acts, from where, and until when.

    Args:
        principal: who.
        address: the address that the caller came from; None for a caller in this process, which
            the firewall, a guard of the network door, does not concern.
        token: the token that showed it, which must stay valid.
    """

    def __init__(
        self, principal: "Principal", address: str | None = None, token: str | None = None
    ) -> None:
        self.principal = principal
        self.address = address
        self.token = token
        self.expires: float | None = None
        self.identity_epoch = -1
