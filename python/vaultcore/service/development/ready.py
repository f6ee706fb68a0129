"""How clients find a development service: ``dev.json``, and the names that it serves.

Nothing here opens the vault, so reading the environment is quick.
"""

import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from vaultcore.errors import ProtectorUnavailableError
from vaultcore.installation.hosts import ISSUER, MANAGEMENT, issuer_url
from vaultcore.protectors.private_file import read_private

DOMAIN: Final = "vault.localhost"
ADDRESS: Final = "127.0.0.1"
READY_FILE: Final = "dev.json"
_MAXIMUM_SIZE: Final = 1 << 20  # bytes


class Ready(msgspec.Struct, frozen=True):
    """The content of ``dev.json``, for the clients of a running development service.

    Attributes:
        process: the id of the service's process.
        port: where it listens.
        vaults: the names of its vaults, the first one first.
        client_id: the administrator's client id.
        client_secret: the administrator's client secret.
        authority: the certificate of the authority to trust, PEM.
        truststore: the same for Java.
    """

    process: int
    port: int
    vaults: list[str]
    client_id: str
    client_secret: str
    authority: str
    truststore: str

    def __repr__(self) -> str:
        return f"Ready(process={self.process}, port={self.port}, vaults={self.vaults})"

    def environment(self) -> dict[str, str]:
        """Returns the variables with which clients of the Azure SDKs find and trust the service."""
        return {
            "VAULT_URL": f"https://{self.vaults[0]}.{DOMAIN}:{self.port}",
            "AZURE_AUTHORITY_HOST": issuer_url(f"{DOMAIN}:{self.port}"),
            # With a tenant of this name, MSAL does not ask Microsoft about the authority.
            "AZURE_TENANT_ID": "adfs",
            "AZURE_CLIENT_ID": self.client_id,
            "AZURE_CLIENT_SECRET": self.client_secret,
            "SSL_CERT_FILE": self.authority,
            "REQUESTS_CA_BUNDLE": self.authority,
            "NODE_EXTRA_CA_CERTS": self.authority,
        }


def answers(ready: Ready) -> bool:
    """Returns whether the service of a folder answers, over TLS with its own authority."""
    request = f"GET /secrets HTTP/1.1\r\nHost: {ADDRESS}\r\nConnection: close\r\n\r\n"
    try:
        context = ssl.create_default_context(cafile=ready.authority)
        with (
            socket.create_connection((ADDRESS, ready.port), timeout=5.0) as plain,
            context.wrap_socket(plain, server_hostname=ADDRESS) as secured,
        ):
            secured.sendall(request.encode())
            return secured.recv(5) == b"HTTP/"
    except OSError:
        return False


def read_ready(data: Path) -> Ready | None:
    """Returns the content of ``dev.json``, if the service that wrote it still answers.

    Raises:
        ProtectorError: another user wrote the file, or could have; it decides whom clients trust.
    """
    try:
        text = read_private(data / READY_FILE, "ready file", _MAXIMUM_SIZE)
        ready = msgspec.json.decode(text, type=Ready)
    except (ProtectorUnavailableError, msgspec.DecodeError):
        return None
    # A service that was killed leaves its file behind.
    return ready if answers(ready) else None


def unresolved(names: Sequence[str]) -> list[str]:
    """Returns the names that do not resolve to this machine's loopback."""

    def resolves(name: str) -> bool:
        try:
            found = socket.getaddrinfo(name, None, proto=socket.IPPROTO_TCP)
        except OSError:
            return False
        return any(address[4][0] == ADDRESS for address in found)

    return [name for name in names if not resolves(name)]


def hosts_line(vaults: Sequence[str]) -> str | None:
    """Returns the line that the hosts file lacks, or None if every name resolves."""
    names = [f"{label}.{DOMAIN}" for label in (*vaults, ISSUER, MANAGEMENT)]
    if not unresolved(names):
        return None
    return f"{ADDRESS} {' '.join([*names, DOMAIN])}"
