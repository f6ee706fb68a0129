"""Somebody writes the database; nothing of what he changes in an object is believed."""

import contextlib
import sqlite3
from typing import Any

import pytest

import vaultcore
from vaultcore import Engine
from vaultcore.clock import ManualClock
from vaultcore.errors import TamperedError


@pytest.fixture
def vault(engine: Engine) -> Any:
    return engine.vault("dev").acting_as(engine.administrator())


def database(engine: Engine) -> contextlib.closing[sqlite3.Connection]:
    return contextlib.closing(sqlite3.connect(engine.data / "vaultcore.db"))


def change(engine: Engine, sql: str, *parameters: object) -> None:
    """Does what somebody can do who writes the database, and forgets the caches."""
    with database(engine) as connection:
        cursor = connection.execute(sql, parameters)
        assert cursor.rowcount > 0
        connection.commit()
    for state in engine.states():
        state.clear()


def replace_metadata(engine: Engine, old: str, new: str) -> None:
    """Changes the metadata of every version."""
    change(engine, "UPDATE versions SET metadata = replace(metadata, ?, ?)", old, new)


def test_a_disabled_secret_cannot_be_enabled(engine: Engine, vault: Any) -> None:
    vault.secrets.set("a", "value", enabled=False)
    replace_metadata(engine, '"enabled":false', '"enabled":true ')
    with pytest.raises(TamperedError):
        vault.secrets.get("a")


def test_an_expiry_cannot_be_extended(engine: Engine, vault: Any, clock: ManualClock) -> None:
    vault.secrets.set("a", "value", expires=int(clock.now()) + 10)
    replace_metadata(engine, '"expires":17', '"expires":18')
    with pytest.raises(TamperedError):
        vault.secrets.get("a")
    with pytest.raises(TamperedError):
        list(vault.secrets.list())


def test_two_values_cannot_be_swapped(engine: Engine, vault: Any) -> None:
    vault.secrets.set("a", "first")
    vault.secrets.set("b", "second")
    with database(engine) as connection:
        rows = connection.execute("SELECT sequence, payload FROM versions").fetchall()
    (one, first), (two, second) = rows
    change(engine, "UPDATE versions SET payload = ? WHERE sequence = ?", second, one)
    change(engine, "UPDATE versions SET payload = ? WHERE sequence = ?", first, two)
    for name in ("a", "b"):
        with pytest.raises(TamperedError):
            vault.secrets.get(name)


def test_an_old_version_cannot_be_made_the_current_one(engine: Engine, vault: Any) -> None:
    vault.secrets.set("a", "old")
    vault.secrets.set("a", "new")
    change(engine, "UPDATE objects SET current = current - 1")
    with pytest.raises(TamperedError):
        vault.secrets.get("a")


def test_a_deleted_object_cannot_be_brought_back(engine: Engine, vault: Any) -> None:
    vault.secrets.set("a", "value")
    vault.secrets.delete("a")
    change(engine, "UPDATE objects SET deleted_at = NULL, purge_at = NULL")
    with pytest.raises(TamperedError):
        vault.secrets.get("a")


def test_a_purge_date_cannot_be_moved(engine: Engine, vault: Any) -> None:
    vault.secrets.set("a", "value")
    vault.secrets.delete("a")
    change(engine, "UPDATE objects SET purge_at = purge_at - 10000000")
    with pytest.raises(TamperedError):
        vault.secrets.recover("a")
    with contextlib.suppress(TamperedError):
        engine.purge_due()
    with database(engine) as connection:
        assert connection.execute("SELECT count(*) FROM objects").fetchone() == (1,)


def test_an_object_cannot_be_renamed(engine: Engine, vault: Any) -> None:
    vault.secrets.set("a", "value")
    change(engine, "UPDATE objects SET key = 'B', name = 'b'")
    with pytest.raises(TamperedError):
        vault.secrets.get("b")


def test_an_object_cannot_move_to_another_vault(engine: Engine, vault: Any) -> None:
    engine.management.vault_create(name="other")
    vault.secrets.set("a", "value")
    change(engine, "UPDATE objects SET vault_id = ?", engine.state("other").id)
    other = engine.vault("other").acting_as(engine.administrator())
    with pytest.raises(TamperedError):
        other.secrets.get("a")


def test_a_key_cannot_stand_for_a_secret(engine: Engine, vault: Any) -> None:
    vault.keys.create("a", "oct")
    change(engine, "UPDATE objects SET kind = 'secrets'")
    with pytest.raises(TamperedError):
        vault.secrets.get("a")


def test_a_keys_operations_cannot_be_widened(engine: Engine, vault: Any) -> None:
    vault.keys.create("a", "EC", operations=["verify"])
    replace_metadata(engine, '["verify"]', '["sign"]')
    with pytest.raises(TamperedError):
        vault.keys.sign("a", "ES256", b"\0" * 32)


def test_no_policy_can_be_written_into_the_database(engine: Engine) -> None:
    with database(engine) as connection:
        (blob,) = connection.execute(
            "SELECT blob FROM documents WHERE collection = 'vaults'"
        ).fetchone()
    text = bytearray(blob)
    text[len(text) // 2] ^= 1
    change(engine, "UPDATE documents SET blob = ? WHERE collection = 'vaults'", bytes(text))
    engine.close()
    with vaultcore.open(engine.data) as again, pytest.raises(TamperedError):
        again.vault("dev")


def test_every_bit_of_a_row_matters(engine: Engine, vault: Any) -> None:
    vault.secrets.set("a", "value")
    with database(engine) as connection:
        ((payload,),) = connection.execute("SELECT payload FROM versions").fetchall()
        ((seal,),) = connection.execute("SELECT seal FROM objects").fetchall()
    for table, column, blob in (("versions", "payload", payload), ("objects", "seal", seal)):
        for place in range(len(blob)):
            broken = bytearray(blob)
            broken[place] ^= 1 << (place % 8)
            change(engine, f"UPDATE {table} SET {column} = ?", bytes(broken))  # noqa: S608
            with pytest.raises(TamperedError):
                vault.secrets.get("a")
        change(engine, f"UPDATE {table} SET {column} = ?", blob)  # noqa: S608
        assert vault.secrets.get("a").value == "value"


def test_the_database_holds_no_value(engine: Engine, vault: Any) -> None:
    canary = "canary-" + "xyzzy" * 8
    vault.secrets.set("a", canary)
    vault.keys.create("k", "EC")
    engine.store.close()
    for path in engine.data.rglob("*"):
        if path.is_file():
            assert canary.encode() not in path.read_bytes(), path
