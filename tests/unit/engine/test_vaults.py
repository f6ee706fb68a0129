"""The vaults in memory: loaded, followed, forgotten, and set aside when they do not verify."""

import contextlib
import logging
import sqlite3

import pytest

from vaultcore import Engine
from vaultcore._core import Gate
from vaultcore.clock import ManualClock
from vaultcore.engine.vaults import RETRY_SECONDS, Vaults
from vaultcore.errors import NotFoundError, TamperedError


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def vaults(engine: Engine, clock: ManualClock, gate: Gate) -> Vaults:
    """Returns what another process would have in memory, before it has read anything."""
    engine.management.vault_create(name="Zeta")
    return Vaults(engine.store, engine.key_ring, clock, gate, engine.installation)


def blob(engine: Engine, key: str) -> bytes:
    found = engine.store.document("vaults", key)
    assert found is not None
    return found


def put(engine: Engine, key: str, document: bytes) -> None:
    with contextlib.closing(sqlite3.connect(engine.data / "vaultcore.db")) as connection:
        connection.execute(
            "UPDATE documents SET blob = ? WHERE collection = 'vaults' AND key = ?", (document, key)
        )
        connection.commit()


def test_every_vault_is_found_in_any_case_and_by_its_id(engine: Engine, vaults: Vaults) -> None:
    assert vaults.find("dev") is None
    vaults.load_all()
    assert [found.name for found in vaults.all()] == ["dev", "Zeta"]
    dev = vaults.find("DEV")
    assert dev is not None
    assert dev is vaults.find("dev")
    assert vaults.find_by_id(dev.id) is dev
    assert dev.id == engine.state("dev").id
    assert dev.url == engine.installation.vault_url("dev")
    assert vaults.find("other") is None
    assert vaults.find_by_id("0" * 32) is None


def test_the_gate_learns_the_rules_of_a_vault_and_unlearns_them(
    engine: Engine, vaults: Vaults, gate: Gate
) -> None:
    engine.management.firewall_set(vault="dev", default_action="Deny")
    engine.management.firewall_add(vault="dev", address="192.0.2.0/24")
    vaults.load("dev")
    assert gate.address_allowed("dev", "192.0.2.7")
    assert not gate.address_allowed("dev", "198.51.100.1")
    engine.management.vault_delete(name="dev")
    vaults.load("dev")
    assert not gate.address_allowed("dev", "192.0.2.7")


def test_new_settings_reach_whoever_holds_the_vault(engine: Engine, vaults: Vaults) -> None:
    vaults.load("dev")
    held = vaults.find("dev")
    assert held is not None
    assert held.enforces_expiry
    engine.management.vault_update(name="dev", secret_expiry="inform")
    vaults.load("dev")
    assert vaults.find("dev") is held
    assert not held.enforces_expiry


def test_a_vault_that_was_removed_is_refused_to_whoever_holds_it(
    engine: Engine, vaults: Vaults
) -> None:
    vaults.load("dev")
    held = vaults.find("dev")
    assert held is not None
    engine.management.vault_delete(name="dev")
    vaults.load("dev")
    assert vaults.find("dev") is None
    assert vaults.find_by_id(held.id) is None
    with pytest.raises(NotFoundError):
        held.refuse()


def test_another_vault_under_its_name_is_not_taken_for_it(engine: Engine, vaults: Vaults) -> None:
    vaults.load("dev")
    held = vaults.find("dev")
    assert held is not None
    engine.management.vault_delete(name="dev")
    engine.management.vault_create(name="dev")
    vaults.load("dev")
    found = vaults.find("dev")
    assert found is not None
    assert found.id != held.id
    assert held.removed
    assert not found.removed
    assert vaults.find_by_id(held.id) is None


def test_one_that_does_not_verify_is_set_aside_and_tried_again_later(
    engine: Engine, vaults: Vaults, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    vaults.load_all()
    held = vaults.find("dev")
    assert held is not None
    good = blob(engine, "dev")
    put(engine, "dev", good[:-9] + bytes([good[-9] ^ 1]) + good[-8:])
    with caplog.at_level(logging.WARNING):
        vaults.load("dev")
        refusals = []
        for _ in range(2):
            with pytest.raises(TamperedError) as caught:
                vaults.find("dev")
            refusals.append(caught.value)
        # One for each caller: a traceback belongs to one thread.
        assert refusals[0] is not refusals[1]
        with pytest.raises(TamperedError):
            held.refuse()
        assert vaults.find("zeta") is not None
        assert [found.name for found in vaults.all()] == ["Zeta"]
        put(engine, "dev", good)
        clock.advance(RETRY_SECONDS - 0.1)
        with pytest.raises(TamperedError):
            vaults.find("dev")
        clock.advance(0.1)
        found = vaults.find("dev")
    assert found is not None
    assert found.id == held.id
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert all("vault dev" in record.getMessage() for record in caplog.records)


def test_a_clock_that_was_set_back_does_not_keep_a_vault_aside(
    engine: Engine, vaults: Vaults, clock: ManualClock
) -> None:
    good = blob(engine, "dev")
    put(engine, "dev", b"{}")
    vaults.load("dev")
    put(engine, "dev", good)
    clock.advance(-1_000_000)
    assert vaults.find("dev") is not None


def test_reading_again_forgets_what_is_cached_and_finds_what_changed(
    engine: Engine, vaults: Vaults
) -> None:
    vaults.load_all()
    held = vaults.find("dev")
    assert held is not None
    secrets = engine.vault("dev").acting_as(engine.administrator()).secrets
    secrets.set("a", "value")
    held.rules["secrets"].load("A", "")
    assert held.rules["secrets"].cache.get(("A", "")) is not None
    engine.management.vault_delete(name="Zeta")
    engine.management.vault_create(name="fresh")
    vaults.reload(engine.installation)
    assert held.rules["secrets"].cache.get(("A", "")) is None
    assert [found.name for found in vaults.all()] == ["dev", "fresh"]
