"""Whether a read takes the same time among 1,000 and among 1,000,000 secrets.

    python -m benches.service.scale --sizes 1000 100000 1000000

The secrets are read at random, so that most of the reads of a large vault find nothing in a cache.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from dataclasses import asdict
from pathlib import Path

from benches.machine import machine
from benches.service import in_process, server, wrk
from benches.service.compare import ROOT
from benches.service.server import Load
from benches.service.vaultcore_server import Vaultcore

SAMPLE = 200_000
COLD = 1000


def main() -> None:
    """Fill, measure, print; the sizes are reached one after the other."""
    options = _options()
    found: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory(prefix="vaultcore-bench-") as folder:
        service = Vaultcore(Path(folder, "vaultcore"), options=options.dev_option)
        service.start()
        try:
            service.fill()
            reached = 0
            for size in sorted(options.sizes):
                service.stop()
                taken = in_process.fill(service.data, "many-", reached, size, server.SECRET_VALUE)
                print(f"{size:,} secrets: {size - reached:,} more in {taken:.0f} s", flush=True)
                reached = size
                row = _measure(service, size, options)
                found.append(row)
                print(json.dumps(row), flush=True)
        finally:
            service.stop()
    target = ROOT / "build" / "benchmarks" / "scale.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps({"machine": machine(), "sizes": found}, indent=2))


def _measure(service: Vaultcore, size: int, options: argparse.Namespace) -> dict[str, object]:
    numbers = random.choices(range(size), k=min(SAMPLE, 10 * size))
    names = [f"many-{n}" for n in numbers]
    different = [f"many-{n}" for n in random.sample(range(size), min(COLD, size))]
    cold = in_process.read_once(service.data, service.object_id, different)
    inside = in_process.read(service.data, service.object_id, names, seconds=options.seconds)
    start = service.start()
    read = service.loads[server.READ_ONE]
    load = Load("GET", read.path.replace("read-0", "many-{n}"), read.headers, names=size)
    outside = wrk.run(
        service,
        load,
        seconds=options.seconds,
        connections=options.connections,
        threads=options.threads,
    )
    size_on_disk = sum(path.stat().st_size for path in service.data.glob("vaultcore.db*"))
    return {
        "secrets": size,
        "in_process_first": asdict(cold),
        "in_process": asdict(inside),
        "service": asdict(outside),
        "start_seconds": start,
        "memory": asdict(service.memory()),
        "database_bytes": size_on_disk,
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benches.service.scale", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 100_000, 1_000_000])
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dev-option", action="append", default=[], help="for `vaultcore dev`")
    return parser.parse_args()


if __name__ == "__main__":
    main()
