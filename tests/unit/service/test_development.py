"""What `vaultcore dev` makes, and which folders it leaves alone."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

import vaultcore
from vaultcore.engine.creation import DEVELOPMENT
from vaultcore.errors import ConfigurationError
from vaultcore.service.development.installation import Credentials, Development
from vaultcore.storage.sqlite.writer import Writer

#: More than a first start has.
STEPS = 100


def names(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "vaultcore.signal"
    }


def start(data: Path, port: int = 0) -> Development:
    development = Development(data, port=port)
    with development.owned():
        development.prepare()
    return development


def test_a_folder_that_dev_did_not_make_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    vaultcore.create(tmp_path / "data", domain="vault.example.com", housekeeping=False).close()
    before = names(tmp_path / "data")
    with pytest.raises(ConfigurationError, match="not created by `vaultcore dev`"):
        start(tmp_path / "data")
    assert names(tmp_path / "data") == before


def test_a_production_folder_that_looks_like_one_of_dev_is_refused(tmp_path: Path) -> None:
    vaultcore.create(tmp_path / "data", domain="vault.example.com", housekeeping=False).close()
    (tmp_path / "data/tls").mkdir()
    for name in ("administrator.json", "tls/ca.pem"):
        (tmp_path / "data" / name).touch(0o600)
    with (
        pytest.raises(ConfigurationError),
        Development(tmp_path / "data", port=0).owned(),
    ):
        Development(tmp_path / "data", port=0)._open()
    with vaultcore.open(tmp_path / "data", housekeeping=False) as engine:
        assert engine.installation.domain == "vault.example.com"
        assert engine.installation.administrators == ()


def test_a_folder_of_an_older_version_is_taken_over(tmp_path: Path) -> None:
    first = start(tmp_path / "data")
    (tmp_path / "data" / DEVELOPMENT).unlink()
    start(tmp_path / "data", first.port)
    assert (tmp_path / "data" / DEVELOPMENT).is_file()
    start(tmp_path / "data")  # another port
    with vaultcore.open(tmp_path / "data", housekeeping=False) as engine:
        assert engine.installation.domain.startswith("vault.localhost:")


def test_an_empty_folder_that_was_there_is_used(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o755)
    start(tmp_path / "data")
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0


def killed_at(data: Path, step: int) -> bool:
    """Starts in a process that kills itself before one of its steps; returns whether it did."""
    child = os.fork()
    if child == 0:
        try:
            count = 0

            def stepped(call: Callable[..., Any]) -> Callable[..., Any]:
                def take(*arguments: Any, **options: Any) -> Any:
                    nonlocal count
                    if count == step:
                        os.kill(os.getpid(), signal.SIGKILL)
                    count += 1
                    return call(*arguments, **options)

                return take

            Writer._commit = stepped(Writer._commit)  # type: ignore[method-assign]
            for name in ("link", "unlink", "rename", "replace", "mkdir"):
                setattr(os, name, stepped(getattr(os, name)))
            start(data)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_a_first_start_that_is_killed_can_be_repeated(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for step in range(0, STEPS, 4):
        shutil.rmtree(data, ignore_errors=True)
        if not killed_at(data, step):
            assert step > 20
            return
        start(data)
        content = (data / "administrator.json").read_bytes()
        found = msgspec.json.decode(content, type=Credentials)
        with vaultcore.open(data, housekeeping=False) as engine:
            shown = engine.issuer.applications.authenticate(found.client_id, found.client_secret)
            assert shown is not None
            assert engine.installation.administrators == (shown.application.object_id,)
            assert [a.name for a in engine.issuer.applications.all()] == ["administrator"]
            assert [state.name for state in engine.states()] == ["dev"]
    pytest.fail("the start did not end")
