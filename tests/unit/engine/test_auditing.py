"""The log of a folder that is opened: missed when it is gone, given keys when it has none."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import vaultcore
from unit.audit.folders import created, opened, records, report, secrets
from vaultcore.errors import AuditError, TamperedError

FIXTURE = Path(__file__).parents[2] / "fixtures" / "folder-0.1"


@pytest.fixture
def data(tmp_path: Path, clock: Any) -> Path:
    return created(tmp_path / "data", clock)


def test_who_opens_a_folder_without_its_log_puts_nothing_in_its_place(data: Path) -> None:
    log, elsewhere = data / "audit", data.with_name("elsewhere")
    log.rename(elsewhere)
    with pytest.raises(AuditError, match="put it back"):
        vaultcore.open(data, housekeeping=False)
    assert not log.exists()
    elsewhere.rename(log)
    with vaultcore.open(data, housekeeping=False) as engine:
        assert engine.management.audit_verify()["ok"]


def test_a_log_that_is_removed_is_missed_at_the_next_request(data: Path, clock: Any) -> None:
    engine = opened(data, clock)
    secrets(engine).get("s1")
    shutil.rmtree(data / "audit")
    with pytest.raises(AuditError):
        secrets(engine).get("s1")
    with pytest.raises(AuditError):
        engine.close()
    with pytest.raises(AuditError, match="reconcile"):
        opened(data, clock)


def test_a_folder_of_the_first_version_opens_and_gets_its_keys(tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(FIXTURE, data)
    for path in [data, *data.rglob("*")]:
        path.chmod(0o700 if path.is_dir() else 0o600)
    before = len(records(data))
    for _ in range(2):
        with vaultcore.open(data, housekeeping=False) as engine:
            assert secrets(engine).get("db-password").value == "battery staple"
            assert report(engine)["ok"]
    assert ["mac" in record for record in records(data)] == [
        number >= before for number in range(before + 4)
    ]
    with closing(sqlite3.connect(data / "vaultcore.db")) as database, database:
        database.execute("DELETE FROM documents WHERE key = 'audit-signer'")
    with pytest.raises(TamperedError, match="missing"):
        vaultcore.open(data, housekeeping=False)


def test_a_signing_key_removed_before_the_first_start_of_this_version_is_missed(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    shutil.copytree(FIXTURE, data)
    for path in [data, *data.rglob("*")]:
        path.chmod(0o700 if path.is_dir() else 0o600)
    with closing(sqlite3.connect(data / "vaultcore.db")) as database, database:
        database.execute("DELETE FROM documents WHERE key = 'audit-signer'")
    with pytest.raises(TamperedError, match="missing"):
        vaultcore.open(data, housekeeping=False)
