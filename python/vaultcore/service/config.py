"""The configuration file of ``vaultcore serve``: TOML, strict, and without unsafe defaults.

A member that is unknown, misspelt or of the wrong type is refused with its place in the file. What
matters for security has no default: the domain, the certificate and the protectors must be named.
"""

import tomllib
from pathlib import Path
from typing import Final, Literal

import msgspec

from vaultcore.access.proxies import Proxies
from vaultcore.access.trust import IssuerSettings, TrustedIssuer, trust_entra
from vaultcore.audit.retention import RETENTION_DAYS
from vaultcore.errors import ConfigurationError, UnreadableError
from vaultcore.inputs import read_text_input

_MAXIMUM_BYTES: Final = 1024 * 1024
#: How many connections each worker process keeps at most by default.
CONNECTIONS: Final = 10_000

_MAXIMUM_WORKERS: Final = 64
_MINIMUM_CONNECTIONS: Final = 16
_MAXIMUM_PORT: Final = 65535

EXAMPLE: Final = """\
# The configuration of `vaultcore serve`.
# Create the data folder with: vaultcore init --config vaultcore.toml
# Then serve it with:          vaultcore serve --config vaultcore.toml

data = "/var/lib/vaultcore"

[server]
# Vaults are served at https://NAME.DOMAIN, the built-in issuer at https://login.DOMAIN and the
# management plane at https://management.DOMAIN. Add the port unless it is 443.
domain = "vault.example.com"
address = "0.0.0.0"
port = 443
workers = 2
# connections = 10000  # kept by each worker; the limit of descriptors may allow fewer
certificate = "/etc/vaultcore/server.pem"  # for *.DOMAIN, with its chain
key = "/etc/vaultcore/server.key"
# Behind proxies: only theirs, as narrowly as possible. They are trusted to report client addresses.
# trusted_proxies = ["10.0.0.7", "10.0.1.0/28"]

# Each protector can open the vault keys by itself. Name at least one; two are better.
[[protectors]]
name = "hsm"
kind = "pkcs11"
module = "/usr/lib/softhsm/libsofthsm2.so"
token_label = "vaultcore"
pin_file = "/etc/vaultcore/pin"
key_label = "vaultcore"

[[protectors]]
name = "recovery"
kind = "file"
path = "/mnt/safe/vaultcore.key"

# Records of the audit log are removed after this many days; 0 keeps them for ever.
# [audit]
# retention_days = 365

# Tokens of other issuers are accepted if they are for these audiences.
# [[issuers]]
# name = "keycloak"
# issuer = "https://sso.example.com/realms/main"
# audiences = ["https://vault.example.com"]

# [entra]
# tenant = "11111111-2222-3333-4444-555555555555"
# audiences = ["https://vault.example.com"]
"""


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where and how the service listens.

    Attributes:
        domain: the parent domain of the vaults' host names, with a port unless that is 443.
        certificate: the server's certificate with its chain, PEM.
        key: its private key, PEM.
        address: the address to listen on.
        port: the port to listen on.
        workers: how many worker processes answer requests.
        trusted_proxies: addresses and ranges of proxies that report the client's address.
        connections: how many connections each worker process keeps at most.
    """

    domain: str
    certificate: str
    key: str
    address: str = "127.0.0.1"
    port: int = 443
    workers: int = 1
    connections: int = CONNECTIONS
    trusted_proxies: list[str] = []

    def proxies(self) -> Proxies | None:
        """Returns the proxies that report the client's address, or None if none is trusted.

        Raises:
            ConfigurationError: one of them is neither an address nor a range.
        """
        return Proxies(self.trusted_proxies) if self.trusted_proxies else None


class FileProtectorSettings(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind",
    tag="file",
):  # fmt: skip
    """A key file.

    Attributes:
        name: the protector's name.
        path: the key file.
        passphrase_file: a file with a passphrase, instead of a key file that is enough by itself.
    """

    name: str
    path: str
    passphrase_file: str = ""


class Pkcs11ProtectorSettings(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind",
    tag="pkcs11",
):  # fmt: skip
    """A PKCS#11 token.

    Attributes:
        name: the protector's name.
        module: the PKCS#11 module.
        token_label: the token's label.
        pin_file: the file with the user's PIN.
        key_label: the label of the key that `init` creates in the token.
        token_serial: the token's serial number, if several tokens have that label.
    """

    name: str
    module: str
    token_label: str
    pin_file: str
    key_label: str = "vaultcore"
    token_serial: str = ""


ProtectorSettings = FileProtectorSettings | Pkcs11ProtectorSettings


class EntraSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tenant of Entra ID whose tokens are accepted.

    Attributes:
        tenant: its GUID.
        audiences: the accepted audiences of the tokens.
    """

    tenant: str
    audiences: list[str]


class AuditSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The audit log.

    Attributes:
        retention_days: for how long records are kept, in days; 0 for ever.
    """

    retention_days: int = RETENTION_DAYS


class Configuration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file.

    Attributes:
        data: the data folder; relative paths of protectors start there.
        server: where and how the service listens.
        protectors: what protects the vault keys; read by ``init``.
        issuers: the issuers whose tokens are accepted, in addition to the built-in one.
        entra: a tenant of Entra ID whose tokens are accepted, or None.
        audit: the audit log.
        log: how much the service logs.
    """

    data: str
    server: ServerSettings
    protectors: list[ProtectorSettings]
    issuers: list[IssuerSettings] = []
    entra: EntraSettings | None = None
    audit: AuditSettings = AuditSettings()
    log: Literal["error", "warning", "info"] = "info"

    def check(self) -> None:
        """Checks what the types cannot express.

        Raises:
            ConfigurationError: a value is not valid; the message says which.
        """
        server = self.server
        if self.audit.retention_days < 0:
            raise ConfigurationError(
                f"audit.retention_days is 0 (for ever) or more, not {self.audit.retention_days}"
            )
        if not self.protectors:
            raise ConfigurationError("name at least one of [[protectors]]: it keeps the vault keys")
        names = [protector.name for protector in self.protectors]
        for name in names:
            if names.count(name) > 1 or not name:
                raise ConfigurationError(f"two of [[protectors]] are named `{name}`, or none is")
        if not 1 <= server.port <= _MAXIMUM_PORT:
            raise ConfigurationError(f"server.port is 1 to {_MAXIMUM_PORT}, not {server.port}")
        if not 1 <= server.workers <= _MAXIMUM_WORKERS:
            raise ConfigurationError(
                f"server.workers is 1 to {_MAXIMUM_WORKERS}, not {server.workers}"
            )
        try:
            server.proxies()
        except ConfigurationError as error:
            raise ConfigurationError(f"server.trusted_proxies: {error}") from None
        if server.connections < _MINIMUM_CONNECTIONS:
            raise ConfigurationError(
                f"server.connections is at least {_MINIMUM_CONNECTIONS}, not {server.connections}"
            )
        if "." not in server.domain or server.domain.startswith((".", "http")):
            raise ConfigurationError(
                "server.domain is a domain such as `vault.example.com`, without https://"
            )

    def check_files(self) -> None:
        """Checks that the files of the server exist and that its key is not open to others.

        Raises:
            ConfigurationError: a file is missing, or others may read the key.
        """
        for member, name in (("certificate", self.server.certificate), ("key", self.server.key)):
            if not Path(name).is_file():
                raise ConfigurationError(f"server.{member}: there is no file `{name}`")
        if Path(self.server.key).stat().st_mode & 0o007:
            raise ConfigurationError(
                f"server.key: everyone on this machine may read or write `{self.server.key}`; "
                "chmod 600 it"
            )

    def trusted_issuers(self) -> list[TrustedIssuer]:
        """Returns the rules for the issuers that are trusted in addition to the built-in one.

        Raises:
            ConfigurationError: a rule is missing or outside its limits.
        """
        found = [issuer.trust() for issuer in self.issuers]
        if self.entra is not None:
            found += trust_entra(self.entra.tenant, frozenset(self.entra.audiences))
        return found


def load_configuration(path: Path) -> Configuration:
    """Reads a configuration file.

    Args:
        path: the file.

    Raises:
        ConfigurationError: it cannot be read, or is wrong; the message says where.
    """
    try:
        text = read_text_input(path, limit=_MAXIMUM_BYTES)
    except UnreadableError as error:
        raise ConfigurationError(str(error)) from None
    return read_configuration(text, name=str(path))


def read_configuration(text: str, *, name: str = "the configuration") -> Configuration:
    """Reads a configuration.

    Args:
        text: TOML.
        name: the name of the text in messages.

    Raises:
        ConfigurationError: it is wrong; the message says where.
    """
    try:
        configuration = msgspec.convert(tomllib.loads(text), Configuration)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{name} is not TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{name}: {error}") from None
    try:
        configuration.check()
    except ConfigurationError as error:
        raise ConfigurationError(f"{name}: {error}") from None
    return configuration
