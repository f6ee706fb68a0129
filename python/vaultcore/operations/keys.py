"""The operations of keys (contract sections 1.2 and 4)."""

import secrets as random
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from vaultcore.errors import BadParameterError
from vaultcore.objects.attributes import Attributes, Version
from vaultcore.objects.contract_errors import contract_errors
from vaultcore.objects.key_encryption import key_encryption_key
from vaultcore.objects.key_parameters import ALGORITHMS, HSM, KeyParameters
from vaultcore.objects.keys import Making
from vaultcore.objects.lifecycle import Work
from vaultcore.objects.usable_key import UsableKey
from vaultcore.operations.action import Action, Nothing, Where
from vaultcore.operations.request import Request
from vaultcore.operations.results import Encrypted, KeyResult

if TYPE_CHECKING:
    from vaultcore._core import KeyEncryptionKey

#: The most random bytes in one request (contract 1.2).
MAXIMUM_RANDOM: Final = 128


# Refusals name the arguments as the contract does.
_MEMBERS: Final = {
    "algorithm": "alg",
    "associated_data": "aad",
    "ciphertext": "value",
    "curve": "crv",
    "jwk": "key",
    "nonce": "iv",
    "operations": "key_ops",
    "plaintext": "value",
    "size": "key_size",
}


class CreateKey(msgspec.Struct, frozen=True, rename=_MEMBERS):
    """A new key; without operations, it has those of its type."""

    kty: str
    size: int | None = None
    curve: str | None = None
    operations: Sequence[str] | None = None
    attributes: Attributes | None = None
    tags: dict[str, str] | None = None


class ImportKey(msgspec.Struct, frozen=True, rename=_MEMBERS):
    """A private key (RFC 7517) to import; it is not shown in ``repr``."""

    jwk: Mapping[str, Any]
    hsm: bool = False
    attributes: Attributes | None = None
    tags: dict[str, str] | None = None

    def __repr__(self) -> str:
        return "ImportKey()"


class UpdateKey(msgspec.Struct, frozen=True, rename=_MEMBERS):
    """The attributes of a version; those that are None do not change."""

    operations: Sequence[str] | None = None
    attributes: Attributes | None = None
    tags: dict[str, str] | None = None


class Encrypt(msgspec.Struct, frozen=True, rename=_MEMBERS):
    """What to encrypt: the vault creates the nonce of AES-GCM, the caller that of AES-CBC."""

    algorithm: str
    plaintext: bytes
    nonce: bytes | None = None
    associated_data: bytes | None = None

    def __repr__(self) -> str:
        return "Encrypt()"


class Decrypt(msgspec.Struct, frozen=True, rename=_MEMBERS):
    """What to decrypt."""

    algorithm: str
    ciphertext: bytes
    nonce: bytes | None = None
    tag: bytes | None = None
    associated_data: bytes | None = None


class Wrap(msgspec.Struct, frozen=True, rename={"algorithm": "alg", "key": "value"}):
    """A key to wrap or to unwrap."""

    algorithm: str
    key: bytes

    def __repr__(self) -> str:
        return "Wrap()"


class Sign(msgspec.Struct, frozen=True, rename={"algorithm": "alg", "digest": "value"}):
    """A digest to sign, of the algorithm's exact length."""

    algorithm: str
    digest: bytes


class Verify(msgspec.Struct, frozen=True, rename={"algorithm": "alg", "signature": "value"}):
    """A signature to verify."""

    algorithm: str
    digest: bytes
    signature: bytes


class FollowKey(msgspec.Struct, frozen=True):
    """The suite of the envelopes of a key-encryption key."""

    suite: Annotated[int, msgspec.Meta(ge=0, le=255)] = 1


class RandomBytes(msgspec.Struct, frozen=True):
    """How many random bytes."""

    count: int


def _plan_creation(request: Request, arguments: CreateKey) -> Making:
    # An empty list of operations is as if it was left out, as in an import.
    wanted = KeyParameters(
        arguments.kty, arguments.size, arguments.curve, arguments.operations or None
    )
    making: Making = request.rules.plan_creation(
        request.asked.object_name,
        request.asked.canonical_name,
        wanted,
        attributes=arguments.attributes,
        tags=arguments.tags,
    )
    return making


def _plan_import(request: Request, arguments: ImportKey) -> Making:
    making: Making = request.rules.plan_import(
        request.asked.object_name,
        request.asked.canonical_name,
        arguments.jwk,
        hsm=arguments.hsm,
        attributes=arguments.attributes,
        tags=arguments.tags,
    )
    return making


def _plan_rotation(request: Request, _: Nothing) -> Making:
    making: Making = request.rules.plan_rotation(request.asked.canonical_name)
    return making


def _making(
    plan: Callable[[Request, Any], Making], arguments: type, where: Callable[[Request, Any], Where]
) -> Action:
    """Returns the operation that makes a key as it was planned."""
    return Action(
        lambda request, given: plan(request, given)(),
        arguments,
        writes=True,
        where=where,
        refuses=plan,
        changes_hsm=True,
    )


def _get(request: Request, _: Nothing) -> Version:
    found = _key(request)
    return Version(found.name, found.version, found.metadata)


def _update(request: Request, arguments: UpdateKey) -> Work[Version]:
    work: Work[Version] = request.rules.update(
        request.asked.canonical_name,
        request.asked.version,
        operations=arguments.operations,
        attributes=arguments.attributes,
        tags=arguments.tags,
    )
    return work


def _encrypt(request: Request, arguments: Encrypt) -> Encrypted:
    found = _usable(request, "encrypt", arguments.algorithm)
    with contract_errors():
        made = found.encrypt(
            arguments.algorithm,
            arguments.plaintext,
            arguments.nonce,
            arguments.associated_data or b"",
        )
    return Encrypted(found, *made, arguments.associated_data)


def _decrypt(request: Request, arguments: Decrypt) -> KeyResult:
    found = _usable(request, "decrypt", arguments.algorithm)
    with contract_errors():
        plaintext = found.decrypt(
            arguments.algorithm,
            arguments.ciphertext,
            arguments.nonce,
            arguments.tag,
            arguments.associated_data or b"",
        )
    return KeyResult(found, plaintext)


def _wrap(request: Request, arguments: Wrap) -> KeyResult:
    found = _usable(request, "wrapKey", arguments.algorithm)
    with contract_errors():
        return KeyResult(found, found.wrap(arguments.algorithm, arguments.key))


def _unwrap(request: Request, arguments: Wrap) -> KeyResult:
    found = _usable(request, "unwrapKey", arguments.algorithm)
    with contract_errors():
        return KeyResult(found, found.unwrap(arguments.algorithm, arguments.key))


def _sign(request: Request, arguments: Sign) -> KeyResult:
    found = _usable(request, "sign", arguments.algorithm)
    with contract_errors():
        return KeyResult(found, found.sign(arguments.algorithm, arguments.digest))


def _verify(request: Request, arguments: Verify) -> bool:
    found = _usable(request, "verify", arguments.algorithm)
    with contract_errors():
        return found.verify(arguments.algorithm, arguments.digest, arguments.signature)


def _follow(request: Request, arguments: FollowKey) -> "KeyEncryptionKey":
    return key_encryption_key(request.rules, request.asked.canonical_name, arguments.suite)


def _random(request: Request, arguments: RandomBytes) -> bytes:  # noqa: ARG001 - of no object
    if type(arguments.count) is not int or not 1 <= arguments.count <= MAXIMUM_RANDOM:
        raise BadParameterError(f"Property count must be 1 to {MAXIMUM_RANDOM}")
    return random.token_bytes(arguments.count)


def confirm(request: Request) -> None:
    """Checks that the key that a request used may still be used for it.

    Raises:
        ForbiddenError: it was disabled or limited meanwhile.
        ObjectNotFoundError: it was deleted or purged meanwhile.
    """
    if request.used is not None:
        asked = request.asked
        use = asked.permission.partition("/")[2]
        request.rules.confirm(request.used, asked.canonical_name, asked.version, use)


def _key(request: Request) -> UsableKey:
    found: UsableKey = request.rules.load(request.asked.canonical_name, request.asked.version)
    return found


def _usable(request: Request, use: str, algorithm: str) -> UsableKey:
    found = request.used = _key(request)
    request.rules.authorize_use(found, use)
    if type(algorithm) is not str or algorithm not in ALGORITHMS:
        raise BadParameterError("Property alg is not an algorithm of keys")
    request.extra = {"Algorithm": algorithm}
    return found


def _using(use: str, *, private: bool) -> Callable[[Request, Any], Where]:
    """Returns the function that says where a use of a key runs.

    Args:
        use: the use, as ``key_ops`` names it.
        private: whether it needs the private half. A use of the public half of a key in the HSM
            runs there too: the HSM says first whether it could decrypt the result.
    """

    def where(request: Request, arguments: Any) -> Where:
        found = _key(request)
        if not found.in_hsm and not (private and found.slow):
            return Where.LOOP
        # A refusal of the rules does not wait, and does not depend on the HSM.
        _usable(request, use, arguments.algorithm)
        return Where.HSM if found.in_hsm else Where.PROCESSOR

    return where


def _created(_: Request, arguments: CreateKey) -> Where:
    return _made(arguments.kty)


def _imported(_: Request, arguments: ImportKey) -> Where:
    kty = arguments.jwk.get("kty")
    in_hsm = arguments.hsm or (isinstance(kty, str) and kty.endswith(HSM))
    return Where.HSM if in_hsm else Where.PROCESSOR


def _rotated(request: Request, _: Nothing) -> Where:
    return _made(_key(request).metadata.key_type or "")


def _made(kty: str) -> Where:
    # Creating keys of the other types takes microseconds, and what is not a type is refused.
    if kty.endswith(HSM):
        return Where.HSM
    return Where.PROCESSOR if kty == "RSA" else Where.LOOP


ACTIONS: Final[dict[str, Action]] = {
    "KeyCreate": _making(_plan_creation, CreateKey, _created),
    "KeyImport": _making(_plan_import, ImportKey, _imported),
    "KeyRotate": _making(_plan_rotation, Nothing, _rotated),
    "KeyGet": Action(_get),
    "KeyUpdate": Action(_update, UpdateKey, writes=True),
    "KeyEncrypt": Action(_encrypt, Encrypt, where=_using("encrypt", private=False)),
    "KeyDecrypt": Action(_decrypt, Decrypt, where=_using("decrypt", private=True)),
    "KeyWrap": Action(_wrap, Wrap, where=_using("wrapKey", private=False)),
    "KeyUnwrap": Action(_unwrap, Wrap, where=_using("unwrapKey", private=True)),
    "KeySign": Action(_sign, Sign, where=_using("sign", private=True)),
    "KeyVerify": Action(_verify, Verify),
    "KeyEncryptionKeyGet": Action(_follow, FollowKey, lasts=True),
    "RandomBytesGet": Action(_random, RandomBytes),
}
