"""The messages between the service and a worker. Both sides.

One frame is a length (four bytes, big-endian) and a MessagePack body. The service sends one request
and waits for its one reply; both carry the same number, so that a reply can never be taken for the
answer to another request.
"""

import os
import socket
import struct
import time
from typing import Final, Literal

import msgspec

#: The greatest body of a frame, in bytes.
MAX_FRAME: Final = 1 << 20
_LENGTH: Final = struct.Struct(">I")
#: The length of a new CKA_ID, in bytes.
_KEY_ID_SIZE: Final = 16

Category = Literal[
    "algorithm", "changed", "configuration", "decryption", "format", "key", "pin", "unavailable"
]
"""Why a request failed. `unavailable` may end by itself; the others need an operator."""


class Silent(msgspec.Struct, frozen=True):
    """A message that may contain a PIN or key material, and therefore shows nothing of itself."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(...)"


class Open(Silent, frozen=True, tag=True):
    """Load the module, find the token and log in. The first request to every worker.

    The serial number is compared before the login, so that a wrong token never sees the PIN.
    """

    module: str
    token_label: str
    serial: str | None
    pin: str


class InitToken(Silent, frozen=True, tag=True):
    """Initialise an empty slot. Used instead of `Open`, for software tokens only."""

    module: str
    label: str
    so_pin: str
    pin: str


class GenerateWrapKey(Silent, frozen=True, tag=True):
    """Generate an AES-256 key that cannot leave the token.

    The caller chooses the id, at random, so that repeating a request that failed halfway does not
    leave a second key.
    """

    key_id: bytes
    label: str


class FindWrapKey(Silent, frozen=True, tag=True):
    """Find an AES-256 key by its label or its CKA_ID."""

    label: str
    key_id: bytes | None


class Wrap(Silent, frozen=True, tag=True):
    """Encrypt with AES-256-GCM under a key of the token."""

    key_id: bytes
    check_value: str
    data: bytes
    associated_data: bytes


class Unwrap(Silent, frozen=True, tag=True):
    """Decrypt with AES-256-GCM under a key of the token."""

    key_id: bytes
    check_value: str
    nonce: bytes
    data: bytes
    associated_data: bytes


class Generate(Silent, frozen=True, tag=True):
    """Generate a key pair whose private half cannot leave the token; see `GenerateWrapKey`."""

    key_id: bytes
    kty: str
    size: int
    curve: str
    label: str


class Import(Silent, frozen=True, tag=True):
    """Import a private key into the token; see `GenerateWrapKey`."""

    key_id: bytes
    jwk: dict[str, str]
    label: str


class Sign(Silent, frozen=True, tag=True):
    """Sign a digest with a private key of the token."""

    key_id: bytes
    thumbprint: str
    algorithm: str
    data: bytes


class Decrypt(Silent, frozen=True, tag=True):
    """Decrypt with a private key of the token."""

    key_id: bytes
    thumbprint: str
    algorithm: str
    data: bytes


class PublicPart(Silent, frozen=True, tag=True):
    """Return the public half of a key pair of the token."""

    key_id: bytes
    thumbprint: str


class Destroy(Silent, frozen=True, tag=True):
    """Destroy both halves of a key pair; it is not an error if they do not exist."""

    key_id: bytes
    thumbprint: str


Request = (
    Open
    | InitToken
    | GenerateWrapKey
    | FindWrapKey
    | Wrap
    | Unwrap
    | Generate
    | Import
    | Sign
    | Decrypt
    | PublicPart
    | Destroy
)


class Opened(msgspec.Struct, frozen=True, tag=True):
    """The token that answered."""

    serial: str
    label: str
    manufacturer: str
    model: str


class WrapKey(msgspec.Struct, frozen=True, tag=True):
    """An AES key of the token, by its id and its check value."""

    key_id: bytes
    check_value: str


class Wrapped(msgspec.Struct, frozen=True, tag=True):
    """The result of `Wrap`."""

    nonce: bytes
    data: bytes


class KeyPair(msgspec.Struct, frozen=True, tag=True):
    """A key pair of the token, by its id and its public half."""

    key_id: bytes
    jwk: dict[str, str]


class Done(Silent, frozen=True, tag=True):
    """Success, with the bytes of the result."""

    data: bytes = b""


class Failed(msgspec.Struct, frozen=True, tag=True):
    """Failure: its category, and a message without secrets."""

    category: Category
    text: str


Reply = Opened | WrapKey | Wrapped | KeyPair | Done | Failed


class Call(Silent, frozen=True):
    """The frame of a request: its number, how long it may take, and the request itself."""

    number: int
    seconds: float
    request: Request


class Answer(Silent, frozen=True):
    """The frame of a reply."""

    number: int
    reply: Reply


def new_key_id() -> bytes:
    """Returns a random CKA_ID, for a request that creates a key."""
    return os.urandom(_KEY_ID_SIZE)


def send(channel: socket.socket, body: bytes) -> None:
    """Sends one frame.

    Raises:
        OSError: the other side has ended, or does not read in time.
    """
    channel.sendall(_LENGTH.pack(len(body)) + body)


def receive(channel: socket.socket, expires: float | None = None) -> bytes:
    """Returns the body of one frame.

    Args:
        channel: the stream to read from.
        expires: the reading of the monotonic clock at which waiting ends, or None.

    Raises:
        TimeoutError: `expires` has passed.
        EOFError: the other side has closed the stream, or sent an impossible length.
        OSError: the stream is broken.
    """
    (length,) = _LENGTH.unpack(_read(channel, _LENGTH.size, expires))
    if length > MAX_FRAME:
        raise EOFError("a frame is longer than any message")
    return _read(channel, length, expires)


def _read(channel: socket.socket, size: int, expires: float | None) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        if expires is not None:
            remaining = expires - time.monotonic()
            if remaining <= 0:
                raise TimeoutError
            channel.settimeout(remaining)
        part = channel.recv(size - len(parts))
        if not part:
            raise EOFError("the stream ended")
        parts += part
    return bytes(parts)
