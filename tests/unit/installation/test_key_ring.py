"""The vault keys of a folder: rotated, followed by other processes, removed with their vault."""

from pathlib import Path
from typing import Any

import pytest

import vaultcore
from vaultcore import Engine
from vaultcore.errors import NotFoundError, VaultError


@pytest.fixture
def vault(engine: Engine) -> Any:
    return engine.vault("dev").acting_as(engine.administrator())


def test_rotation_keeps_what_was_stored_readable(engine: Engine, vault: Any) -> None:
    vault.secrets.set("a", "old")
    blob = vault.secrets.backup("a")
    assert engine.management.vault_rotate_key(name="dev")["generation"] == 2
    assert vault.secrets.get("a").value == "old"
    vault.secrets.set("a", "new")
    current = engine.store.current(engine.state("dev").id, "secrets", "A")
    assert current is not None
    assert vaultcore.inspect(current[1].payload).generation == 2
    engine.close()
    with vaultcore.open(engine.data) as again:
        acting = again.vault("dev").acting_as(again.administrator())
        assert acting.secrets.get("a").value == "new"
        acting.secrets.delete("a")
        acting.secrets.purge("a")
        acting.secrets.restore(blob)
        assert acting.secrets.get("a").value == "old"


def test_another_process_follows_a_rotation(tmp_path: Path) -> None:
    with vaultcore.create(tmp_path / "data") as one, vaultcore.open(tmp_path / "data") as two:
        one.management.vault_create(name="dev")
        first = one.vault("dev").acting_as(one.administrator())
        second = two.vault("dev").acting_as(two.administrator())
        first.secrets.set("a", "before")
        assert second.secrets.get("a").value == "before"
        one.management.vault_rotate_key(name="dev")
        first.secrets.set("a", "after")
        assert second.secrets.get("a").value == "after"


def test_only_an_empty_vault_is_removed(engine: Engine, vault: Any) -> None:
    vault.secrets.set("a", "value")
    with pytest.raises(VaultError, match="not empty"):
        engine.management.vault_delete(name="dev")
    vault.secrets.delete("a")
    vault.secrets.purge("a")
    engine.management.vault_delete(name="dev")
    with pytest.raises(NotFoundError):
        engine.vault("dev")
