"""Two processes that change the vault keys of one folder lose none of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from vaultcore import Engine
from vaultcore.installation.key_ring import KeyRing
from vaultcore.installation.protector_changes import add_protector, remove_protector
from vaultcore.library.opening import create_engine, open_engine
from vaultcore.protectors.options import ProtectorOptions
from vaultcore.protectors.wraps import VaultKey

SPARE = ProtectorOptions(name="spare", kind="file")


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Engine, Engine]]:
    """Two engines on one folder, as two processes would have."""
    with create_engine(tmp_path / "data", housekeeping=False) as first:
        first.management.vault_create(name="dev")
        first.state("dev")
        with open_engine(tmp_path / "data", housekeeping=False) as second:
            second.state("dev")
            yield first, second


def rotate(engine: Engine) -> int:
    # Below the management plane, which would first take over what others did.
    state = engine.vaults.find("dev")
    assert state is not None
    return engine.key_ring.rotate(state.id, "dev")


def test_a_generation_of_another_process_is_kept(two: tuple[Engine, Engine]) -> None:
    first, second = two
    secrets = first.vault("dev").acting_as(first.administrator()).secrets
    assert rotate(first) == 2
    secrets.set("a", "sealed under the second generation")
    assert rotate(second) == 3
    assert rotate(first) == 4
    with open_engine(first.data, housekeeping=False) as fresh:
        found = fresh.vault("dev").acting_as(fresh.administrator()).secrets.get("a")
    assert found.value == "sealed under the second generation"


def test_a_rotation_that_another_overtakes_takes_the_next_number(
    two: tuple[Engine, Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = two
    rotated = VaultKey.rotated

    def overtaken(key: VaultKey, *, rekeying: bool) -> VaultKey:
        monkeypatch.setattr(VaultKey, "rotated", rotated)
        assert rotate(second) == 2
        return key.rotated(rekeying=rekeying)

    monkeypatch.setattr(VaultKey, "rotated", overtaken)
    assert rotate(first) == 3
    with open_engine(first.data, housekeeping=False) as fresh:
        assert fresh.state("dev").kek.generations == [1, 2, 3]


def test_a_protector_that_another_process_adds_is_used_at_once(
    two: tuple[Engine, Engine],
) -> None:
    first, second = two
    add_protector(first.key_ring, first.data, SPARE)
    assert rotate(second) == 2
    second.management.vault_create(name="other")
    assert rotate(first) == 3
    for engine in two:
        assert {p.name for p in engine.key_ring.protectors} == {"file", "spare"}
        assert {line["status"] for line in engine.key_ring.verify()} == {"ok"}
    remove_protector(first.key_ring, first.data, "spare")
    assert rotate(second) == 4
    assert [p.name for p in second.key_ring.protectors] == ["file"]


def test_a_process_that_runs_goes_on_when_its_only_protector_is_replaced(
    two: tuple[Engine, Engine],
) -> None:
    first, second = two
    add_protector(first.key_ring, first.data, SPARE)
    remove_protector(first.key_ring, first.data, "file")
    assert rotate(first) == 2
    secrets = second.vault("dev").acting_as(second.administrator()).secrets
    secrets.set("a", "value")
    assert secrets.get("a").value == "value"
    with open_engine(first.data, housekeeping=False) as fresh:
        found = fresh.vault("dev").acting_as(fresh.administrator()).secrets.get("a")
    assert found.value == "value"


def test_a_vault_made_while_a_protector_is_added_is_wrapped_too(
    two: tuple[Engine, Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = two
    vault_ids = KeyRing.vault_ids

    def overtaken(ring: KeyRing) -> dict[str, str]:
        monkeypatch.setattr(KeyRing, "vault_ids", vault_ids)
        found = vault_ids(ring)
        second.management.vault_create(name="other")
        return found

    monkeypatch.setattr(KeyRing, "vault_ids", overtaken)
    add_protector(first.key_ring, first.data, SPARE)
    assert {line["status"] for line in first.key_ring.verify()} == {"ok"}
