"""Commands are parsed the way `az` parses them, and errors become exit statuses."""

from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from vaultcore.cli import app as whole
from vaultcore.cli.session import Session, command, new_group
from vaultcore.errors import ConflictError

runner = CliRunner()


@pytest.fixture
def app() -> tuple[typer.Typer, list[Any]]:
    group = new_group("A group.")
    seen: list[Any] = []

    @command(group, "take")
    def take(
        session: Session,
        *,
        ops: Annotated[list[str] | None, typer.Option("--ops", "-o")] = None,
        name: Annotated[str | None, typer.Option("--name", "-n")] = None,
        place: Annotated[str, typer.Argument()] = "",
    ) -> None:
        """Takes."""
        seen.append((ops, name, place, session.json))

    @command(group, "refuse")
    def refuse(session: Session) -> None:
        """Refuses."""
        raise ConflictError("it is taken")

    return group, seen


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--ops", "sign", "verify"], (["sign", "verify"], None, "", False)),
        (["--ops", "sign", "--ops", "verify"], (["sign", "verify"], None, "", False)),
        (["--ops=sign", "--name", "a", "here"], (["sign"], "a", "here", False)),
        (["-o", "sign", "verify", "-n", "a", "--json"], (["sign", "verify"], "a", "", True)),
        (["here", "--ops", "sign"], (["sign"], None, "here", False)),
        (["--ops", ""], ([""], None, "", False)),
        ([], (None, None, "", False)),
    ],
)
def test_list_options_take_their_words(
    app: tuple[typer.Typer, list[Any]], words: list[str], expected: tuple[Any, ...]
) -> None:
    group, seen = app
    result = runner.invoke(group, ["take", *words])
    assert result.exit_code == 0, result.output
    assert seen == [expected]


def test_a_refusal_is_a_line_and_a_status(app: tuple[typer.Typer, list[Any]]) -> None:
    result = runner.invoke(app[0], ["refuse"])
    assert result.exit_code == 5
    assert result.stderr == "vaultcore: it is taken (Conflict)\n"


@pytest.mark.parametrize(
    "words",
    [
        ["secret", "show", "--vault-name", "v"],
        ["secret", "show", "--name", "a", "--id", "https://v.example/secrets/a"],
        ["secret", "set", "--vault-name", "v", "--name", "a"],
        ["secret", "set", "--vault-name", "v", "--name", "a", "--value", "x", "--file", "f"],
        ["secret", "list"],
        ["key", "import", "--vault-name", "v", "--name", "a"],
        ["key", "sign", "--vault-name", "v", "-n", "a", "-a", "ES256", "--digest", "!"],
        ["vault", "update", "--name", "v"],
        ["access", "set", "--vault", "v", "--principal", "p"],
        ["init"],
        ["serve"],
        ["vault", "list", "--data", "d", "--url", "https://management.vault.example"],
        ["vault", "list", "--as", "a", "--url", "https://management.vault.example"],
        ["vault", "list", "--url", "http://management.vault.example"],
    ],
)
def test_a_wrong_command_line_has_status_2(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("VAULTCORE_VAULT", "VAULTCORE_DATA", "VAULTCORE_URL", "VAULTCORE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AUTHORITY_HOST", "TENANT_ID", "CLIENT_ID", "CLIENT_SECRET"):
        monkeypatch.setenv(f"AZURE_{name}", "x")
    result = runner.invoke(whole, words)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""


def test_a_folder_without_a_vault_says_how_to_make_one(tmp_path: Any) -> None:
    result = runner.invoke(whole, ["vault", "list", "--data", str(tmp_path)])
    assert result.exit_code == 1
    assert "vaultcore init" in result.stderr


@pytest.mark.parametrize(
    "words",
    [[], *[[group] for group in ("secret", "key", "vault", "access", "firewall", "app", "audit")]],
)
def test_every_group_has_help(words: list[str]) -> None:
    result = runner.invoke(whole, [*words, "--help"])
    assert result.exit_code == 0
    assert "Usage:" in result.stdout
