"""The hosts of an installation beside those of its vaults, and what the management plane speaks."""

from typing import Final

#: The first label of the built-in issuer's host name.
ISSUER: Final = "login"
#: The first label of the management plane's host name.
MANAGEMENT: Final = "management"
#: The version of the management plane; its paths begin with it, and audit records name it.
MANAGEMENT_VERSION: Final = "v1"


def issuer_url(domain: str) -> str:
    """Returns the URL of the built-in issuer, without a slash at the end.

    Args:
        domain: the parent domain of all hosts, with a port unless that is 443.
    """
    return f"https://{ISSUER}.{domain}"


def management_url(domain: str) -> str:
    """Returns the URL of the management plane, as :func:`issuer_url` does that of the issuer."""
    return f"https://{MANAGEMENT}.{domain}"
