"""The envelope format of docs/envelope.md a second time, in plain Python with `cryptography`.

It shares no code with the extension and was written from the document alone, to be read beside it.
Everything random is a parameter, so that it also makes the test vectors.
"""

import hashlib
import hmac
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESGCMSIV
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

MESSAGE, STREAM, KEY, KEK = range(4)
GCM_SIV, AES_KW = 1, 2
WRAP_SIZE = {GCM_SIV: 60, AES_KW: 40}
SEGMENT = 65536

Value = str | bytes | int | bool | None


class RefusedError(Exception):
    """The envelope cannot be opened."""


def encode_context(fields: Mapping[str, Value]) -> bytes:
    """Encode a context canonically."""
    encoded = struct.pack(">H", len(fields))
    for name in sorted(fields, key=lambda name: name.encode()):
        value = fields[name]
        if value is None:
            kind, content = 0, b""
        elif isinstance(value, bool):
            kind, content = 1, bytes([value])
        elif isinstance(value, int):
            kind, content = 2, struct.pack(">q", value)
        elif isinstance(value, str):
            kind, content = 3, value.encode()
        else:
            kind, content = 4, value
        encoded += struct.pack(">B", len(name.encode())) + name.encode()
        encoded += struct.pack(">BI", kind, len(content)) + content
    return encoded


@dataclass(frozen=True)
class Randomness:
    """Everything random in an envelope."""

    data_key: bytes
    payload_nonce: bytes
    wrap_nonce: bytes


@dataclass(frozen=True)
class Kek:
    """A key-encryption key with its generations."""

    id: bytes
    suite: int
    generations: Mapping[int, bytes]

    def header(self, content: int, generation: int) -> bytes:
        return b"vce\x01" + struct.pack(">BB16sI", self.suite, content, self.id, generation)

    def wrap(self, header: bytes, random: Randomness) -> bytes:
        key = self.generations[int.from_bytes(header[22:], "big")]
        if self.suite == AES_KW:
            return aes_key_wrap(key, random.data_key)
        sealed = AESGCMSIV(key).encrypt(random.wrap_nonce, random.data_key, header)
        return random.wrap_nonce + sealed

    def unwrap(self, header: bytes, wrapped: bytes) -> bytes:
        key = self.generations.get(int.from_bytes(header[22:], "big"))
        if key is None:
            raise RefusedError
        try:
            if self.suite == AES_KW:
                return aes_key_unwrap(key, wrapped)
            return AESGCMSIV(key).decrypt(wrapped[:12], wrapped[12:], header)
        except (InvalidTag, InvalidUnwrap) as error:
            raise RefusedError from error


def commitment(random_key: bytes, nonce: bytes, tag: bytes, stable: bytes, context: bytes) -> bytes:
    """Commit to the data key, the header, the context and, for a message, the tag."""
    transcript = b"vaultcore/commit" + random_key + nonce + tag + stable + context
    return hashlib.sha256(transcript).digest()


def segment_nonce(nonce: bytes, number: int, *, last: bool) -> bytes:
    """Make the nonce of a segment."""
    mask = bytes(7) + struct.pack(">IB", number, last)
    return bytes(a ^ b for a, b in zip(nonce, mask, strict=True))


def seal(
    kek: Kek,
    plaintext: bytes,
    context: bytes,
    random: Randomness,
    *,
    content: int = MESSAGE,
    generation: int | None = None,
) -> bytes:
    """Seal a message or a stream."""
    header = kek.header(content, generation or max(kek.generations))
    stable = header[:22]
    cipher = AESGCM(random.data_key)
    if content == STREAM:
        body = b""
        segments = list(_cut(plaintext, SEGMENT)) or [b""]
        for number, segment in enumerate(segments):
            last = number == len(segments) - 1
            nonce = segment_nonce(random.payload_nonce, number, last=last)
            body += cipher.encrypt(nonce, segment, stable + context)
        tag = bytes(16)
    else:
        body = cipher.encrypt(random.payload_nonce, plaintext, stable + context)
        tag = body[-16:]
    commits = commitment(random.data_key, random.payload_nonce, tag, stable, context)
    return header + kek.wrap(header, random) + random.payload_nonce + commits + body


def open_envelope(kek: Kek, blob: bytes, context: bytes, *, content: int = MESSAGE) -> bytes:
    """Open a message or a stream."""
    header, rest = blob[:26], blob[26:]
    if len(header) < 26 or header != kek.header(content, int.from_bytes(header[22:], "big")):
        raise RefusedError
    size = WRAP_SIZE[kek.suite]
    wrapped, nonce, commits, body = (
        rest[:size],
        rest[size : size + 12],
        rest[size + 12 : size + 44],
        rest[size + 44 :],
    )
    if len(body) < 16:
        raise RefusedError
    data_key = kek.unwrap(header, wrapped)
    stable = header[:22]
    tag = bytes(16) if content == STREAM else body[-16:]
    if not hmac.compare_digest(commitment(data_key, nonce, tag, stable, context), commits):
        raise RefusedError
    cipher = AESGCM(data_key)
    try:
        if content != STREAM:
            return cipher.decrypt(nonce, body, stable + context)
        plaintext = b""
        segments = list(_cut(body, SEGMENT + 16))
        for number, segment in enumerate(segments):
            last = number == len(segments) - 1
            piece = cipher.decrypt(
                segment_nonce(nonce, number, last=last), segment, stable + context
            )
            if not piece and number:
                raise RefusedError
            plaintext += piece
    except (InvalidTag, ValueError) as error:
        raise RefusedError from error
    return plaintext


def _cut(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]
