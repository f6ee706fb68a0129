"""What commands print: tables for people, tab-separated lines for scripts, JSON when asked."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console
from rich.table import Table

_DATES: Final = frozenset(
    {
        "clock",
        "created",
        "deletedDate",
        "exp",
        "expires",
        "nbf",
        "not_before",
        "scheduledPurgeDate",
        "updated",
    }
)


def print_json(answer: Any) -> None:
    """Prints an answer as JSON."""
    text = json.dumps(answer, indent=2, ensure_ascii=False)
    # A file name may not be valid text; JSON's own escapes show it without an error.
    sys.stdout.write("".join(_escaped(c) if "\ud800" <= c <= "\udfff" else c for c in text) + "\n")


def print_record(answer: Mapping[str, Any]) -> None:
    """Prints one answer, one member per line."""
    rows = [(name, value) for name, value in _flatten(answer)]
    if not sys.stdout.isatty():
        for name, value in rows:
            sys.stdout.write(f"{name}\t{value}\n")
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value)
    _console().print(table)


def print_records(answers: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> None:
    """Prints many answers, one per line.

    Args:
        answers: the answers.
        columns: the heading of each column, and the member that it shows; a dot descends one level.
    """
    rows = [[_cell(answer, member) for member in columns.values()] for answer in answers]
    if not sys.stdout.isatty():
        for row in rows:
            sys.stdout.write("\t".join(row) + "\n")
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in columns:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*row)
    _console().print(table)


def print_line(text: str) -> None:
    """Prints a line of text."""
    sys.stdout.write(text + "\n")


def print_error(text: str) -> None:
    """Prints a line of text to the error stream."""
    sys.stderr.write(f"vaultcore: {printable(text)}\n")


def printable(text: str) -> str:
    """Returns text in which nothing can move the cursor or imitate another line."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def date_text(seconds: float) -> str:
    """Returns a date in readable form, in UTC."""
    try:
        date = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return str(seconds)
    return date.strftime("%Y-%m-%dT%H:%M:%SZ")


def _escaped(surrogate: str) -> str:
    return f"\\u{ord(surrogate):04x}"


def _console() -> Console:
    return Console(highlight=False, markup=False, emoji=False)


def _flatten(answer: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in answer.items():
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _text(name, value)


def _cell(answer: Mapping[str, Any], member: str) -> str:
    value: Any = answer
    for name in member.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return _text(member.rpartition(".")[2], value)


def _text(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float) and name in _DATES:
        return date_text(value)
    if isinstance(value, Mapping):
        return " ".join(f"{key}={item}" for key, item in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " ".join(_text("", item) for item in value)
    return printable(str(value))
