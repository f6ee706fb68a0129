"""The published vectors, and a second implementation in both directions."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from reference import envelope as reference
from vaultcore._core import Context, KeyEncryptionKey, StreamOpener, StreamSealer, inspect
from vaultcore.errors import DecryptionError

VECTORS = json.loads(
    (Path(__file__).parents[2] / "vectors/envelope.json").read_text(encoding="utf-8")
)["vectors"]
CONTENTS = ["message", "stream", "key", "key-encryption-key"]
OUTER = reference.Kek(b"outer KEK of 16B", reference.GCM_SIV, {1: b"o" * 32})
RANDOM = reference.Randomness(b"d" * 32, b"p" * 12, b"w" * 12)


def imported(kek: reference.Kek) -> KeyEncryptionKey:
    """Bring a key of the reference over, with all its generations: sealed under another."""
    bundle = bytes([kek.suite]) + kek.id
    for number, key in kek.generations.items():
        bundle += number.to_bytes(4, "big") + key
    empty = reference.encode_context({})
    blob = reference.seal(OUTER, bundle, empty, RANDOM, content=reference.KEK)
    outer = KeyEncryptionKey.danger_from_bytes(b"o" * 32, id=OUTER.id.hex())
    return KeyEncryptionKey.unwrap_under(outer, blob)


def value(tagged: dict[str, Any]) -> reference.Value:
    ((kind, content),) = tagged.items()
    return bytes.fromhex(content) if kind == "bytes" else content


def load(vector: dict[str, Any]) -> tuple[reference.Kek, Context, bytes]:
    generations = {int(n): bytes.fromhex(k) for n, k in vector["kek"]["generations"].items()}
    kek = reference.Kek(bytes.fromhex(vector["kek"]["id"]), vector["suite"], generations)
    context = Context({name: value(tagged) for name, tagged in vector["context"].items()})
    assert context.encoded.hex() == vector["encoded_context"]
    if "plaintext" in vector:
        return kek, context, bytes.fromhex(vector["plaintext"])
    return kek, context, b"a" * vector["plaintext_of_0x61"]


def open_stream(kek: KeyEncryptionKey, blob: bytes, context: Context) -> bytes:
    opener = StreamOpener(kek, context=context)
    return opener.update(blob) + opener.finalize()


@pytest.mark.parametrize("vector", [v for v in VECTORS if "envelope" in v])
def test_vectors_open(vector: dict[str, Any]) -> None:
    kek, context, plaintext = load(vector)
    ours, blob = imported(kek), bytes.fromhex(vector["envelope"])
    info = inspect(blob)
    assert (info.suite, info.content) == (vector["suite"], CONTENTS[vector["content"]])
    assert (info.kek_id, info.generation) == (vector["kek"]["id"], vector["generation"])
    assert info.payload_size == len(plaintext)
    if vector["content"] == reference.MESSAGE:
        assert ours.open(blob, context=context) == plaintext
    elif vector["content"] == reference.STREAM:
        assert open_stream(ours, blob, context) == plaintext
    else:
        # Key material does not come out to Python; resealed, it opens with the reference.
        with pytest.raises(DecryptionError):
            ours.open(blob, context=context)
        outer = KeyEncryptionKey.danger_from_bytes(b"o" * 32, id=OUTER.id.hex())
        blob = ours.reseal(blob, context=context, new_context=context, under=outer)
        content = vector["content"]
        opened = reference.open_envelope(OUTER, blob, context.encoded, content=content)
        assert opened == plaintext


@given(
    st.sampled_from([1, 2]),
    st.binary(max_size=200),
    st.dictionaries(st.text("abc", min_size=1, max_size=3), st.integers(-9, 9), max_size=3),
)
def test_each_opens_what_the_other_sealed(
    suite: int, plaintext: bytes, fields: dict[str, reference.Value]
) -> None:
    kek = reference.Kek(b"k" * 16, suite, {1: b"1" * 32, 3: b"3" * 32})
    ours, context = imported(kek), Context(fields)
    blob = ours.seal(plaintext, context=context)
    assert reference.open_envelope(kek, blob, context.encoded) == plaintext
    for generation in (1, 3):
        blob = reference.seal(kek, plaintext, context.encoded, RANDOM, generation=generation)
        assert ours.open(blob, context=context) == plaintext
        rewrapped = ours.rewrap(blob)
        assert reference.open_envelope(kek, rewrapped, context.encoded) == plaintext


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 131_072, 200_000])
@pytest.mark.parametrize("suite", [1, 2])
def test_each_opens_the_stream_of_the_other(suite: int, size: int) -> None:
    kek = reference.Kek(b"k" * 16, suite, {1: b"1" * 32})
    ours, context = imported(kek), Context({"file": "x"})
    plaintext = b"stream" * (size // 6) + b"." * (size % 6)
    sealer = StreamSealer(ours, context=context)
    blob = sealer.update(plaintext) + sealer.finalize()
    stream = reference.STREAM
    assert reference.open_envelope(kek, blob, context.encoded, content=stream) == plaintext
    blob = reference.seal(kek, plaintext, context.encoded, RANDOM, content=stream)
    assert open_stream(ours, blob, context) == plaintext


def test_a_stream_that_ends_with_an_empty_segment_is_refused_by_both() -> None:
    # One plaintext has one division into segments, also for who knows the key.
    kek = reference.Kek(b"k" * 16, 1, {1: b"1" * 32})
    context = Context({})
    full = reference.seal(kek, b"x" * 65_537, context.encoded, RANDOM, content=reference.STREAM)
    cipher = AESGCM(RANDOM.data_key)
    nonce = reference.segment_nonce(RANDOM.payload_nonce, 1, last=True)
    last = cipher.encrypt(nonce, b"", full[:22] + context.encoded)
    blob = full[: 130 + 65_552] + last
    with pytest.raises(reference.RefusedError):
        reference.open_envelope(kek, blob, context.encoded, content=reference.STREAM)
    with pytest.raises(DecryptionError):
        open_stream(imported(kek), blob, context)


def test_the_id_of_imported_bytes_is_that_of_the_document() -> None:
    import hashlib

    for suite in (1, 2):
        wanted = hashlib.sha256(b"vaultcore/kek-id" + bytes([suite]) + b"k" * 32).hexdigest()[:32]
        assert KeyEncryptionKey.danger_from_bytes(b"k" * 32, suite=suite).id == wanted
