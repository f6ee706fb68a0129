"""Protectors as an administrator sees them: here with their files, over the network without."""

import logging
from pathlib import Path
from typing import Any

import pytest

import vaultcore
from vaultcore import Engine
from vaultcore.errors import ConfigurationError, ForbiddenError, VaultcoreError
from vaultcore.management import Management


@pytest.fixture
def remote(engine: Engine) -> Management:
    return Management(engine, engine.administrator(), "10.0.0.1", remote=True)


def test_one_is_added_listed_rehearsed_and_removed(engine: Engine) -> None:
    manage = engine.management
    added = manage.protector_add(name="second", kind="file", options={"path": "keys/other.json"})
    assert (added["name"], added["kind"]) == ("second", "file")
    assert added["path"].endswith("keys/other.json")
    assert (engine.data / "keys" / "other.json").is_file()
    assert [p["name"] for p in manage.protector_list()] == ["file", "second"]
    assert [(p["name"], p["status"]) for p in manage.protector_verify()] == [
        ("file", "ok"),
        ("second", "ok"),
    ]
    assert manage.protector_remove(name="second") == {"name": "second"}
    assert [p["name"] for p in manage.protector_list()] == ["file"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"name": "file", "kind": "file"}, "already"),
        ({"name": "x", "kind": "paper"}, "paper"),
        ({"name": "x", "kind": "file", "options": {"colour": "red"}}, "colour"),
    ],
)
def test_one_that_cannot_be_is_refused_and_leaves_nothing(
    engine: Engine, arguments: dict[str, Any], said: str
) -> None:
    before = sorted(path.name for path in engine.data.rglob("*"))
    with pytest.raises(VaultcoreError, match=said):
        engine.management.protector_add(**arguments)
    assert sorted(path.name for path in engine.data.rglob("*")) == before
    assert [p["name"] for p in engine.management.protector_list()] == ["file"]


def test_one_that_is_not_there_cannot_be_removed(engine: Engine) -> None:
    with pytest.raises(ConfigurationError, match="no protector named `none`"):
        engine.management.protector_remove(name="none")


def test_over_the_network_no_file_of_this_machine_is_named(
    engine: Engine, remote: Management
) -> None:
    (here,) = engine.management.protector_list()
    (there,) = remote.perform("protector.list", {})
    assert here["path"].startswith(str(engine.data))
    assert {**there, "path": here["path"]} == here
    assert "path" not in there


def test_over_the_network_a_reason_is_in_the_log_of_the_service(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "data"
    with vaultcore.create(folder, housekeeping=False) as engine:
        engine.management.protector_add(name="second", kind="file")
    (folder / "keys" / "second.json").unlink()
    with vaultcore.open(folder, housekeeping=False) as engine:
        remote = Management(engine, engine.administrator(), "10.0.0.1", remote=True)
        with caplog.at_level(logging.WARNING):
            rows = {row["name"]: row for row in remote.perform("protector.verify", {})}
        assert rows["file"]["status"] == "ok"
        assert rows["second"]["status"] == "failed"
        assert str(folder) not in str(rows)
        assert "the service's log says why" in rows["second"].values()
        assert any(
            "second" in r.getMessage() and "second.json" in r.getMessage() for r in caplog.records
        )


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("protector.add", {"name": "x", "kind": "file"}), ("protector.remove", {"name": "file"})],
)
def test_none_is_changed_over_the_network(
    engine: Engine, remote: Management, name: str, arguments: dict[str, str]
) -> None:
    with pytest.raises(ForbiddenError, match="server itself"):
        remote.perform(name, arguments)
    assert [p["name"] for p in engine.management.protector_list()] == ["file"]
