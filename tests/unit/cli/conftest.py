"""A terminal on a folder with a vault, whose name the environment says."""

import os

import pytest

from unit.cli.terminal import Terminal
from vaultcore.library.engine import LibraryEngine


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("VAULTCORE_", "AZURE_")):
            monkeypatch.delenv(name)


@pytest.fixture
def terminal(engine: LibraryEngine, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    made = Terminal(engine)
    monkeypatch.setattr("vaultcore.cli.session.connect", made.connect)
    monkeypatch.setenv("VAULTCORE_VAULT", "dev")
    return made
