"""Refusals of the gate as exceptions, in the contract's words (section 2.2)."""

from typing import TYPE_CHECKING, Final

from vaultcore.errors import (
    BadParameterError,
    ForbiddenError,
    InternalError,
    NotFoundError,
    UnauthorizedError,
    VaultError,
)

if TYPE_CHECKING:
    from vaultcore._core import Admission

NO_TOKEN: Final = "AKV10000: Request is missing a Bearer or PoP token."  # noqa: S105
_BY_STATUS: Final = {
    kind.status: kind
    for kind in (BadParameterError, UnauthorizedError, ForbiddenError, NotFoundError)
}


def by_gate(admission: "Admission") -> VaultError:
    """Returns the gate's refusal, in the gate's own words."""
    if admission.refusal is None:
        return InternalError("the gate refused without a reason")
    status, code, message, inner = admission.refusal
    kind = _BY_STATUS.get(status, VaultError)
    refused = kind(message, code=code, inner=inner)
    refused.status = status
    return refused


def by_host_firewall(host: str, address: str) -> ForbiddenError:
    """Returns the refusal of an address that the firewall of another host does not allow."""
    return ForbiddenError(
        f"the firewall of the {host} does not let the address {address} in; the caller was not "
        "read",
        inner="ForbiddenByFirewall",
    )


def no_token() -> UnauthorizedError:
    """Returns the refusal of a request without a token."""
    return UnauthorizedError(NO_TOKEN)
