"""The table of operations: what each verb of the core does.

Name, kind, permission and api-versions of an operation are the core's (``_core.operation_names``);
what it does stands here, once for every face.
"""

from typing import Final

from vaultcore.objects.kinds import KINDS
from vaultcore.operations import keys, secrets
from vaultcore.operations.action import Action
from vaultcore.operations.shared import shared_actions

#: Every operation that is offered, by the name that the core and the audit log know it by.
ACTIONS: Final[dict[str, Action]] = {
    **{
        name: action
        for kind in KINDS.values()
        for name, action in shared_actions(kind.noun).items()
    },
    **secrets.ACTIONS,
    **keys.ACTIONS,
}

#: What the core parses and no face offers yet; over HTTPS it is answered with 404.
NOT_OFFERED: Final = frozenset(
    {
        "CertificateBackup",
        "CertificateContactsDelete",
        "CertificateContactsGet",
        "CertificateContactsSet",
        "CertificateCreate",
        "CertificateDelete",
        "CertificateGet",
        "CertificateGetDeleted",
        "CertificateImport",
        "CertificateIssuerDelete",
        "CertificateIssuerGet",
        "CertificateIssuerSet",
        "CertificateIssuerUpdate",
        "CertificateIssuersList",
        "CertificateList",
        "CertificateListDeleted",
        "CertificateListVersions",
        "CertificatePendingDelete",
        "CertificatePendingGet",
        "CertificatePendingMerge",
        "CertificatePendingUpdate",
        "CertificatePolicyGet",
        "CertificatePolicyUpdate",
        "CertificatePurge",
        "CertificateRecover",
        "CertificateRestore",
        "CertificateUpdate",
        "KeyAttestationGet",
        "KeyRelease",
        "KeyRotationPolicyGet",
        "KeyRotationPolicySet",
        "KeySecureUnwrap",
        "KeySecureWrap",
    }
)
