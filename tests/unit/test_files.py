"""Streams and sealed files."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from vaultcore._core import Context, KeyEncryptionKey, StreamOpener, StreamSealer, inspect
from vaultcore.errors import DecryptionError, UsageError
from vaultcore.files import open_file, rewrap_file, seal_file

SEGMENT = 65_536
SIZES = [0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 1 << 18, (1 << 18) + 1, 1_000_000]
CONTEXT = Context({"file": "report"})


@pytest.fixture(scope="module")
def kek() -> KeyEncryptionKey:
    return KeyEncryptionKey.generate()


def sealed(kek: KeyEncryptionKey, plaintext: bytes) -> bytes:
    sealer = StreamSealer(kek, context=CONTEXT)
    return sealer.update(plaintext) + sealer.finalize()


@pytest.mark.parametrize("size", SIZES)
def test_what_is_sealed_opens(kek: KeyEncryptionKey, tmp_path: Path, size: int) -> None:
    source, target, back = tmp_path / "source", tmp_path / "target", tmp_path / "back"
    plaintext = os.urandom(size)
    source.write_bytes(plaintext)
    told: list[int] = []
    written = seal_file(kek, source, target, context=CONTEXT, progress=told.append)
    assert written == target.stat().st_size
    assert inspect(target.read_bytes()).payload_size == size
    assert told == sorted(told)
    assert told[-1:] == ([size] if size else [])
    assert open_file(kek, str(target), str(back), context=CONTEXT) == size
    assert back.read_bytes() == plaintext
    assert {stat.S_IMODE(path.stat().st_mode) for path in (target, back)} == {0o600}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["back", "source", "target"]


@pytest.mark.parametrize("piece", [1, 100, 4096])
def test_pieces_of_any_size_make_a_stream(kek: KeyEncryptionKey, piece: int) -> None:
    plaintext = os.urandom(SEGMENT + 300 if piece > 1 else 300)
    sealer, opener = StreamSealer(kek), StreamOpener(kek)
    pieces = [plaintext[at : at + piece] for at in range(0, len(plaintext), piece)]
    blob = b"".join(map(sealer.update, pieces)) + sealer.finalize()
    pieces = [blob[at : at + piece] for at in range(0, len(blob), piece)]
    assert b"".join(map(opener.update, pieces)) + opener.finalize() == plaintext


def test_a_stream_cut_anywhere_never_ends(kek: KeyEncryptionKey) -> None:
    blob = sealed(kek, b"x" * (2 * SEGMENT + 10))
    cuts = [*range(200), *range(len(blob) - 40, len(blob))]
    for segment in (1, 2):
        edge = 130 + segment * (SEGMENT + 16)
        cuts += range(edge - 20, edge + 20)
    for cut in cuts:
        opener = StreamOpener(kek, context=CONTEXT)
        opener.update(blob[:cut])
        with pytest.raises(DecryptionError, match=r"^the ciphertext could not be opened$"):
            opener.finalize()


def test_a_changed_byte_anywhere_is_refused(kek: KeyEncryptionKey) -> None:
    blob = sealed(kek, b"x" * (SEGMENT + 10))
    places = [*range(180), *range(130 + SEGMENT - 20, len(blob))]
    for place in places:
        opener = StreamOpener(kek, context=CONTEXT)
        changed = blob[:place] + bytes([blob[place] ^ 0x80]) + blob[place + 1 :]
        with pytest.raises(DecryptionError, match=r"^the ciphertext could not be opened$"):
            opener.update(changed) + opener.finalize()
        with pytest.raises(DecryptionError):
            opener.finalize()  # once refused, always refused


def test_segments_keep_their_order_and_their_stream(kek: KeyEncryptionKey) -> None:
    blob = sealed(kek, bytes(3 * SEGMENT))
    other = sealed(kek, bytes(3 * SEGMENT))
    head, size = blob[:130], SEGMENT + 16
    one, two, three = (blob[130 + n * size :][:size] for n in range(3))
    stranger = other[130 + size :][:size]
    for segments in (
        (two, one, three),
        (one, three),
        (one, two),
        (one, two, two, three),
        (one, stranger, three),
        (one, two, three, three),
        (three,),
        (),
    ):
        opener = StreamOpener(kek, context=CONTEXT)
        with pytest.raises(DecryptionError):
            opener.update(head + b"".join(segments)) + opener.finalize()


def test_a_stream_is_of_its_context_its_key_and_a_stream(kek: KeyEncryptionKey) -> None:
    blob = sealed(kek, b"x")
    for key, context in ((kek, None), (KeyEncryptionKey.generate(), CONTEXT)):
        with pytest.raises(DecryptionError):
            StreamOpener(key, context=context).update(blob)
    with pytest.raises(DecryptionError):
        kek.open(blob, context=CONTEXT)
    with pytest.raises(DecryptionError):
        StreamOpener(kek, context=CONTEXT).update(kek.seal(b"x", context=CONTEXT))
    with pytest.raises(UsageError, match="a stream is resealed"):
        kek.reseal(blob, context=CONTEXT, new_context=None)


def test_an_ended_stream_takes_no_more(kek: KeyEncryptionKey) -> None:
    sealer, opener = StreamSealer(kek), StreamOpener(kek)
    opener.update(sealer.finalize())
    opener.finalize()
    for stream in (sealer, opener):
        with pytest.raises(UsageError, match="has ended"):
            stream.update(b"")
        with pytest.raises(UsageError, match="has ended"):
            stream.finalize()
    with pytest.raises(TypeError):
        StreamSealer(kek).update(bytearray(b"x"))  # type: ignore[arg-type]


def test_a_refused_file_leaves_nothing(kek: KeyEncryptionKey, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    blob = sealed(kek, b"x" * 1_000_000)
    for wrong in (blob[:-1], blob[: 130 + SEGMENT + 16], b"", blob + b"\0"):
        source.write_bytes(wrong)
        with pytest.raises(DecryptionError):
            open_file(kek, source, target, context=CONTEXT)
        assert list(tmp_path.iterdir()) == [source]


def test_a_target_is_replaced_when_asked_and_only_then(
    kek: KeyEncryptionKey, tmp_path: Path
) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"new")
    target.write_bytes(b"old")
    with pytest.raises(FileExistsError, match="exists"):
        seal_file(kek, source, target)

    def appear(_: int) -> None:
        target.write_bytes(b"someone else")

    target.unlink()
    with pytest.raises(FileExistsError):
        seal_file(kek, source, target, progress=appear)
    assert target.read_bytes() == b"someone else"
    seal_file(kek, source, target, replace=True)
    open_file(kek, target, target, replace=True)
    assert target.read_bytes() == b"new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "target"]


def test_what_is_no_regular_file_is_not_replaced(kek: KeyEncryptionKey, tmp_path: Path) -> None:
    source, pipe = tmp_path / "source", tmp_path / "pipe"
    source.write_bytes(b"x")
    os.mkfifo(pipe)
    for target in (pipe, tmp_path):
        with pytest.raises(OSError, match="is not a regular file"):
            seal_file(kek, source, target, replace=True)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert {path.name for path in tmp_path.iterdir()} == {"source", "pipe"}


def test_an_error_half_way_leaves_nothing(kek: KeyEncryptionKey, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(bytes(1 << 20))
    target.write_bytes(b"old")

    def fail(done: int) -> None:
        if done > 1 << 19:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        seal_file(kek, source, target, progress=fail, replace=True)
    assert target.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "target"]


KILLED = """
import os, signal, sys
from vaultcore._core import KeyEncryptionKey
from vaultcore.files import seal_file
seal_file(KeyEncryptionKey.generate(), sys.argv[1], sys.argv[2], replace=True,
          progress=lambda done: done > 1 << 19 and os.kill(os.getpid(), signal.SIGKILL))
"""


def test_a_killed_process_leaves_the_old_target(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(bytes(1 << 20))
    target.write_bytes(b"old")
    command = [sys.executable, "-c", KILLED, str(source), str(target)]
    assert subprocess.run(command, check=False, timeout=60).returncode == -signal.SIGKILL
    assert target.read_bytes() == b"old"


MEMORY = """
import resource, sys
from vaultcore._core import KeyEncryptionKey
from vaultcore.files import open_file, seal_file
kek = KeyEncryptionKey.generate()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
seal_file(kek, sys.argv[1], sys.argv[2])
open_file(kek, sys.argv[2], sys.argv[3])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    source = tmp_path / "source"
    with source.open("wb") as file:
        file.truncate(96 << 20)
    arguments = [str(source), str(tmp_path / "sealed"), str(tmp_path / "opened")]
    grown = subprocess.run(
        [sys.executable, "-c", MEMORY, *arguments], check=True, timeout=120, capture_output=True
    ).stdout
    assert int(grown) < 8 * 1024  # KiB


def test_a_file_is_rewrapped_without_its_payload(tmp_path: Path) -> None:
    for suite in (1, 2):
        kek = KeyEncryptionKey.generate(suite=suite)
        source, target = tmp_path / "source", tmp_path / f"target{suite}"
        for size in (0, 3, 1_000_000):
            source.write_bytes(os.urandom(size))
            seal_file(kek, source, target, context=CONTEXT, replace=True)
            before = target.read_bytes()
            rewrap_file(kek, target)
            assert target.read_bytes() == before
            kek.rotate()
            told: list[int] = []
            rewrap_file(kek, target, progress=told.append)
            after = target.read_bytes()
            wrap = 86 if suite == 1 else 66
            assert (after[:22], after[wrap:]) == (before[:22], before[wrap:])
            assert inspect(after).generation == kek.generation
            back = tmp_path / "back"
            open_file(kek, target, back, context=CONTEXT, replace=True)
            assert back.read_bytes() == source.read_bytes()
        target.write_bytes(b"x" * 300)
        with pytest.raises(DecryptionError):
            rewrap_file(kek, target)
        assert target.read_bytes() == b"x" * 300
