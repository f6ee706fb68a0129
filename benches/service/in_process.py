"""The same vault without a network: the same gate, the same rules, the same audit."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import vaultcore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

WINDOW = 2000


@dataclass(frozen=True)
class Reads:
    """How fast one thread reads secrets; latencies in microseconds."""

    rate: float
    p50: float
    p99: float


def read(data: Path, object_id: str, names: Sequence[str], *, seconds: float) -> Reads:
    """Read secrets in turn, as the principal with this object id, for some seconds."""
    taken: list[int] = []
    with vaultcore.open(data) as engine:
        principal = vaultcore.Principal(object_id=object_id)
        secrets = engine.vault("dev").acting_as(principal).secrets
        began = time.perf_counter_ns()
        end = before = began
        deadline = began + int(seconds * 1e9)
        while end < deadline:
            for name in names:
                secrets.get(name)
                end = time.perf_counter_ns()
                taken.append(end - before)
                before = end
                if end >= deadline:
                    break
    taken.sort()
    count = len(taken)
    return Reads(
        rate=count / ((end - began) / 1e9),
        p50=taken[count // 2] / 1000,
        p99=taken[count * 99 // 100] / 1000,
    )


def fill(data: Path, prefix: str, first: int, end: int, value: str) -> float:
    """Store secrets `prefix` + number below the doors, many to a commit; return the seconds."""
    began = time.perf_counter()
    with vaultcore.open(data) as engine:
        rules = engine.state("dev").secret_rules
        for start in range(first, end, WINDOW):
            names = [f"{prefix}{n}" for n in range(start, min(start + WINDOW, end))]
            works = [rules.set(name, name.upper(), value) for name in names]
            for future in [engine.store.submit(work) for work in works]:
                future.result()
    return time.perf_counter() - began
