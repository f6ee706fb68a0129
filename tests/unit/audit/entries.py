"""Records to write, and what a log holds."""

import json
from pathlib import Path
from typing import Any

from vaultcore._core import AuditLog
from vaultcore.audit.log import Audit

FIELDS: dict[str, Any] = {
    "vault": "dev",
    "operation": "SecretGet",
    "api_version": "7.4",
    "status": 200,
    "result_description": "",
    "duration_ms": 0.25,
    "address": "127.0.0.1",
    "correlation_id": "c-1",
    "principal": None,
    "request_uri": "https://dev.vault.localhost/secrets/a?api-version=7.4",
    "client_info": "tests",
    "object_id": "https://dev.vault.localhost/secrets/a",
}


def append(log: AuditLog, **changes: Any) -> int:
    return log.append(**{"time": 1_700_000_000.5, **FIELDS, **changes})


def record(audit: Audit, **changes: Any) -> int:
    return audit.record(**{**FIELDS, **changes})


def lines(directory: Path) -> list[bytes]:
    return (directory / "audit.jsonl").read_bytes().splitlines(keepends=True)


def records(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines(directory)]
