"""How commands name an object, and the verbs that secrets and keys share."""

from pathlib import Path
from typing import Any, cast

import pytest

from unit.cli.terminal import Terminal
from vaultcore._core import MAX_RESULTS
from vaultcore.cli.objects import (
    Target,
    attributes,
    every,
    present,
    target,
    vault_of,
    write_new,
)
from vaultcore.cli.outcome import CommandError
from vaultcore.cli.session import Session
from vaultcore.service.body import LARGE_BODY

VERSION = "0" * 32
OTHER = "1" * 32
HERE = "https://dev.vault.localhost/secrets/a"


class Asked:
    """A session that answers with pages, and remembers what it was asked."""

    def __init__(self, *pages: int) -> None:
        self.pages = list(pages)
        self.asked: list[dict[str, str]] = []

    def request(self, _: str, __: str, path: str, *, query: dict[str, str]) -> dict[str, Any]:
        self.asked.append(query)
        place = len(self.asked)
        value = [{"n": number} for number in range(self.pages[place - 1])]
        last = place == len(self.pages)
        link = None if last else f"https://dev{path}?api-version=7.4&$skiptoken=t{place}"
        return {"value": value, "nextLink": link}


@pytest.mark.parametrize(
    ("pages", "maximum", "found", "tokens"),
    [
        ((0,), None, 0, [None]),
        ((25, 25, 3), None, 53, [None, "t1", "t2"]),
        ((25, 25, 3), 30, 30, [None, "t1"]),
        ((25, 25, 3), 25, 25, [None]),
        ((3,), 5, 3, [None]),
    ],
)
def test_a_list_is_read_page_by_page(
    pages: tuple[int, ...], maximum: int | None, found: int, tokens: list[str | None]
) -> None:
    asked = Asked(*pages)
    assert len(every(cast("Session", asked), "dev", "/secrets", maximum)) == found
    assert [query.get("$skiptoken") for query in asked.asked] == tokens
    small = maximum is not None and maximum < MAX_RESULTS
    assert [query.get("maxresults") for query in asked.asked] == [
        str(maximum) if small else None for _ in tokens
    ]


def test_paths_are_quoted() -> None:
    one = Target("dev", "a/b?c", "")
    assert one.path("secrets") == "/secrets/a%2Fb%3Fc"
    assert one.path("secrets", deleted=True) == "/deletedsecrets/a%2Fb%3Fc"
    assert one._replace(version="v/w").version_path("keys") == "/keys/a%2Fb%3Fc/v%2Fw"
    assert one.version_path("keys") == "/keys/a%2Fb%3Fc/"
    # A client of HTTP would take them out of the path.
    assert Target("dev", "..", ".").version_path("keys") == "/keys/%2E%2E/%2E"


def test_attributes_that_were_not_given_are_not_sent() -> None:
    assert attributes(enabled=None, expires=None, not_before=None) is None
    assert attributes(enabled=False, expires="2030-01-01", not_before=None) == {
        "enabled": False,
        "exp": 1_893_456_000,
    }
    assert present(a=None, b=False, c=[], d="") == {"b": False, "c": [], "d": ""}


def test_a_vault_has_to_be_named() -> None:
    assert vault_of("dev") == "dev"
    for none in (None, ""):
        with pytest.raises(CommandError, match="say which vault"):
            vault_of(none)


@pytest.mark.parametrize(
    ("name", "identifier", "version", "expected"),
    [
        ("a", None, None, ("dev", "a", "")),
        ("a", None, VERSION, ("dev", "a", VERSION)),
        (None, HERE, None, ("dev", "a", "")),
        (None, f"{HERE}/{VERSION}", None, ("dev", "a", VERSION)),
        (
            None,
            f"{HERE}/{VERSION}",
            "1" * 32,
            ("dev", "a", "1" * 32),
        ),
    ],
)
def test_an_object_is_named_in_one_of_two_ways(
    terminal: Terminal,
    name: str | None,
    identifier: str | None,
    version: str | None,
    expected: tuple[str, str, str],
) -> None:
    session = Session(data=None, url=None, acting_as=None, passphrase_file=None, json=True)
    assert target(session, "dev", name, identifier, version) == expected


@pytest.mark.parametrize(
    ("name", "identifier", "said"),
    [
        (None, None, "say which"),
        ("", None, "say which"),
        ("a", HERE, "choose one"),
        (None, "https://dev.vault.example/secrets/a", "dev.vault.example"),
        (None, "nonsense", "an identifier is written"),
    ],
)
def test_what_names_no_object_here(
    terminal: Terminal, name: str | None, identifier: str | None, said: str
) -> None:
    session = Session(data=None, url=None, acting_as=None, passphrase_file=None, json=True)
    with pytest.raises(CommandError, match=said):
        target(session, "dev", name, identifier)


def test_an_object_is_deleted_recovered_and_purged(terminal: Terminal) -> None:
    terminal.answer("secret", "set", "-n", "a", "--value", "v")
    terminal.answer("secret", "delete", "-n", "a")
    assert terminal.answer("secret", "list") == []
    ((identifier, *_, deleted, purge),) = terminal.lines("secret", "list-deleted")
    assert identifier.endswith("/secrets/a")
    assert (deleted, purge) == ("2023-11-14T22:13:20Z", "2024-02-12T22:13:20Z")
    shown = terminal.answer("secret", "show-deleted", "-n", "a")
    assert shown["scheduledPurgeDate"] - shown["deletedDate"] == 90 * 86_400
    terminal.answer("secret", "recover", "-n", "a")
    assert terminal.run("secret", "show", "-n", "a", "--value-only").stdout == "v"
    terminal.answer("secret", "delete", "-n", "a")
    assert terminal.answer("secret", "purge", "-n", "a") == {"purged": "a"}
    assert "NotFound" in terminal.refused(3, "secret", "recover", "-n", "a")


def test_a_backup_is_written_once_and_restored(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "backup"
    terminal.answer("secret", "set", "-n", "a", "--value", "v")
    assert terminal.answer("secret", "backup", "-n", "a", "--file", file) == {"file": str(file)}
    assert file.stat().st_mode & 0o777 == 0o600
    assert "exists" in terminal.refused(2, "secret", "backup", "-n", "a", "--file", file)
    terminal.answer("secret", "delete", "-n", "a")
    terminal.answer("secret", "purge", "-n", "a")
    terminal.answer("secret", "restore", "--file", file)
    assert terminal.run("secret", "show", "-n", "a", "--value-only").stdout == "v"
    file.write_text(file.read_text() + "\n")  # as an editor leaves it
    assert "Conflict" in terminal.refused(5, "secret", "restore", "--file", file)


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", "ä".encode()])
def test_what_is_no_backup(terminal: Terminal, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    words = ("secret", "restore", "--file", tmp_path / "file")
    assert "is not a backup" in terminal.refused(2, *words)


def test_a_file_that_is_too_large_is_not_read(terminal: Terminal, tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.truncate(LARGE_BODY + 1)
    terminal.refused(1, "secret", "restore", "--file", tmp_path / "file")


def test_a_file_that_is_replaced_is_a_new_one(tmp_path: Path) -> None:
    path, other = tmp_path / "file", tmp_path / "other"
    path.write_text("mine")
    other.hardlink_to(path)
    write_new(path, b"new", overwrite=True)
    # Whoever has the old one open or linked does not see the new value.
    assert other.read_text() == "mine"
    assert path.read_text() == "new"
