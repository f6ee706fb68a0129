"""Decides from ``--url`` which hosts of a service a command talks to.

It is the address of one of the service's vaults, of its management plane, or of the domain that
they are in. A command about a vault goes to the host whose first label is that vault's name, a
command of an administrator to ``management``:

==============================  ===================  ==========================================
``--url``                       about vault ``dev``  management
==============================  ===================  ==========================================
``https://dev.DOMAIN``          that host            ``management.DOMAIN``, if the host named
                                                     says that it is in DOMAIN
``https://other.DOMAIN``        ``dev.DOMAIN``, if   the same
                                the host says so
``https://management.DOMAIN``   ``dev.DOMAIN``       that host
``https://DOMAIN``              ``dev.DOMAIN``       ``management.DOMAIN``
==============================  ===================  ==========================================

A label is only removed from a name if the host confirms it: otherwise ``https://example.com``
would become ``com``, and a token would go to the owner of ``dev.com``.
"""

import ipaddress
import re
from collections.abc import Callable
from typing import Final, NamedTuple
from urllib.parse import SplitResult, urlsplit

from vaultcore.cli.outcome import CommandError
from vaultcore.installation.hosts import ISSUER, MANAGEMENT

_HTTPS: Final = 443
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


class Origin(NamedTuple):
    """A host with its port.

    Attributes:
        host: in lower case.
        port: the port.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return self.host if self.port == _HTTPS else f"{self.host}:{self.port}"

    def under(self, label: str) -> "Origin":
        """Returns the host of a name in this domain."""
        return Origin(f"{label}.{self.host}", self.port)

    def above(self) -> "Origin | None":
        """Returns the domain that the host's first label is in, if that can be a service's."""
        domain = self.host.partition(".")[2]
        return Origin(domain, self.port) if "." in domain else None


class ServiceAddress:
    """The hosts of a service, as ``--url`` names them.

    Args:
        url: the value of ``--url``.
        domain_of: asks a host, without credentials, which resource its tokens are meant for.
            Returns that resource, or None if the host does not say. It is called only if a host
            other than the one in ``url`` is needed.

    Raises:
        CommandError: it is not the address of a host of a service.
    """

    def __init__(self, url: str, domain_of: Callable[[Origin], str | None]) -> None:
        self._named = read_origin(url)
        if _is_number(self._named.host) or "." not in self._named.host:
            raise CommandError(
                f"--url must name a host of the service, not {self._named.host}: its vaults are "
                "told apart by the first label, as in https://dev.vault.localhost:8443"
            )
        self._label = self._named.host.partition(".")[0]
        if self._label == ISSUER:
            raise CommandError(
                f"--url names the issuer, {self._named}: name a vault, the management plane, or "
                "the domain that they are in"
            )
        self._domain_of = domain_of
        self._domain: Origin | None = None

    def vault(self, name: str) -> Origin:
        """Returns the host of a vault.

        Raises:
            CommandError: a vault cannot have this name.
        """
        return self._host(vault_label(name))

    def management(self) -> Origin:
        """Returns the host of the management plane."""
        return self._host(MANAGEMENT)

    def _host(self, label: str) -> Origin:
        return self._named if label == self._label else self._find_domain().under(label)

    def _find_domain(self) -> Origin:
        if self._domain is None:
            above = self._named.above()
            said = self._label == MANAGEMENT or (
                above is not None and self._domain_of(self._named) == f"https://{above}"
            )
            self._domain = above if said and above is not None else self._named
        return self._domain


def vault_label(name: str) -> str:
    """Returns the first label of a vault's host name.

    Raises:
        CommandError: a vault cannot have this name.
    """
    label = name.lower()
    if not _LABEL.fullmatch(label) or label in {MANAGEMENT, ISSUER}:
        raise CommandError(f"`{name[:64]}` is not the name of a vault")
    return label


def read_origin(url: str) -> Origin:
    """Reads the address of a host.

    Args:
        url: ``https://``, a host name, optionally a port, and nothing else but a slash.

    Raises:
        CommandError: it is anything else.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _malformed() from None
    if (
        parts.scheme != "https"
        or not parts.hostname
        or port == 0
        or _holds_more(parts)
        or not (_is_number(parts.hostname) or _is_name(parts.hostname))
    ):
        raise _malformed()
    return Origin(parts.hostname, port or _HTTPS)


def _holds_more(parts: SplitResult) -> bool:
    return parts.path not in {"", "/"} or "@" in parts.netloc or bool(parts.query or parts.fragment)


def _malformed() -> CommandError:
    return CommandError(
        "--url is an https address without a path, for example https://dev.vault.example"
    )


def _is_name(host: str) -> bool:
    return all(_LABEL.fullmatch(label) for label in host.split("."))


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
