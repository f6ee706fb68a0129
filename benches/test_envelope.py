"""Envelopes: this project beside others, one call, in batches, in threads, as a stream."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from benches.library import rows
from benches.library.envelopes import BY_HAND, ENVELOPES, OURS, Vaultcore
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_benchmark.fixture import BenchmarkFixture

    Measure = Callable[..., Any]

PLAINTEXT = os.urandom(1024)
BATCH = [os.urandom(1024) for _ in range(100)]
SIZES = [4**power for power in range(2, 14)]


@pytest.mark.parametrize("peer", ENVELOPES)
def test_seal(measure: Measure, peer: str) -> None:
    envelope = ENVELOPES[peer]()
    blob = measure(envelope.seal, PLAINTEXT, row=rows.SEAL, peer=peer)
    assert envelope.open(blob) == PLAINTEXT


@pytest.mark.parametrize("peer", ENVELOPES)
def test_open(measure: Measure, peer: str) -> None:
    envelope = ENVELOPES[peer]()
    blob = envelope.seal(PLAINTEXT)
    assert measure(envelope.open, blob, row=rows.OPEN, peer=peer) == PLAINTEXT


@pytest.mark.parametrize("peer", [OURS, BY_HAND])
def test_seal_batch(measure: Measure, peer: str) -> None:
    envelope = ENVELOPES[peer]()
    work = _sealing(envelope)
    blobs = measure(work, row=rows.SEAL_BATCH, peer=peer, items=len(BATCH))
    assert [envelope.open(blob) for blob in blobs] == BATCH


@pytest.mark.parametrize("peer", [OURS, BY_HAND])
def test_open_batch(measure: Measure, peer: str) -> None:
    envelope = ENVELOPES[peer]()
    blobs = [envelope.seal(plaintext) for plaintext in BATCH]

    def by_hand() -> list[bytes]:
        return [envelope.open(blob) for blob in blobs]

    def ours() -> list[bytes]:
        assert isinstance(envelope, Vaultcore)
        return envelope.kek.open_many(blobs, context=envelope.context)

    work = ours if isinstance(envelope, Vaultcore) else by_hand
    assert measure(work, row=rows.OPEN_BATCH, peer=peer, items=len(BATCH)) == BATCH


@pytest.mark.parametrize("threads", [1, 2])
def test_threads(benchmark: BenchmarkFixture, threads: int, *, quick: bool) -> None:
    """The same number of batches for each thread: the time stays, if threads are for free."""
    envelope = Vaultcore()
    seal = _sealing(envelope)
    batches = 20 if quick else 400

    def work() -> int:
        for _ in range(batches):
            seal()
        return batches

    with ThreadPoolExecutor(threads) as pool:
        run = lambda: sum(pool.map(lambda _: work(), range(threads)))  # noqa: E731 - one line
        benchmark.group = rows.THREADS
        benchmark.extra_info.update(
            {
                "row": rows.THREADS,
                "peer": rows.TWO_THREADS if threads > 1 else rows.ONE_THREAD,
                "items": threads * batches * len(BATCH),
            }
        )
        done = benchmark.pedantic(run, rounds=2 if quick else 15, warmup_rounds=1)
    assert done == threads * batches


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("series", ["seal", "open", BY_HAND, "AES-256-GCM alone"])
def test_curve(benchmark: BenchmarkFixture, size: int, series: str) -> None:
    plaintext = os.urandom(size)
    envelope, by_hand = Vaultcore(), ENVELOPES[BY_HAND]()
    blob = envelope.seal(plaintext)
    raw, nonce = AESGCM(os.urandom(32)), os.urandom(12)
    work: Callable[[], bytes] = {
        "seal": lambda: envelope.seal(plaintext),
        "open": lambda: envelope.open(blob),
        BY_HAND: lambda: by_hand.seal(plaintext),
        # A repeated nonce, which only a benchmark may have.
        "AES-256-GCM alone": lambda: raw.encrypt(nonce, plaintext, None),
    }[series]
    benchmark.group = rows.CURVE
    benchmark.extra_info.update({"row": rows.CURVE, "peer": series, "size": size, "items": 1})
    benchmark._max_time /= 5  # 48 points, of which a chart needs less precision
    benchmark(work)


@pytest.mark.parametrize("which", ["vaultcore", "raw"])
def test_stream(benchmark: BenchmarkFixture, which: str, *, quick: bool) -> None:
    size = 16 if quick else 1024
    command = [sys.executable, "-m", "benches.library.stream", which, str(size)]
    found: list[dict[str, Any]] = []

    def run() -> None:
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found.append(json.loads(done.stdout))

    benchmark.pedantic(run, rounds=1 if quick else 5)
    best = min(found, key=lambda one: one["seconds"])
    benchmark.group = rows.STREAM
    benchmark.extra_info.update(
        {
            "row": rows.STREAM,
            "peer": OURS if which == "vaultcore" else rows.RAW,
            "items": 1,
            "seconds": best["seconds"],
            "bytes": size << 20,
            "peak": max(one["peak"] for one in found),
            "growth": max(one["growth"] for one in found),
        }
    )
    assert size < 1024 or best["peak"] < 128 << 20


def _sealing(envelope: Any) -> Callable[[], list[bytes]]:
    if isinstance(envelope, Vaultcore):
        kek, context = envelope.kek, envelope.context
        return lambda: kek.seal_many(BATCH, context=context)
    return lambda: [envelope.seal(plaintext) for plaintext in BATCH]
