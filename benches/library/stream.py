"""Encrypts a stream in a process of its own, and prints its rate and the peak of its memory.

``python -m benches.library.stream (vaultcore|update|update_into) MIB``
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

_PIECE = 1 << 20


def main() -> None:
    """Runs one of the two over the same bytes, in pieces of 1 MiB."""
    which, size = sys.argv[1], int(sys.argv[2])
    piece = os.urandom(_PIECE)
    # Both import what they need before memory is looked at: the growth is the stream's own.
    run = {"vaultcore": _vaultcore, "update": _update, "update_into": _update_into}[which]
    run(piece, 1)
    before = _memory("VmRSS")
    start = time.perf_counter()
    run(piece, size)
    seconds = time.perf_counter() - start
    found = {"seconds": seconds, "peak": _memory("VmHWM"), "growth": _memory("VmHWM") - before}
    print(json.dumps(found))


def _vaultcore(piece: bytes, count: int) -> None:
    from vaultcore._core import KeyEncryptionKey, StreamSealer

    sealer = StreamSealer(KeyEncryptionKey.generate())
    for _ in range(count):
        sealer.update(piece)
    sealer.finalize()


def _update(piece: bytes, count: int) -> None:
    encryptor = _encryptor()
    for _ in range(count):
        encryptor.update(piece)
    encryptor.finalize()


def _update_into(piece: bytes, count: int) -> None:
    """The same without a new buffer for every piece, which is as fast as it gets."""
    encryptor = _encryptor()
    out = bytearray(_PIECE + 15)
    for _ in range(count):
        encryptor.update_into(piece, out)
    encryptor.finalize()


def _encryptor() -> Any:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    return Cipher(algorithms.AES256(os.urandom(32)), modes.GCM(os.urandom(12))).encryptor()


def _memory(what: str) -> int:
    status = Path("/proc/self/status").read_text()
    found = re.search(rf"{what}:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


if __name__ == "__main__":
    main()
