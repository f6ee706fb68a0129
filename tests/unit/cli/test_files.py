"""`vaultcore seal`, `open` and `rewrap`."""

import signal
from pathlib import Path

import pytest

from unit.cli.terminal import Terminal
from vaultcore.cli.files import _guarded

KEY = ("--name", "files")


@pytest.fixture
def report(terminal: Terminal, tmp_path: Path) -> Path:
    terminal.answer("key", "create", *KEY, "--kty", "oct", "--size", "256")
    path = tmp_path / "report.pdf"
    path.write_bytes(b"content")
    return path


def test_a_file_is_sealed_beside_itself_and_opened_again(terminal: Terminal, report: Path) -> None:
    sealed = report.with_name("report.pdf.sealed")
    answer = terminal.answer("seal", report, *KEY)
    assert answer == {"file": str(sealed), "size": sealed.stat().st_size, "generation": 1}
    assert b"content" not in sealed.read_bytes()
    assert report.read_bytes() == b"content"
    report.unlink()
    assert terminal.answer("open", sealed, *KEY) == {"file": str(report), "size": 7}
    assert report.read_bytes() == b"content"


def test_another_file_is_written_where_it_is_said(
    terminal: Terminal, report: Path, tmp_path: Path
) -> None:
    terminal.answer("seal", report, *KEY, "--output", tmp_path / "out")
    said = terminal.refused(2, "open", tmp_path / "out", *KEY)
    assert "--output" in said
    terminal.answer("open", tmp_path / "out", *KEY, "--output", tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == b"content"


def test_no_file_is_replaced_unasked(terminal: Terminal, report: Path) -> None:
    sealed = report.with_name("report.pdf.sealed")
    sealed.write_bytes(b"mine")
    assert "--overwrite" in terminal.refused(2, "seal", report, *KEY)
    assert sealed.read_bytes() == b"mine"
    terminal.answer("seal", report, *KEY, "--overwrite")
    assert "--overwrite" in terminal.refused(2, "open", sealed, *KEY)


def test_what_a_file_is_about_has_to_be_said_again(terminal: Terminal, report: Path) -> None:
    sealed = report.with_name("report.pdf.sealed")
    terminal.answer("seal", report, *KEY, "--context", "year=2030", "kind=report")
    report.unlink()
    for wrong in ([], ["--context", "year=2031", "kind=report"], ["--context", "year=2030"]):
        assert "does not open" in terminal.refused(7, "open", sealed, *KEY, *wrong)
        assert not report.exists()
    terminal.answer("open", sealed, *KEY, "--context", "kind=report", "year=2030")
    assert "a field is written key=value" in terminal.refused(
        2, "seal", report, *KEY, "--context", "x", "--output", report.with_name("x")
    )


def test_a_file_is_rewrapped_under_the_newest_version(terminal: Terminal, report: Path) -> None:
    sealed = report.with_name("report.pdf.sealed")
    terminal.answer("seal", report, *KEY)
    terminal.answer("key", "rotate", *KEY)
    assert terminal.answer("rewrap", sealed, *KEY) == {"file": str(sealed), "generation": 2}
    first = terminal.answer("key", "list-versions", *KEY)[-1]["kid"].rpartition("/")[2]
    terminal.answer("key", "set-attributes", *KEY, "--version", first, "--enabled", "false")
    report.unlink()
    terminal.answer("open", sealed, *KEY)
    assert report.read_bytes() == b"content"


def test_a_version_is_not_chosen(terminal: Terminal, report: Path) -> None:
    version = terminal.answer("key", "show", *KEY)["key"]["kid"]
    assert "leave out the version" in terminal.refused(2, "seal", report, "--id", version)
    assert terminal.run("seal", report, "--id", version.rpartition("/")[0]).exit_code == 0


def test_what_is_no_sealed_file(terminal: Terminal, report: Path) -> None:
    broken = report.with_name("x.sealed")
    broken.write_bytes(b"nonsense")
    for verb in ("open", "rewrap"):
        assert "does not open" in terminal.refused(7, verb, broken, *KEY)
    assert broken.read_bytes() == b"nonsense"
    assert terminal.run("open", report.with_name("none.sealed"), *KEY).exit_code == 2


def test_a_key_that_cannot_be_had(terminal: Terminal, report: Path) -> None:
    terminal.refused(3, "seal", report, "--name", "none")
    terminal.answer("key", "create", "--name", "ec", "--kty", "EC")  # it wraps nothing
    terminal.refused(4, "seal", report, "--name", "ec")
    assert not report.with_name("report.pdf.sealed").exists()


def test_a_signal_to_end_cleans_up_as_an_interrupt_does(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as caught, _guarded(tmp_path, tmp_path):
        signal.raise_signal(signal.SIGTERM)
    assert caught.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before
