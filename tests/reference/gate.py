"""The gate, written a second time: slow, obvious, and sharing nothing with the one in Rust.

Routes are the tables of the contract (sections 1.1 to 1.3) as text. The firewall is the standard
library's. A decision is one function that reads from top to bottom.
"""

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

ROUTES = """
SecretList                GET    /secrets                               secrets/list
SecretRestore             POST   /secrets/restore                       secrets/restore
SecretGet                 GET    /secrets/{name}                        secrets/get
SecretSet                 PUT    /secrets/{name}                        secrets/set
SecretUpdate              PATCH  /secrets/{name}                        secrets/set
SecretDelete              DELETE /secrets/{name}                        secrets/delete
SecretListVersions        GET    /secrets/{name}/versions               secrets/list
SecretBackup              POST   /secrets/{name}/backup                 secrets/backup
SecretGet                 GET    /secrets/{name}/{version}              secrets/get
SecretUpdate              PATCH  /secrets/{name}/{version}              secrets/set
SecretListDeleted         GET    /deletedsecrets                        secrets/list
SecretGetDeleted          GET    /deletedsecrets/{name}                 secrets/get
SecretPurge               DELETE /deletedsecrets/{name}                 secrets/purge
SecretRecover             POST   /deletedsecrets/{name}/recover         secrets/recover
KeyList                   GET    /keys                                  keys/list
KeyRestore                POST   /keys/restore                          keys/restore
KeyGet                    GET    /keys/{name}                           keys/get
KeyImport                 PUT    /keys/{name}                           keys/import
KeyUpdate                 PATCH  /keys/{name}                           keys/update
KeyDelete                 DELETE /keys/{name}                           keys/delete
KeyCreate                 POST   /keys/{name}/create                    keys/create
KeyRotate                 POST   /keys/{name}/rotate                    keys/rotate
KeyListVersions           GET    /keys/{name}/versions                  keys/list
KeyBackup                 POST   /keys/{name}/backup                    keys/backup
KeyRotationPolicyGet      GET    /keys/{name}/rotationpolicy            keys/getrotationpolicy
KeyRotationPolicySet      PUT    /keys/{name}/rotationpolicy            keys/setrotationpolicy
KeyGet                    GET    /keys/{name}/{version}                 keys/get
KeyUpdate                 PATCH  /keys/{name}/{version}                 keys/update
KeyEncrypt                POST   /keys/{name}/[{version}/]encrypt       keys/encrypt
KeyDecrypt                POST   /keys/{name}/[{version}/]decrypt       keys/decrypt
KeyWrap                   POST   /keys/{name}/[{version}/]wrapkey       keys/wrapKey
KeyUnwrap                 POST   /keys/{name}/[{version}/]unwrapkey     keys/unwrapKey
KeySign                   POST   /keys/{name}/[{version}/]sign          keys/sign
KeyVerify                 POST   /keys/{name}/[{version}/]verify        keys/verify
KeyRelease                POST   /keys/{name}/[{version}/]release       keys/release
KeySecureWrap             POST   /keys/{name}/[{version}/]securewrapkey    keys/wrapKey
KeySecureUnwrap           POST   /keys/{name}/[{version}/]secureunwrapkey  keys/unwrapKey
KeyAttestationGet         GET    /keys/{name}/[{version}/]attestation   keys/get
KeyListDeleted            GET    /deletedkeys                           keys/list
KeyGetDeleted             GET    /deletedkeys/{name}                    keys/get
KeyPurge                  DELETE /deletedkeys/{name}                    keys/purge
KeyRecover                POST   /deletedkeys/{name}/recover            keys/recover
RandomBytesGet            POST   /rng                                   keys/get
CertificateList           GET    /certificates                          certificates/list
CertificateRestore        POST   /certificates/restore                  certificates/restore
CertificateContactsGet    GET    /certificates/contacts                 certificates/managecontacts
CertificateContactsSet    PUT    /certificates/contacts                 certificates/managecontacts
CertificateContactsDelete DELETE /certificates/contacts                 certificates/managecontacts
CertificateIssuersList    GET    /certificates/issuers    certificates/listissuers certificates/manageissuers certificates/getissuers
CertificateIssuerGet      GET    /certificates/issuers/{name}  certificates/getissuers certificates/manageissuers
CertificateIssuerSet      PUT    /certificates/issuers/{name}           certificates/setissuers
CertificateIssuerUpdate   PATCH  /certificates/issuers/{name}           certificates/setissuers
CertificateIssuerDelete   DELETE /certificates/issuers/{name}           certificates/deleteissuers
CertificateGet            GET    /certificates/{name}                   certificates/get
CertificateUpdate         PATCH  /certificates/{name}                   certificates/update
CertificateDelete         DELETE /certificates/{name}                   certificates/delete
CertificateCreate         POST   /certificates/{name}/create            certificates/create
CertificateImport         POST   /certificates/{name}/import            certificates/import
CertificateListVersions   GET    /certificates/{name}/versions          certificates/list
CertificateBackup         POST   /certificates/{name}/backup            certificates/backup
CertificatePolicyGet      GET    /certificates/{name}/policy            certificates/get
CertificatePolicyUpdate   PATCH  /certificates/{name}/policy            certificates/update
CertificatePendingGet     GET    /certificates/{name}/pending           certificates/get
CertificatePendingUpdate  PATCH  /certificates/{name}/pending           certificates/update
CertificatePendingDelete  DELETE /certificates/{name}/pending           certificates/update
CertificatePendingMerge   POST   /certificates/{name}/pending/merge     certificates/create
CertificateGet            GET    /certificates/{name}/{version}         certificates/get
CertificateUpdate         PATCH  /certificates/{name}/{version}         certificates/update
CertificateListDeleted    GET    /deletedcertificates                   certificates/list
CertificateGetDeleted     GET    /deletedcertificates/{name}            certificates/get
CertificatePurge          DELETE /deletedcertificates/{name}            certificates/purge
CertificateRecover        POST   /deletedcertificates/{name}/recover    certificates/recover
"""  # noqa: E501

VERSIONS = """
2015-06-01 2016-10-01 7.0 7.1 7.2 7.3 7.4 7.5 7.6-preview.1 7.6-preview.2 7.6 2025-06-01-preview
2025-07-01 2026-01-01-preview 2026-03-01-preview 2026-04-01 2026-05-01-preview 2026-07-01-preview
""".split()  # noqa: SIM905

SINCE = {
    "KeyRelease": "7.3",
    "KeyRotate": "7.3",
    "KeyRotationPolicyGet": "7.3",
    "KeyRotationPolicySet": "7.3",
    "RandomBytesGet": "7.3",
    "KeyAttestationGet": "7.6-preview.2",
    "KeySecureWrap": "2026-01-01-preview",
    "KeySecureUnwrap": "2026-01-01-preview",
}

ADMITTED, CHALLENGE, FIREWALL, UNKNOWN_TOKEN, INVALID, DENIED = range(6)

NAME_CHARACTERS = set("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-")


@dataclass(frozen=True)
class Route:
    name: str
    method: str
    segments: tuple[str, ...]
    permissions: tuple[str, ...]


def _routes() -> Any:
    for line in ROUTES.strip().splitlines():
        name, method, path, *permissions = line.split()
        for variant in (
            path.replace("[{version}/]", ""),
            path.replace("[{version}/]", "{version}/"),
        ):
            route = Route(name, method, tuple(variant.split("/")[1:]), tuple(permissions))
            yield route


TABLE = list(dict.fromkeys(_routes()))
PERMISSIONS = {route.name: route.permissions for route in TABLE}


@dataclass(frozen=True)
class Understood:
    name: str
    object_key: str
    version: str


@dataclass(frozen=True)
class Refused:
    status: int


def parse(method: Any, path: Any, query: Any) -> Any:
    """Returns what a request asks for, or with which status it is refused."""
    target = _route(method, path)
    if isinstance(target, Refused):
        return target
    version = _api_version(query)
    if version is None:
        return Refused(400)
    since = SINCE.get(target.name)
    if since is not None and VERSIONS.index(version) < VERSIONS.index(since):
        return Refused(400)
    return target


def _route(method: Any, path: Any) -> Any:
    if not path.startswith("/"):
        return Refused(404)
    path = path[2:] if path.startswith("//") else path[1:]
    segments = (path.removesuffix("/")).split("/")
    fitting = [route for route in TABLE if _fits(route, segments)]
    if not fitting:
        return Refused(404)
    # `restore` is a literal for POST only; all other literals win over names and versions.
    if (
        segments[1:]
        and segments[1].lower() == "restore"
        and len(segments) == 2
        and method != "POST"
    ):
        fitting = [route for route in fitting if "restore" not in route.segments]
    most = max(_literals(route) for route in fitting)
    fitting = [route for route in fitting if _literals(route) == most]
    chosen = [route for route in fitting if route.method == method]
    slots = dict(zip(fitting[0].segments, segments, strict=True))
    version = slots.get("{version}", "")
    last_is_version = fitting[0].segments[-1] == "{version}"
    if last_is_version and version == "":
        return Refused(404)
    if last_is_version and method == "POST" and not _is_version(version):
        return Refused(404)
    if not chosen:
        return Refused(405)
    name = slots.get("{name}")
    if name is not None and not (0 < len(name) <= 127 and set(name) <= NAME_CHARACTERS):
        return Refused(400)
    if version and not _is_version(version):
        return Refused(400)
    return Understood(chosen[0].name, (name or "").upper(), version.lower())


def _fits(route: Any, segments: Any) -> Any:
    return (
        len(route.segments) == len(segments)
        and all(
            wanted.startswith("{") or wanted == given.lower()
            for wanted, given in zip(route.segments, segments, strict=True)
        )
        and not (
            # What begins with these words never is a certificate.
            len(segments) > 2
            and segments[0].lower() == "certificates"
            and segments[1].lower() in ("contacts", "issuers")
            and route.segments[1] == "{name}"
        )
    )


def _literals(route: Any) -> Any:
    return sum(not segment.startswith("{") for segment in route.segments)


def _is_version(text: Any) -> Any:
    return len(text) == 32 and set(text.lower()) <= set("0123456789abcdef")


def _api_version(query: Any) -> Any:
    given = [v for n, v in parse_qsl(query, keep_blank_values=True) if n.lower() == "api-version"]
    if len(given) != 1:
        return None
    return next((version for version in VERSIONS if version == given[0].lower()), None)


@dataclass
class Person:
    object_id: str
    app_id: str = ""
    groups: tuple[str, ...] = ()


@dataclass
class Vault:
    default_action: str = "Allow"
    ranges: tuple[str, ...] = ()
    policies: tuple[tuple[str, str, tuple[str, ...]], ...] = ()


@dataclass
class Token:
    person: Person
    expires: float
    not_before: float


@dataclass
class Gate:
    vaults: dict[str, Vault] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)

    def admit(
        self, vault: Any, method: Any, path: Any, query: Any, address: Any, token: Any, now: Any
    ) -> Any:
        """Returns the outcome."""
        rules = self.vaults.get(vault.lower())
        if rules is None:
            return INVALID
        if token is None:
            return CHALLENGE
        if not address_allowed(rules, address):
            return FIREWALL
        known = self.tokens.get(token)
        if known is None or now >= known.expires or now < known.not_before - 60:
            return UNKNOWN_TOKEN
        understood = parse(method, path, query)
        if isinstance(understood, Refused):
            return INVALID
        for permission in PERMISSIONS[understood.name]:
            if permitted(rules, known.person, permission):
                return ADMITTED
        return DENIED


def address_allowed(rules: Any, address: Any) -> Any:
    if rules.default_action.lower() == "allow":
        return True
    address = _unmapped(ipaddress.ip_address(address))
    for text in rules.ranges:
        network = ipaddress.ip_network(text, strict=False)
        mapped = getattr(network.network_address, "ipv4_mapped", None)
        if mapped is not None and network.prefixlen >= 96:
            network = ipaddress.ip_network(f"{mapped}/{network.prefixlen - 96}", strict=False)
        if address.version == network.version and address in network:
            return True
    return False


def _unmapped(address: Any) -> Any:
    return getattr(address, "ipv4_mapped", None) or address


def permitted(rules: Any, person: Any, permission: Any) -> Any:
    for object_id, app_id, granted in rules.policies:
        groups = [_same(group) for group in person.groups]
        if object_id.startswith("group:"):
            is_him = object_id != "group:" and _same(object_id.removeprefix("group:")) in groups
        else:
            is_him = _same(object_id) == _same(person.object_id)
            # A directory gives each GUID once: to a person or to a group.
            is_him = is_him or (_is_guid(object_id) and _same(object_id) in groups)
        through = app_id == "" or app_id.lower() == person.app_id.lower()
        if is_him and through and any(_grants(entry, permission) for entry in granted):
            return True
    return False


def _same(object_id: Any) -> Any:
    # Only GUIDs are the same in any case.
    return object_id.lower() if _is_guid(object_id) else object_id


def _is_guid(object_id: Any) -> Any:
    return re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", object_id)


def _grants(entry: Any, permission: Any) -> Any:
    kind, _, right = permission.lower().partition("/")
    given_kind, _, given = entry.lower().partition("/")
    if given_kind != kind:
        return False
    return given == right or (given == "all" and right != "purge")
