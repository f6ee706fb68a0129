"""``vaultcore seal``, ``open`` and ``rewrap``, as somebody with a vault and a file uses them."""

import fcntl
import json
import os
import pty
import signal
import stat
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import vaultcore
from vaultcore.cli import app

KEY = ("--vault", "dev", "--name", "files")
CONTENT = os.urandom(200_000)

runner = CliRunner()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in list(os.environ):
        if name.startswith(("VAULTCORE_", "AZURE_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    with vaultcore.create("vaultcore-data") as engine:
        engine.management.vault_create(name="dev")
    run("key", "create", *KEY, "--kty", "oct", "--size", "256")
    Path("report.pdf").write_bytes(CONTENT)
    return tmp_path


def run(*words: str, status: int = 0) -> Any:
    result = runner.invoke(app, [*words, "--json"])
    assert result.exit_code == status, (words, result.output, result.exception)
    return result.stderr if status else json.loads(result.stdout)


def program(*words: str) -> list[str]:
    return [sys.executable, "-c", "from vaultcore.cli import main; main()", *words]


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"vaultcore-data"}


def test_what_is_sealed_opens(folder: Path) -> None:
    context = ("--context", "year=2026", "kind=report")
    sealed = run("seal", "report.pdf", *KEY, *context)
    assert sealed["file"] == "report.pdf.sealed"
    assert sealed["generation"] == 1
    assert sealed["size"] == Path("report.pdf.sealed").stat().st_size > len(CONTENT)
    assert CONTENT[:64] not in Path("report.pdf.sealed").read_bytes()
    Path("report.pdf").unlink()
    # In another order: a context is a mapping.
    opened = run("open", "report.pdf.sealed", *KEY, "--context", "kind=report", "year=2026")
    assert opened == {"file": "report.pdf", "size": len(CONTENT)}
    assert Path("report.pdf").read_bytes() == CONTENT
    for name in ("report.pdf", "report.pdf.sealed"):
        assert stat.S_IMODE(Path(name).stat().st_mode) == 0o600
    assert files(folder) == {"report.pdf", "report.pdf.sealed"}


def test_nothing_else_opens_and_nothing_is_left_behind(folder: Path) -> None:
    run("seal", "report.pdf", *KEY, "--context", "year=2026")
    run("key", "create", "--vault", "dev", "--name", "other", "--kty", "oct", "--size", "256")
    sealed = Path("report.pdf.sealed").read_bytes()
    there = files(folder)
    right = (*KEY, "--context", "year=2026")
    other = ("--vault", "dev", "--name", "other", "--context", "year=2026")
    wrong = {
        "context": (sealed, (*KEY, "--context", "year=2027")),
        "no context": (sealed, KEY),
        "key": (sealed, other),
        "changed": (sealed[:-1] + bytes([sealed[-1] ^ 1]), right),
        # At the border of two segments, where every byte that is left is authentic.
        "cut short": (sealed[: 130 + 65_552], right),
        "no sealed file": (CONTENT, right),
        "empty": (b"", right),
    }
    messages = set()
    for what, (content, words) in wrong.items():
        Path("report.pdf.sealed").write_bytes(content)
        messages.add(run("open", "report.pdf.sealed", "--output", "back", *words, status=7))
        assert files(folder) == there, what
    assert len(messages) == 1
    assert "another --context" in messages.pop()


def test_no_file_is_replaced_unasked(folder: Path) -> None:
    run("seal", "report.pdf", *KEY)
    before = Path("report.pdf.sealed").read_bytes()
    assert "exists" in run("seal", "report.pdf", *KEY, status=2)
    assert "exists" in run("open", "report.pdf.sealed", *KEY, status=2)
    assert Path("report.pdf.sealed").read_bytes() == before
    run("seal", "report.pdf", *KEY, "--overwrite")
    assert Path("report.pdf.sealed").read_bytes() != before
    run("open", "report.pdf.sealed", *KEY, "--overwrite")
    assert Path("report.pdf").read_bytes() == CONTENT
    assert files(folder) == {"report.pdf", "report.pdf.sealed"}


def test_files_outlive_rotations_of_their_key() -> None:
    run("seal", "report.pdf", *KEY)
    first = run("key", "show", *KEY)["key"]["kid"]
    run("key", "create", *KEY, "--kty", "oct", "--size", "256")
    run("open", "report.pdf.sealed", *KEY, "--output", "one")
    assert run("rewrap", "report.pdf.sealed", *KEY)["generation"] == 2
    run("key", "set-attributes", "--id", first, "--enabled", "false")
    run("open", "report.pdf.sealed", *KEY, "--output", "two")
    assert Path("one").read_bytes() == Path("two").read_bytes() == CONTENT


def test_the_gate_says_who_gets_the_key(folder: Path) -> None:
    run("app", "create", "reporter")
    refused = run("seal", "report.pdf", *KEY, "--as", "reporter", status=4)
    assert "Forbidden" in refused
    assert files(folder) == {"report.pdf"}
    access = ("access", "set", "--vault", "dev", "--principal", "reporter")
    run(*access, "--key-permissions", "wrapKey", "unwrapKey")
    run("seal", "report.pdf", *KEY, "--as", "reporter")
    found = run("audit", "query", "--operation", "KeyEncryptionKeyGet")
    assert [record["properties"]["httpStatusCode"] for record in found] == [403, 200]


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (("seal", "report.pdf"), 2, "--name NAME"),
        (("seal", "report.pdf", "--name", "files"), 2, "--vault-name"),
        (("seal", "report.pdf", "--vault", "dev", "--name", "nothing"), 3, "not found"),
        (("seal", "nothing", *KEY), 2, "does not exist"),
        (("seal", ".", *KEY), 2, "is a directory"),
        (("seal", "report.pdf", *KEY, "--context", "year"), 2, "a field is written key=value"),
        (("seal", "report.pdf", *KEY, "--output", "no/such/folder"), 1, "No such file"),
        (("open", "report.pdf", *KEY), 2, "--output"),
        (("rewrap", "report.pdf", *KEY), 7, "does not open"),
        (
            ("seal", "report.pdf", "--id", f"https://dev.vault.localhost/keys/files/{'0' * 32}"),
            2,
            "leave out the version",
        ),
    ],
)
def test_bad_input_is_explained(
    folder: Path, words: tuple[str, ...], status: int, told: str
) -> None:
    result = runner.invoke(app, list(words))
    assert (result.exit_code, result.stdout) == (status, "")
    assert told in result.stderr
    assert "Traceback" not in result.stderr
    assert files(folder) == {"report.pdf"}


def test_a_service_does_not_give_its_keys_away(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AUTHORITY_HOST", "TENANT_ID", "CLIENT_ID", "CLIENT_SECRET"):
        monkeypatch.setenv(f"AZURE_{name}", "unused")
    refused = run("seal", "report.pdf", *KEY, "--url", "https://dev.vault.example", status=2)
    assert "does not leave the service" in refused


def test_a_terminal_shows_how_far_it_is(folder: Path) -> None:
    ours, theirs = pty.openpty()
    quiet = subprocess.run(
        program("seal", "report.pdf", *KEY), capture_output=True, check=True, cwd=folder
    )
    assert quiet.stderr == b""
    # Wide enough for all of the bar.
    subprocess.run(["stty", "cols", "120"], stdin=theirs, check=True)
    subprocess.run(
        program("open", "report.pdf.sealed", "--output", "back", *KEY),
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        check=True,
        cwd=folder,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert "report.pdf.sealed" in shown
    assert "KiB" in shown


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_who_is_interrupted_leaves_no_half_file(
    folder: Path, number: signal.Signals, status: int
) -> None:
    os.mkfifo("pipe")
    # Opened for both, so that neither side waits for the other; it stays open, so without an end.
    feed = os.open("pipe", os.O_RDWR)
    os.write(feed, bytes(1 << 15))
    # A job of a shell in the background ignores SIGINT, and hands that down.
    words = ["env", "--default-signal=INT", *program("seal", "pipe", "--output", "sealed", *KEY)]
    process = subprocess.Popen(words, cwd=folder, stderr=subprocess.PIPE)
    try:
        wait_until(lambda: any(name.startswith(".sealed.") for name in files(folder)))
        # It waits for more: a signal just before a read would be noticed after it only.
        wait_until(lambda: unread(feed) == 0 and asleep(process.pid))
        process.send_signal(number)
        _, told = process.communicate(timeout=30)
    finally:
        os.close(feed)
        process.kill()
        process.wait()
    assert process.returncode == status, told
    assert b"Traceback" not in told
    assert files(folder) == {"report.pdf", "pipe"}


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def unread(pipe: int) -> int:
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


def asleep(process: int) -> bool:
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "S"
