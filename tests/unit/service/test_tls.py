"""The development authority: what it issues, when it renews, and who believes it."""

import datetime as dt
import ipaddress
import os
import shutil
import socket
import ssl
import stat
import subprocess
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12

from vaultcore.clock import ManualClock, SystemClock
from vaultcore.errors import ConfigurationError
from vaultcore.service.development.authority import (
    TRUSTSTORE_PASSWORD,
    TlsFiles,
    ensure_certificates,
)

NAMES = ["*.vault.localhost", "vault.localhost", "localhost", "127.0.0.1", "::1"]
DAY = 86400


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def handshake(files: TlsFiles, name: str, trust: Path) -> str | None:
    """Serves one TLS connection and returns why the client refused, or None."""
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(files.certificate, files.key)
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            server.wrap_socket(ours, server_side=True).close()
        except OSError:
            ours.close()

    thread = threading.Thread(target=serve)
    thread.start()
    client = ssl.create_default_context(cafile=str(trust))
    try:
        client.wrap_socket(theirs, server_hostname=name).close()
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    finally:
        theirs.close()
        thread.join(10)
    return None


def test_the_certificates_have_the_stated_form(tmp_path: Path) -> None:
    clock = SystemClock()
    files = ensure_certificates(tmp_path, NAMES, clock=clock)
    ca, server = certificate(files.authority), certificate(files.certificate)
    assert files.renewed
    assert ca.not_valid_after_utc - ca.not_valid_before_utc == dt.timedelta(days=3652)
    assert server.not_valid_after_utc - server.not_valid_before_utc == dt.timedelta(days=397)
    assert files.expires == server.not_valid_after_utc
    assert isinstance(ca.public_key(), ec.EllipticCurvePublicKey)
    assert ca.public_key().curve.name == "secp256r1"  # type: ignore[union-attr]
    server.verify_directly_issued_by(ca)
    assert ca.extensions.get_extension_for_class(x509.BasicConstraints).critical
    assert ca.extensions.get_extension_for_class(x509.NameConstraints).critical
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == NAMES[:3]
    assert names.get_values_for_type(x509.IPAddress) == [
        ipaddress.ip_address("127.0.0.1"),
        ipaddress.ip_address("::1"),
    ]


def test_keys_are_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        files = ensure_certificates(tmp_path / "tls", NAMES, clock=SystemClock())
    finally:
        os.umask(before)
    for path in (files.key, tmp_path / "tls" / "ca.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "tls").stat().st_mode) == 0o700
    assert not [path for path in (tmp_path / "tls").iterdir() if "." in path.name[1:-4]]


@pytest.mark.parametrize(
    "name", ["dev.vault.localhost", "vault.localhost", "localhost", "127.0.0.1", "::1"]
)
def test_a_client_that_trusts_the_authority_accepts_each_name(tmp_path: Path, name: str) -> None:
    files = ensure_certificates(tmp_path, NAMES, clock=SystemClock())
    assert handshake(files, name, files.authority) is None


def test_a_client_refuses_other_names_and_other_authorities(tmp_path: Path) -> None:
    files = ensure_certificates(tmp_path / "one", NAMES, clock=SystemClock())
    other = ensure_certificates(tmp_path / "two", NAMES, clock=SystemClock())
    assert "mismatch" in (handshake(files, "login.example", files.authority) or "")
    assert handshake(files, "localhost", other.authority) is not None


def test_the_authority_cannot_vouch_for_a_foreign_site(tmp_path: Path) -> None:
    """Whoever steals the authority's key still cannot forge a name outside its domains."""
    files = ensure_certificates(tmp_path, NAMES, clock=SystemClock())
    ca = certificate(files.authority)
    ca_key = load_pem_private_key((tmp_path / "ca.key").read_bytes(), None)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
    server = certificate(files.certificate)
    builder = (
        x509.CertificateBuilder()
        .subject_name(server.subject)
        .issuer_name(ca.subject)
        .public_key(server.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(server.not_valid_before_utc)
        .not_valid_after(server.not_valid_after_utc)
    )
    for extension in server.extensions:
        value = extension.value
        if isinstance(value, x509.SubjectAlternativeName):
            value = x509.SubjectAlternativeName([x509.DNSName("login.microsoftonline.com")])
        builder = builder.add_extension(value, extension.critical)
    forged = builder.sign(ca_key, server.signature_hash_algorithm)  # type: ignore[arg-type]
    files.certificate.write_bytes(forged.public_bytes(Encoding.PEM))
    reason = handshake(files, "login.microsoftonline.com", files.authority)
    assert reason is not None
    assert "permitted subtree" in reason


def test_nothing_is_issued_twice_without_need(tmp_path: Path) -> None:
    clock = ManualClock()
    first = ensure_certificates(tmp_path, NAMES, clock=clock)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    clock.advance(365 * DAY)
    second = ensure_certificates(tmp_path, list(reversed(NAMES)), clock=clock)
    assert first.renewed
    assert not second.renewed
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_server_certificate_is_renewed_in_its_last_thirty_days(tmp_path: Path) -> None:
    clock = ManualClock()
    first = ensure_certificates(tmp_path, NAMES, clock=clock)
    ca = first.authority.read_bytes()
    clock.advance((397 - 1 - 30) * DAY + 1)
    second = ensure_certificates(tmp_path, NAMES, clock=clock)
    assert second.renewed
    assert second.expires > first.expires
    assert second.authority.read_bytes() == ca


def test_the_authority_is_renewed_before_it_would_outlive_its_certificates(tmp_path: Path) -> None:
    clock = ManualClock()
    first = ensure_certificates(tmp_path, NAMES, clock=clock)
    ca = first.authority.read_bytes()
    clock.advance((3652 - 397) * DAY)
    second = ensure_certificates(tmp_path, NAMES, clock=clock)
    assert second.authority.read_bytes() != ca
    certificate(second.certificate).verify_directly_issued_by(certificate(second.authority))


def test_other_names_give_another_certificate_under_the_same_authority(tmp_path: Path) -> None:
    clock = ManualClock()
    first = ensure_certificates(tmp_path, NAMES, clock=clock)
    ca = first.authority.read_bytes()
    second = ensure_certificates(tmp_path, [*NAMES, "*.other.localhost"], clock=clock)
    assert second.renewed
    assert second.authority.read_bytes() == ca


def test_a_name_outside_the_authoritys_domains_is_refused(tmp_path: Path) -> None:
    clock = ManualClock()
    ensure_certificates(tmp_path, NAMES, clock=clock)
    for name in ("vault.example", "notlocalhost", "10.0.0.1"):
        with pytest.raises(ConfigurationError, match="was not made for"):
            ensure_certificates(tmp_path, [name], clock=clock)


def test_a_fresh_authority_takes_container_names_and_addresses(tmp_path: Path) -> None:
    files = ensure_certificates(tmp_path, ["vaultcore", "10.0.0.1"], clock=SystemClock())
    assert handshake(files, "vaultcore", files.authority) is None
    assert handshake(files, "10.0.0.1", files.authority) is None


@pytest.mark.parametrize(
    "name",
    ["", "*", "*.com*", "a..b", "-a", "ümlaut.localhost", "a b", "*.localhost", "a/b", "x" * 64],
)
def test_a_name_that_no_certificate_carries_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="is not possible in a certificate"):
        ensure_certificates(tmp_path, [name], clock=ManualClock())
    assert not list(tmp_path.iterdir())


def test_no_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="give at least one"):
        ensure_certificates(tmp_path, [], clock=ManualClock())


def test_a_key_that_does_not_fit_its_certificate_is_replaced(tmp_path: Path) -> None:
    """A crash between the two writes leaves such a pair."""
    clock = SystemClock()
    files = ensure_certificates(tmp_path / "one", NAMES, clock=clock)
    other = ensure_certificates(tmp_path / "two", NAMES, clock=clock)
    files.key.write_bytes(other.key.read_bytes())
    again = ensure_certificates(tmp_path / "one", NAMES, clock=clock)
    assert again.renewed
    assert handshake(again, "localhost", again.authority) is None


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    files = ensure_certificates(tmp_path, NAMES, clock=ManualClock())
    files.key.write_bytes(b"not a key")
    with pytest.raises(ConfigurationError, match=r"server\.key"):
        ensure_certificates(tmp_path, NAMES, clock=ManualClock())


def test_concurrent_starts_share_one_authority(tmp_path: Path) -> None:
    found: list[bytes] = []

    def start() -> None:
        found.append(
            ensure_certificates(tmp_path, NAMES, clock=SystemClock()).authority.read_bytes()
        )

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_java_can_read_the_truststore(tmp_path: Path) -> None:
    files = ensure_certificates(tmp_path, NAMES, clock=SystemClock())
    store = load_pkcs12(files.truststore.read_bytes(), TRUSTSTORE_PASSWORD.encode())
    assert [entry.certificate for entry in store.additional_certs] == [certificate(files.authority)]
    if shutil.which("keytool"):  # the format's own reader, where there is one
        listing = subprocess.run(
            ["keytool", "-list", "-keystore", files.truststore, "-storepass", TRUSTSTORE_PASSWORD],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert "trustedCertEntry" in listing.stdout


def test_a_certificate_of_a_lost_authority_is_replaced(tmp_path: Path) -> None:
    files = ensure_certificates(tmp_path, NAMES, clock=SystemClock())
    files.authority.unlink()
    again = ensure_certificates(tmp_path, NAMES, clock=SystemClock())
    assert again.renewed
    assert handshake(again, "localhost", again.authority) is None
