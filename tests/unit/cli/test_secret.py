"""`vaultcore secret`."""

from pathlib import Path

import pytest

from unit.cli.terminal import Terminal
from vaultcore.cli.secret import MAXIMUM_VALUE_FILE


def test_a_value_is_shown_when_it_is_asked_for_and_only_then(terminal: Terminal) -> None:
    stored = terminal.run("secret", "set", "--name", "a", "--value", "canary", "--json")
    assert "canary" not in stored.stdout
    assert terminal.answer("secret", "show", "--name", "a")["value"] == "canary"
    assert terminal.run("secret", "show", "--name", "a", "--value-only").stdout == "canary"
    for verb in ("list", "list-versions"):
        more = ["--name", "a"] if verb == "list-versions" else []
        assert "canary" not in terminal.run("secret", verb, *more, "--json").stdout


def test_what_is_set_with_a_value(terminal: Terminal) -> None:
    terminal.answer(
        "secret", "set", "-n", "a", "--value", "v", "--content-type", "text/plain",
        "--disabled", "true", "--expires", "2030-01-31T12:00:00Z", "--not-before", "2029-01-01",
        "--tags", "owner=me", "empty=",
    )  # fmt: skip
    listed = terminal.answer("secret", "list")[0]
    assert listed["contentType"] == "text/plain"
    assert listed["tags"] == {"owner": "me", "empty": ""}
    assert listed["attributes"]["enabled"] is False
    assert listed["attributes"]["exp"] == 1_896_091_200
    assert listed["attributes"]["nbf"] == 1_861_920_000
    terminal.answer("secret", "set", "-n", "b", "--value", "v", "--disabled", "false")
    assert terminal.answer("secret", "show", "-n", "b")["attributes"]["enabled"] is True


@pytest.mark.parametrize(
    ("encoding", "data", "value"),
    [
        ("utf-8", "ümlaut\n".encode(), "ümlaut\n"),
        ("base64", b"\x00\xff", "AP8="),
        ("hex", b"\x00\xff", "00ff"),
        ("utf-16le", "ü".encode("utf-16le"), "ü"),
        ("ascii", b"plain", "plain"),
    ],
)
def test_a_file_is_stored_and_written_again(
    terminal: Terminal, tmp_path: Path, encoding: str, data: bytes, value: str
) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(data)
    terminal.answer("secret", "set", "-n", "a", "--file", source, "--encoding", encoding)
    assert terminal.answer("secret", "show", "-n", "a")["value"] == value
    answer = terminal.answer("secret", "download", "-n", "a", "-f", target, "-e", encoding)
    assert answer["file"] == str(target)
    assert target.read_bytes() == data
    assert target.stat().st_mode & 0o777 == 0o600


def test_a_value_comes_from_standard_input(terminal: Terminal) -> None:
    terminal.answer("secret", "set", "-n", "a", "--file", "-", given="from a pipe\n")
    assert terminal.answer("secret", "show", "-n", "a")["value"] == "from a pipe\n"


def test_a_file_is_not_replaced_unasked(terminal: Terminal, tmp_path: Path) -> None:
    terminal.answer("secret", "set", "-n", "a", "--value", "v")
    target = tmp_path / "target"
    target.write_text("mine")
    target.chmod(0o644)
    words = ("secret", "download", "-n", "a", "--file", target)
    assert "exists" in terminal.refused(2, *words)
    assert target.read_text() == "mine"
    terminal.answer(*words, "--overwrite")
    assert target.read_text() == "v"
    assert target.stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_stored(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "file"
    words = ("secret", "set", "-n", "a")
    assert "give the value once" in terminal.refused(2, *words)
    file.write_bytes(b"\xff")
    assert "give the value once" in terminal.refused(2, *words, "--value", "v", "--file", file)
    assert "not utf-8" in terminal.refused(2, *words, "--file", file)
    file.write_bytes(b"x" * (MAXIMUM_VALUE_FILE + 1))
    assert "larger than" in terminal.refused(1, *words, "--file", file)
    assert "longer than" in terminal.refused(
        1, *words, "--file", "-", given=b"x" * (MAXIMUM_VALUE_FILE + 1)
    )
    assert "key=value" in terminal.refused(2, *words, "--value", "v", "--tags", "x")
    assert terminal.answer("secret", "list") == []


def test_what_cannot_be_written_as_it_is_asked(terminal: Terminal, tmp_path: Path) -> None:
    terminal.answer("secret", "set", "-n", "a", "--value", "no hex")
    target = tmp_path / "target"
    terminal.refused(2, "secret", "download", "-n", "a", "--file", target, "--encoding", "hex")
    assert not target.exists()


def test_attributes_of_one_version_are_changed(terminal: Terminal) -> None:
    first = terminal.answer("secret", "set", "-n", "a", "--value", "1", "--tags", "t=1")
    terminal.answer("secret", "set", "-n", "a", "--value", "2")
    version = first["id"].rpartition("/")[2]
    words = ("secret", "set-attributes", "-n", "a", "--version", version)
    after = terminal.answer(*words, "--enabled", "false", "--content-type", "x")
    assert after["attributes"]["enabled"] is False
    assert (after["contentType"], after["tags"]) == ("x", {"t": "1"})
    assert terminal.answer(*words, "--tags", "").get("tags", {}) == {}
    terminal.refused(4, "secret", "show", "-n", "a", "--version", version)
    assert terminal.run("secret", "show", "-n", "a", "--value-only").stdout == "2"
