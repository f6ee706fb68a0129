"""Two processes that change the vault keys of one folder lose none of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from vaultcore.engine import Engine, create_engine, open_engine
from vaultcore.errors import ConflictError, UnavailableError
from vaultcore.installation import KeyRing
from vaultcore.protectors.registry import ProtectorOptions, add_protector, create_protector

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
    return engine.keys.rotate(state.id, "dev")


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


def test_a_rotation_that_another_overtakes_is_refused(
    two: tuple[Engine, Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = two
    copy = KeyRing._copy

    def overtaken(kek: object) -> object:
        monkeypatch.setattr(KeyRing, "_copy", staticmethod(copy))
        rotate(second)
        return copy(kek)  # type: ignore[arg-type]

    monkeypatch.setattr(KeyRing, "_copy", staticmethod(overtaken))
    with pytest.raises(ConflictError, match="try again"):
        rotate(first)
    assert rotate(first) == 3


def test_no_key_is_wrapped_for_protectors_of_the_past(two: tuple[Engine, Engine]) -> None:
    first, second = two
    add_protector(first.keys, first.data, SPARE)
    with pytest.raises(UnavailableError, match="protectors were changed"):
        rotate(second)
    with pytest.raises(UnavailableError, match="protectors were changed"):
        second.management.vault_create(name="other")
    assert rotate(first) == 2
    assert {line["status"] for line in first.keys.verify()} == {"ok"}
    first.keys.remove("spare")
    assert rotate(second) == 3


def test_a_vault_made_while_a_protector_is_added_is_wrapped_too(
    two: tuple[Engine, Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = two
    protector, _ = create_protector(first.data, SPARE)
    vault_ids = KeyRing._vault_ids

    def overtaken(ring: KeyRing) -> list[str]:
        monkeypatch.setattr(KeyRing, "_vault_ids", vault_ids)
        found = vault_ids(ring)
        second.management.vault_create(name="other")
        return found

    monkeypatch.setattr(KeyRing, "_vault_ids", overtaken)
    first.keys.add(protector)
    assert {line["status"] for line in first.keys.verify()} == {"ok"}
