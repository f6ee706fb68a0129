"""Backup and restore of an object with all its versions (contract section 9)."""

from typing import TYPE_CHECKING, Any, Final

import msgspec

from vaultcore._core import Context, object_name
from vaultcore.errors import BadParameterError, ConflictError, DecryptionError
from vaultcore.objects.attributes import Version
from vaultcore.objects.lifecycle import Lifecycle, Work
from vaultcore.objects.rows import decode_metadata

if TYPE_CHECKING:
    from vaultcore.storage import Transaction

MAXIMUM_BACKUP_VERSIONS: Final = 500


class _BackupVersion(msgspec.Struct, frozen=True):
    version: str
    metadata: str
    payload: bytes


class _Backup(msgspec.Struct, frozen=True):
    kind: str
    name: str
    versions: list[_BackupVersion]


_decode_backup = msgspec.msgpack.Decoder(_Backup).decode


def backup(rules: Lifecycle[Any], canonical: str) -> bytes:
    """Returns an object with all its versions, sealed for this vault only.

    Args:
        rules: the rules of the kind.
        canonical: the canonical name.

    Raises:
        ObjectNotFoundError: there is no such object.
        BadParameterError: there are more versions than a backup may contain.
    """
    row, _ = rules.find(canonical)
    versions = rules.store.versions(row.id)
    if len(versions) > MAXIMUM_BACKUP_VERSIONS:
        raise BadParameterError(
            f"{row.name} has more than {MAXIMUM_BACKUP_VERSIONS} versions and cannot be "
            "backed up as one object"
        )
    for version in versions:
        rules.refuse_backup(rules.describe(row, version).metadata)
    body = msgspec.msgpack.encode(
        _Backup(
            rules.kind,
            row.name,
            # All under the newest generation, like the backup itself.
            [
                _BackupVersion(v.version, v.metadata, rules.vault.kek.rewrap(v.payload))
                for v in versions
            ],
        )
    )
    return rules.vault.kek.seal(body, context=_context(rules))


def restore(rules: Lifecycle[Any], blob: bytes) -> Work[Version]:
    """Restores a backup under its own name, with its own version identifiers.

    Args:
        rules: the rules of the kind.
        blob: what :func:`backup` returned.

    Raises:
        BadParameterError: the blob was changed, or is another vault's or another kind's.
        ConflictError: the name is taken, or deleted but recoverable (when the work runs).
    """
    try:
        body = rules.vault.kek.open(blob, context=_context(rules))
        backup = _decode_backup(body)
    except (DecryptionError, msgspec.DecodeError):
        raise BadParameterError(
            "the backup blob is malformed, was changed, is older than a rekey, or belongs to "
            f"another vault or another kind of object; restore it as one of the {rules.kind} of "
            "the vault that made it"
        ) from None
    name, canonical = object_name(backup.name)

    def work(transaction: "Transaction") -> Version:
        row = transaction.object(rules.vault.id, rules.kind, canonical)
        if row is not None:
            rules.refuse_deleted(row)
            raise ConflictError(
                f"{rules.noun} {name} already exists in this vault; delete and "
                "purge it before restoring"
            )
        newest = backup.versions[-1]
        seal = rules.seal_object(canonical, name, newest.version)
        row_id = transaction.insert_object(rules.vault.id, rules.kind, canonical, name, seal)
        sequence = 0
        for version in backup.versions:
            try:
                # Older generations are removed when a rekey ends, perhaps during this request.
                payload = rules.vault.kek.rewrap(version.payload)
            except DecryptionError:
                raise BadParameterError(
                    "the backup blob is older than a rekey of the vault, or was changed"
                ) from None
            sequence = transaction.insert_version(
                row_id, version.version, version.metadata, payload
            )
        transaction.update_object(row_id, current=sequence, seal=seal)
        transaction.changed(rules.vault.id, rules.kind, canonical, newest.version, "restore")
        return Version(name, newest.version, decode_metadata(newest.metadata))

    return work


def _context(rules: Lifecycle[Any]) -> Context:
    return Context({"purpose": "backup", "vault": rules.vault.id, "kind": rules.kind})
