"""The promises name tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def test_every_promise_names_tests_that_exist() -> None:
    rows = [
        row
        for row in (ROOT / "docs/promises.md").read_text(encoding="utf-8").splitlines()
        if row.startswith("| ") and not row.startswith("| promise")
    ]
    assert len(rows) >= 10
    for row in rows:
        named = NAMED.findall(row)
        assert named, row
        for path, test in named:
            assert f"def {test}(" in (ROOT / path).read_text(encoding="utf-8"), f"{path}::{test}"
