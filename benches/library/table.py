"""What pytest-benchmark measured, as one table, a section of docs/benchmarks.md and a chart."""

from __future__ import annotations

import io
import textwrap
from collections import defaultdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from benches.library import rows
from benches.library.envelopes import OURS
from benches.machine import machine
from benches.section import write_section
from rich.console import Console
from rich.table import Table

import vaultcore

if TYPE_CHECKING:
    from pathlib import Path

_SECTION: Final = "library"
_PACKAGES: Final = ("cryptography", "tink", "aws-encryption-sdk", "joserfc")
_MIB: Final = 1 << 20
_CHART: Final = "benchmarks-cost.svg"
_TITLES: Final = ("work", "vaultcore", "compared with", "takes", "ratio", "quartiles", "goal")


class Line(NamedTuple):
    """One line of the table: a row, and one of those beside us."""

    work: str
    ours: str
    beside: str
    takes: str
    ratio: str
    quartiles: str
    goal: str


class Figures:
    """The cells of the table.

    Args:
        report: what pytest-benchmark wrote as JSON.
    """

    def __init__(self, report: dict[str, Any]) -> None:
        self.date: str = report["datetime"][:10]
        self.machine: dict[str, str] = report["machine_info"]
        # Of a row, of a peer: seconds for one item, and how many times as fast we are.
        self.rows: dict[str, dict[str, dict[str, float]]] = {}
        # Of a series: size and seconds.
        self.curve: dict[str, list[tuple[int, float]]] = defaultdict(list)
        self.stream: dict[str, Any] | None = None
        for one in report["benchmarks"]:
            extra = one["extra_info"]
            if extra["row"] == rows.CURVE:
                for peer, figures in extra["peers"].items():
                    self.curve[peer].append((extra["size"], figures["seconds"]))
                continue
            self.rows[extra["row"]] = extra["peers"]
            if extra["row"] == rows.STREAM:
                self.stream = extra

    def lines(self) -> list[Line]:
        """The table, line by line."""
        found = []
        for row, peers in self.rows.items():
            subject = next(iter(peers))
            for peer, figures in peers.items():
                if peer == subject:
                    continue
                goal = rows.GOALS.get((row, peer))
                found.append(
                    Line(
                        row,
                        _time(peers[subject]["seconds"]),
                        peer,
                        _time(figures["seconds"]),
                        _ratio(figures["ratio"]),
                        f"{_ratio(figures['low'])} to {_ratio(figures['high'])}",
                        "" if goal is None else _ratio(goal),
                    )
                )
        return found


def environment() -> dict[str, str]:
    """What a reader needs to judge the figures."""
    versions = {name: version(name) for name in _PACKAGES}
    return {**machine(), "vaultcore": vaultcore.__version__, **versions}


def terminal(found: Figures) -> str:
    """The table for a terminal."""
    sheet = Table(title="the library compared with others, in one run")
    for title in _TITLES:
        sheet.add_column(title, justify="left" if title in {"work", "compared with"} else "right")
    for line in found.lines():
        sheet.add_row(*line)
    console = Console(width=140, file=io.StringIO(), record=True)
    console.print(sheet)
    for text in _streams(found):
        console.print(text)
    return console.export_text()


def write(document: Path, found: Figures) -> None:
    """Writes the section of the library into the document, and the chart beside it."""
    document.parent.mkdir(exist_ok=True)
    if found.curve:
        _draw(document.parent / _CHART, found)
    write_section(document, _SECTION, _markdown(found))


def _markdown(found: Figures) -> str:
    about = found.machine
    versions = ", ".join(f"{name} {about[name]}" for name in ("vaultcore", *_PACKAGES))
    lines = [
        "## The library compared with others",
        "",
        *textwrap.wrap(
            f"{found.date}; {about['processor']}, {about['memory']}, {about['system']}; "
            f"Python {about['python']}, {versions}.",
            width=100,
            break_on_hyphens=False,
        ),
        "",
        *textwrap.wrap(
            "All measurements run in one process, which holds every key-encryption key. The "
            "libraries of a row run in alternating rounds of some milliseconds, because the speed "
            "of the machine changes from one second to the next. Times are medians, for one item. "
            "A ratio above 1 says how many times as fast vaultcore is; it is the median of the "
            "ratios of single rounds, with their quartiles. Every envelope has a fresh data key. "
            "The envelopes by hand use AES-256-GCM for payload and wrap; those with a commitment "
            "have the properties of a vaultcore envelope. aws-encryption-sdk uses its default "
            "suite, which also signs, and the faster of its raw AES keys. A signature of "
            "cryptography stays in DER. Compare the ratio of two threads to one thread with the "
            "ratio of two threads to two processes, which is the limit of this machine.",
            width=100,
            break_on_hyphens=False,
        ),
        "",
        f"| {' | '.join(_TITLES)} |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: |",
    ]
    bold = [line._replace(ratio=f"**{line.ratio}**") for line in found.lines()]
    lines += [f"| {' | '.join(line)} |" for line in bold]
    for text in _streams(found):
        lines += ["", *textwrap.wrap(text, width=100)]
    if found.curve:
        lines += ["", f"![the cost of an envelope by the size of its message]({_CHART})", ""]
        series = list(found.curve)
        lines += [
            f"| size | {' | '.join(series)} |",
            f"| ---: |{' ---: |' * len(series)}",
        ]
        table = {name: dict(points) for name, points in found.curve.items()}
        for size in sorted({size for points in table.values() for size in points}):
            cells = [_time(table[name][size]) if size in table[name] else "" for name in series]
            lines.append(f"| {_size(size)} | {' | '.join(cells)} |")
    lines += ["", "Repeat the measurement with `make bench`.", ""]
    return "\n".join(lines)


def _streams(found: Figures) -> list[str]:
    ours = found.stream
    if ours is None:
        return []
    rate = ours["bytes"] / ours["peers"][OURS]["seconds"] / 1e9
    return [
        (
            f"The stream: {ours['bytes'] // _MIB} MiB at {rate:.2f} GB/s in pieces of 1 MiB; the "
            f"process, with Python in it, peaked at {ours['peak'] / _MIB:.1f} MiB, of which the "
            f"stream added {ours['growth'] / _MIB:.1f} MiB."
        )
    ]


def _draw(path: Path, found: Figures) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "vaultcore"  # the same figures give the same file
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.5))
    for name, points in found.curve.items():
        points.sort()
        sizes, seconds = zip(*points, strict=True)
        label = name if name not in {"seal", "open"} else f"vaultcore, {name}"
        axes.plot(sizes, [one * 1e6 for one in seconds], marker="o", markersize=3, label=label)
    axes.set_xscale("log", base=4)
    axes.set_yscale("log")
    ticks = [size for size, _ in next(iter(found.curve.values()))]
    axes.set_xticks(ticks, [_size(size) for size in ticks], rotation=45)
    axes.set_xlabel("size of the message")
    axes.set_ylabel("microseconds")
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _time(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.2f} {unit}"
    return f"{seconds * 1e6:.2f} µs"


def _ratio(value: float) -> str:
    return f"{value:.0f}x" if value >= 20 else f"{value:.2f}x"


def _size(size: int) -> str:
    for unit, one in (("MiB", _MIB), ("KiB", 1 << 10)):
        if size >= one:
            return f"{size // one} {unit}"
    return f"{size} B"
