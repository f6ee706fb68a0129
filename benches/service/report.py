"""The figures of a comparison as a table, as JSON and as a section of docs/benchmarks.md."""

from __future__ import annotations

import datetime as dt
import io
import shutil
import subprocess
import textwrap
from dataclasses import asdict
from statistics import median
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

from benches import section
from benches.machine import machine
from benches.service import server
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from benches.service.server import Memory
    from benches.service.wrk import Sample

OURS, THEIRS = "vaultcore", "OpenBao"
GOALS = {
    server.READ_ONE: 6.0,
    server.READ_MANY: 6.0,
    server.WRITE: 3.0,
    server.ENCRYPT: 3.5,
    server.SIGN_EC: 4.0,
    server.VERIFY_EC: 3.5,
    server.SIGN_RSA: 2.5,
}
_MIB = 1 << 20


class Figures(TypedDict):
    """Medians of one operation on one server; latencies in ms, CPU time of a request in us."""

    rate: float
    p50: float
    p99: float
    cpu: float
    rounds: list[dict[str, float]]


class Comparison(TypedDict):
    """Everything that a run of the comparison found out."""

    date: str
    machine: dict[str, str]
    versions: dict[str, str]
    settings: dict[str, Any]
    operations: dict[str, dict[str, Figures]]
    ratios: dict[str, float]
    start_seconds: dict[str, float]
    idle_bytes: dict[str, dict[str, int]]
    loaded_bytes: dict[str, dict[str, int]]
    in_process: NotRequired[dict[str, dict[str, float]]]


def comparison(
    *,
    versions: Mapping[str, str],
    rounds: Sequence[Mapping[str, Mapping[str, Sample]]],
    starts: Mapping[str, float],
    idle: Mapping[str, Memory],
    loaded: Mapping[str, Memory],
    settings: Mapping[str, Any],
) -> Comparison:
    """Put the samples of all rounds together."""
    operations: dict[str, dict[str, Figures]] = {}
    ratios: dict[str, float] = {}
    for operation in rounds[0]:
        samples = [each[operation] for each in rounds]
        operations[operation] = {name: _figures([s[name] for s in samples]) for name in versions}
        if OURS in versions and THEIRS in versions:
            ratios[operation] = median(s[OURS].rate / s[THEIRS].rate for s in samples)
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "machine": environment(),
        "versions": dict(versions),
        "settings": dict(settings),
        "operations": operations,
        "ratios": ratios,
        "start_seconds": dict(starts),
        "idle_bytes": {name: asdict(memory) for name, memory in idle.items()},
        "loaded_bytes": {name: asdict(memory) for name, memory in loaded.items()},
    }


def environment() -> dict[str, str]:
    """What a reader needs to judge the figures."""
    return {**machine(), "wrk": _wrk_version()}


def table(found: Comparison) -> str:
    """One table for a terminal."""
    sheet = Table(title="service under the same load, audit on in all")
    sheet.add_column("operation")
    names = list(found["versions"])
    for name in names:
        for column in (f"{name} /s", "p50 ms", "p99 ms", "CPU us"):
            sheet.add_column(column, justify="right")
    sheet.add_column("ratio", justify="right")
    sheet.add_column("goal", justify="right")
    for operation, figures in found["operations"].items():
        row = [operation]
        for name in names:
            f = figures[name]
            row += [f"{f['rate']:,.0f}", f"{f['p50']:.2f}", f"{f['p99']:.2f}", f"{f['cpu']:,.0f}"]
        ratio = found["ratios"].get(operation)
        goal = GOALS.get(operation)
        sheet.add_row(*row, f"{ratio:.1f}x" if ratio else "", f"{goal:.1f}x" if goal else "")
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(sheet)
    for name in names:
        idle, loaded = found["idle_bytes"][name], found["loaded_bytes"][name]
        console.print(
            f"{name} {found['versions'][name]}: first answer {found['start_seconds'][name]:.2f} s "
            f"after its start; memory {idle['proportional'] / _MIB:.0f} MiB at rest, "
            f"{loaded['proportional'] / _MIB:.0f} MiB after the load"
        )
    if "in_process" in found:
        inside = Table(title=f"in process, one thread, beside {THEIRS} over HTTPS")
        for column in ("operation", "1/s", "p50 us", "p99 us", "ratio"):
            inside.add_column(column, justify="left" if column == "operation" else "right")
        for row in _in_process(found):
            inside.add_row(*row)
        console.print(inside)
    return console.export_text()


def write_section(document: Path, found: Comparison) -> None:
    """Replace the section of the service in the document, or append it to the end."""
    section.write_section(document, "service", _markdown(found))


def _figures(samples: Sequence[Sample]) -> Figures:
    return {
        "rate": median(s.rate for s in samples),
        "p50": median(s.p50 for s in samples),
        "p99": median(s.p99 for s in samples),
        "cpu": median(s.cpu for s in samples),
        "rounds": [asdict(s) for s in samples],
    }


def _markdown(found: Comparison) -> str:
    about, settings, names = found["machine"], found["settings"], list(found["versions"])
    lines = [
        "## The service compared with OpenBao",
        "",
        f"{found['date']}; {about['processor']}, {about['memory']}, {about['system']}; "
        + ", ".join(f"{name} {number}" for name, number in found["versions"].items())
        + f", Python {about['python']}, wrk {about['wrk']}.",
        "",
        *textwrap.wrap(
            "Both servers ran on the loopback with TLS, an ordinary identity, and an audit log "
            "that is written to a file before each answer; OpenBao used raft, and was initialised "
            f"and unsealed. The load generator holds {settings['connections']} connections to "
            f"each of them. Rates are medians of {settings['rounds']} alternating rounds of "
            f"{settings['seconds']} s; a ratio is the median of the ratios of the rounds. Every "
            "answer was a success. CPU is the server's own time for each request.",
            width=100,
        ),
        "",
    ]
    header = ["operation"]
    for name in names:
        header += [f"{name}, 1/s", "p50, ms", "p99, ms", "CPU, us"]
    header += ["ratio"]
    lines += [_row(header), _row(["---"] + ["---:"] * (len(header) - 1))]
    for operation, figures in found["operations"].items():
        cells = [operation]
        for name in names:
            f = figures[name]
            cells += [f"{f['rate']:,.0f}", f"{f['p50']:.2f}", f"{f['p99']:.2f}", f"{f['cpu']:,.0f}"]
        ratio = found["ratios"].get(operation)
        lines.append(_row([*cells, f"**{ratio:.1f}**" if ratio else ""]))
    lines += ["", _row(["", *names]), _row(["---"] + ["---:"] * len(names))]
    starts = [f"{found['start_seconds'][name]:.2f} s" for name in names]
    lines.append(_row(["start to first answer, on existing data", *starts]))
    for title, memory in (
        ("memory at rest (shared pages counted once)", found["idle_bytes"]),
        ("memory after the load", found["loaded_bytes"]),
    ):
        cells = [f"{memory[name]['proportional'] / _MIB:.0f} MiB" for name in names]
        lines.append(_row([title, *cells]))
    if "in_process" in found:
        lines += [
            "",
            *textwrap.wrap(
                "In process, on one thread, through the same gate with the audit log on. The ratio "
                f"is to {THEIRS} over HTTPS in the table above.",
                width=100,
            ),
            "",
            _row(["operation", "1/s", "p50, us", "p99, us", "ratio"]),
            _row(["---"] + ["---:"] * 4),
            *(_row(row) for row in _in_process(found)),
        ]
    lines += ["", "Repeat the measurement with `python -m benches.service.compare`.", ""]
    return "\n".join(lines)


def _in_process(found: Comparison) -> list[list[str]]:
    rows = []
    for operation, calls in found["in_process"].items():
        theirs = found["operations"].get(operation, {}).get(THEIRS)
        ratio = f"{calls['rate'] / theirs['rate']:.1f}" if theirs else ""
        rates = [f"{calls['rate']:,.0f}", f"{calls['p50']:.1f}", f"{calls['p99']:.1f}"]
        rows.append([operation, *rates, ratio])
    return rows


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _wrk_version() -> str:
    program = shutil.which("wrk")
    if program is None:
        return "absent"
    finished = subprocess.run([program, "-v"], capture_output=True, text=True, check=False)
    words = finished.stdout.split()
    return words[1].removeprefix("debian/") if len(words) > 1 else "unknown"
