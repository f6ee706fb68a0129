"""The same vault without a network: the same gate, the same rules, the same audit."""

from __future__ import annotations

import hashlib
import random
import time
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING

from benches.service import server

import vaultcore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

WINDOW = 2000


@dataclass(frozen=True)
class Calls:
    """How fast one thread is at an operation; latencies in microseconds."""

    rate: float
    p50: float
    p99: float


def operations(data: Path, object_id: str, *, seconds: float) -> dict[str, Calls]:
    """Run each operation of the service's loads, on what they left in the data folder."""
    digest = hashlib.sha256(server.MESSAGE).digest()
    many = cycle(f"read-{n}" for n in random.sample(range(server.SECRETS), server.SECRETS))
    written = cycle(f"write-{n}" for n in range(server.SECRETS))
    with vaultcore.open(data) as engine:
        vault = engine.vault("dev").acting_as(vaultcore.Principal(object_id=object_id))
        secrets, keys = vault.secrets, vault.keys
        signature = keys.sign("ec", "ES256", digest).signature
        assert keys.verify("ec", "ES256", digest, signature)
        calls: dict[str, Callable[[], object]] = {
            server.READ_ONE: lambda: secrets.get("read-0"),
            server.READ_MANY: lambda: secrets.get(next(many)),
            server.WRITE: lambda: secrets.set(next(written), server.SECRET_VALUE),
            server.ENCRYPT: lambda: keys.encrypt("aes", "A256GCM", server.PLAINTEXT),
            server.SIGN_EC: lambda: keys.sign("ec", "ES256", digest),
            server.VERIFY_EC: lambda: keys.verify("ec", "ES256", digest, signature),
            server.SIGN_RSA: lambda: keys.sign("rsa", "RS256", digest),
        }
        return {name: _repeat(call, seconds) for name, call in calls.items()}


def read(data: Path, object_id: str, names: Sequence[str], *, seconds: float) -> Calls:
    """Read secrets in turn, as the principal with this object id, for some seconds."""
    with vaultcore.open(data) as engine:
        principal = vaultcore.Principal(object_id=object_id)
        secrets = engine.vault("dev").acting_as(principal).secrets
        endless = cycle(names)
        return _repeat(lambda: secrets.get(next(endless)), seconds)


def read_once(data: Path, object_id: str, names: Sequence[str]) -> Calls:
    """Read different secrets once each, in an engine that has read none of them before."""
    with vaultcore.open(data) as engine:
        principal = vaultcore.Principal(object_id=object_id)
        secrets = engine.vault("dev").acting_as(principal).secrets
        taken = []
        for name in names:
            began = time.perf_counter_ns()
            secrets.get(name)
            taken.append(time.perf_counter_ns() - began)
    return _calls(taken, sum(taken))


def fill(data: Path, prefix: str, first: int, end: int, value: str) -> float:
    """Store secrets `prefix` + number below the doors, many to a commit; return the seconds."""
    began = time.perf_counter()
    with vaultcore.open(data) as engine:
        rules = engine.state("dev").rules["secrets"]
        for start in range(first, end, WINDOW):
            names = [f"{prefix}{n}" for n in range(start, min(start + WINDOW, end))]
            works = [rules.set(name, name.upper(), value) for name in names]
            for future in [engine.store.submit(work) for work in works]:
                future.result()
    return time.perf_counter() - began


def _repeat(call: Callable[[], object], seconds: float) -> Calls:
    taken: list[int] = []
    began = before = time.perf_counter_ns()
    deadline = began + int(seconds * 1e9)
    while before < deadline:
        call()
        end = time.perf_counter_ns()
        taken.append(end - before)
        before = end
    return _calls(taken, before - began)


def _calls(taken: list[int], elapsed: int) -> Calls:
    taken.sort()
    count = len(taken)
    return Calls(
        rate=count / (elapsed / 1e9),
        p50=taken[count // 2] / 1000,
        p99=taken[count * 99 // 100] / 1000,
    )
