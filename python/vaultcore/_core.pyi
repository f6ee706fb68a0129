# ruff: noqa: PYI021 - the documentation of the extension module is here
"""The extension module, written in Rust. ``vaultcore`` exports its public part.

Every class is final and immutable from Python. Classes that hold keys cannot be pickled or copied,
and show nothing secret.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias, final

__all__ = [
    "ADMITTED",
    "API_VERSION",
    "CHALLENGE",
    "DENIED",
    "DOCUMENT_LABEL",
    "FIREWALL",
    "INVALID",
    "MAX_KEPT",
    "MAX_LINE",
    "MAX_RESULTS",
    "MAX_TOKEN_LENGTH",
    "RECORD_LABEL",
    "ROTATED",
    "UNKNOWN_TOKEN",
    "Admission",
    "AuditLog",
    "Context",
    "Encrypted",
    "EnvelopeInfo",
    "Gate",
    "Key",
    "KeyEncryptionKey",
    "Operation",
    "Principal",
    "StreamOpener",
    "StreamSealer",
    "__version__",
    "api_versions",
    "backend",
    "bearer_token",
    "build_profile",
    "check_json",
    "inspect",
    "object_name",
    "operation_names",
    "parse_operation",
    "permission_names",
]

__version__: str
backend: str
build_profile: str

# --- envelopes ---

_ContextValue: TypeAlias = str | bytes | int | bool | None
_Context: TypeAlias = Context | Mapping[str, _ContextValue] | None

@final
class Context:
    """The context of an envelope: bound to it, not stored in it.

    Creating one encodes it; reuse it for every envelope with the same context.

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
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class EnvelopeInfo:
    """The unencrypted part of an envelope. None of it is authenticated until it is opened."""

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
        """The size of its content; None for the head of a stream alone."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class KeyEncryptionKey:
    """A key that envelopes are sealed under. Threads can share it.

    It has generations: new envelopes are sealed under the newest, old ones open under theirs.
    """

    @staticmethod
    def generate(*, suite: int = 1) -> KeyEncryptionKey:
        """Create a new key with a random id.

        Args:
            suite: 1 wraps data keys with AES-256-GCM-SIV, 2 with AES-KW.

        Raises:
            AlgorithmError: If the suite does not exist.
        """
    @staticmethod
    def danger_from_bytes(
        raw: bytes | bytearray,
        *,
        id: str | None = None,  # noqa: A002
        suite: int = 1,
    ) -> KeyEncryptionKey:
        """Create a key from 32 given bytes, as its generation 1.

        Args:
            raw: the key. Python cannot wipe ``bytes``; a ``bytearray`` can be overwritten
                afterwards.
            id: 32 lower-case hex digits; a digest of the key if None.
            suite: as for ``generate``.

        Raises:
            KeyFormatError: If there are not 32 bytes.
            UsageError: If the id is malformed.
            AlgorithmError: If the suite does not exist.
        """
    @staticmethod
    def from_versions(
        versions: Sequence[tuple[int, str, Key]], *, vault: str, name: str, suite: int = 1
    ) -> KeyEncryptionKey:
        """Create a key that follows the versions of a symmetric key in a vault.

        It is derived from them, and does not rotate by itself or leave the core.

        Args:
            versions: generation, version and key, ascending; keys of 256 bits or more.
            vault: the identifier of the vault.
            name: the name of the key.
            suite: as for ``generate``.

        Raises:
            AlgorithmError: If a key does not fit, or the suite does not exist.
            DecryptionError: If there are no versions, or they do not ascend.
            UsageError: If a name is too long.
        """
    def danger_to_bytes(self) -> bytes:
        """Return the 32 bytes of the newest generation. Only a protector needs them.

        Raises:
            UsageError: If the key follows a key in a vault.
        """
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
        """Add a generation and return its number.

        Raises:
            UsageError: If the key follows a key in a vault: rotate that one.
        """
    def retire(self) -> None:
        """Forget every generation but the newest: what is sealed under them no longer opens.

        Raises:
            UsageError: If the key follows a key in a vault.
        """
    def adopt(self, copy: KeyEncryptionKey) -> None:
        """Adopt the generations of another copy of this key.

        Every holder of this object seals under the newest of them from then on.

        Raises:
            UsageError: If it is not a copy of this key.
        """
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

        Neither context nor payload is needed or read. An envelope of the newest generation is
        returned unchanged.

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
        """Open an envelope and seal its content again; Python never sees the content.

        Args:
            blob: the envelope, of a message or of a key.
            context: the context it was sealed with.
            new_context: the context of the new envelope.
            under: the key of the new envelope; this one if None.

        Raises:
            DecryptionError: If it cannot be opened.
            UsageError: If a context cannot be encoded, or the envelope is a stream.
        """
    def verify(self, blob: bytes, *, context: _Context) -> None:
        """Check that an envelope opens, without returning its content.

        Args:
            blob: the envelope, of a message or of a key.
            context: the context it was sealed with.

        Raises:
            DecryptionError: If it cannot be opened.
            UsageError: If the context cannot be encoded.
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
    """Read the unencrypted part of an envelope, without a key.

    Raises:
        UsageError: If it is not an envelope.
    """

@final
class StreamSealer:
    """Seals a stream of any size in constant memory.

    The envelope is what ``update`` and ``finalize`` return, concatenated. Only one thread at a
    time may use a stream.

    Args:
        kek: the key to seal under.
        context: what the stream is about; the same is needed to open it.

    Raises:
        UsageError: If the context cannot be encoded.
    """

    def __new__(cls, kek: KeyEncryptionKey, *, context: _Context = None) -> StreamSealer: ...
    def update(self, data: bytes) -> bytes:
        """Add more plaintext, and return the part of the envelope that is complete.

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

    What ``update`` returns is authentic and in order. Only when ``finalize`` returns is it known
    that nothing is missing at the end: act on nothing before that.

    Args:
        kek: the key that it was sealed under.
        context: the context that it was sealed with.

    Raises:
        UsageError: If the context cannot be encoded.
    """

    def __new__(cls, kek: KeyEncryptionKey, *, context: _Context = None) -> StreamOpener: ...
    def update(self, data: bytes) -> bytes:
        """Add more of the envelope, and return the plaintext that is authenticated.

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

# --- gate ---

#: The latest stable version of the API.
API_VERSION: str
#: The size of a page of a listing, and the largest one.
MAX_RESULTS: int
#: The longest token that is looked at, in bytes.
MAX_TOKEN_LENGTH: int

ADMITTED: int
CHALLENGE: int
FIREWALL: int
UNKNOWN_TOKEN: int
INVALID: int
DENIED: int

@final
class Principal:
    """A caller's identity, as in a token that was validated.

    Args:
        object_id: the id that access policies name.
        app_id: the application that requested the token; a policy may require one.
        tenant_id: the tenant of the caller.
        issuer: the issuer of the token.
        groups: the object ids of the caller's groups.
        name: a name for people; never used for decisions.
    """

    def __new__(
        cls,
        *,
        object_id: str,
        app_id: str = "",
        tenant_id: str = "",
        issuer: str = "",
        groups: Sequence[str] = (),
        name: str = "",
    ) -> Principal: ...
    @property
    def object_id(self) -> str:
        """The id that access policies name."""
    @property
    def app_id(self) -> str:
        """The application that requested the token, or the empty string."""
    @property
    def tenant_id(self) -> str:
        """The tenant of the caller, or the empty string."""
    @property
    def issuer(self) -> str:
        """The issuer of the token, or the empty string."""
    @property
    def groups(self) -> tuple[str, ...]:
        """The object ids of the caller's groups."""
    @property
    def name(self) -> str:
        """A name for people, or the empty string."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Operation:
    """A parsed request.

    ``parse_operation`` and ``Gate.admit`` create it from a request, ``Gate.authorize`` from names.
    """

    @property
    def name(self) -> str:
        """The operation's name in the audit, for example ``SecretGet``."""
    @property
    def kind(self) -> str:
        """The collection: ``secrets``, ``keys`` or ``certificates``."""
    @property
    def permission(self) -> str:
        """The permission it needs, for example ``secrets/get``.

        If any one of several is enough, the first of them.
        """
    @property
    def object_name(self) -> str:
        """The object's name as it was sent, or the empty string."""
    @property
    def canonical_name(self) -> str:
        """The object's name in its canonical form, upper case, or the empty string."""
    @property
    def object_path(self) -> str:
        """``/kind/name`` or ``/kind/name/version``; the empty string without an object."""
    @property
    def version(self) -> str:
        """The version, 32 lower-case hexadecimal digits, or the empty string."""
    @property
    def api_version(self) -> str:
        """The version of the API in the request, or the empty string in process."""
    @property
    def max_results(self) -> int:
        """The largest page of a listing."""
    @property
    def max_results_given(self) -> bool:
        """Whether the caller named the size of a page; next links repeat only what was sent."""
    @property
    def skip_token(self) -> str:
        """Where a listing continues, or the empty string."""
    @property
    def extra(self) -> dict[str, str]:
        """``includePending``, ``outContentType`` and ``request_id``, if they were sent."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Admission:
    """The gate's decision about a request."""

    @property
    def outcome(self) -> int:
        """``ADMITTED``, ``CHALLENGE``, ``FIREWALL``, ``UNKNOWN_TOKEN``, ``INVALID``, ``DENIED``."""
    @property
    def operation(self) -> Operation | None:
        """The operation, if it could be parsed, whatever the outcome."""
    @property
    def asked(self) -> str | None:
        """The operation's name in the audit, even if a name, a version or the query is wrong."""
    @property
    def principal(self) -> Principal | None:
        """The caller, if the token is known."""
    @property
    def refusal(self) -> tuple[int, str, str, str | None] | None:
        """Status, code, message and inner code of the answer.

        None when the request was admitted or its token is unknown.
        """

@final
class Gate:
    """The vaults, the rules of each, and the tokens seen before.

    After ``remember``, a token is known by its SHA-256 digest; the token itself is not kept.
    """

    def __new__(cls) -> Gate: ...
    def set_vault(
        self,
        name: str,
        *,
        location: str = "local",
        default_action: str = "Allow",
        ranges: Sequence[str] = (),
        policies: Sequence[tuple[str, str, Sequence[str]]] = (),
    ) -> None:
        """Adds a vault or replaces its rules, from the next request on.

        Args:
            name: its name, ignoring case.
            location: the location in refusals.
            default_action: ``Allow`` or ``Deny``, for addresses that are in no range.
            ranges: IPv4 and IPv6 addresses and CIDR ranges that may talk to it.
            policies: object id, application id or the empty string, and permissions, each.
                ``kind/all`` is every permission of a kind except ``purge``.

        Raises:
            UsageError: If a range or a permission is malformed; the old rules then remain.
        """
    def remove_vault(self, name: str) -> None:
        """Removes a vault; its requests are ``INVALID`` from now on."""
    def remember(
        self, token: str | bytes, principal: Principal, expires: float, not_before: float
    ) -> None:
        """Remembers the content of a valid token, until it expires.

        Of more than 10,000 tokens, those that expire first are forgotten.

        Raises:
            UsageError: If the token is empty or too long, or a time is not a number.
        """
    def forget_tokens(self) -> None:
        """Forgets every token."""
    def admit(
        self,
        vault: str,
        method: str,
        raw_path: str | bytes,
        query: str | bytes,
        address: str,
        authorization: str | bytes | None,
        now: float,
    ) -> Admission:
        """Decides about a request: challenge, firewall, token, request, permission.

        The first of them that fails is the answer, so a stranger does not learn what else is wrong
        with the request. ``UNKNOWN_TOKEN`` means: validate the token, remember it, and ask once
        more; if it is still unknown then, it is not for this vault.

        Args:
            vault: the vault of the host name.
            method: the method, after any override by a header.
            raw_path: the path, undecoded.
            query: what follows the question mark, undecoded.
            address: the address of the caller.
            authorization: the ``Authorization`` header, if there is one.
            now: seconds since the Unix epoch.
        """
    def authorize(
        self,
        vault: str,
        verb: str,
        principal: Principal,
        object_name: str = "",
        version: str = "",
        *,
        address: str | None = None,
    ) -> Admission:
        """Decides about an operation of a caller who is already authenticated, as in process.

        The outcome is ``ADMITTED``, ``FIREWALL``, ``INVALID`` or ``DENIED``: the first failure, in
        the order of ``admit``.

        Args:
            vault: the vault.
            verb: the operation, by its name in the audit, for example ``SecretGet``.
            principal: the caller.
            object_name: the object, as the caller wrote it, or the empty string.
            version: the version, as the caller wrote it, or the empty string for the current one.
            address: the address of the caller; None for a caller in this process.

        Raises:
            UsageError: If the operation does not exist.
        """
    def authorize_request(
        self,
        vault: str,
        method: str,
        raw_path: str | bytes,
        query: str | bytes,
        principal: Principal,
        *,
        address: str | None = None,
    ) -> Admission:
        """Decides about a request of a caller who is already authenticated, as in process.

        The outcome is one of those of ``authorize``, in the same order.

        Args:
            vault: the vault.
            method: of the request.
            raw_path: the undecoded path.
            query: what follows the question mark, undecoded.
            principal: who asks.
            address: the address of the caller; None for a caller in this process.
        """
    def permitted(self, vault: str, principal: Principal, permission: str) -> bool:
        """Returns whether a caller has a permission, for example ``secrets/get``.

        Raises:
            UsageError: If the permission does not exist.
        """
    def address_allowed(self, vault: str, address: str) -> bool:
        """Returns whether an address may talk to a vault."""

def parse_operation(method: str, raw_path: str | bytes, query: str | bytes) -> Operation:
    """Parses a request, with the same parser as ``Gate.admit``.

    Raises:
        NotFoundError: If the path does not exist.
        MethodNotAllowedError: If the path does not support the method.
        BadParameterError: If a name, a version or the query is malformed.
    """

def object_name(text: str) -> tuple[str, str]:
    """Parses the name of an object; returns it unchanged, and in its canonical form, upper case.

    Raises:
        UsageError: If it is not 1 to 127 letters, digits and hyphens.
    """

def bearer_token(authorization: str | bytes) -> str | None:
    """Returns the token of an ``Authorization`` header with the scheme ``Bearer``, or None."""

def api_versions() -> list[str]:
    """Returns the versions of the API that requests may name, oldest first (contract 0.2)."""

def permission_names() -> list[str]:
    """Returns every permission, for example ``secrets/get``; without ``all``."""

def operation_names() -> list[str]:
    """Returns every operation that a request can name, by its name in the audit."""

# --- audit ---

#: What is hashed before a document of which the log vouches.
DOCUMENT_LABEL: bytes
#: How much invalid data is kept beside the log, in bytes.
MAX_KEPT: int
#: The longest line of the log, in bytes.
MAX_LINE: int
#: What is hashed before a record.
RECORD_LABEL: bytes
#: The operation in the record that closes a segment.
ROTATED: str

@final
class AuditLog:
    """The hash-chained file of the audit, ``audit.jsonl`` in a folder.

    Several processes may append to one chain. Each append is one write under a lock; a write that
    is not complete is undone. The log is checked from the last signed record on; anything after
    that is not valid is moved aside by the next append, which records that.

    Args:
        directory: the folder, created if it does not exist.
        keys: the keys of the MACs, 256 bits each, with the last record that each may have made;
            the current one comes first and has None. Without keys there are no MACs.
        unkeyed: the last record from before there were MACs.
        signed: number, hash, end in its segment and highest revision of the last signed record.
        distrust: whether a record by an unknown key is moved aside instead of being an error.
        now: returns the time of records that come without one, in Unix seconds.
        failed: called with the error of a failed append and the number of retries so far; returns
            whether to try again.
        segment_size: the size in bytes at which the file is closed and a new one begun.

    Raises:
        AuditError: If the folder or the log in it cannot be used, or lacks the signed record.
        AuditKeyError: If there is a record by an unknown key, and it is not to be moved aside.
        UsageError: If a key or a hash is malformed.
    """

    def __new__(
        cls,
        directory: str,
        *,
        keys: Sequence[tuple[Key, int | None]] = ...,
        unkeyed: int = 0,
        signed: tuple[int, str, int | None, int] | None = None,
        distrust: bool = False,
        now: Callable[[], float] | None = None,
        failed: Callable[[Exception, int], bool] | None = None,
        segment_size: int = ...,
    ) -> AuditLog: ...
    def append(
        self,
        vault: str | bytes,
        operation: str | bytes,
        api_version: str | bytes,
        status: int,
        result_description: str | bytes,
        duration_ms: float,
        address: str | bytes,
        correlation_id: str | bytes,
        principal: Principal | None,
        request_uri: str | bytes,
        client_info: str | bytes,
        object_id: str | bytes,
        extra: Mapping[str, str | bytes | int | bool] | None = None,
        *,
        revision: int | None = None,
        time: float | None = None,
    ) -> int:
        """Appends a record and returns its number, from 1.

        When it returns, the operating system has the record: it outlives the process, and after
        ``sync`` the machine. Texts may contain anything: they are escaped and cut to length.
        ``revision`` is the revision of the recorded change in the store, if there is one.

        Raises:
            AuditError: If it cannot be written; nothing of it is in the log then.
            AuditKeyError: If there is a record by an unknown key, which is not moved aside.
            ForkError: If the log was opened by another process.
            UsageError: If the operation is reserved for the log.
        """
    def sync(self) -> None:
        """Waits until what was appended is on the disk.

        Raises:
            AuditError: If it cannot be, or the log was moved away or replaced.
            ForkError: If the log was opened by another process.
        """
    def require(self) -> None:
        """Checks that the log is in its place, with enough space in reserve.

        Raises:
            AuditError: If it is not.
            ForkError: If the log was opened by another process.
        """
    @property
    def short(self) -> bool:
        """Whether there was too little space in reserve at the last append."""
    def set_keys(self, keys: Sequence[tuple[Key, int | None]]) -> None:
        """Adopts keys that were changed.

        Raises:
            UsageError: If a key is not a symmetric one of 256 bits.
        """
    def set_distrust(self, distrust: bool) -> None:
        """Sets whether a record by an unknown key is moved aside instead of being an error."""
    def tag(self, document: bytes) -> bytes:
        """Returns the MAC of a document, 16 bytes.

        Raises:
            UsageError: If the log has no keys.
        """
    def tagged(self, document: bytes, tag: bytes, *, retired: bool = False) -> bool:
        """Returns whether the key of this log made the MAC of a document, or a retired one."""
    def made(self, sequence: int, digest: str, mac: str | None) -> bool:
        """Returns whether a key of this log made the MAC of a record with this hash."""
    def position(self) -> tuple[int, str, int, int]:
        """Returns the state of the last record that any process has appended.

        That is its number, its hash, where it ends in its segment, and the highest revision that
        a record has named since the log was opened or signed.

        Raises:
            AuditError: If the log cannot be read.
            ForkError: If the log was opened by another process.
        """
    @property
    def sequence(self) -> int:
        """The number of the last record that this process has seen."""
    @property
    def head(self) -> str:
        """The hash of that record."""

# --- json ---

def check_json(body: bytes, *, max_depth: int = 16, max_members: int = 1000) -> None:
    """Checks that a body is one JSON object that every decoder reads in the same way (RFC 8259).

    Refused are invalid UTF-8, anything but an object, repeated members, halves of surrogate
    pairs, nesting deeper than ``max_depth``, more than ``max_members`` members and elements in
    total, integers beyond 2^53, and other numbers of 10^15 and more or of more than 32 digits.

    Raises:
        UsageError: The message says what is wrong and at which byte; never the content.
    """

# --- keys ---

@final
class Encrypted:
    """What ``Key.encrypt`` returns, and ``Key.decrypt_many`` accepts.

    Args:
        ciphertext: the ciphertext, without nonce and tag.
        nonce: the nonce, for the modes that have one.
        tag: the tag, for GCM.
        associated_data: the data that was authenticated too.
    """

    def __new__(
        cls,
        ciphertext: bytes,
        nonce: bytes | None = None,
        tag: bytes | None = None,
        associated_data: bytes | None = None,
    ) -> Encrypted: ...
    @property
    def ciphertext(self) -> bytes:
        """The ciphertext, without nonce and tag."""
    @property
    def nonce(self) -> bytes | None:
        """The nonce: 12 bytes for GCM, 16 for CBC, None for RSA."""
    @property
    def tag(self) -> bytes | None:
        """The tag of 16 bytes for GCM, else None."""
    @property
    def associated_data(self) -> bytes:
        """The data that was authenticated too."""

@final
class Key:
    """A key of any type: RSA, EC, OKP, oct or AKP. Threads can share it.

    Whatever the type, a method raises ``AlgorithmError`` for an algorithm or an input that does not
    fit the key, and ``UsageError`` if it needs the private part and the key is public.
    """

    @staticmethod
    def generate(
        kty: str,
        *,
        size: int | None = None,
        curve: str | None = None,
        alg: str | None = None,
        exportable: bool = False,
    ) -> Key:
        """Create a new key.

        Args:
            kty: ``RSA``, ``EC``, ``OKP``, ``oct`` or ``AKP``.
            size: bits. RSA: 2048 (the default), 3072 or 4096. oct: 128, 192 or 256 (the default)
                for AES, up to 512 for HMAC.
            curve: EC: ``P-256`` (the default), ``P-384``, ``P-521`` or ``P-256K``. OKP: ``Ed25519``
                (the default) or ``X25519``.
            alg: AKP: ``ML-DSA-44``, ``ML-DSA-65`` (the default), ``ML-DSA-87`` or
                ``MLKEM768-X25519+A256KWPAD``.
            exportable: whether the private part may be exported by ``export_private_jwk`` and
                ``export_private_pem``.

        Raises:
            KeyFormatError: If the type, curve or algorithm does not exist.
            UsageError: If the size does not exist, or an argument does not apply to the type.
        """
    @staticmethod
    def from_jwk(jwk: Mapping[str, object] | str | bytes, *, exportable: bool = False) -> Key:
        """Read a JWK: public, private or symmetric.

        Members that are not key parameters are ignored, including ``alg``, ``use`` and ``key_ops``.

        Args:
            jwk: the members, or the JSON text.
            exportable: as for ``generate``.

        Raises:
            KeyFormatError: If the key is malformed, inconsistent or weak; the message says how.
        """
    @staticmethod
    def from_pem(data: bytes, *, exportable: bool = False) -> Key:
        """Read the one key of a PEM text, which may contain certificates and other blocks.

        Args:
            data: PKCS#8, PKCS#1, SEC 1 or SubjectPublicKeyInfo, not encrypted.
            exportable: as for ``generate``.

        Raises:
            KeyFormatError: If there is no key or more than one, or as for ``from_jwk``; the message
                says which block it was.
        """
    @staticmethod
    def from_der(data: bytes, *, exportable: bool = False) -> Key:
        """Read a key in DER, in the forms that ``from_pem`` reads.

        Raises:
            KeyFormatError: As for ``from_jwk``.
        """
    @staticmethod
    def open(kek: KeyEncryptionKey, blob: bytes, context: _Context = None) -> Key:
        """Open what ``seal`` sealed; the private part never reaches Python.

        Raises:
            DecryptionError: If it cannot be opened, whatever the reason.
            UsageError: If the context cannot be encoded.
        """
    def seal(self, kek: KeyEncryptionKey, context: _Context = None) -> bytes:
        """Seal the private part as an envelope; it never reaches Python.

        Args:
            kek: the key to seal under.
            context: what the key is about; the same is needed to open it.

        Raises:
            UsageError: If the key is public, or the context cannot be encoded.
        """
    @property
    def kty(self) -> str:
        """The type: ``RSA``, ``EC``, ``OKP``, ``oct`` or ``AKP``."""
    @property
    def size(self) -> int:
        """The size in bits: of the modulus, field or secret; of the public key, for AKP."""
    @property
    def curve(self) -> str | None:
        """The curve of an EC or OKP key."""
    @property
    def is_private(self) -> bool:
        """Whether the key has its private part; an oct key has no other."""
    @property
    def exportable(self) -> bool:
        """Whether the private part may be exported."""
    @property
    def algorithms(self) -> list[str]:
        """The names of the algorithms that fit the key."""
    def public_jwk(self) -> dict[str, str]:
        """Return the public JWK: ``kty`` with ``n`` and ``e``, or ``crv`` and ``x`` and ``y``.

        A key of type AKP has ``alg`` and ``pub``. Numbers of EC and OKP keys have the full width of
        the curve. Of an oct key, only the type is returned.
        """
    def public_pem(self) -> bytes:
        """Return the public key as PEM ``PUBLIC KEY``.

        Raises:
            UsageError: If the key is symmetric.
        """
    def public_der(self) -> bytes:
        """Return the public key as DER SubjectPublicKeyInfo.

        Raises:
            UsageError: If the key is symmetric.
        """
    def thumbprint(self) -> str:
        """Return the thumbprint of the public JWK with SHA-256 (RFC 7638), in base64url.

        Raises:
            UsageError: If the key is symmetric: it would be a hash of the secret.
        """
    def export_private_jwk(self) -> dict[str, str]:
        """Return the JWK with its private members.

        Raises:
            UsageError: If the key is neither exportable nor symmetric, is public, or is a hybrid
                key, whose private part has no standard form.
        """
    def export_private_pem(self) -> bytes:
        """Return the private key as PEM ``PRIVATE KEY`` (PKCS#8).

        Raises:
            UsageError: If the key is not exportable, is symmetric, or is public.
        """
    def sign(self, alg: str, digest: bytes) -> bytes:
        """Sign a digest that the caller computed.

        HMAC, EdDSA and ML-DSA sign the value itself. Signatures of ECDSA are ``r || s``.

        Args:
            alg: RS256, RS384, RS512, PS256, PS384, PS512, RSNULL, ES256, ES256K, ES384, ES512,
                EdDSA, HS256, HS384, HS512, ML-DSA-44, ML-DSA-65 or ML-DSA-87.
            digest: the digest, of exactly the length of the algorithm. For RSNULL a DigestInfo.

        Raises:
            AlgorithmError: If the algorithm or the length does not fit.
            UsageError: If the key is public.
        """
    def sign_many(self, alg: str, digests: Sequence[bytes]) -> list[bytes]:
        """Sign many digests, all or none.

        Raises:
            AlgorithmError: As for ``sign``.
            UsageError: As for ``sign``.
        """
    def verify(self, alg: str, digest: bytes, signature: bytes) -> bool:
        """Verify a signature of a digest; any wrong signature, of whatever length, is ``False``.

        Raises:
            AlgorithmError: If the algorithm or the length of the digest does not fit.
        """
    def verify_many(self, alg: str, pairs: Sequence[tuple[bytes, bytes]]) -> list[bool]:
        """Verify many pairs of a digest and its signature.

        Raises:
            AlgorithmError: As for ``verify``.
        """
    def encrypt(
        self,
        alg: str,
        plaintext: bytes,
        *,
        nonce: bytes | None = None,
        associated_data: bytes | None = None,
    ) -> Encrypted:
        """Encrypt.

        Args:
            alg: RSA-OAEP-256, RSA-OAEP, RSA1_5, A128GCM, A192GCM, A256GCM, A128CBC, A192CBC,
                A256CBC, A128CBCPAD, A192CBCPAD or A256CBCPAD.
            plaintext: the plaintext.
            nonce: 16 unpredictable bytes for CBC; refused by all others. GCM creates its own.
            associated_data: for GCM, data to authenticate too.

        Raises:
            AlgorithmError: If the algorithm or an argument does not fit.
        """
    def encrypt_many(
        self, alg: str, plaintexts: Sequence[bytes], *, associated_data: bytes | None = None
    ) -> list[Encrypted]:
        """Encrypt many plaintexts with RSA or GCM.

        Raises:
            AlgorithmError: As for ``encrypt``.
        """
    def decrypt(
        self,
        alg: str,
        ciphertext: bytes,
        *,
        nonce: bytes | None = None,
        tag: bytes | None = None,
        associated_data: bytes | None = None,
    ) -> bytes:
        """Decrypt. RSA1_5 is refused: it would be a padding oracle.

        Args:
            alg: as for ``encrypt``.
            ciphertext: the ciphertext.
            nonce: the nonce, for GCM and CBC.
            tag: the tag, for GCM.
            associated_data: the data that was authenticated too.

        Raises:
            AlgorithmError: If the algorithm or an argument does not fit.
            DecryptionError: If it does not decrypt, whatever the reason.
            UsageError: If the key is public.
        """
    def decrypt_many(self, alg: str, encrypted: Sequence[Encrypted]) -> list[bytes]:
        """Decrypt many, all or none.

        Raises:
            AlgorithmError: As for ``decrypt``.
            DecryptionError: If one of them does not decrypt.
            UsageError: As for ``decrypt``.
        """
    def wrap_key(self, alg: str, key: bytes) -> bytes:
        """Wrap the bytes of another key.

        Args:
            alg: RSA-OAEP-256, RSA-OAEP, RSA1_5, A128KW, A192KW, A256KW, A128KWPAD, A192KWPAD,
                A256KWPAD, CKM_AES_KEY_WRAP, CKM_AES_KEY_WRAP_PAD or MLKEM768-X25519+A256KWPAD.
            key: the bytes. Without padding their number must be a multiple of 8, and at least 16.

        Raises:
            AlgorithmError: If the algorithm or the length does not fit.
        """
    def wrap_key_many(self, alg: str, keys: Sequence[bytes]) -> list[bytes]:
        """Wrap many keys, all or none.

        Raises:
            AlgorithmError: As for ``wrap_key``.
        """
    def unwrap_key(self, alg: str, wrapped: bytes) -> bytes:
        """Unwrap what ``wrap_key`` wrapped. RSA1_5 is refused, as in ``decrypt``.

        Raises:
            AlgorithmError: If the algorithm does not fit.
            DecryptionError: If it does not unwrap, whatever the reason.
            UsageError: If the key is public.
        """
    def unwrap_key_many(self, alg: str, wrapped: Sequence[bytes]) -> list[bytes]:
        """Unwrap many keys, all or none.

        Raises:
            AlgorithmError: As for ``unwrap_key``.
            DecryptionError: If one of them does not unwrap.
            UsageError: As for ``unwrap_key``.
        """
