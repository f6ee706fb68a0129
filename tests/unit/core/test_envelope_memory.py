"""No key stays in memory: another process looks for it in ours."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

import pytest

from reference import envelope as reference
from vaultcore._core import inspect

# The key comes through a pipe into one buffer, which is overwritten; it is in no other place.
CHILD = """
import os, sys
from vaultcore._core import KeyEncryptionKey, StreamOpener, StreamSealer
suite = int(sys.argv[1])
raw = bytearray(32)
os.readv(0, [raw])
kek = KeyEncryptionKey.danger_from_bytes(raw, suite=suite)
raw[:] = bytes(32)
blobs = [kek.seal(b"%d" % n, context={"row": n}) for n in range(300)]
blobs += kek.seal_many([b"x" * n for n in range(300)], context={"long": "context" * 50})
kek.open_many(blobs[300:], context={"long": "context" * 50})
kek.rewrap_many(blobs)
for n in range(300):
    kek.open(blobs[n], context={"row": n})
sealer, opener = StreamSealer(kek), StreamOpener(kek)
blobs += [sealer.update(b"x" * 100_000) + sealer.finalize()]
opener.update(blobs[-1]) + opener.finalize()
del sealer, opener
os.write(1, b"".join(len(blob).to_bytes(4, "big") + blob for blob in blobs))
sys.stdin.buffer.readline()  # alive, with the key
del kek
os.write(1, b"gone")
sys.stdin.buffer.readline()
"""


def hits(pid: int, needles: list[bytes]) -> int:
    """Count the needles that are anywhere in the memory of a process."""
    found = set()
    regions = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8").splitlines()
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for region in regions:
            span, permissions, *_ = region.split()
            if "rw" not in permissions:
                continue
            start, end = (int(edge, 16) for edge in span.split("-"))
            content = b"".join(read_pages(memory, start, end))
            found |= {needle for needle in needles if needle in content}
    return len(found)


def read_pages(memory: FileIO, start: int, end: int) -> Iterator[bytes]:
    """Read a region, without the pages that the kernel keeps to itself."""
    step = 1 << 20
    while start < end:
        memory.seek(start)
        try:
            content = memory.read(min(step, end - start))
        except OSError:
            if step == 1 << 12:
                start += step
            step = 1 << 12
            continue
        yield content
        start += len(content)


@pytest.mark.parametrize("suite", [1, 2])
def test_keys_are_wiped_when_they_go(suite: int) -> None:
    raw = hashlib.sha256(b"a key-encryption key, suite %d" % suite).digest()
    command = [sys.executable, "-c", CHILD, str(suite)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(raw)
        child.stdin.flush()
        blobs = []
        for _ in range(601):
            size = int.from_bytes(child.stdout.read(4), "big")
            blobs.append(child.stdout.read(size))
        kek = reference.Kek(bytes.fromhex(inspect(blobs[0]).kek_id), suite, {1: raw})
        end = 26 + reference.WRAP_SIZE[suite]
        data_keys = [kek.unwrap(blob[:26], blob[26:end]) for blob in blobs]

        # The control: while the key lives, its bytes are found.
        assert hits(child.pid, [raw]) == 1
        assert hits(child.pid, data_keys) == 0
        child.stdin.write(b"\n")
        child.stdin.flush()
        assert child.stdout.read(4) == b"gone"
        assert hits(child.pid, [raw, raw[:16], raw[16:]]) == 0
        child.stdin.write(b"\n")
        child.stdin.flush()
        assert child.wait(60) == 0
