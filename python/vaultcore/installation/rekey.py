"""New system and vault keys: everything sealed moves to a new generation, the old ones are removed.

It works while the folder is in use, and can be killed at any point: run again, it continues.

1. Each key gets a generation. Every process adopts it before it writes anything more.
2. What is sealed under older generations is moved to the newest, batch by batch. The payloads are
   not touched (``docs/envelope.md``, Rewrapping).
3. In one transaction for each key, the rest is moved and the older generations are removed.
   From then on neither an old wrap of the key nor the old key itself opens anything stored.

Between the steps, other processes get a moment to adopt the keys, so that no request in progress
meets a key that its process does not know.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from vaultcore.errors import DecryptionError, NotFoundError
from vaultcore.installation.settings import SYSTEM
from vaultcore.installation.vault_document import VaultDocument
from vaultcore.storage.rows import SEALED_KINDS, Place

if TYPE_CHECKING:
    from vaultcore._core import KeyEncryptionKey
    from vaultcore.installation.key_ring import KeyRing
    from vaultcore.storage import Store, Transaction

#: How many envelopes are moved in one transaction; other writers wait for it.
BATCH: Final = 500
#: What the last transaction may still move of a key, in envelopes.
REMNANT: Final = 2000
#: How long other processes get to adopt a key, in seconds.
PAUSE: Final = 1.0

#: The progress: the current step, how many envelopes are moved, how many there are.
Progress = Callable[[str, int, int], None]


@dataclass
class Moved:
    """The outcome for one key.

    Attributes:
        name: the vault in lower case, or ``system``.
        generation: the only generation that the key has now; 0 if the vault was removed.
        moved: how many envelopes were moved.
        unreadable: how many were not: they were changed outside the vault, and do not open.
    """

    name: str
    generation: int = 0
    moved: int = 0
    unreadable: int = 0


class Rekey:
    """Gives keys new generations and removes the old ones.

    Args:
        store: the store.
        keys: the keys.
        progress: called with the progress.
    """

    def __init__(self, store: "Store", keys: "KeyRing", progress: Progress) -> None:
        self._store = store
        self._keys = keys
        self._progress = progress
        self._done = 0
        self._total = 0

    def run(
        self, names: Mapping[str, str], renewals: Sequence[Callable[[], object]] = ()
    ) -> list[Moved]:
        """Replaces some keys, and returns the outcome for each.

        Args:
            names: the identifiers of the vaults, by their names in lower case, and ``system`` by
                itself.
            renewals: called when the new generations exist: they replace other keys.

        Raises:
            ConflictError: other processes kept changing the keys meanwhile.
            ProtectorError: a protector is unavailable: nothing was removed.
        """
        results = {name: Moved(name) for name in names}
        for name, vault_id in names.items():
            self._begin(name, vault_id)
        for renew in renewals:
            renew()
        time.sleep(PAUSE)
        self._total = sum(self._count(vault_id) for vault_id in names.values())
        for name, vault_id in names.items():
            self._move_all(vault_id, name, results[name])
        time.sleep(PAUSE)
        for name, vault_id in names.items():
            self._end(name, vault_id, results[name])
        return list(results.values())

    def _begin(self, name: str, vault_id: str) -> None:
        self._progress(f"new key for {name}", self._done, self._total)
        with contextlib.suppress(NotFoundError):  # removed meanwhile, its key with it
            self._keys.replace(
                vault_id,
                name,
                "rekey",
                # A rekey that was begun and not ended is continued.
                lambda held: held if held.rekeying else held.rotated(rekeying=True),
            )

    def _end(self, name: str, vault_id: str, result: Moved) -> None:
        def finish(transaction: "Transaction") -> bool:
            moved = unreadable = 0
            for batch in _batches(transaction, self._keys.kek(vault_id), vault_id, name):
                moved += batch.moved
                unreadable += batch.unreadable
                if moved > REMNANT:
                    return False
            if vault_id != SYSTEM:
                _move_settings(transaction, self._keys.kek(vault_id), vault_id, name)
            counts.append((moved, unreadable))
            return True

        counts: list[tuple[int, int]] = []
        try:
            ended = self._keys.replace(
                vault_id, name, "retire", lambda held: held.retired(), finish
            )
        except NotFoundError:
            return  # removed meanwhile, its key with it
        moved, result.unreadable = counts[-1]
        result.moved += moved
        result.generation = ended.kek.generation

    def _count(self, vault_id: str) -> int:
        kek = self._keys.kek(vault_id)
        return sum(self._store.sealed_count(kind, kek.id, kek.generation) for kind in SEALED_KINDS)

    def _move_all(self, vault_id: str, name: str, result: Moved) -> None:
        kek = self._keys.kek(vault_id)
        for kind in SEALED_KINDS:
            after: Place | None = None
            while True:
                batch = self._store.write(
                    lambda t, k=kind, a=after: _batch(t, kek, vault_id, name, k, a)  # type: ignore[misc]
                )
                result.moved += batch.moved
                self._done += batch.moved
                self._progress(name, self._done, max(self._done, self._total))
                if batch.last is None:
                    break
                after = batch.last


@dataclass
class _Batch:
    moved: int
    unreadable: int
    last: Place | None


def _batches(
    transaction: "Transaction", kek: "KeyEncryptionKey", vault_id: str, name: str
) -> Iterator[_Batch]:
    for kind in SEALED_KINDS:
        after: Place | None = None
        while True:
            batch = _batch(transaction, kek, vault_id, name, kind, after)
            yield batch
            if batch.last is None:
                break
            after = batch.last


def _batch(
    transaction: "Transaction",
    kek: "KeyEncryptionKey",
    vault_id: str,
    name: str,
    kind: str,
    after: Place | None,
) -> _Batch:
    """Moves some envelopes of one kind to the newest generation."""
    found = transaction.sealed(kind, kek.id, kek.generation, after, BATCH)
    moved = 0
    for row in found:
        try:
            fresh = kek.rewrap(row.blob)
        except DecryptionError:
            continue  # it was changed outside the vault, and does not open
        transaction.put_sealed(row, fresh)
        moved += 1
    if moved:
        transaction.changed(vault_id, "rekey", name, "", "move")
    return _Batch(moved, len(found) - moved, found[-1].place if len(found) == BATCH else None)


def _move_settings(
    transaction: "Transaction", kek: "KeyEncryptionKey", vault_id: str, name: str
) -> None:
    document = VaultDocument.present(transaction, vault_id, name)
    # Settings that were changed outside the vault are not moved, and are refused as before.
    with contextlib.suppress(DecryptionError):
        settings = kek.rewrap(document.settings)
        transaction.put_document(
            "vaults", name, msgspec.json.encode(VaultDocument(document.id, settings))
        )
