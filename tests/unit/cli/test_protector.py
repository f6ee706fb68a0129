"""`vaultcore protector`."""

import pytest

import vaultcore
from unit.cli.terminal import Terminal


def test_one_is_added_and_removed_with_what_else_is_to_do(terminal: Terminal) -> None:
    added = terminal.run("protector", "add", "second", "--kind", "file")
    assert added.exit_code == 0
    assert "vaultcore serve" in added.stdout
    assert [row[0] for row in terminal.lines("protector", "list")] == ["file", "second"]
    removed = terminal.run("protector", "remove", "second")
    assert removed.stdout.splitlines()[0] == "removed\tsecond"
    assert "vaultcore rekey" in removed.stdout


def test_a_script_reads_the_answer_alone(terminal: Terminal) -> None:
    added = terminal.answer(
        "protector", "add", "second", "--kind", "file", "--options", "path=keys/other.json"
    )
    assert added["path"].endswith("keys/other.json")
    assert terminal.answer("protector", "remove", "second") == {"removed": "second"}


def test_one_that_does_not_open_is_a_status(terminal: Terminal) -> None:
    terminal.answer("protector", "add", "second", "--kind", "file")
    assert terminal.run("protector", "verify").exit_code == 0
    (terminal.engine.data / "keys" / "second.json").unlink()
    with vaultcore.open(terminal.engine.data, housekeeping=False) as terminal.engine:
        result = terminal.run("protector", "verify", "--json")
    assert result.exit_code == 7
    assert '"failed"' in result.stdout


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["add", "second"], 2),
        (["add", "second", "--kind", "paper"], 2),
        (["add", "second", "--kind", "file", "--options", "path"], 2),
        (["add", "second", "--kind", "file", "--options", "colour=red"], 1),
        (["add", "file", "--kind", "file"], 1),
        (["remove", "none"], 1),
        (["remove", "file"], 1),
    ],
)
def test_what_cannot_be(terminal: Terminal, words: list[str], status: int) -> None:
    terminal.refused(status, "protector", *words)
    assert [row[0] for row in terminal.lines("protector", "list")] == ["file"]
