"""The index of the write-ahead log is removed under a process, and another one goes on."""

import subprocess
import sys
from pathlib import Path

import pytest

import vaultcore

#: A process that has the vault open all the while. It ends in the usual way, and closes it first.
FIRST = """
import os, subprocess, sys, vaultcore
from vaultcore.errors import UnavailableError

data, other, put_back = sys.argv[1:]
index = data + "/vaultcore.db-shm"

def refused():
    try:
        secrets.set("refused", "x")
    except UnavailableError as error:
        assert "restart every process" in str(error), error
    else:
        raise AssertionError("it was not refused")

with vaultcore.open(data, housekeeping=False) as engine:
    secrets = engine.vault("dev").acting_as(engine.administrator()).secrets
    for number in range(30):
        secrets.set(f"first{number}", "v" * 3000)
    os.rename(index, data + "/elsewhere")
    refused()
    for _ in range(2):
        subprocess.run([sys.executable, "-c", other, data], check=True)
        refused()
    if put_back == "True":
        os.rename(data + "/elsewhere", index)
        refused()
print("well")
"""

OTHER = """
import sys, vaultcore

with vaultcore.open(sys.argv[1], housekeeping=False) as engine:
    secrets = engine.vault("dev").acting_as(engine.administrator()).secrets
    for number in range(10):
        secrets.set(f"other{number}", "w" * 3000)
    # A purge copies the log into the database, and begins it again.
    secrets.delete("other0")
    secrets.purge("other0")
"""


@pytest.mark.parametrize("put_back", [False, True])
def test_an_index_that_was_removed_costs_no_data(tmp_path: Path, put_back: bool) -> None:
    data = tmp_path / "data"
    with vaultcore.create(data, housekeeping=False) as engine:
        engine.management.vault_create(name="dev")
    done = subprocess.run(
        [sys.executable, "-c", FIRST, str(data), OTHER, str(put_back)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "well\n", done.stderr
    with vaultcore.open(data, housekeeping=False) as engine:
        secrets = engine.vault("dev").acting_as(engine.administrator()).secrets
        names = {item.name for item in secrets.list()}
        assert names == {f"first{n}" for n in range(30)} | {f"other{n}" for n in range(1, 10)}
        assert engine.store.fsck() == []
        assert engine.management.audit_verify()["ok"]
