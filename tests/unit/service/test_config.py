"""The configuration file is strict, and leaves nothing unsafe to a default."""

from pathlib import Path

import pytest

from vaultcore.errors import ConfigurationError
from vaultcore.service.config import EXAMPLE, load_configuration, read_configuration

MINIMAL = """
data = "/srv/vault"
[server]
domain = "vault.example.com"
certificate = "/etc/server.pem"
key = "/etc/server.key"
[[protectors]]
name = "file"
kind = "file"
path = "/mnt/vault.key"
"""


def test_the_example_is_valid_as_printed() -> None:
    configuration = read_configuration(EXAMPLE)
    assert [protector.name for protector in configuration.protectors] == ["hsm", "recovery"]


def test_the_example_is_valid_with_its_comments_taken_off() -> None:
    lines = [
        line.removeprefix("# ")
        if line.startswith(("# [", "# name", "# issuer", "# aud", "# ten"))
        else line
        for line in EXAMPLE.splitlines()
    ]
    configuration = read_configuration("\n".join(lines))
    assert len(configuration.trusted_issuers()) == 3  # the issuer, and Entra's two versions


def test_a_service_listens_on_the_loopback_unless_told() -> None:
    server = read_configuration(MINIMAL).server
    assert (server.address, server.port, server.workers) == ("127.0.0.1", 443, 1)


@pytest.mark.parametrize(
    "line", ['data = "/srv/vault"', "[server]", 'domain = "vault.example.com"', "[[protectors]]"]
)
def test_what_decides_about_safety_has_no_default(line: str) -> None:
    with pytest.raises(ConfigurationError):
        read_configuration(MINIMAL.replace(line, "", 1))


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("data =", "dataa =", "dataa"),
        ("domain =", "extra = 1\ndomain =", "extra"),
        ('kind = "file"', 'kind = "none"', "none"),
        ('kind = "file"', 'kind = "pkcs11"', "path"),
        ('path = "/mnt/vault.key"', "path = 1", "protectors"),
        ('domain = "vault.example.com"', 'domain = "https://vault.example.com"', "domain"),
        ('domain = "vault.example.com"', 'domain = "vault.example.com"\nport = 0', "port"),
        ('domain = "vault.example.com"', 'domain = "vault.example.com"\nworkers = 99', "workers"),
        ('domain = "vault.example.com"', 'domain = "vault.example.com"\nport = "443"', "port"),
        ('data = "/srv/vault"', 'data = "/srv/vault"\nlog = "debug"', "log"),
        ("domain =", 'trusted_proxies = ["10.0.0.1/8"]\ndomain =', "trusted_proxies"),
        ("domain =", 'trusted_proxies = "10.0.0.0/8"\ndomain =', "trusted_proxies"),
        ('data = "/srv/vault"', 'data = "/srv/vault', "TOML"),
        ('data = "/srv/vault"', 'data = "/srv/vault"\ndata = "/srv/other"', "TOML"),
    ],
)
def test_a_mistake_is_refused_and_named(before: str, after: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_configuration(MINIMAL.replace(before, after, 1))


def test_two_protectors_of_one_name_are_refused() -> None:
    again = MINIMAL[MINIMAL.index("[[protectors]]") :]
    with pytest.raises(ConfigurationError, match="named `file`"):
        read_configuration(MINIMAL + again)


def test_a_token_must_be_told_from_others() -> None:
    text = MINIMAL.replace(
        'kind = "file"\npath = "/mnt/vault.key"', 'kind = "pkcs11"\nmodule = "m"\npin_file = "p"'
    )
    with pytest.raises(ConfigurationError, match="token_label"):
        read_configuration(text)


def test_no_protectors_at_all_is_refused() -> None:
    head = MINIMAL[: MINIMAL.index("[[protectors]]")]
    with pytest.raises(ConfigurationError, match="at least one"):
        read_configuration("protectors = []\n" + head)


def test_an_issuer_without_an_audience_is_refused() -> None:
    text = MINIMAL + '[[issuers]]\nname = "a"\nissuer = "https://sso.example"\naudiences = []\n'
    with pytest.raises(ConfigurationError, match="audience"):
        read_configuration(text).trusted_issuers()


def test_no_proxy_is_trusted_unless_it_is_named() -> None:
    assert read_configuration(MINIMAL).server.proxies() is None
    text = MINIMAL.replace("domain =", 'trusted_proxies = ["10.0.0.0/8", "::1"]\ndomain =')
    proxies = read_configuration(text).server.proxies()
    assert proxies is not None
    headers = [(b"x-forwarded-for", b"192.0.2.1")]
    assert proxies.client("10.1.1.1", headers) == proxies.client("::1", headers) == "192.0.2.1"


def test_the_server_key_must_not_be_open_to_others(tmp_path: Path) -> None:
    certificate, key = tmp_path / "server.pem", tmp_path / "server.key"
    text = MINIMAL.replace("/etc/server.pem", str(certificate)).replace("/etc/server.key", str(key))
    configuration = read_configuration(text)
    with pytest.raises(ConfigurationError, match="certificate"):
        configuration.check_files()
    certificate.touch()
    key.touch(mode=0o600)
    configuration.check_files()
    key.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        configuration.check_files()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.toml"):
        load_configuration(tmp_path / "none.toml")
    broken = tmp_path / "latin.toml"
    broken.write_bytes(b'data = "\xff"')
    with pytest.raises(ConfigurationError, match="UTF-8"):
        load_configuration(broken)
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("data = 1")
    with pytest.raises(ConfigurationError, match=r"wrong\.toml.*data"):
        load_configuration(wrong)
