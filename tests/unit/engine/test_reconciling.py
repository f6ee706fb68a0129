"""A log and a database that were put back to different moments are found, and gone on with."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from unit.audit.folders import created, log, opened, records, report, secrets
from vaultcore.engine.reconciling import reconcile_folder
from vaultcore.errors import AuditError, TamperedError


@pytest.fixture
def data(tmp_path: Path, clock: Any) -> Path:
    return created(tmp_path / "data", clock)


def removed(data: Path, _older: Path) -> None:
    shutil.rmtree(data / "audit")


def older_log(data: Path, older: Path) -> None:
    shutil.rmtree(data / "audit")
    shutil.copytree(older / "audit", data / "audit")


def older_database(data: Path, older: Path) -> None:
    for path in data.glob("vaultcore.db*"):
        path.unlink()
    shutil.copy(older / "vaultcore.db", data / "vaultcore.db")


def older_database_alone(data: Path, older: Path) -> None:
    older_database(data, older)
    (data / "vaultcore.signal").unlink()


@pytest.mark.parametrize("put_back", [removed, older_log, older_database, older_database_alone])
def test_a_half_that_is_put_back_alone_is_found_when_the_folder_is_opened(
    data: Path, clock: Any, tmp_path: Path, put_back: Callable[[Path, Path], None]
) -> None:
    older = tmp_path / "older"
    shutil.copytree(data, older)
    with opened(data, clock) as engine:
        secrets(engine).set("s9", "value")
    put_back(data, older)
    for _ in range(2):
        with pytest.raises(AuditError, match="reconcile"):
            opened(data, clock)
    found = reconcile_folder(data, clock=clock)
    with opened(data, clock) as engine:
        assert secrets(engine).get("s1").value == "value"
        secrets(engine).set("s10", "value")
        assert report(engine)["ok"]
    told = [r for r in records(data) if r["operationName"] == "AuditReconciled"]
    assert [r["properties"]["storeKnewOf"] for r in told] == [found["storeKnewOf"]]
    opened(data, clock).close()


def test_where_nothing_differs_there_is_nothing_to_reconcile(data: Path, clock: Any) -> None:
    before = log(data).read_bytes()
    with pytest.raises(AuditError, match="nothing to reconcile"):
        reconcile_folder(data, clock=clock)
    assert log(data).read_bytes() == before
    with opened(data, clock) as engine:
        with pytest.raises(AuditError, match="nothing to reconcile"):
            reconcile_folder(data, clock=clock)
        assert secrets(engine).set("s10", "value")
        assert report(engine)["ok"]


def test_both_halves_put_back_together_are_a_restored_backup(
    data: Path, clock: Any, tmp_path: Path
) -> None:
    older = tmp_path / "older"
    shutil.copytree(data, older)
    with opened(data, clock) as engine:
        secrets(engine).set("s9", "value")
    shutil.rmtree(data)
    older.rename(data)
    with opened(data, clock) as engine:
        assert report(engine)["ok"]


def test_what_the_store_knew_can_be_reconciled_when_it_was_removed(data: Path, clock: Any) -> None:
    with closing(sqlite3.connect(data / "vaultcore.db")) as database, database:
        database.execute("DELETE FROM documents WHERE collection = 'audit'")
    with pytest.raises(TamperedError, match="reconcile"):
        opened(data, clock)
    assert "does not verify" in str(reconcile_folder(data, clock=clock)["storeKnew"])
    with opened(data, clock) as engine:
        assert report(engine)["ok"]
