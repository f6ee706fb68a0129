"""The command line on a folder that stays open, so that a command takes milliseconds."""

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from vaultcore.cli import app
from vaultcore.cli.local import LocalConnection
from vaultcore.library.engine import LibraryEngine


class KeptConnection(LocalConnection):
    """A connection that leaves the folder open."""

    def close(self) -> None:
        pass


class Terminal:
    """Runs commands on an engine's folder."""

    def __init__(self, engine: LibraryEngine) -> None:
        self.engine = engine
        self._runner = CliRunner()

    def connect(self, *, acting_as: str | None, **_: object) -> KeptConnection:
        """Stands for `connect`, which opens the folder for each command."""
        engine = self.engine
        principal = engine.administrator() if acting_as is None else engine.application(acting_as)
        return KeptConnection(engine, principal)

    def run(self, *words: str | Path, given: str | bytes | None = None) -> Result:
        """Runs a command, and gives it something to read."""
        result = self._runner.invoke(app, [str(word) for word in words], input=given)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def answer(self, *words: str | Path, given: str | bytes | None = None) -> Any:
        """Returns the answer of a command that must go well."""
        result = self.run(*words, "--json", given=given)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def lines(self, *words: str | Path) -> list[list[str]]:
        """Returns what a script reads: the fields of each line."""
        result = self.run(*words)
        assert result.exit_code == 0, result.output
        return [line.split("\t") for line in result.stdout.splitlines()]

    def refused(self, status: int, *words: str | Path, given: str | bytes | None = None) -> str:
        """Returns the one line of a command that must end with a status."""
        result = self.run(*words, given=given)
        assert result.exit_code == status, result.output
        assert result.stdout == ""
        return result.stderr
