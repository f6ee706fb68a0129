"""What the log of an engine holds of the operations of an administrator."""

import json
from collections.abc import Callable
from typing import Any

from vaultcore import Engine

Records = Callable[[], list[dict[str, Any]]]


def recorded(engine: Engine) -> list[dict[str, Any]]:
    """Returns every record, read from the file itself."""
    text = (engine.data / "audit/audit.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def statuses(found: list[dict[str, Any]]) -> list[tuple[str, int]]:
    return [(r["operationName"], r["properties"]["httpStatusCode"]) for r in found]
