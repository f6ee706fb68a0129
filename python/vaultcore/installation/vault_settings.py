"""The settings of a vault."""

from typing import Final

import msgspec

from vaultcore.access.firewall import Firewall
from vaultcore.access.policies import AccessPolicy, check_number
from vaultcore.errors import BadParameterError

MINIMUM_RETENTION: Final = 7
MAXIMUM_RETENTION: Final = 90
#: For how many days deleted objects are kept unless the vault says otherwise.
DEFAULT_RETENTION: Final = MAXIMUM_RETENTION


class VaultSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of a vault; stored sealed under the vault's key.

    Attributes:
        name: 3 to 24 characters.
        created: Unix seconds.
        retention_days: for how long deleted objects are kept; fixed at creation.
        purge_protection: cannot be switched off again.
        secret_expiry: ``enforce`` or ``inform``.
        sku: ``standard``, or ``premium`` for a vault that creates keys in the HSM.
        firewall: which addresses may talk to it.
        policies: who may do what.
    """

    name: str
    created: int
    retention_days: int = DEFAULT_RETENTION
    purge_protection: bool = False
    secret_expiry: str = "enforce"  # noqa: S105 - a mode, not a secret
    sku: str = "standard"
    firewall: Firewall = Firewall()
    policies: tuple[AccessPolicy, ...] = ()

    def check(self) -> None:
        """Checks what the types cannot express.

        Raises:
            BadParameterError: a member is out of its range; the message says which.
        """
        if not MINIMUM_RETENTION <= self.retention_days <= MAXIMUM_RETENTION:
            raise BadParameterError(
                f"retention is {MINIMUM_RETENTION} to {MAXIMUM_RETENTION} days, "
                f"not {self.retention_days}"
            )
        if self.secret_expiry not in {"enforce", "inform"}:
            raise BadParameterError("secret expiry is `enforce` or `inform`")
        if self.sku not in {"standard", "premium"}:
            raise BadParameterError("sku is `standard` or `premium`")
        check_number(self.policies)
        if self.firewall.default_action not in {"Allow", "Deny"}:
            raise BadParameterError("the firewall's default action is `Allow` or `Deny`")
