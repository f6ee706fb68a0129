"""A key-encryption key that follows the versions of a key in a vault.

Data is sealed under it outside the vault, as fast as under any other. The vault decides who may
have it, and rotates it. Each version of the key is a generation.
"""

from typing import TYPE_CHECKING, Final

from vaultcore._core import KeyEncryptionKey
from vaultcore.errors import AlgorithmError, BadParameterError, ForbiddenError

if TYPE_CHECKING:
    from vaultcore.objects.keys import KeyRules
    from vaultcore.objects.usable_key import UsableKey

_SMALLEST: Final = 256


def key_encryption_key(rules: "KeyRules", canonical: str, suite: int) -> KeyEncryptionKey:
    """Returns the key-encryption key of a key, with all its versions that may still be used.

    The newest version seals, so its attributes must allow wrapping and unwrapping now. An older
    version opens; it is left out while it is disabled or may not unwrap, and what was sealed under
    it does not open then.

    Args:
        rules: the keys of the vault.
        canonical: the canonical name.
        suite: the suite of the envelopes, 1 or 2.

    Raises:
        BadParameterError: the key is not a software key of type oct with at least 256 bits, or
            there is no such suite.
        ForbiddenError: the newest version is disabled, outside its dates, or not meant for this.
        ObjectNotFoundError: there is no such key.
        TamperedError: a row does not verify.
    """
    row, _ = rules.find(canonical)
    stored = rules.store.versions(row.id)
    if not stored:
        rules.missing(canonical, "")  # purged since
    newest = rules.load(canonical, stored[-1].version)
    for operation in ("wrapKey", "unwrapKey"):
        rules.authorize_use(newest, operation)
    if not _fits(newest):
        raise BadParameterError(
            f"a key-encryption key follows a software key of type oct with at least {_SMALLEST} "
            f"bits, and {newest.name} is {newest.metadata.key_type} with {newest.size}; create "
            "one for this"
        )
    generations = []
    # The number of a generation is the place of its version: versions are only ever added.
    for number, version in enumerate(stored, 1):
        found = rules.load(canonical, version.version)
        if _fits(found) and _may_unwrap(rules, found):
            generations.append((number, found.version, found.key))
    try:
        return KeyEncryptionKey.from_versions(
            generations, vault=rules.vault.id, name=canonical, suite=suite
        )
    except AlgorithmError as refused:
        raise BadParameterError(f"Property suite is invalid: {refused}") from None


def _fits(found: "UsableKey") -> bool:
    return not found.in_hsm and found.key.kty == "oct" and found.size >= _SMALLEST


def _may_unwrap(rules: "KeyRules", found: "UsableKey") -> bool:
    try:
        rules.authorize_use(found, "unwrapKey")
    except ForbiddenError:
        return False
    return True
