"""`vaultcore audit`."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from unit.cli.terminal import Terminal
from vaultcore.cli import audit


def test_a_query_shows_who_did_what_to_what(terminal: Terminal) -> None:
    terminal.answer("secret", "set", "--name", "a", "--value", "v")
    ((number, time, *rest),) = terminal.lines("audit", "query", "--operation", "SecretSet")
    assert number.isdigit()
    assert time.startswith("2023-11-14T22:13:20")
    assert rest == [
        "SecretSet",
        "200",
        "local administrator",
        "",
        "https://dev.vault.localhost/secrets/a",
        "",
    ]


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (["--limit", "2"], 2),
        (["--vault", "none"], 0),
        (["--status", "404"], 1),
        (["--principal", "nobody"], 0),
        (["--since", "2030-01-01"], 0),
        (["--until", "2020-01-01T00:00:00Z"], 0),
        (["--since", "1700000000", "--until", "2023-11-15", "--operation", "secretset"], 3),
    ],
)
def test_a_query_is_narrowed(terminal: Terminal, words: list[str], count: int) -> None:
    for name in ("a", "b", "c"):
        terminal.answer("secret", "set", "--name", name, "--value", "v")
    terminal.run("secret", "show", "--name", "none")
    assert len(terminal.answer("audit", "query", *words)) == count


def test_a_date_that_is_none_is_refused(terminal: Terminal) -> None:
    assert "not a date" in terminal.refused(2, "audit", "query", "--since", "yesterday")


def test_a_log_that_was_changed_is_a_status(terminal: Terminal) -> None:
    terminal.answer("secret", "set", "--name", "a", "--value", "v")
    found = terminal.answer("audit", "verify")
    assert found["ok"] is True
    assert found["expect"] == f"{found['last']}:{found['head']}"
    assert terminal.run("audit", "verify", "--expect", found["expect"]).exit_code == 0
    assert terminal.run("audit", "verify", "--expect", f"1:{'f' * 64}").exit_code == 7
    terminal.refused(1, "audit", "verify", "--expect", "nonsense")
    log = terminal.engine.data / "audit" / "audit.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"SecretSet"', b'"SecretGet"', 1))
    assert terminal.run("audit", "verify").exit_code == 7


def test_a_rotation_names_both_keys(terminal: Terminal) -> None:
    names = terminal.answer("audit", "rotate-keys")
    assert terminal.answer("audit", "verify")["key_id"] == names["keyId"] != names["previousKeyId"]


@pytest.mark.parametrize("script", [True, False])
def test_a_tail_goes_on_until_it_is_interrupted(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, script: bool
) -> None:
    secrets = terminal.engine.vault("dev").acting_as(terminal.engine.administrator()).secrets
    names = iter(["b", "c"])
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        name = next(names, None)
        if name is None:
            raise KeyboardInterrupt
        secrets.set(name, "v")

    monkeypatch.setattr("vaultcore.cli.audit.time.sleep", sleep)
    secrets.set("a", "v")
    words = ["audit", "tail", "--operation", "SecretSet", "--interval", "0.5"]
    result = terminal.run(*words, *(["--json"] if script else []))
    assert result.exit_code != 0
    lines = result.stdout.splitlines()
    assert len(lines) == 3
    for line, name in zip(lines, ("a", "b", "c"), strict=True):
        if script:
            assert json.loads(line)["properties"]["id"].endswith(f"/secrets/{name}")
        else:
            assert line.split("  ")[1:4] == ["200", "SecretSet", "local administrator"]
            assert line.endswith(f"/secrets/{name}")
    assert pauses == [0.5, 0.5, 0.5]


def test_a_reconciliation_is_told(terminal: Terminal, tmp_path: Path) -> None:
    data = terminal.engine.data
    shutil.copytree(data / "audit", tmp_path / "older")
    terminal.answer("secret", "set", "--name", "a", "--value", "v")
    terminal.engine.close()
    shutil.rmtree(data / "audit")
    (tmp_path / "older").rename(data / "audit")
    result = terminal.run("audit", "reconcile", "--data", data, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["storeKnewOf"] > found["logEndedAt"]
    assert "nothing to reconcile" in terminal.refused(1, "audit", "reconcile", "--data", data)


@pytest.mark.parametrize(
    "record", [{}, {"properties": None}, {"identity": "x"}, {"identity": {"claim": []}}]
)
def test_a_record_of_another_shape_is_shown_all_the_same(record: dict[str, Any]) -> None:
    assert audit._shown(record) == {**record, "caller": "", "request": ""}
    assert audit._line(record).strip() == ""


def test_a_record_cannot_move_the_cursor() -> None:
    assert "\x1b" not in audit._line({"operationName": "\x1b[2J"})
