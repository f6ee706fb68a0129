"""The purge of what is due."""

from pathlib import Path

import pytest

import vaultcore
from vaultcore.clock import ManualClock
from vaultcore.errors import ForbiddenError, NotFoundError


def test_what_is_due_is_purged_even_under_purge_protection(
    tmp_path: Path, clock: ManualClock
) -> None:
    with vaultcore.create(tmp_path / "data", clock=clock, housekeeping=False) as engine:
        engine.management.vault_create(name="dev", retention_days=7, purge_protection=True)
        vault = engine.vault("dev").acting_as(engine.administrator())
        vault.secrets.set("a", "value")
        vault.secrets.delete("a")
        with pytest.raises(ForbiddenError):
            vault.secrets.purge("a")
        clock.advance(7 * 86_400 - 1)
        assert engine.purge_due() == 0
        clock.advance(1)
        assert engine.purge_due() == 1
        with pytest.raises(NotFoundError):
            vault.secrets.recover("a")
