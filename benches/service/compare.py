"""Compare the service with OpenBao, operation by operation, in alternating rounds.

    python -m benches.service.compare --seconds 5 --rounds 3

Every operation of a round is run on one server and right after it on the other, so that both see
the same machine. The ratio of an operation is the median of its rounds' ratios.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benches.service import in_process, report, server, wrk
from benches.service.openbao import OpenBao
from benches.service.vaultcore_server import Vaultcore

if TYPE_CHECKING:
    from benches.service.server import Server

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Run the comparison and print its table."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="vaultcore-bench-") as folder:
        both: list[Server] = []
        if options.only != "openbao":
            both.append(Vaultcore(Path(folder, "vaultcore"), options=options.dev_option))
        if options.only != "vaultcore":
            both.append(OpenBao(Path(folder, "openbao")))
        try:
            for each in both:
                _say(f"starting and filling {each.name} {each.version}")
                each.start()
                each.fill()
            comparison = _compare(both, options)
        finally:
            for each in both:
                each.stop()
        ours = both[0]
        if isinstance(ours, Vaultcore):
            inside = in_process.operations(ours.data, ours.object_id, seconds=options.seconds)
            comparison["in_process"] = {name: asdict(calls) for name, calls in inside.items()}
    print(report.table(comparison))
    target = ROOT / "build" / "benchmarks" / "service.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(comparison, indent=2))
    if options.document:
        report.write_section(ROOT / "docs" / "benchmarks.md", comparison)


def _compare(both: list[Server], options: argparse.Namespace) -> report.Comparison:
    # After the restarts, so that the memory is that of a server on its data, not of its filling.
    starts = {each.name: _restarts(each, options.restarts) for each in both}
    time.sleep(1)
    idle = {each.name: each.memory() for each in both}
    rounds: list[dict[str, dict[str, wrk.Sample]]] = []
    for number in range(options.rounds):
        samples: dict[str, dict[str, wrk.Sample]] = {}
        for operation in options.operation or server.OPERATIONS:
            samples[operation] = {}
            for each in both:
                sample = _measure(each, operation, options)
                samples[operation][each.name] = sample
                _say(
                    f"round {number + 1}: {operation}: {each.name} {sample.rate:,.0f}/s, "
                    f"p50 {sample.p50:.2f} ms, p99 {sample.p99:.2f} ms, CPU {sample.cpu:,.0f} us"
                )
        rounds.append(samples)
    loaded = {each.name: each.memory() for each in both}
    return report.comparison(
        versions={each.name: each.version for each in both},
        rounds=rounds,
        starts=starts,
        idle=idle,
        loaded=loaded,
        settings={
            "seconds": options.seconds,
            "rounds": options.rounds,
            "connections": options.connections,
            "threads": options.threads,
            "dev_options": " ".join(options.dev_option),
        },
    )


def _measure(each: Server, operation: str, options: argparse.Namespace) -> wrk.Sample:
    each.check(operation)
    before = each.audit_records()
    sample = wrk.run(
        each,
        each.loads[operation],
        seconds=options.seconds,
        connections=options.connections,
        threads=options.threads,
    )
    each.check(operation)
    recorded = each.audit_records() - before
    if recorded < sample.requests:
        raise RuntimeError(
            f"{each.name} answered {sample.requests} requests and recorded {recorded}: "
            "its audit is off or behind"
        )
    # What the run left behind in a server's background is not the other one's burden.
    time.sleep(options.pause)
    return sample


def _restarts(each: Server, times: int) -> float:
    taken = []
    for _ in range(times):
        each.stop()
        taken.append(each.start())
    return median(taken)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benches.service.compare", description=__doc__)
    parser.add_argument("--seconds", type=int, default=5, help="of each run of the load generator")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1, help="of the load generator")
    parser.add_argument("--restarts", type=int, default=3, help="whose start-up is measured")
    parser.add_argument("--pause", type=float, default=0.5, help="seconds between two runs")
    parser.add_argument("--only", choices=("vaultcore", "openbao"))
    parser.add_argument("--operation", action="append", choices=server.OPERATIONS)
    parser.add_argument("--dev-option", action="append", default=[], help="for `vaultcore dev`")
    parser.add_argument("--document", action="store_true", help="write docs/benchmarks.md")
    return parser.parse_args()


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
