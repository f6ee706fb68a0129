"""`vaultcore init` and `vaultcore serve`, up to the point where the service runs."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import vaultcore
from vaultcore.cli import app, serve
from vaultcore.cli.serve import protector_options
from vaultcore.clock import SystemClock
from vaultcore.errors import ConfigurationError
from vaultcore.protectors.options import ProtectorOptions
from vaultcore.service.config import read_configuration
from vaultcore.service.development.authority import ensure_certificates

runner = CliRunner()
SECOND = """
[[protectors]]
name = "second"
kind = "file"
path = "keys/second.json"
[[protectors]]
"""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    made = ensure_certificates(
        tmp_path_factory.mktemp("tls"), ["*.vault.example"], clock=SystemClock()
    )
    return str(made.certificate), str(made.key)


@pytest.fixture
def config(tmp_path: Path, certificates: tuple[str, str]) -> Path:
    path = tmp_path / "vault.toml"
    certificate, key = certificates
    path.write_text(
        f"""
data = "{tmp_path / "data"}"
[server]
domain = "vault.example"
address = "127.0.0.1"
port = 8443
certificate = "{certificate}"
key = "{key}"
[[protectors]]
name = "main"
kind = "file"
path = "keys/main.json"
"""
    )
    return path


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Returns what the service was started with, instead of starting it."""
    started: list[Any] = []
    monkeypatch.setattr("vaultcore.service.server.run", lambda *given: started.append(given))
    return started


def refused(status: int, *words: str | Path) -> str:
    result = runner.invoke(app, [str(word) for word in words])
    assert result.exit_code == status, result.output
    return result.stderr


def test_the_example_is_a_configuration() -> None:
    result = runner.invoke(app, ["init", "--example"])
    assert result.exit_code == 0
    assert tomllib.loads(result.stdout)["server"]
    read_configuration(result.stdout)


def test_an_administrator_is_shown_once_and_works(tmp_path: Path) -> None:
    result = runner.invoke(app, ["init", "--data", str(tmp_path / "data"), "--json"])
    assert result.exit_code == 0, result.output
    made = json.loads(result.stdout)["administrator"]
    with vaultcore.open(tmp_path / "data", housekeeping=False) as engine:
        assert engine.is_administrator(engine.application("administrator"))
        found = engine.issuer.applications.authenticate(made["client_id"], made["client_secret"])
        assert found is not None
    assert "already" in refused(1, "init", "--data", tmp_path / "data")


def test_a_passphrase_protects_the_key(tmp_path: Path) -> None:
    (tmp_path / "word").write_text("open sesame\n")
    words = ["init", "--data", str(tmp_path / "data"), "--passphrase-file", str(tmp_path / "word")]
    assert runner.invoke(app, words).exit_code == 0
    with pytest.raises(vaultcore.ProtectorError):
        vaultcore.open(tmp_path / "data", housekeeping=False)
    vaultcore.open(tmp_path / "data", passphrase="open sesame", housekeeping=False).close()


def test_one_of_the_two_is_made(config: Path, tmp_path: Path) -> None:
    assert "say what to" in refused(2, "init")
    assert "say what to" in refused(2, "init", "--config", config, "--data", tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_folder_of_a_configuration_is_served(
    config: Path, tmp_path: Path, ran: list[Any]
) -> None:
    assert runner.invoke(app, ["init", "--config", str(config)]).exit_code == 0
    result = runner.invoke(app, ["serve", "--config", str(config)])
    assert result.exit_code == 0, result.output
    ((settings, renew),) = ran
    assert settings.data == tmp_path / "data"
    assert (settings.host, settings.port) == ("127.0.0.1", 8443)
    config.write_text(config.read_text().replace("port = 8443", "port = 9443"))
    assert renew().port == 9443
    config.write_text(config.read_text().replace("vault.example", "other.example"))
    with pytest.raises(ConfigurationError, match=r"other\.example"):
        renew()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('domain = "vault.example"', 'domain = "other.example"', "other.example"),
        ('name = "main"', 'name = "spare"', "spare"),
        ("[[protectors]]", SECOND, "second"),
    ],
)
def test_a_configuration_of_another_folder_is_not_served(
    config: Path, ran: list[Any], old: str, new: str, said: str
) -> None:
    assert runner.invoke(app, ["init", "--config", str(config)]).exit_code == 0
    config.write_text(config.read_text().replace(old, new))
    assert said in refused(2, "serve", "--config", config)
    assert ran == []


def test_what_cannot_be_served(config: Path, ran: list[Any]) -> None:
    assert "--config" in refused(2, "serve")
    refused(1, "serve", "--config", config)  # there is no folder
    refused(1, "serve", "--config", config.with_name("none"))
    text = config.read_text()
    config.write_text(text.replace("certificate = ", 'certificate = "/none" # '))
    assert "/none" in refused(1, "serve", "--config", config)
    assert ran == []


def test_options_that_are_empty_are_left_out() -> None:
    settings = read_configuration(
        vaultcore_toml('name = "main"\nkind = "file"\npath = "/keys/main.json"')
    )
    assert [protector_options(p) for p in settings.protectors] == [
        ProtectorOptions("main", "file", {"path": "/keys/main.json"})
    ]
    assert serve.protector_options is protector_options


def vaultcore_toml(protector: str) -> str:
    example = tomllib.loads(runner.invoke(app, ["init", "--example"]).stdout)
    server = "\n".join(f"{key} = {json.dumps(value)}" for key, value in example["server"].items())
    return f'data = "{example["data"]}"\n[server]\n{server}\n[[protectors]]\n{protector}\n'
