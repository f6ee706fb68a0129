"""Envelopes: this project beside others, one call, in batches, in threads, as a stream."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from benches.library import rows, threads
from benches.library.envelopes import BY_HAND, ENVELOPES, OURS, Vaultcore
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

if TYPE_CHECKING:
    from collections.abc import Callable

    from benches.library.rounds import Comparison
    from pytest_benchmark.fixture import BenchmarkFixture

PLAINTEXT = os.urandom(1024)
BATCH = [os.urandom(1024) for _ in range(100)]
SIZES = [4**power for power in range(2, 14)]
STREAMS = {OURS: "vaultcore", rows.RAW_UPDATE: "update", rows.RAW_INTO: "update_into"}


def test_seal(comparison: Comparison) -> None:
    envelopes = {peer: make() for peer, make in ENVELOPES.items()}
    works = {peer: partial(one.seal, PLAINTEXT) for peer, one in envelopes.items()}
    blobs = comparison.run(rows.SEAL, works)
    assert all(one.open(blobs[peer]) == PLAINTEXT for peer, one in envelopes.items())


def test_open(comparison: Comparison) -> None:
    envelopes = {peer: make() for peer, make in ENVELOPES.items()}
    works = {peer: partial(one.open, one.seal(PLAINTEXT)) for peer, one in envelopes.items()}
    assert set(comparison.run(rows.OPEN, works).values()) == {PLAINTEXT}


def test_seal_batch(comparison: Comparison) -> None:
    ours, by_hand = Vaultcore(), ENVELOPES[BY_HAND]()
    works: dict[str, Callable[[], list[bytes]]] = {
        OURS: partial(ours.kek.seal_many, BATCH, context=ours.context),
        BY_HAND: lambda: [by_hand.seal(plaintext) for plaintext in BATCH],
    }
    blobs = comparison.run(rows.SEAL_BATCH, works, items=len(BATCH))
    assert [ours.open(blob) for blob in blobs[OURS]] == BATCH
    assert [by_hand.open(blob) for blob in blobs[BY_HAND]] == BATCH


def test_open_batch(comparison: Comparison) -> None:
    ours, by_hand = Vaultcore(), ENVELOPES[BY_HAND]()
    sealed = [by_hand.seal(plaintext) for plaintext in BATCH]
    blobs = ours.kek.seal_many(BATCH, context=ours.context)
    works: dict[str, Callable[[], list[bytes]]] = {
        OURS: partial(ours.kek.open_many, blobs, context=ours.context),
        BY_HAND: lambda: [by_hand.open(blob) for blob in sealed],
    }
    found = comparison.run(rows.OPEN_BATCH, works, items=len(BATCH))
    assert found == {OURS: BATCH, BY_HAND: BATCH}


def test_threads(comparison: Comparison) -> None:
    """Each thread has the same to do: the time stays, if threads are for free."""
    with threads.ways() as works:
        comparison.run(rows.THREADS, works, items=threads.ITEMS)


@pytest.mark.parametrize("size", SIZES)
def test_curve(comparison: Comparison, size: int, *, quick: bool) -> None:
    plaintext = os.urandom(size)
    envelope, by_hand = Vaultcore(), ENVELOPES[BY_HAND]()
    blob = envelope.seal(plaintext)
    raw, nonce = AESGCM(os.urandom(32)), os.urandom(12)
    works: dict[str, Callable[[], bytes]] = {
        "seal": partial(envelope.seal, plaintext),
        "open": partial(envelope.open, blob),
        BY_HAND: partial(by_hand.seal, plaintext),
        # A repeated nonce, which only a benchmark may have.
        "AES-256-GCM alone": partial(raw.encrypt, nonce, plaintext, None),
    }
    # A chart needs less precision than a ratio.
    comparison.run(rows.CURVE, works, size=size, rounds=3 if quick else 10)


def test_stream(comparison: Comparison, benchmark: BenchmarkFixture, *, quick: bool) -> None:
    size = 16 if quick else 1024
    found: dict[str, list[dict[str, Any]]] = {peer: [] for peer in STREAMS}

    def run() -> None:
        for peer, which in STREAMS.items():
            command = [sys.executable, "-m", "benches.library.stream", which, str(size)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found[peer].append(json.loads(done.stdout))

    benchmark.pedantic(run, rounds=2 if quick else 15)
    ours = found[OURS]
    peak = max(one["peak"] for one in ours)
    comparison.record(
        rows.STREAM,
        {peer: [one["seconds"] for one in rounds] for peer, rounds in found.items()},
        bytes=size << 20,
        peak=peak,
        growth=max(one["growth"] for one in ours),
    )
    assert peak < 32 << 20
