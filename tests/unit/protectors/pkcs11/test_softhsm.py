import os
import stat
import subprocess
from pathlib import Path

import pytest

from vaultcore.errors import ConfigurationError, ProtectorError
from vaultcore.protectors.pkcs11 import softhsm
from vaultcore.protectors.pkcs11.softhsm import SoftToken


def test_a_token_is_made_once(module: Path, tmp_path: Path) -> None:
    made = softhsm.make(tmp_path / "t", "first", module=module)
    assert softhsm.make(tmp_path / "t", "first", module=module) == made
    token = made.token()
    opened = token.open()
    token.close()
    assert (opened.label, opened.serial) == ("first", made.serial)
    assert "SoftHSM" in opened.model


def test_its_files_are_its_owners_alone(own_token: SoftToken) -> None:
    folder = own_token.pin_file.parent
    for path in (folder, *folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_every_token_has_its_own_pin(module: Path, tmp_path: Path, own_token: SoftToken) -> None:
    other = softhsm.make(tmp_path / "other", module=module)
    assert other.pin_file.read_text() != own_token.pin_file.read_text()
    assert len(other.pin_file.read_text()) >= 32
    assert other.serial != own_token.serial


def test_a_token_whose_making_was_interrupted_is_kept(module: Path, tmp_path: Path) -> None:
    folder = tmp_path / "t"
    first = softhsm.make(folder, "one", module=module)
    (folder / "serial").unlink()
    assert softhsm.make(folder, "one", module=module) == first
    (folder / "serial").unlink()
    with pytest.raises(ProtectorError, match="the token `two` is unavailable"):
        softhsm.make(folder, "two", module=module)


def test_pkcs11_tool_sees_the_token(own_token: SoftToken) -> None:
    listed = subprocess.run(
        ["pkcs11-tool", "--module", own_token.module, "--list-token-slots"],
        env={**os.environ, **own_token.environment},
        capture_output=True,
        check=True,
        text=True,
    )
    assert own_token.serial in listed.stdout


def test_softhsm_that_is_absent_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(softhsm, "_MODULES", (str(tmp_path / "absent.so"),))
    assert softhsm.find_module() is None
    with pytest.raises(ConfigurationError, match="install the package `softhsm2`"):
        softhsm.make(tmp_path / "t")


@pytest.mark.parametrize("label", ["", "x" * 33, "é" * 17])
def test_a_label_has_a_length(module: Path, tmp_path: Path, label: str) -> None:
    with pytest.raises(ConfigurationError, match="1 to 32 bytes"):
        softhsm.make(tmp_path / "t", label, module=module)


def test_a_folder_that_cannot_be_made_is_named(module: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be created"):
        softhsm.make(tmp_path / "file" / "t", module=module)


def test_a_module_that_is_none_is_named(tmp_path: Path) -> None:
    module = tmp_path / "module.so"
    module.write_text("no library")
    with pytest.raises(ConfigurationError, match="could not create a token"):
        softhsm.make(tmp_path / "t", module=module)
