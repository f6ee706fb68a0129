"""Whatever a command is given to read, it answers with one line and an exit status."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import vaultcore
from vaultcore import inputs
from vaultcore.cli import app

runner = CliRunner()
AT = ("--vault", "dev", "--name", "a")

#: Each command that reads a file, but for the file itself.
READERS = {
    "secret set": ("secret", "set", *AT, "--file"),
    "secret restore": ("secret", "restore", "--vault", "dev", "--file"),
    "key restore": ("key", "restore", "--vault", "dev", "--file"),
    "key import": ("key", "import", *AT, "--pem-file"),
    "passphrase": ("vault", "list", "--passphrase-file"),
    "init": ("init", "--config"),
    "serve": ("serve", "--config"),
    "seal": ("seal", *AT),
    "open": ("open", *AT, "--output", "opened"),
    "rewrap": ("rewrap", *AT),
}


def binary(path: Path) -> None:
    path.write_bytes(bytes(range(256)))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def missing(path: Path) -> None:
    assert not path.exists()


def folder(path: Path) -> None:
    path.mkdir()


def unreadable(path: Path) -> None:
    path.symlink_to(path)  # also for root, who may read any file


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def silent(path: Path) -> None:
    os.mkfifo(path)


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 34)


INPUTS = (binary, empty, missing, folder, unreadable, endless, silent, huge)
#: What these take: files of any size, and pipes, for as long as they last.
STREAMS = {"seal": {binary, empty, endless, silent, huge}, "open": {silent}}
#: An empty value is a value, and an empty passphrase is none.
EMPTY = {"secret set": {empty}, "passphrase": {empty}}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("inputs") / "data"
    with vaultcore.create(data) as engine:
        engine.management.vault_create(name="dev")
        vault = engine.vault("dev").acting_as(engine.administrator())
        vault.keys.create("a", "oct", size=256)
    return data


@pytest.fixture(autouse=True)
def vault(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("VAULTCORE_", "AZURE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("VAULTCORE_DATA", str(data))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(inputs, "PIPE_SECONDS", 0.2)


def refused(*words: str, stdin: bytes | None = None) -> str:
    result = runner.invoke(app, words, input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code in {1, 2, 7}, result.output
    assert result.stdout == ""
    return result.stderr


@pytest.mark.parametrize(
    ("reader", "put"),
    [
        pytest.param(reader, put, id=f"{reader} {put.__name__}")
        for reader in READERS
        for put in INPUTS
        if put not in STREAMS.get(reader, ()) and put not in EMPTY.get(reader, ())
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(reader: str, put: Callable[[Path], None]) -> None:
    put(Path("input"))
    told = refused(*READERS[reader], "input")
    assert told.splitlines()[-1] != ""
    if not told.startswith("Usage: "):  # the parser's own form
        assert told.startswith("vaultcore: "), told
        assert told.count("\n") == 1, told


@pytest.mark.parametrize("reader", ["secret restore", "key restore", "key import", "secret set"])
def test_binary_and_endless_input_from_stdin(reader: str) -> None:
    assert refused(*READERS[reader], "-", stdin=bytes(range(256))).count("\n") == 1
    assert "longer than" in refused(*READERS[reader], "-", stdin=b"a" * (33 << 20))


def test_a_closed_stdin_is_one_line() -> None:
    program = [sys.executable, "-c", "from vaultcore.cli import main; main()"]
    ended = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *program, *READERS["secret set"], "-"],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (ended.returncode, ended.stderr.count(b"\n")) == (1, 1), ended.stderr


def test_a_pipe_is_read_to_its_end() -> None:
    os.mkfifo("pipe")
    with subprocess.Popen(["sh", "-c", "printf from-a-pipe >pipe"]):
        result = runner.invoke(app, [*READERS["secret set"], "pipe"])
    assert result.exit_code == 0, result.output
    shown = runner.invoke(app, ["secret", "show", *AT, "--value-only"])
    assert shown.stdout == "from-a-pipe"


def test_a_backup_comes_back() -> None:
    def run(*words: str) -> Any:
        result = runner.invoke(app, [*words, "--json"])
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    run("secret", "set", *AT, "--value", "x")
    run("secret", "backup", *AT, "--file", "backup")
    run("secret", "delete", *AT)
    run("secret", "purge", *AT)
    run("secret", "restore", "--vault", "dev", "--file", "backup")
    assert run("secret", "show", *AT)["value"] == "x"


@pytest.mark.parametrize(
    "words",
    [
        ["secret", "set", *AT, "--value", "\udcff"],
        ["secret", "show", "--vault", "\udcff", "--name", "a"],
        ["secret", "set", *AT, "--value", "x", "--tags", "a=\udcff"],
        ["access", "set", "--vault", "dev", "--principal", "\udcff", "--secret-permissions", "get"],
        ["firewall", "add", "--vault", "dev", "\udcff"],
    ],
)
def test_words_that_are_no_text(words: list[str]) -> None:
    assert "UTF-8" in refused(*words)


def test_a_file_whose_name_is_no_text() -> None:
    name = os.fsdecode(b"caf\xe9")
    assert refused("secret", "restore", "--vault", "dev", "--file", name).count("\n") == 1
    runner.invoke(app, ["secret", "set", *AT, "--value", "x"])
    made = runner.invoke(app, ["secret", "backup", *AT, "--file", name, "--json"])
    assert made.exit_code == 0, made.exception
    assert json.loads(made.stdout)["file"] == name
