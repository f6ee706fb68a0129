"""Protectors that are added and removed: each opens what is stored, and the last one stays."""

import contextlib
import sqlite3
from pathlib import Path

import pytest

import vaultcore
from vaultcore import Engine
from vaultcore.errors import ForbiddenError, ProtectorError
from vaultcore.management import Management
from vaultcore.protectors.options import ProtectorOptions


def test_either_of_two_protectors_opens(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with vaultcore.create(folder) as engine:
        engine.management.vault_create(name="dev")
        acting = engine.vault("dev").acting_as(engine.administrator())
        acting.secrets.set("a", "value")
        engine.management.perform("protector.add", {"name": "second", "kind": "file"})
        assert [p["status"] for p in engine.management.protector_verify()] == ["ok", "ok"]
    for kept, gone in (("file", "second"), ("second", "file")):
        hidden = (folder / f"keys/{gone}.json").rename(tmp_path / "hidden.json")
        with vaultcore.open(folder) as engine:
            acting = engine.vault("dev").acting_as(engine.administrator())
            assert acting.secrets.get("a").value == "value"
            report = {p["name"]: p["status"] for p in engine.management.protector_verify()}
            assert report == {kept: "ok", gone: "failed"}
        hidden.rename(folder / f"keys/{gone}.json")


def test_a_vault_made_later_has_every_wrap(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    options = [ProtectorOptions("a", "file"), ProtectorOptions("b", "file")]
    with vaultcore.create(folder, protectors=options) as engine:
        engine.management.vault_create(name="later")
    (folder / "keys/a.json").unlink()
    with vaultcore.open(folder) as engine:
        assert engine.vault("later").name == "later"


def test_the_last_protector_stays(engine: Engine) -> None:
    with pytest.raises(ProtectorError, match="last protector"):
        engine.management.protector_remove(name="file")


def test_a_removed_protector_no_longer_opens(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    options = [ProtectorOptions("a", "file"), ProtectorOptions("b", "file")]
    with vaultcore.create(folder, protectors=options) as engine:
        engine.management.vault_create(name="dev")
        engine.management.protector_remove(name="a")
    with vaultcore.open(folder) as engine:
        assert [p["name"] for p in engine.management.protector_list()] == ["b"]
    with contextlib.closing(sqlite3.connect(folder / "vaultcore.db")) as connection:
        kept = connection.execute(
            "SELECT count(*) FROM documents WHERE collection = 'vault-keys' AND key LIKE '%/a'"
        ).fetchone()
    assert kept == (0,)


def test_management_of_protectors_is_not_offered_over_the_network(engine: Engine) -> None:
    remote = Management(engine, engine.administrator(), "10.0.0.1", remote=True)
    with pytest.raises(ForbiddenError, match="server itself"):
        remote.perform("protector.add", {"name": "x", "kind": "file"})
