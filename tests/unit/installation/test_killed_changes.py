"""Changes of keys and protectors that are killed at every step: nothing is lost or blocked."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import vaultcore
from unit.installation.killer import Killer, killer
from vaultcore import Engine
from vaultcore.errors import ConfigurationError, ConflictError, ProtectorError
from vaultcore.protectors.list_file import read_list

#: More than any of these operations has.
STEPS = 60


@pytest.fixture(scope="module")
def nursery() -> Iterator[Killer]:
    with killer() as started:
        yield started


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("original") / "data"
    with vaultcore.create(data, housekeeping=False) as engine:
        engine.management.vault_create(name="dev")
        engine.vault("dev").acting_as(engine.administrator()).secrets.set("a", "value")
        engine.management.protector_add(name="second", kind="file")
    return data


def images(
    nursery: Killer, original: Path, tmp_path: Path, operation: str, arguments: dict[str, Any]
) -> Iterator[Path]:
    """Yields the folder as it is after each step at which the operation can be killed."""
    for step in range(STEPS):
        data = tmp_path / str(step)
        shutil.copytree(original, data)
        killed = nursery.kill(data, operation, arguments, step)
        yield data
        shutil.rmtree(data)
        if not killed:
            assert step > 0
            return
    pytest.fail("the operation did not end")


def check(engine: Engine, protectors: set[str]) -> None:
    """Checks that nothing is lost, that nobody is blocked, and who opens the folder."""
    secrets = engine.vault("dev").acting_as(engine.administrator()).secrets
    assert secrets.get("a").value == "value"
    engine.management.vault_create(name="fresh")
    engine.management.vault_rotate_key(name="fresh")
    assert {p.name for p in engine.key_ring.protectors} == protectors
    report = {line["name"]: line["status"] for line in engine.key_ring.verify()}
    assert report == dict.fromkeys(protectors, "ok")
    assert {(known.name, known.state) for known in read_list(engine.data)} == {
        (name, "") for name in protectors
    }


def test_a_protector_whose_addition_is_killed_can_be_added(
    nursery: Killer, original: Path, tmp_path: Path
) -> None:
    wanted: dict[str, Any] = {"name": "spare", "kind": "file"}
    for data in images(nursery, original, tmp_path, "protector.add", wanted):
        with vaultcore.open(data, housekeeping=False) as engine:
            engine.management.vault_create(name="between")
            already = "spare" in {p.name for p in engine.key_ring.protectors}
            if already:
                with pytest.raises(ConfigurationError, match="already"):
                    engine.management.protector_add(**wanted)
            else:
                engine.management.protector_add(**wanted)
            check(engine, {"file", "second", "spare"})
        for gone in ("file", "second"):
            (data / f"keys/{gone}.json").unlink()
        with vaultcore.open(data, housekeeping=False) as engine:
            for vault in ("dev", "between", "fresh"):
                assert engine.state(vault).name == vault


def test_a_protector_whose_addition_is_killed_can_be_removed(
    nursery: Killer, original: Path, tmp_path: Path
) -> None:
    wanted: dict[str, Any] = {"name": "spare", "kind": "file"}
    for data in images(nursery, original, tmp_path, "protector.add", wanted):
        with vaultcore.open(data, housekeeping=False) as engine:
            if "spare" in {known.name for known in read_list(data)}:
                engine.management.protector_remove(name="spare")
            check(engine, {"file", "second"})
            with pytest.raises(ConfigurationError, match="no protector"):
                engine.management.protector_remove(name="spare")


def test_a_protector_whose_removal_is_killed_can_be_removed(
    nursery: Killer, original: Path, tmp_path: Path
) -> None:
    for data in images(nursery, original, tmp_path, "protector.remove", {"name": "second"}):
        with vaultcore.open(data, housekeeping=False) as engine:
            engine.management.vault_create(name="between")
            if "second" in {known.name for known in read_list(data)}:
                engine.management.protector_remove(name="second")
            check(engine, {"file"})


def test_a_key_whose_removal_is_killed_is_not_taken_up_again(
    nursery: Killer, original: Path, tmp_path: Path
) -> None:
    for data in images(nursery, original, tmp_path, "protector.remove", {"name": "second"}):
        with vaultcore.open(data, housekeeping=False) as engine:
            before = (data / "keys/second.json").read_bytes()
            if "second" in {p.name for p in engine.key_ring.protectors}:
                continue
            # The old file may be what was stolen: it has to go first.
            with pytest.raises(ProtectorError, match="exists already"):
                engine.management.protector_add(name="second", kind="file")
            (data / "keys/second.json").unlink()
            engine.management.protector_add(name="second", kind="file")
            assert (data / "keys/second.json").read_bytes() != before
            check(engine, {"file", "second"})


def test_a_vault_whose_creation_is_killed_is_there_or_can_be_made(
    nursery: Killer, original: Path, tmp_path: Path
) -> None:
    for data in images(nursery, original, tmp_path, "vault.create", {"name": "other"}):
        with vaultcore.open(data, housekeeping=False) as engine:
            if "other" in {state.name for state in engine.states()}:
                with pytest.raises(ConflictError):
                    engine.management.vault_create(name="other")
            else:
                engine.management.vault_create(name="other")
            engine.vault("other").acting_as(engine.administrator()).secrets.set("b", "b")
            check(engine, {"file", "second"})


def test_a_key_whose_rotation_is_killed_opens_everything(
    nursery: Killer, original: Path, tmp_path: Path
) -> None:
    for data in images(nursery, original, tmp_path, "vault.rotate_key", {"name": "dev"}):
        with vaultcore.open(data, housekeeping=False) as engine:
            before = engine.state("dev").kek.generation
            assert before in {1, 2}
            rotated = engine.management.vault_rotate_key(name="dev")
            assert rotated["generation"] == before + 1
            check(engine, {"file", "second"})
