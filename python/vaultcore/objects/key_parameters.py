"""The parameters of keys: types, sizes, curves, operations, algorithms (contract section 4)."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from vaultcore._core import Key
from vaultcore.errors import BadParameterError, KeyFormatError
from vaultcore.objects.attributes import Attributes
from vaultcore.protectors.pkcs11.algorithms import RSA_SIZES

#: Every operation that a key may be limited to (JWK ``key_ops``, contract 4.3).
OPERATIONS: Final = ("encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey")
_DEFAULT_OPERATIONS: Final = {
    "RSA": OPERATIONS,
    "EC": ("sign", "verify"),
    "oct": ("encrypt", "decrypt", "wrapKey", "unwrapKey"),
}
_ALLOWED_OPERATIONS: Final = {"RSA": OPERATIONS, "EC": ("sign", "verify"), "oct": OPERATIONS}
_SIZES: Final = {"RSA": RSA_SIZES, "oct": (128, 192, 256, 384, 512)}
_DEFAULT_SIZE: Final = {"RSA": 2048, "oct": 256}
_CURVES: Final = ("P-256", "P-384", "P-521", "P-256K")
#: Every algorithm that a key of a vault may have (contract 4.2).
ALGORITHMS: Final = frozenset(
    (
        *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "RSNULL"),
        *("RSA1_5", "RSA-OAEP", "RSA-OAEP-256"),
        *("ES256", "ES256K", "ES384", "ES512", "HS256", "HS384", "HS512"),
        *(f"A{size}{mode}" for size in (128, 192, 256) for mode in ("GCM", "CBC", "CBCPAD")),
        *(f"A{size}{mode}" for size in (128, 192, 256) for mode in ("KW", "KWPAD")),
        *("CKM_AES_KEY_WRAP", "CKM_AES_KEY_WRAP_PAD"),
    )
)
#: Types of other versions of the contract; refused by name, as Azure does.
_OTHER_TYPES: Final = frozenset({"oct-HSM", "OKP", "OKP-HSM", "AKP", "AKP-HSM"})
_PUBLIC_MEMBERS: Final = ("n", "e", "crv", "x", "y")
#: The suffix of the types of keys in the HSM.
HSM: Final = "-HSM"


class KeyParameters(msgspec.Struct, frozen=True):
    """The parameters of a new key.

    Attributes:
        kty: ``RSA``, ``EC`` or ``oct``, with ``-HSM`` for a key created inside the HSM.
        size: bits, for RSA and oct.
        curve: for EC.
        operations: the key's ``key_ops``, or None for the type's own.
    """

    kty: str
    size: int | None = None
    curve: str | None = None
    operations: Sequence[str] | None = None


class ImportedKey(NamedTuple):
    """A private key that a caller sent.

    Attributes:
        key: the key.
        family: ``RSA``, ``EC`` or ``oct``.
        in_hsm: whether its type requires the HSM.
        operations: the key's ``key_ops``.
        jwk: its members, without what is not part of the key.
    """

    key: Key
    family: str
    in_hsm: bool
    operations: tuple[str, ...]
    jwk: dict[str, Any]


def shape(wanted: KeyParameters) -> tuple[str, bool, int | None, str | None]:
    """Returns family, whether the HSM creates it, size in bits and curve of a key to create.

    Raises:
        BadParameterError: the type, size or curve does not exist, or does not fit the others.
    """
    family = wanted.kty.removesuffix(HSM)
    in_hsm = wanted.kty.endswith(HSM)
    if family not in _DEFAULT_OPERATIONS:
        raise _unknown_type(wanted.kty)
    if in_hsm and family == "oct":
        raise BadParameterError(
            "Invalid kty value: oct-HSM; this vault creates RSA-HSM and EC-HSM keys in its "
            "HSM, and oct keys in software",
            inner="KeyTypeNotSupported",
        )
    if family == "EC":
        if wanted.size is not None and wanted.curve is None:
            raise BadParameterError("Property key_size does not apply to EC keys; give crv")
        curve = wanted.curve or "P-256"
        if curve not in _CURVES:
            raise BadParameterError(
                f"Unsupported curve. Supported curves are [{', '.join(_CURVES)}]"
            )
        return family, in_hsm, None, curve
    if wanted.curve is not None:
        raise BadParameterError(f"Property crv does not apply to {family} keys")
    size = _DEFAULT_SIZE[family] if wanted.size is None else wanted.size
    if size not in _SIZES[family]:
        _refuse_size(size, _SIZES[family])
    return family, in_hsm, size, None


def read_jwk(jwk: Mapping[str, Any]) -> ImportedKey:
    """Reads a private key to import.

    Args:
        jwk: the key (RFC 7517), with its private members.

    Raises:
        BadParameterError: it is malformed, weak or public only; the message says why.
    """
    kty = jwk.get("kty")
    if not isinstance(kty, str):
        raise BadParameterError("Property key.kty is missing")
    family = kty.removesuffix(HSM)
    if family not in _DEFAULT_OPERATIONS:
        raise _unknown_type(kty)
    listed = jwk.get("key_ops")
    if listed is not None and not (
        isinstance(listed, list) and all(isinstance(item, str) for item in listed)
    ):
        raise BadParameterError("Property key.key_ops is not a list of operations")
    operations = check_operations(family, listed or None)
    members = {
        member: value
        for member, value in jwk.items()
        if member not in {"kid", "key_ops", "kty", "key_hsm"} and value is not None
    }
    try:
        made = Key.from_jwk({**members, "kty": family})
    except KeyFormatError as refused:
        raise BadParameterError(f"Property key is not a valid key: {refused}") from None
    if not made.is_private:
        raise BadParameterError("Property key holds a public key only; import the private key")
    if made.kty in _SIZES and made.size not in _SIZES[made.kty]:
        _refuse_size(made.size, _SIZES[made.kty])
    return ImportedKey(made, family, kty.endswith(HSM), operations, {**members, "kty": family})


def public_members(jwk: Mapping[str, str]) -> dict[str, str] | None:
    """Returns the public members of a JWK except its type; None for a symmetric key."""
    return {member: jwk[member] for member in _PUBLIC_MEMBERS if member in jwk} or None


def check_operations(family: str, operations: Sequence[str] | None) -> tuple[str, ...]:
    """Returns the operations of a key, by default its type's own.

    Raises:
        BadParameterError: keys of the type have no such operation, or one is named twice.
    """
    if operations is None:
        return _DEFAULT_OPERATIONS[family]
    allowed = _ALLOWED_OPERATIONS[family]
    for operation in operations:
        if operation not in allowed:
            raise BadParameterError(
                f"Property key_ops holds an operation that does not exist for {family} keys; "
                f"the operations are [{', '.join(allowed)}]"
            )
    if len(set(operations)) != len(operations):
        raise BadParameterError("Property key_ops names an operation twice")
    return tuple(operations)


def _unknown_type(kty: str) -> BadParameterError:
    # A text that is not a word of the contract could be anything, and is not repeated.
    shown = f": {kty}" if kty in _OTHER_TYPES else ""
    return BadParameterError(f"Invalid kty value{shown}", inner="KeyTypeNotSupported")


def _refuse_size(size: int, sizes: Sequence[int]) -> None:
    listed = ", ".join(str(item) for item in sizes)
    raise BadParameterError(f"Unsupported key size ({size}). Supported sizes are [{listed}]")


def refuse_release(attributes: Attributes) -> None:
    """Refuses a key that could be released.

    Raises:
        BadParameterError: the attributes say ``exportable``.
    """
    if attributes.exportable:
        raise BadParameterError(
            "Property attributes.exportable is not supported: this vault does not release keys"
        )
