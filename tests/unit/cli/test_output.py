"""Output is lines for scripts and JSON when asked; nothing in it can pass for something else."""

import json

import pytest

from vaultcore.cli.output import (
    date_text,
    print_error,
    print_json,
    print_record,
    print_records,
    printable,
)

BUNDLE = {
    "id": "https://dev.vault.localhost/secrets/a",
    "value": "x\ty\x1b[2J",
    "attributes": {"enabled": True, "exp": 0, "created": 1_700_000_000},
    "tags": {"a": "1"},
    "key_ops": ["sign", "verify"],
    "nothing": None,
    "clock": 1_700_000_000,
}


def test_a_record_is_a_line_for_each_member(capsys: pytest.CaptureFixture[str]) -> None:
    print_record(BUNDLE)
    assert capsys.readouterr().out.splitlines() == [
        "id\thttps://dev.vault.localhost/secrets/a",
        "value\tx\\ty\\x1b[2J",
        "attributes.enabled\ttrue",
        "attributes.exp\t1970-01-01T00:00:00Z",
        "attributes.created\t2023-11-14T22:13:20Z",
        "tags.a\t1",
        "key_ops\tsign verify",
        "nothing\t",
        "clock\t2023-11-14T22:13:20Z",
    ]


def test_records_are_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    columns = {"id": "id", "on": "attributes.enabled", "tags": "tags", "missing": "a.b"}
    print_records([BUNDLE, {"id": "b"}], columns)
    assert capsys.readouterr().out.splitlines() == [
        "https://dev.vault.localhost/secrets/a\ttrue\ta=1\t",
        "b\t\t\t",
    ]


def test_json_is_the_answer_as_it_came(capsys: pytest.CaptureFixture[str]) -> None:
    print_json(BUNDLE)
    assert json.loads(capsys.readouterr().out) == BUNDLE


def test_an_error_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_error("bad\nvaultcore: all is well")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "vaultcore: bad\\nvaultcore: all is well\n"


def test_letters_of_every_script_stay() -> None:
    assert printable("naïve 鍵 \u202e") == "naïve 鍵 \\u202e"


def test_a_date_out_of_range_is_shown_as_a_number() -> None:
    assert date_text(1e20) == "1e+20"
