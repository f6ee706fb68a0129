"""Sections of a document that a program writes, between markers that readers do not see."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write_section(document: Path, name: str, markdown: str) -> None:
    """Replaces the section of this name, or appends it to the end of the document."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n"
    section = f"{begin}{markdown}{end}"
    text = document.read_text() if document.exists() else "# Benchmarks\n"
    head, found, rest = text.partition(begin)
    _, _, tail = rest.partition(end)
    document.parent.mkdir(exist_ok=True)
    document.write_text(head + section + tail if found else f"{text.rstrip()}\n\n{section}")
