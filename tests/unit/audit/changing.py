"""A folder with a secret, and a process that changes it and is killed."""

import json
from pathlib import Path
from typing import Any

import vaultcore
from vaultcore import Engine

#: Run with the folder, the point of its death and what it does.
CHILD = """
import os, signal, sys
import vaultcore
from vaultcore.audit.entries import Entries
from vaultcore.audit.outbox import Outbox
from vaultcore.storage.sqlite.writer import Writer

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

engine = vaultcore.open(sys.argv[1], housekeeping=False)
vault = engine.vault("dev").acting_as(engine.administrator())
point, act = sys.argv[2], sys.argv[3]
if point == "before the commit":
    Entries.put = die
elif point == "after the commit":
    Outbox.end = Outbox.finish = die
elif point == "after the record":
    Outbox._taken = die
{
    "set": lambda: vault.secrets.set("a", "new"),
    "delete": lambda: vault.secrets.delete("a"),
    "access": lambda: engine.management.access_set(
        vault="dev", principal="11111111-2222-3333-4444-555555555555", secret_permissions=["get"]
    ),
    "app": lambda: engine.management.app_create(name="app"),
}[act]()
"""


def created(data: Path, clock: Any = None) -> None:
    with vaultcore.create(data, clock=clock, housekeeping=False) as engine:
        engine.management.vault_create(name="dev")
        secrets(engine).set("a", "old")


def secrets(engine: Engine) -> Any:
    return engine.vault("dev").acting_as(engine.administrator()).secrets


def records(data: Path) -> list[dict[str, Any]]:
    lines = (data / "audit" / "audit.jsonl").read_bytes().splitlines()
    return [json.loads(line) for line in lines]
