"""A certificate authority for one machine, and the server certificate that it issues.

With it, `dev` serves TLS that clients verify with their checks on. In production, the operator
provides a certificate.
"""

import contextlib
import datetime as dt
import fcntl
import ipaddress
import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import (
    PKCS12Certificate,
    serialize_java_truststore,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from vaultcore.clock import Clock
from vaultcore.errors import ConfigurationError, ProtectorError
from vaultcore.protectors.private_file import read_private

AUTHORITY_LIFETIME = dt.timedelta(days=3652)
# The longest lifetime that the platforms' verifiers accept for a server certificate.
SERVER_LIFETIME = dt.timedelta(days=397)
RENEW_BEFORE = dt.timedelta(days=30)
# A client whose clock is behind must not see a certificate that is not valid yet.
_BACKDATE = dt.timedelta(days=1)
# Java requires a password for the integrity of a truststore; it protects no secret.
TRUSTSTORE_PASSWORD = "changeit"  # noqa: S105
_MAXIMUM_KEY = 1 << 16  # bytes
_EVERY_V4, _EVERY_V6 = ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")
_LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Name = x509.DNSName | x509.IPAddress


@dataclass(frozen=True)
class TlsFiles:
    """The paths of the certificates of one machine.

    Attributes:
        authority: the authority's certificate (PEM), which clients must trust.
        truststore: the same as PKCS#12 for Java; its password is ``TRUSTSTORE_PASSWORD``.
        certificate: the server's certificate (PEM).
        key: the server's private key (PEM, PKCS#8).
        expires: when the server's certificate expires.
        renewed: whether this call issued it.
    """

    authority: Path
    truststore: Path
    certificate: Path
    key: Path
    expires: dt.datetime
    renewed: bool


def ensure_certificates(directory: Path, names: Sequence[str], *, clock: Clock) -> TlsFiles:
    """Returns certificates for the names; creates or renews what is missing or about to expire.

    The authority is limited to the domains of its first names (name constraints), so that a user
    who trusts it, and loses its key, is not exposed to forgeries of every other site.

    Args:
        directory: the folder of the files; created with mode 0700.
        names: host names, wildcards such as ``*.vault.localhost``, and IP addresses.
        clock: the current time.

    Raises:
        ConfigurationError: no name, a name that is not possible in a certificate, a name outside
            the authority's domains, or a file that cannot be read.
    """
    wanted = [_parse_name(name) for name in dict.fromkeys(names)]
    if not wanted:
        raise ConfigurationError("no name was given for the server certificate: give at least one")
    now = dt.datetime.fromtimestamp(clock.now(), dt.UTC)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(directory):
        authority, authority_key = _authority(directory, wanted, now)
        certificate_path, key_path = directory / "server.pem", directory / "server.key"
        certificate = _usable(certificate_path, key_path, authority, wanted, now)
        renewed = certificate is None
        if certificate is None:
            key = ec.generate_private_key(ec.SECP256R1())
            certificate = _issue_server(authority, authority_key, key, wanted, now)
            _write_key(key_path, key)
            _write(certificate_path, certificate.public_bytes(Encoding.PEM), 0o644)
    return TlsFiles(
        authority=directory / "ca.pem",
        truststore=directory / "truststore.p12",
        certificate=certificate_path,
        key=key_path,
        expires=certificate.not_valid_after_utc,
        renewed=renewed,
    )


def _parse_name(name: str) -> _Name:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    labels = name.removeprefix("*.").split(".")
    plain = all(
        label
        and len(label) <= 63  # noqa: PLR2004 (RFC 1035)
        and label.isascii()
        and label.replace("-", "").isalnum()
        and label == label.strip("-")
        for label in labels
    )
    if not plain or len(name) > 253 or (name.startswith("*.") and len(labels) == 1):  # noqa: PLR2004
        raise ConfigurationError(
            f"`{ascii(name)[1:-1][:80]}` is not possible in a certificate: "
            "give a host name, a wildcard below a domain, or an address"
        )
    return x509.DNSName(name.lower())


def _authority(
    directory: Path, wanted: Sequence[_Name], now: dt.datetime
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    certificate_path, key_path = directory / "ca.pem", directory / "ca.key"
    pair = _load_pair(certificate_path, key_path)
    if pair is None or pair[0].not_valid_after_utc - now < SERVER_LIFETIME:
        key = ec.generate_private_key(ec.SECP256R1())
        pair = (_issue_authority(key, wanted, now), key)
        _write_key(key_path, key)
        _write(certificate_path, pair[0].public_bytes(Encoding.PEM), 0o644)
    permitted = _permitted_subtrees(pair[0])
    for name in wanted:
        if not _covers(permitted, name):
            raise ConfigurationError(
                f"the authority `{certificate_path}` was not made for `{name.value}`: "
                "remove its folder to create another one, which clients must then trust"
            )
    # Written last, so that a folder with a truststore is complete.
    truststore = directory / "truststore.p12"
    if not truststore.exists() or truststore.stat().st_mtime < certificate_path.stat().st_mtime:
        entry = PKCS12Certificate(pair[0], b"vaultcore")
        password = BestAvailableEncryption(TRUSTSTORE_PASSWORD.encode())
        _write(truststore, serialize_java_truststore([entry], password), 0o644)
    return pair


def _usable(
    certificate_path: Path,
    key_path: Path,
    authority: x509.Certificate,
    wanted: Sequence[_Name],
    now: dt.datetime,
) -> x509.Certificate | None:
    pair = _load_pair(certificate_path, key_path)
    if pair is None:
        return None
    certificate = pair[0]
    try:
        certificate.verify_directly_issued_by(authority)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, InvalidSignature, x509.ExtensionNotFound):
        return None
    fits = (
        set(wanted) == set(names)
        and certificate.not_valid_before_utc <= now
        and certificate.not_valid_after_utc - now >= RENEW_BEFORE
    )
    return certificate if fits else None


def _permitted_subtrees(authority: x509.Certificate) -> Sequence[x509.GeneralName]:
    try:
        constraints = authority.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        # An authority without constraints was put here by hand; it may sign for every name.
        return [x509.DNSName(""), x509.IPAddress(_EVERY_V4), x509.IPAddress(_EVERY_V6)]
    return constraints.permitted_subtrees or []


def _load_pair(
    certificate_path: Path, key_path: Path
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None:
    # A crash between the two writes leaves a pair that does not match: it counts as missing.
    if not certificate_path.exists() or not key_path.exists():
        return None
    try:
        certificate = x509.load_pem_x509_certificate(certificate_path.read_bytes())
        key = load_pem_private_key(read_private(key_path, "private key", _MAXIMUM_KEY), None)
    except ProtectorError as refused:
        raise ConfigurationError(str(refused)) from None
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"`{certificate_path}` or `{key_path}` cannot be read: "
            "restore it, or remove both to create them again"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        return None
    return (certificate, key) if certificate.public_key() == key.public_key() else None


def _issue_authority(
    key: ec.EllipticCurvePrivateKey, wanted: Sequence[_Name], now: dt.datetime
) -> x509.Certificate:
    # The random part distinguishes two authorities in a client that trusts both.
    label = f"vaultcore development authority {secrets.token_hex(4)}"
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, label)])
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        _builder(
            subject,
            subject,
            key.public_key(),
            key.public_key(),
            start=now - _BACKDATE,
            lifetime=AUTHORITY_LIFETIME,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(
            x509.NameConstraints(permitted_subtrees=_permitted(wanted), excluded_subtrees=None),
            critical=True,
        )
        .sign(key, hashes.SHA256())
    )


def _issue_server(
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    key: ec.EllipticCurvePrivateKey,
    wanted: Sequence[_Name],
    now: dt.datetime,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "vaultcore development server")])
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        _builder(
            subject,
            authority.subject,
            key.public_key(),
            authority_key.public_key(),
            start=now - _BACKDATE,
            lifetime=SERVER_LIFETIME,
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(wanted), critical=False)
        .sign(authority_key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePublicKey,
    *,
    start: dt.datetime,
    lifetime: dt.timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False
        )
    )


def _permitted(wanted: Sequence[_Name]) -> list[x509.GeneralName]:
    # `localhost` covers each of its subdomains; any other name is permitted as it is.
    domains: dict[str, None] = {"localhost": None}
    networks: list[_Network] = list(_LOOPBACK)
    for name in wanted:
        if isinstance(name, x509.IPAddress):
            address = _address(name)
            if not any(address in network for network in networks):
                networks.append(ipaddress.ip_network(address))
        elif not _covers([x509.DNSName(domain) for domain in domains], name):
            domains[name.value.removeprefix("*.")] = None
    return [*map(x509.DNSName, domains), *map(x509.IPAddress, networks)]


def _covers(subtrees: Sequence[x509.GeneralName], name: _Name) -> bool:
    if isinstance(name, x509.IPAddress):
        return any(
            isinstance(tree, x509.IPAddress) and _address(name) in tree.value
            for tree in subtrees
            if not isinstance(tree.value, (ipaddress.IPv4Address, ipaddress.IPv6Address))
        )
    host = "." + name.value.removeprefix("*.")
    return any(
        isinstance(tree, x509.DNSName) and (not tree.value or host.endswith("." + tree.value))
        for tree in subtrees
    )


def _address(name: x509.IPAddress) -> _Address:
    value = name.value
    if isinstance(value, (ipaddress.IPv4Network, ipaddress.IPv6Network)):
        return value.network_address
    return value


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _write(path, pem, 0o600)


def _write(path: Path, content: bytes, mode: int) -> None:
    # Whole or not at all, and never readable by others in between.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    # Two processes that start on one folder must not each create an authority.
    descriptor = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
