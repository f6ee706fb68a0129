"""Envelopes: what opens, and above all what does not."""

import copy
import itertools
import pickle
from typing import Any

import pytest

from vaultcore import _core
from vaultcore._core import Context, KeyEncryptionKey, inspect
from vaultcore.errors import AlgorithmError, DecryptionError, KeyFormatError, UsageError

CONTEXT = Context({"table": "orders", "row": 17})


@pytest.fixture(params=[1, 2], ids=["gcm-siv", "aes-kw"])
def kek(request: pytest.FixtureRequest) -> KeyEncryptionKey:
    return KeyEncryptionKey.generate(suite=request.param)


def refused(kek: KeyEncryptionKey, blob: bytes, context: Context | None = CONTEXT) -> str:
    with pytest.raises(DecryptionError) as caught:
        kek.open(blob, context=context)
    assert caught.value.__cause__ is None
    return str(caught.value)


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 1024, 65_536, 1_000_000])
def test_what_is_sealed_opens(kek: KeyEncryptionKey, size: int) -> None:
    plaintext = bytes(range(256)) * (size // 256 + 1)
    plaintext = plaintext[:size]
    blob = kek.seal(plaintext, context=CONTEXT)
    assert kek.open(blob, context=CONTEXT) == plaintext
    assert len(blob) == size + (146 if kek.suite == 1 else 126)
    assert plaintext[:64] not in blob or size < 8


def test_a_mapping_is_as_good_as_a_context(kek: KeyEncryptionKey) -> None:
    blob = kek.seal(b"x", context={"row": 17, "table": "orders"})
    assert kek.open(blob, context=CONTEXT) == b"x"
    assert kek.open(kek.seal(b"y"), context=Context({})) == b"y"
    assert kek.open(kek.seal(b"z", context=None), context={}) == b"z"


def test_every_changed_byte_and_every_cut_is_refused_alike(kek: KeyEncryptionKey) -> None:
    kek.rotate()
    blob = kek.seal(b"a message", context=CONTEXT)
    messages = {refused(kek, b""), refused(kek, blob + b"\0"), refused(kek, b"\0" + blob)}
    for index in range(len(blob)):
        messages.add(refused(kek, blob[:index]))
        for bit in range(8):
            changed = bytearray(blob)
            changed[index] ^= 1 << bit
            messages.add(refused(kek, bytes(changed)))
    assert messages == {"the ciphertext could not be opened"}


def test_fields_do_not_move_between_envelopes(kek: KeyEncryptionKey) -> None:
    one = kek.seal(b"first message", context=CONTEXT)
    other = kek.seal(b"other message", context=CONTEXT)
    wrap = 86 if kek.suite == 1 else 66
    edges = [0, 22, 26, wrap, wrap + 12, wrap + 44, len(one) - 16, len(one)]
    for start, end in itertools.pairwise(edges):
        mixed = one[:start] + other[start:end] + one[end:]
        if mixed == one:
            continue  # the headers are the same
        refused(kek, mixed)
    # Wrapped key and payload of the other: everything but the header, which is the same.
    assert kek.open(one[:26] + other[26:], context=CONTEXT) == b"other message"


def test_an_envelope_opens_under_its_own_key_and_context_only(kek: KeyEncryptionKey) -> None:
    blob = kek.seal(b"x", context=CONTEXT)
    refused(KeyEncryptionKey.generate(suite=kek.suite), blob)
    for context in (None, Context({"table": "orders"}), Context({"table": "orders", "row": "17"})):
        refused(kek, blob, context)
    # The same id with another key: found by the wrap and by the commitment.
    refused(KeyEncryptionKey.danger_from_bytes(b"k" * 32, id=kek.id, suite=kek.suite), blob)


def test_the_same_bytes_under_another_id_or_suite_are_another_key() -> None:
    raw = b"k" * 32
    blob = KeyEncryptionKey.danger_from_bytes(raw).seal(b"x")
    assert KeyEncryptionKey.danger_from_bytes(bytearray(raw)).open(blob) == b"x"
    refused(KeyEncryptionKey.danger_from_bytes(raw, id="0" * 32), blob, None)
    refused(KeyEncryptionKey.danger_from_bytes(raw, suite=2), blob, None)


def test_old_envelopes_open_after_any_number_of_rotations(kek: KeyEncryptionKey) -> None:
    blobs = []
    for generation in range(1, 51):
        assert kek.generation == generation
        blobs.append(kek.seal(b"%d" % generation, context=CONTEXT))
        assert inspect(blobs[-1]).generation == generation
        assert kek.rotate() == generation + 1
    assert kek.generations == list(range(1, 52))
    for generation, blob in enumerate(blobs, 1):
        assert kek.open(blob, context=CONTEXT) == b"%d" % generation
    rewrapped = kek.rewrap_many(blobs)
    assert {inspect(blob).generation for blob in rewrapped} == {51}
    assert kek.open_many(rewrapped, context=CONTEXT) == [b"%d" % n for n in range(1, 51)]


def test_rewrapping_touches_generation_and_wrap_alone(kek: KeyEncryptionKey) -> None:
    blob = kek.seal(b"x" * 100, context=CONTEXT)
    assert kek.rewrap(blob) == blob
    kek.rotate()
    wrap = 86 if kek.suite == 1 else 66
    rewrapped = kek.rewrap(blob)
    assert (rewrapped[:22], rewrapped[wrap:]) == (blob[:22], blob[wrap:])
    assert rewrapped[22:wrap] != blob[22:wrap]
    assert kek.rewrap(rewrapped) == rewrapped
    for broken in (blob[:60], b"", rewrapped[:22] + blob[22:26] + rewrapped[26:]):
        with pytest.raises(DecryptionError):
            kek.rewrap(broken)
    with pytest.raises(DecryptionError):
        KeyEncryptionKey.generate(suite=kek.suite).rewrap(blob)


def test_rewrapping_does_not_heal(kek: KeyEncryptionKey) -> None:
    blob = kek.seal(b"x" * 100, context=CONTEXT)
    kek.rotate()
    broken = blob[:-1] + bytes([blob[-1] ^ 1])
    refused(kek, kek.rewrap(broken))


def test_resealing_binds_the_new_context_and_no_longer_the_old(kek: KeyEncryptionKey) -> None:
    blob = kek.seal(b"moved", context=CONTEXT)
    moved = kek.reseal(blob, context=CONTEXT, new_context={"table": "archive"})
    assert kek.open(moved, context={"table": "archive"}) == b"moved"
    refused(kek, moved)
    other = KeyEncryptionKey.generate()
    assert other.open(kek.reseal(blob, context=CONTEXT, new_context=None, under=other)) == b"moved"
    with pytest.raises(DecryptionError):
        kek.reseal(blob, context=None, new_context=CONTEXT)


def test_a_batch_is_many_envelopes(kek: KeyEncryptionKey) -> None:
    plaintexts = [bytes([index % 256]) * index for index in range(300)]
    blobs = kek.seal_many(plaintexts, context=CONTEXT)
    assert [kek.open(blob, context=CONTEXT) for blob in blobs] == plaintexts
    assert kek.open_many(blobs, context=CONTEXT) == plaintexts
    contexts = [{"row": index} for index in range(300)]
    blobs = kek.seal_many(plaintexts, contexts=contexts)
    assert kek.open_many(tuple(blobs), contexts=contexts) == plaintexts
    assert kek.open(blobs[299], context={"row": 299}) == plaintexts[299]
    assert kek.seal_many([]) == kek.open_many([]) == kek.rewrap_many([]) == []
    with pytest.raises(DecryptionError):
        kek.open_many(blobs, contexts=contexts[::-1])
    with pytest.raises(DecryptionError):
        kek.open_many([*blobs[:200], blobs[0][:-1]], contexts=contexts[:201])


def test_contexts_of_a_batch_are_for_all_or_for_each(kek: KeyEncryptionKey) -> None:
    with pytest.raises(UsageError, match="not both"):
        kek.seal_many([b""], context=CONTEXT, contexts=[CONTEXT])
    with pytest.raises(UsageError, match="2 contexts for 1 items"):
        kek.seal_many([b""], contexts=[CONTEXT, None])


def test_nothing_random_repeats(kek: KeyEncryptionKey) -> None:
    wrap = 86 if kek.suite == 1 else 66
    blobs = kek.seal_many([b""] * 20_000, context=CONTEXT)
    blobs += [kek.seal(b"", context=CONTEXT) for _ in range(5_000)]
    # Of an empty message, the commitment is new because the data key is.
    for start, end in ((26, 38), (38, wrap), (wrap, wrap + 12), (wrap + 12, wrap + 44)):
        assert len({blob[start:end] for blob in blobs}) == len(blobs)


def test_keys_travel_sealed_with_all_generations(kek: KeyEncryptionKey) -> None:
    outer = KeyEncryptionKey.generate()
    blob = kek.seal(b"x")
    kek.rotate()
    bundle = kek.wrap_under(outer)
    back = KeyEncryptionKey.unwrap_under(outer, bundle)
    assert (back.id, back.suite, back.generations) == (kek.id, kek.suite, [1, 2])
    assert back.open(blob) == b"x"
    assert inspect(bundle).content == "key-encryption-key"
    refused(outer, bundle, None)  # not as a message, which Python would see
    for wrong in (bundle[:-1], blob, b""):
        with pytest.raises(DecryptionError):
            KeyEncryptionKey.unwrap_under(outer, wrong)
    with pytest.raises(DecryptionError):
        KeyEncryptionKey.unwrap_under(KeyEncryptionKey.generate(), bundle)


def test_key_bytes_come_and_go_only_by_dangerous_names() -> None:
    raw = bytes(range(32))
    kek = KeyEncryptionKey.danger_from_bytes(raw)
    assert kek.danger_to_bytes() == raw
    assert len(kek.id) == 32
    kek.rotate()
    assert kek.danger_to_bytes() != raw
    for name in dir(KeyEncryptionKey):
        assert "bytes" not in name or name.startswith("danger_"), name


def test_wrong_arguments_are_told() -> None:
    with pytest.raises(AlgorithmError, match="no suite 3"):
        KeyEncryptionKey.generate(suite=3)
    with pytest.raises(KeyFormatError, match="32 bytes, not 31"):
        KeyEncryptionKey.danger_from_bytes(b"k" * 31)
    for wrong in ("0" * 31, "0" * 33, "G" * 32, "A" * 32):
        with pytest.raises(UsageError, match="32 lower-case hex digits"):
            KeyEncryptionKey.danger_from_bytes(b"k" * 32, id=wrong)
    kek = KeyEncryptionKey.generate()
    text: Any
    for text in ("text", bytearray(b"x"), memoryview(b"x"), None, 1):
        with pytest.raises(TypeError):
            kek.seal(text)
        with pytest.raises(TypeError):
            kek.open(text)
        with pytest.raises(TypeError):
            kek.seal_many([text])
    with pytest.raises(TypeError):
        kek.seal(b"", nonce=bytes(12))  # type: ignore[call-arg]


def test_inspecting_needs_no_key(kek: KeyEncryptionKey) -> None:
    info = inspect(kek.seal(b"x" * 10))
    assert (info.version, info.suite, info.content) == (1, kek.suite, "message")
    assert (info.kek_id, info.generation, info.payload_size) == (kek.id, 1, 10)
    assert info == inspect(kek.seal(b"y" * 10))
    assert repr(info).startswith("EnvelopeInfo(version=1, ")
    for wrong in (b"", b"vce\x01", b"x" * 200, kek.seal(b"")[:-1]):
        with pytest.raises(UsageError, match="not an envelope"):
            inspect(wrong)


def test_keys_are_not_shown_pickled_copied_or_changed() -> None:
    raw = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
    kek = KeyEncryptionKey.danger_from_bytes(raw)
    shown = f"{kek} {kek!r} {kek:} {[kek]} {vars(type(kek)).keys()}"
    assert raw.decode() not in shown
    assert raw.hex() not in shown
    assert repr(kek) == f"KeyEncryptionKey(id='{kek.id}', generation=1)"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="cannot be pickled or copied"):
            pickle.dumps(kek, protocol)
    for duplicate in (copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot be pickled or copied"):
            duplicate(kek)
    for name in ("id", "anything"):
        with pytest.raises(AttributeError):
            setattr(kek, name, 1)
    with pytest.raises(TypeError):
        type("Sub", (KeyEncryptionKey,), {})
    with pytest.raises(TypeError):
        KeyEncryptionKey()


def test_the_build_says_what_it_stands_on() -> None:
    assert _core.backend.startswith("aws-lc-rs (AWS-LC ")
    assert _core.build_profile in {"debug", "release"}
