"""The page on the architecture names what exists, and every module."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (.+?) \| `([^`]+)` \| `([^`]+)` \|$", re.MULTILINE)
TABLE = ROW.findall(PAGE.partition("## Where to change what")[2].partition("\n## ")[0])
PLACE = re.compile(r"`((?:python/vaultcore|rust)/[\w/.]+|[a-z]\w+/(?:[\w/]+/)?\w+\.py)`")
#: Named by what they are for: a command for each file, what one database does, a migration each.
BY_IDEA = {"cli", "storage/sqlite", "storage/migrations/versions"}


def test_the_table_is_read() -> None:
    assert len(TABLE) >= 30
    assert len({change for change, _, _ in TABLE}) == len(TABLE)


@pytest.mark.parametrize(("change", "file", "name"), TABLE)
def test_what_is_to_be_changed_is_where_the_table_says(change: str, file: str, name: str) -> None:
    content = (ROOT / file).read_text(encoding="utf-8")
    word = re.escape(name)
    defined = rf"^(?:    )?(?:pub )?(?:const |def |class )?{word}\b(?:\s*[:=(\[<]|<)"
    assert re.search(defined, content, re.MULTILINE), f"{change}: {file} does not define {name}"


def test_every_file_that_the_page_names_exists() -> None:
    named = PLACE.findall(PAGE)
    assert len(named) >= 20
    for place in named:
        found = place if place.startswith(("python/", "rust/")) else f"python/vaultcore/{place}"
        assert (ROOT / found).exists(), place


def test_every_package_is_in_the_tree_of_the_page() -> None:
    tree = PAGE.partition("```\ncli ")[2].partition("```")[0]
    packages = [path.parent.name for path in (ROOT / "python/vaultcore").glob("*/__init__.py")]
    assert not [name for name in packages if name != "cli" and not re.search(rf"\b{name}\b", tree)]


def test_every_module_is_on_the_page() -> None:
    package = ROOT / "python/vaultcore"
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    missing = []
    for module in package.glob("*/**/*.py"):
        folder = str(module.parent.relative_to(package))
        if module.stem == "__init__" or folder in BY_IDEA:
            continue
        about = " ".join(row for row in rows if f"`{folder}/" in row)
        if not re.search(rf"\b{module.stem}\b", about):
            missing.append(f"{folder}/{module.name}")
    assert not missing
