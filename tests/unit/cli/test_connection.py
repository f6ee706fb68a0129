"""Whether a command works on a folder or on a service."""

from pathlib import Path
from typing import Any

import pytest

import vaultcore
from vaultcore.cli.connection import connect
from vaultcore.cli.local import LocalConnection
from vaultcore.cli.outcome import CommandError
from vaultcore.cli.remote import RemoteConnection

CREDENTIALS = ("AUTHORITY_HOST", "TENANT_ID", "CLIENT_ID", "CLIENT_SECRET")
NOTHING: dict[str, Any] = {"data": None, "url": None, "acting_as": None, "passphrase_file": None}


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CREDENTIALS:
        monkeypatch.setenv(f"AZURE_{name}", "x")


def test_without_an_address_it_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vaultcore.create(tmp_path / "vaultcore-data", housekeeping=False).close()
    monkeypatch.chdir(tmp_path)
    for data in (None, tmp_path / "vaultcore-data"):
        opened = connect(**{**NOTHING, "data": data})
        assert isinstance(opened, LocalConnection)
        opened.close()


@pytest.mark.usefixtures("credentials")
def test_with_one_it_is_a_service() -> None:
    opened = connect(**{**NOTHING, "url": "https://dev.vault.example"})
    assert isinstance(opened, RemoteConnection)
    opened.close()


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"data": Path("data")}, "choose one"),
        ({"passphrase_file": Path("word")}, "choose one"),
        ({"acting_as": "web"}, "--as works on a folder"),
        ({"url": "http://dev.vault.example"}, "https"),
    ],
)
def test_both_at_once_are_refused(more: dict[str, Any], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        connect(**{**NOTHING, "url": "https://dev.vault.example", **more})


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize("missing", CREDENTIALS)
def test_a_service_needs_credentials(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"AZURE_{missing}", "")
    with pytest.raises(CommandError, match=f"AZURE_{missing}") as caught:
        connect(**{**NOTHING, "url": "https://dev.vault.example"})
    others = [name for name in CREDENTIALS if name != missing]
    assert not any(f"AZURE_{name}" in str(caught.value) for name in others)
