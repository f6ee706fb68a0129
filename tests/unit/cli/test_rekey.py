"""`vaultcore rekey`."""

from unit.cli.terminal import Terminal


def test_every_key_is_named_and_what_else_is_to_do(terminal: Terminal) -> None:
    terminal.answer("secret", "set", "--name", "a", "--value", "v")
    result = terminal.run("rekey")
    assert result.exit_code == 0
    *rows, advice = result.stdout.splitlines()
    assert {row.split("\t")[0] for row in rows} == {"system", "dev"}
    assert "Backups" in advice
    assert terminal.run("secret", "show", "--name", "a", "--value-only").stdout == "v"


def test_one_vault_alone_for_a_script(terminal: Terminal) -> None:
    answer = terminal.answer("rekey", "--vault", "dev")
    assert [key["name"] for key in answer["keys"]] == ["dev"]
    assert "VaultNotFound" in terminal.refused(3, "rekey", "--vault", "none")
