"""The table of operations: the action of each verb of the core.

The core defines name, kind, permission and api-versions of an operation
(``_core.operation_names``); this table defines its action, once for every face.
"""

from typing import Final

from vaultcore.errors import NotFoundError
from vaultcore.objects.kinds import KINDS
from vaultcore.operations import keys, secrets
from vaultcore.operations.action import Action
from vaultcore.operations.shared import shared_actions

#: Every operation that is offered, by its name in the core and the audit log.
ACTIONS: Final[dict[str, Action]] = {
    **{
        name: action
        for kind in KINDS.values()
        for name, action in shared_actions(kind.noun).items()
    },
    **secrets.ACTIONS,
    **keys.ACTIONS,
}

#: Verbs of single kinds that no face offers yet.
_OF_ONE_KIND: Final = frozenset(
    {
        "CertificateContactsDelete",
        "CertificateContactsGet",
        "CertificateContactsSet",
        "CertificateCreate",
        "CertificateGet",
        "CertificateImport",
        "CertificateIssuerDelete",
        "CertificateIssuerGet",
        "CertificateIssuerSet",
        "CertificateIssuerUpdate",
        "CertificateIssuersList",
        "CertificatePendingDelete",
        "CertificatePendingGet",
        "CertificatePendingMerge",
        "CertificatePendingUpdate",
        "CertificatePolicyGet",
        "CertificatePolicyUpdate",
        "CertificateUpdate",
        "KeyAttestationGet",
        "KeyRelease",
        "KeyRotationPolicyGet",
        "KeyRotationPolicySet",
        "KeySecureUnwrap",
        "KeySecureWrap",
    }
)

#: What the core parses and no face offers yet; it is answered with 404.
NOT_OFFERED: Final = _OF_ONE_KIND | (set(shared_actions("Certificate")) - set(ACTIONS))


def action_of(name: str) -> Action:
    """Returns what an operation does.

    Args:
        name: the operation, as the core names it.

    Raises:
        NotFoundError: this version does not offer it.
    """
    action = ACTIONS.get(name)
    if action is None:
        raise NotFoundError(f"the operation {name} is not offered by this version")
    return action
