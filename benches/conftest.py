"""What the benchmarks of the library share: how long to measure, and where the figures go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from benches.library import table
from benches.library.rounds import Comparison

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

_ROOT = Path(__file__).parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("library")
    group.addoption("--quick", action="store_true", help="look whether the benchmarks work")
    group.addoption(
        "--table",
        type=Path,
        default=None,
        help="the document that gets the table, and a chart beside it (docs/benchmarks.md)",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.option.benchmark_quiet = True
    if not config.option.benchmark_json:
        folder = _ROOT / ".benchmarks"
        folder.mkdir(exist_ok=True)
        config.option.benchmark_json = str(folder / "library.json")


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    machine_info.clear()  # the host's name and the like are nobody's business
    machine_info.update(table.environment())


def pytest_benchmark_update_commit_info(commit_info: dict[str, Any]) -> None:
    commit_info.clear()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints the one table; a quick run, whose figures mean nothing, leaves the document alone."""
    config = terminalreporter.config
    report = Path(config.option.benchmark_json)
    if not terminalreporter.stats.get("passed") or not report.exists():
        return
    found = table.Figures(json.loads(report.read_text()))
    terminalreporter.write(table.terminal(found))
    document = config.getoption("--table")
    complete = not terminalreporter.stats.get("failed") and not terminalreporter.stats.get("error")
    if document is None and complete and not config.getoption("--quick") and not _part(config):
        document = _ROOT / "docs" / "benchmarks.md"
    if document is not None:
        table.write(document, found)
        terminalreporter.write_line(f"wrote {document}")


def _part(config: pytest.Config) -> bool:
    chosen = config.option.keyword or config.option.markexpr
    return bool(chosen) or any("test_" in argument for argument in config.args)


@pytest.fixture
def quick(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--quick"))


@pytest.fixture
def comparison(benchmark: BenchmarkFixture, *, quick: bool) -> Comparison:
    return Comparison(benchmark, rounds=3 if quick else 60, block=0.0002 if quick else 0.01)
