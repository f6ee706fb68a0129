"""A data folder with some history, and what its log holds."""

import json
from pathlib import Path
from typing import Any

import vaultcore
from vaultcore import Engine


def created(folder: Path, clock: Any) -> Path:
    """Makes a folder with some history, and closes it."""
    with vaultcore.create(folder, clock=clock, housekeeping=False) as engine:
        engine.management.vault_create(name="dev")
        for number in range(5):
            secrets(engine).set(f"s{number}", "value")
    return folder


def opened(data: Path, clock: Any) -> Engine:
    return vaultcore.open(data, clock=clock, housekeeping=False)


def secrets(engine: Engine) -> Any:
    return engine.vault("dev").acting_as(engine.administrator()).secrets


def report(engine: Engine) -> dict[str, Any]:
    found: dict[str, Any] = engine.management.audit_verify()
    return found


def log(data: Path) -> Path:
    return data / "audit" / "audit.jsonl"


def records(data: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log(data).read_bytes().splitlines()]
