# ruff: noqa: PYI021 - the documentation of the extension module is here
"""The extension module, written in Rust. What the package exports of it is in ``vaultcore``.

Every class is final and immutable from Python. Classes that hold keys are neither pickled nor
copied, and show nothing secret.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias, final

__version__: str
backend: str
build_profile: str

# --- envelopes ---

_ContextValue: TypeAlias = str | bytes | int | bool | None
_Context: TypeAlias = Context | Mapping[str, _ContextValue] | None

@final
class Context:
    """What an envelope is about: bound to it, not stored in it.

    Making one encodes it; use it again for every envelope that is about the same.

    Args:
        fields: names with values. Their order does not matter, their types do: ``1``, ``True``,
            ``"1"`` and ``b"1"`` are four contexts. An int has at most 64 bits.

    Raises:
        UsageError: If a name is empty or longer than 255 bytes, there are more than 256 fields,
            or the encoding is longer than 64 KiB.
        TypeError: If a name or a value is of another type.
    """

    def __new__(cls, fields: Mapping[str, _ContextValue]) -> Context: ...
    @property
    def encoded(self) -> bytes:
        """The canonical encoding: one for each context, and no two contexts share one."""
    def __eq__(self, other: object) -> bool: ...
    def __hash__(self) -> int: ...

@final
class EnvelopeInfo:
    """What an envelope says about itself. Nothing of it is authenticated until it is opened."""

    @property
    def version(self) -> int:
        """The version of the format."""
    @property
    def suite(self) -> int:
        """How the data key is wrapped: 1 is AES-256-GCM-SIV, 2 is AES-KW."""
    @property
    def content(self) -> str:
        """``message``, ``stream``, ``key`` or ``key-encryption-key``."""
    @property
    def kek_id(self) -> str:
        """The id of the key-encryption key."""
    @property
    def generation(self) -> int:
        """The generation of the key-encryption key."""
    @property
    def payload_size(self) -> int | None:
        """The size of what is in it; None for the head of a stream alone."""
    def __eq__(self, other: object) -> bool: ...
    def __hash__(self) -> int: ...

@final
class KeyEncryptionKey:
    """A key that envelopes are sealed under. Threads share it freely.

    It has generations: new envelopes are sealed under the newest, old ones open under theirs.
    """

    @staticmethod
    def generate(*, suite: int = 1) -> KeyEncryptionKey:
        """Make a new key with a random id.

        Args:
            suite: 1 wraps data keys with AES-256-GCM-SIV, 2 with AES-KW.

        Raises:
            AlgorithmError: If there is no such suite.
        """
    @staticmethod
    def danger_from_bytes(
        raw: bytes | bytearray,
        *,
        id: str | None = None,  # noqa: A002
        suite: int = 1,
    ) -> KeyEncryptionKey:
        """Make a key of 32 bytes from elsewhere, as its generation 1.

        Args:
            raw: the key. Python cannot wipe ``bytes``; a ``bytearray`` can be overwritten after.
            id: 32 lower-case hex digits; a digest of the key if None.
            suite: as for ``generate``.

        Raises:
            KeyFormatError: If there are not 32 bytes.
            UsageError: If the id is malformed.
            AlgorithmError: If there is no such suite.
        """
    def danger_to_bytes(self) -> bytes:
        """Return the 32 bytes of the newest generation. Only a protector has a use for them."""
    @property
    def id(self) -> str:
        """The id: 32 hex digits, named by every envelope."""
    @property
    def suite(self) -> int:
        """The suite of every envelope sealed under this key."""
    @property
    def generation(self) -> int:
        """The newest generation, under which new envelopes are sealed."""
    @property
    def generations(self) -> list[int]:
        """All generations, ascending."""
    def rotate(self) -> int:
        """Add a generation and return its number."""
    def seal(self, plaintext: bytes, *, context: _Context = None) -> bytes:
        """Seal a message.

        Args:
            plaintext: the message.
            context: what it is about; the same is needed to open it.

        Raises:
            UsageError: If the context cannot be encoded.
        """
    def open(self, blob: bytes, *, context: _Context = None) -> bytes:
        """Open an envelope.

        Raises:
            DecryptionError: If it cannot be opened, whatever the reason.
            UsageError: If the context cannot be encoded.
        """
    def seal_many(
        self,
        plaintexts: Sequence[bytes],
        *,
        context: _Context = None,
        contexts: Sequence[_Context] | None = None,
    ) -> list[bytes]:
        """Seal many messages, each under its own data key.

        Args:
            plaintexts: the messages.
            context: one context for all.
            contexts: or one for each.

        Raises:
            UsageError: If both are given, the counts differ, or a context cannot be encoded.
        """
    def open_many(
        self,
        blobs: Sequence[bytes],
        *,
        context: _Context = None,
        contexts: Sequence[_Context] | None = None,
    ) -> list[bytes]:
        """Open many envelopes, all or none.

        Raises:
            DecryptionError: If one of them cannot be opened.
            UsageError: As for ``seal_many``.
        """
    def rewrap(self, blob: bytes) -> bytes:
        """Wrap the data key of an envelope under the newest generation.

        Neither context nor payload is needed or looked at. An envelope of the newest generation
        comes back as it is.

        Raises:
            DecryptionError: If the data key cannot be unwrapped.
        """
    def rewrap_many(self, blobs: Sequence[bytes]) -> list[bytes]:
        """Rewrap many envelopes.

        Raises:
            DecryptionError: If the data key of one of them cannot be unwrapped.
        """
    def reseal(
        self,
        blob: bytes,
        *,
        context: _Context,
        new_context: _Context,
        under: KeyEncryptionKey | None = None,
    ) -> bytes:
        """Open an envelope and seal what was in it anew; Python never sees it.

        Args:
            blob: the envelope, of a message or of a key.
            context: the context it was sealed with.
            new_context: the context of the new envelope.
            under: the key of the new envelope; this one if None.

        Raises:
            DecryptionError: If it cannot be opened.
            UsageError: If a context cannot be encoded, or the envelope is a stream.
        """
    def wrap_under(self, outer: KeyEncryptionKey) -> bytes:
        """Seal this key, with all its generations, under another."""
    @staticmethod
    def unwrap_under(outer: KeyEncryptionKey, blob: bytes) -> KeyEncryptionKey:
        """Open what ``wrap_under`` sealed.

        Raises:
            DecryptionError: If it cannot be opened.
        """

def inspect(blob: bytes) -> EnvelopeInfo:
    """Read what is not secret in an envelope, without a key.

    Raises:
        UsageError: If it is not an envelope.
    """

@final
class StreamSealer:
    """Seals a stream of any size in constant memory.

    What ``update`` and ``finalize`` return, one after the other, is the envelope. One thread at a
    time uses a stream.

    Args:
        kek: the key to seal under.
        context: what the stream is about; the same is needed to open it.

    Raises:
        UsageError: If the context cannot be encoded.
    """

    def __new__(cls, kek: KeyEncryptionKey, *, context: _Context = None) -> StreamSealer: ...
    def update(self, data: bytes) -> bytes:
        """Take more plaintext, and return what is certain of the envelope.

        Raises:
            UsageError: If the stream has ended, is too long, or is in use by another thread.
        """
    def finalize(self) -> bytes:
        """End the stream, and return the rest of the envelope.

        Raises:
            UsageError: If the stream has ended, or is in use by another thread.
        """

@final
class StreamOpener:
    """Opens a stream of any size in constant memory.

    What ``update`` returns is authentic and in order. That nothing is missing at the end is known
    when ``finalize`` returns: act on nothing before that.

    Args:
        kek: the key that it was sealed under.
        context: the context that it was sealed with.

    Raises:
        UsageError: If the context cannot be encoded.
    """

    def __new__(cls, kek: KeyEncryptionKey, *, context: _Context = None) -> StreamOpener: ...
    def update(self, data: bytes) -> bytes:
        """Take more of the envelope, and return what is certain of the plaintext.

        Raises:
            DecryptionError: If it cannot be opened, whatever the reason; the stream is over.
            UsageError: If the stream has ended, or is in use by another thread.
        """
    def finalize(self) -> bytes:
        """End the stream, and return the rest of the plaintext.

        Raises:
            DecryptionError: If it cannot be opened or was cut short; the stream is over.
            UsageError: If the stream has ended, or is in use by another thread.
        """
