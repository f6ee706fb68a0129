"""What pytest-benchmark measured, as one table, a section of docs/benchmarks.md and a chart."""

from __future__ import annotations

import io
import textwrap
from collections import defaultdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from benches.library import rows
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


class Figures:
    """The cells of the table.

    Args:
        report: what pytest-benchmark wrote as JSON.
    """

    def __init__(self, report: dict[str, Any]) -> None:
        self.date: str = report["datetime"][:10]
        self.machine: dict[str, str] = report["machine_info"]
        # Of a row, of a peer: seconds for one item. The median bears a disturbed round.
        self.seconds: dict[str, dict[str, float]] = defaultdict(dict)
        # Of a series: size and seconds.
        self.curve: dict[str, list[tuple[int, float]]] = defaultdict(list)
        self.streams: dict[str, dict[str, Any]] = {}
        for one in report["benchmarks"]:
            extra = one["extra_info"]
            row, peer = extra["row"], extra["peer"]
            seconds = one["stats"]["median"] / extra["items"]
            if row == rows.CURVE:
                self.curve[peer].append((extra["size"], seconds))
            elif row == rows.STREAM:
                self.streams[peer] = extra
                self.seconds[row][peer] = extra["seconds"]
            else:
                self.seconds[row][peer] = seconds

    def lines(self) -> list[tuple[str, str, str, str, str, str]]:
        """Row, our time, peer, its time, ratio and goal."""
        found = []
        for row, peers in self.seconds.items():
            subject = rows.SUBJECTS.get(row, rows.DEFAULT_SUBJECT)
            ours = peers.get(subject)
            for peer, theirs in peers.items():
                if peer == subject or ours is None:
                    continue
                goal = rows.GOALS.get((row, peer))
                found.append(
                    (
                        row,
                        _time(ours),
                        peer,
                        _time(theirs),
                        _ratio(theirs / ours),
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
    sheet = Table(title="the library beside others, in one run")
    for title in ("work", "vaultcore", "beside", "takes", "ratio", "goal"):
        sheet.add_column(title, justify="left" if title in {"work", "beside"} else "right")
    for cells in found.lines():
        sheet.add_row(*cells)
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(sheet)
    for line in _streams(found):
        console.print(line)
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
        "## The library beside others",
        "",
        *textwrap.wrap(
            f"{found.date}; {about['processor']}, {about['memory']}, {about['system']}; "
            f"Python {about['python']}, {versions}.",
            width=100,
        ),
        "",
        *textwrap.wrap(
            "One process, all peers in one run, every key-encryption key in that process. Times "
            "are medians, for one item. A ratio above 1 says how many times as fast the first "
            "is. Every envelope has a fresh data key. Those by hand use AES-256-GCM for payload "
            "and wrap; with a commitment they give what an envelope of vaultcore gives. "
            "aws-encryption-sdk uses its default suite, which also signs, and the faster of its "
            "raw AES keys. A signature of cryptography stays in DER.",
            width=100,
        ),
        "",
        "| work | vaultcore | beside | takes | ratio | goal |",
        "| --- | ---: | --- | ---: | ---: | ---: |",
    ]
    for row, ours, peer, theirs, ratio, goal in found.lines():
        lines.append(f"| {row} | {ours} | {peer} | {theirs} | **{ratio}** | {goal} |")
    for line in _streams(found):
        lines += ["", *textwrap.wrap(line, width=100)]
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
    lines += ["", "Repeat it with `make bench`.", ""]
    return "\n".join(lines)


def _streams(found: Figures) -> list[str]:
    ours = found.streams.get(rows.DEFAULT_SUBJECT)
    if ours is None:
        return []
    rate = ours["bytes"] / ours["seconds"] / 1e9
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
