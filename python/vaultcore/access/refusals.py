"""What the gate says when it refuses, in the contract's words (section 2.2).

One place, so that a caller in process and a caller over HTTPS read the same.
"""

from typing import TYPE_CHECKING, Final

from vaultcore.errors import ForbiddenError, UnauthorizedError

if TYPE_CHECKING:
    from vaultcore._core import Principal
    from vaultcore.objects.vault import VaultState

_HELP: Final = "https://go.microsoft.com/fwlink/?linkid=2125287"
NO_TOKEN: Final = "AKV10000: Request is missing a Bearer or PoP token."  # noqa: S105


def by_firewall(vault: "VaultState", address: str) -> ForbiddenError:
    """Returns the refusal of an address that the vault's firewall does not allow.

    The caller is not named: the token is not looked at before the address.
    """
    return ForbiddenError(
        "Client address is not authorized and caller is not a trusted service.\r\n"
        f"Client address: {address}\r\n"
        "Caller: (not read)\r\n"
        f"Vault: {vault.name};location={vault.location}",
        inner="ForbiddenByFirewall",
    )


def by_host_firewall(host: str, address: str) -> ForbiddenError:
    """Returns the refusal of an address that the firewall of another host does not allow."""
    return ForbiddenError(
        f"the firewall of the {host} does not let the address {address} in; the caller was not "
        "read",
        inner="ForbiddenByFirewall",
    )


def by_policy(vault: "VaultState", principal: "Principal", permission: str) -> ForbiddenError:
    """Returns the refusal of a principal that lacks a permission."""
    kind, _, verb = permission.partition("/")
    return ForbiddenError(
        f"The user, group or application '{_caller(principal)}' does not have {kind} {verb} "
        f"permission on key vault '{vault.name};location={vault.location}'. For help resolving "
        f"this issue, please see {_HELP}",
        inner="AccessDenied",
    )


def no_token() -> UnauthorizedError:
    """Returns the refusal of a request without a token."""
    return UnauthorizedError(NO_TOKEN)


def _caller(principal: "Principal") -> str:
    return f"appid={principal.app_id};oid={principal.object_id};iss={principal.issuer}"
