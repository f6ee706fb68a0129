"""The index of the write-ahead log is removed under a process, and another one goes on."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import vaultcore
from vaultcore.errors import UnavailableError

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


@pytest.mark.parametrize("fault", ["it cannot be checked", "the folder is moved"])
def test_an_index_that_is_still_there_is_gone_on_with(
    tmp_path: Path, monkeypatch: Any, fault: str
) -> None:
    data, stat = tmp_path / "data", os.stat
    with vaultcore.create(data, housekeeping=False) as engine:
        engine.management.vault_create(name="dev")
        secrets = engine.vault("dev").acting_as(engine.administrator()).secrets

        def failing(path: Any, *arguments: Any, **options: Any) -> os.stat_result:
            if str(path).endswith("-shm"):
                if fault == "it cannot be checked":
                    raise OSError(5, "Input/output error")
                # The folder goes between two looks.
                data.rename(tmp_path / "elsewhere")
            return stat(path, *arguments, **options)

        with monkeypatch.context() as patches:
            patches.setattr(os, "stat", failing)
            with pytest.raises(UnavailableError):
                engine.store.check_presence()
        if fault == "the folder is moved":
            (tmp_path / "elsewhere").rename(data)
        engine.store.check_presence()
        assert secrets.set("a", "x").version
