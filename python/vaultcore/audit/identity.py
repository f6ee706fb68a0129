"""The keys of the audit log, sealed with the installation, which names them.

They are created with the installation. If a key is missing or is a different one, somebody with
write access to the database removed or replaced it, and the folder is not opened with it.
"""

from typing import TYPE_CHECKING, Any, Final

import msgspec

from vaultcore._core import DOCUMENT_LABEL, Key
from vaultcore.audit.checkpoints import Retired
from vaultcore.audit.log import AuditKeys
from vaultcore.audit.state import NOTHING, TAG, State, keep_state, load_state
from vaultcore.documents import document_context
from vaultcore.errors import DecryptionError, TamperedError

if TYPE_CHECKING:
    from vaultcore._core import KeyEncryptionKey
    from vaultcore.storage import Store, Transaction

_COLLECTION: Final = "keys"
_SIGNER: Final = "audit-signer"
_MAC: Final = "audit-mac"
_FINGERPRINT: Final = b"vaultcore audit mac key 1\n"
#: How many records a process that has not yet heard of a new key may still write with the old one.
_OVERLAP: Final = 1000


class RetiredSigner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key that signed checkpoints in the past.

    Attributes:
        jwk: its public part.
        until: the last record that it may have signed.
    """

    jwk: dict[str, Any]
    until: int


class RetiredMac(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key that made MACs in the past.

    Attributes:
        mac: its fingerprint.
        until: the last record that it may have made.
        at: when it was retired, in Unix seconds.
    """

    mac: str
    until: int
    at: int


class AuditIdentity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The names of the audit log's keys; part of the sealed installation.

    Attributes:
        signer: the thumbprint (RFC 7638) of the key that signs checkpoints.
        mac: the fingerprint of the key of the MACs.
        signer_place: where the signing key is stored.
        unkeyed: the last record from before there were MACs.
        retired: the keys that signed before this one.
        retired_macs: the keys that made MACs before this one.
    """

    signer: str
    mac: str
    signer_place: str
    unkeyed: int = 0
    retired: tuple[RetiredSigner, ...] = ()
    retired_macs: tuple[RetiredMac, ...] = ()


def legacy_signer(store: "Store", system: "KeyEncryptionKey") -> Key | None:
    """Returns the signing key of a folder that an older version created, or None.

    Raises:
        TamperedError: it does not verify.
    """
    return _load(store, system, _SIGNER)


def create_keys(transaction: "Transaction", system: "KeyEncryptionKey") -> AuditIdentity:
    """Creates the keys of a new log; the caller stores the identity in the same transaction."""
    return upgrade_keys(transaction, system, None, State(0, NOTHING))


def upgrade_keys(
    transaction: "Transaction", system: "KeyEncryptionKey", signer: Key | None, state: "State"
) -> AuditIdentity:
    """Gives the log of an older version a key for MACs.

    Args:
        transaction: the one in which the caller stores the identity.
        system: the key that seals it.
        signer: the key that signs its checkpoints; None for a new one.
        state: how far the log has come, with records that have no MAC.
    """
    identity, mac = _create(transaction, system, unkeyed=state.sequence, signer=signer)
    keep_state(transaction, lambda body: _tag(mac, body), state)
    return identity


def rotate_keys(
    transaction: "Transaction",
    system: "KeyEncryptionKey",
    identity: AuditIdentity,
    keys: AuditKeys,
    last: int,
    now: int,
) -> AuditIdentity:
    """Creates new keys, and remembers which records the old ones may have signed.

    Args:
        transaction: the one in which the caller stores the identity.
        system: the key that seals them.
        identity: the identity with the keys until now.
        keys: the keys until now.
        last: the last record of the log.
        now: Unix seconds.

    Raises:
        TamperedError: the state in the store was not written with these keys.
    """
    made, mac = _create(transaction, system, unkeyed=identity.unkeyed, signer=None)
    # A thief of the old key could forge the state with it.
    state = load_state(transaction, lambda body, tag: _tag(keys.macs[0][0], body) == tag)
    keep_state(transaction, lambda body: _tag(mac, body), state)
    until = last + _OVERLAP
    return msgspec.structs.replace(
        made,
        retired=(*identity.retired, RetiredSigner(dict(keys.signer.public_jwk()), until)),
        retired_macs=(*identity.retired_macs, RetiredMac(identity.mac, until, now)),
    )


def load_keys(
    store: "Store | Transaction", system: "KeyEncryptionKey", identity: AuditIdentity
) -> AuditKeys:
    """Returns the keys that an identity names.

    Raises:
        TamperedError: one is missing, is a different one, or does not verify.
    """
    signer = _require(_load(store, system, identity.signer_place), "signs its checkpoints")
    if signer.thumbprint() != identity.signer:
        raise _replaced("signs its checkpoints")
    macs: list[tuple[Key, int | None]] = []
    earlier = [(old.mac, old.until) for old in reversed(identity.retired_macs)]
    for fingerprint, until in ((identity.mac, None), *earlier):
        key = _require(_load(store, system, f"{_MAC}-{fingerprint}"), "authenticates its records")
        if _fingerprint(key) != fingerprint:
            raise _replaced("authenticates its records")
        macs.append((key, until))
    retired = tuple(Retired(Key.from_jwk(old.jwk), old.until) for old in identity.retired)
    changed = max((old.at for old in identity.retired_macs), default=0)
    return AuditKeys(signer, retired, tuple(macs), identity.unkeyed, changed)


def _create(
    transaction: "Transaction", system: "KeyEncryptionKey", *, unkeyed: int, signer: Key | None
) -> tuple[AuditIdentity, Key]:
    place = _SIGNER
    if signer is None:
        signer = Key.generate("EC", curve="P-256")
        place = f"{_SIGNER}-{signer.thumbprint()}"
        transaction.put_document(
            _COLLECTION, place, signer.seal(system, document_context(_COLLECTION, place))
        )
    mac = Key.generate("oct", size=256)
    fingerprint = _fingerprint(mac)
    mac_place = f"{_MAC}-{fingerprint}"
    transaction.put_document(
        _COLLECTION, mac_place, mac.seal(system, document_context(_COLLECTION, mac_place))
    )
    return AuditIdentity(signer.thumbprint(), fingerprint, place, unkeyed), mac


def _load(store: "Store | Transaction", system: "KeyEncryptionKey", place: str) -> Key | None:
    blob = store.document(_COLLECTION, place)
    if blob is None:
        return None
    try:
        return Key.open(system, blob, document_context(_COLLECTION, place))
    except DecryptionError:
        raise TamperedError(
            "a key of the audit log does not verify: it was changed outside the vault; restore "
            "the database from a backup"
        ) from None


def _require(key: Key | None, what: str) -> Key:
    if key is None:
        raise TamperedError(
            f"the key of the audit log that {what} is missing: it was removed outside the vault; "
            "restore the database from a backup"
        )
    return key


def _replaced(what: str) -> TamperedError:
    return TamperedError(
        f"the key of the audit log that {what} is a different one: it was replaced outside the "
        "vault; restore the database from a backup"
    )


def _tag(mac: Key, document: bytes) -> bytes:
    return mac.sign("HS256", DOCUMENT_LABEL + document)[:TAG]


def _fingerprint(mac: Key) -> str:
    return mac.sign("HS256", _FINGERPRINT)[:16].hex()
