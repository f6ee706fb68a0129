"""`vaultcore env`, and what `vaultcore dev` says when it is ready."""

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from vaultcore.cli import app, dev

runner = CliRunner()
NASTY = 'a\'b $(x) `y` "z"; #'


class Answer:
    """What a folder says of itself."""

    vaults = ("dev", "other")
    port = 8443
    truststore = Path("/data/truststore.p12")

    def environment(self) -> dict[str, str]:
        return {"VAULT_URL": "https://dev.vault.localhost:8443", "AZURE_CLIENT_SECRET": NASTY}


@pytest.fixture
def ready(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Returns what is said of a folder, one answer after the other; the last one stays."""
    answers: list[Any] = [Answer()]
    monkeypatch.setattr(
        dev, "read_ready", lambda _: answers.pop(0) if len(answers) > 1 else answers[0]
    )
    monkeypatch.setattr(dev, "_LOOK_SECONDS", 0.001)
    return answers


@pytest.mark.usefixtures("ready")
def test_a_shell_reads_every_value_as_it_is() -> None:
    result = runner.invoke(app, ["env"])
    assert result.exit_code == 0
    script = result.stdout + 'printf "%s|%s" "$VAULT_URL" "$AZURE_CLIENT_SECRET"'
    read = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert read.stdout == f"https://dev.vault.localhost:8443|{NASTY}"
    assert all(line.startswith("export ") for line in result.stdout.splitlines())


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize("words", [["--json"], ["--format", "json"]])
def test_a_program_reads_json(words: list[str]) -> None:
    result = runner.invoke(app, ["env", *words])
    assert json.loads(result.stdout) == Answer().environment()


def test_one_that_is_not_ready_is_waited_for(ready: list[Any]) -> None:
    ready[:] = [None, None, None, Answer()]
    assert runner.invoke(app, ["env", "--json"]).exit_code == 0
    assert len(ready) == 1


def test_one_that_never_is_gets_a_status_and_a_way_on(ready: list[Any]) -> None:
    ready[:] = [None]
    result = runner.invoke(app, ["env", "--timeout", "0.01", "--data", "/some/where"])
    assert result.exit_code == 6
    assert result.stdout == ""
    assert "vaultcore dev --data /some/where" in result.stderr


@pytest.mark.parametrize("value", ["", "plain", NASTY, "two\nlines"])
def test_a_value_is_one_word_of_a_shell(value: str) -> None:
    quoted = dev._quoted(value)
    assert quoted.startswith("'")
    assert shlex.split(quoted) == [value]


def test_people_are_told_where_everything_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found: Any = Answer()
    monkeypatch.setattr(dev, "hosts_line", lambda _: "127.0.0.1 dev.vault.localhost")
    dev._introduce(Path("/my data"), found)
    said = capsys.readouterr().out
    for part in (
        "https://dev.vault.localhost:8443",
        "https://other.vault.localhost:8443",
        "https://login.vault.localhost:8443",
        "https://management.vault.localhost:8443",
        "127.0.0.1 dev.vault.localhost",
        "--data '/my data'",
    ):
        assert part in said
    monkeypatch.setattr(dev, "hosts_line", lambda _: None)
    dev._introduce(Path("data"), found)
    assert "/etc/hosts" not in capsys.readouterr().out
