"""The vault keys of an installation under their protectors."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Self, TypeVar

from vaultcore._core import KeyEncryptionKey
from vaultcore.errors import (
    ConflictError,
    ProtectorError,
    ProtectorUnavailableError,
    TamperedError,
    UsageError,
)
from vaultcore.installation.settings import SYSTEM
from vaultcore.installation.vault_document import VaultDocument
from vaultcore.protectors.pkcs11.protector import Pkcs11Protector
from vaultcore.protectors.protector import AbsentProtector
from vaultcore.protectors.wraps import COLLECTION, VaultKey

if TYPE_CHECKING:
    from vaultcore.protectors.hsm import Hsm
    from vaultcore.protectors.protector import Protector
    from vaultcore.storage import Store, Transaction

T = TypeVar("T")
#: How often a change is retried if another process changed the keys meanwhile.
_ATTEMPTS: Final = 20
#: Opens the protectors that the folder names now; keeps those given that it still names.
Reopen = Callable[["Sequence[Protector]"], "list[Protector]"]
_Documents = Mapping[str, bytes]


class VaultKeys:
    """The keys, each wrapped by every protector; any one opens them.

    A key is one object for as long as the folder is open: every holder of it sees each new
    generation, and loses the old ones, as soon as this process has heard of them.

    Args:
        store: the store.
        protectors: those of the folder, including unavailable ones.
        reopen: opens those that another process has added since; None to look for none.

    Raises:
        ProtectorError: no protector opens the system key; the message says why for each.
    """

    def __init__(
        self, store: "Store", protectors: Sequence["Protector"], reopen: Reopen | None = None
    ) -> None:
        self._store = store
        self._listed = list(protectors)
        self._reopen = reopen
        self._keks: dict[str, KeyEncryptionKey] = {}
        # The wrap that each key was opened from: its place, and its content.
        self._opened: dict[str, tuple[str, bytes]] = {}
        self.system = self.kek(SYSTEM)

    @classmethod
    def create(
        cls, store: "Store", protectors: Sequence["Protector"], reopen: Reopen | None = None
    ) -> Self:
        """Creates the system key of a new installation."""
        made = VaultKey(KeyEncryptionKey.generate())
        wraps = [(f"{SYSTEM}/{protector.name}", made.wrap(protector)) for protector in protectors]

        def work(transaction: "Transaction") -> None:
            for key, wrap in wraps:
                transaction.put_document(COLLECTION, key, wrap)
            transaction.changed(SYSTEM, COLLECTION, SYSTEM, "", "create")

        store.write(work)
        return cls(store, protectors, reopen)

    # the keys

    def kek(self, vault_id: str) -> KeyEncryptionKey:
        """Returns a vault key, unwrapped by the first protector that can.

        Raises:
            ProtectorError: none can; the message says why for each.
            TamperedError: none can, though all are available: the wraps of this key were changed.
        """
        found = self._keks.get(vault_id)
        if found is None:
            found = self._keks.setdefault(vault_id, self.stored(vault_id).kek)
        return found

    def stored(self, vault_id: str) -> VaultKey:
        """Unwraps a vault key as it is stored now.

        Raises:
            ProtectorError: no protector can; the message says why for each.
            TamperedError: none can, though all are available: the wraps of this key were changed.
        """
        return self._unwrapped(self._listed, vault_id)

    def _unwrapped(self, protectors: Sequence["Protector"], vault_id: str) -> VaultKey:
        reasons = []
        present = vault_id != SYSTEM  # a fault of a protector shows at the system key
        for protector in protectors:
            present = present and not isinstance(protector, AbsentProtector)
            place = f"{vault_id}/{protector.name}"
            wrap = self._store.document(COLLECTION, place)
            if wrap is None:
                reasons.append(f"{protector.name}: has no wrap of this key")
                continue
            try:
                found = VaultKey.unwrap(protector, wrap)
            except (ProtectorError, TamperedError, UsageError) as refused:
                # A protector that was removed meanwhile is closed.
                reasons.append(f"{protector.name}: {refused}")
                present = present and not isinstance(refused, ProtectorUnavailableError)
                continue
            self._opened[vault_id] = place, wrap
            return found
        kind = TamperedError if present and reasons else ProtectorError
        raise kind(
            "no protector opens the vault key"
            + (f" ({'; '.join(reasons)})" if reasons else ": none is configured")
        )

    def refresh(self, vault_id: str) -> None:
        """Adopts the current generations of a key, if the key is in use here.

        Raises:
            ProtectorError: no protector opens the key.
            TamperedError: the wraps of this key were changed.
        """
        held = self._keks.get(vault_id)
        if held is None:
            return
        if not any(k.startswith(f"{vault_id}/") for k, _ in self._store.documents(COLLECTION)):
            self.forget(vault_id)  # the vault was removed
            return
        self._take_over(vault_id, self.stored(vault_id).kek)

    def forget(self, vault_id: str) -> None:
        """Forgets an unwrapped key, so that it is unwrapped again when it is next needed."""
        self._keks.pop(vault_id, None)
        self._opened.pop(vault_id, None)

    def forget_replaced(self) -> None:
        """Forgets the keys whose wraps in the store differ from those they were opened from.

        A key whose wrap has not changed is kept: the HSM that would unwrap it may be unavailable.
        The system key is not forgotten; it adopts the generations that are stored.

        Raises:
            StorageError: the store cannot be read.
        """
        for vault_id in list(self._keks):
            place, wrap = self._opened.get(vault_id, ("", b""))
            if self._store.document(COLLECTION, place) == wrap:
                continue
            if vault_id != SYSTEM:
                self.forget(vault_id)
                continue
            # If the key does not open its data, the data's own check reports it.
            with contextlib.suppress(ProtectorError, TamperedError):
                self.refresh(SYSTEM)

    def rotate(self, vault_id: str, key: str) -> int:
        """Gives a vault key a new generation and returns its number.

        What is stored remains readable: the key keeps the old generations.

        Raises:
            ConflictError: other processes kept changing the keys meanwhile.
            NotFoundError: the vault was removed meanwhile.
            ProtectorError: a protector is unavailable, or refuses.
        """
        return self.replace(
            vault_id, key, "rotate", lambda held: held.rotated(rekeying=held.rekeying)
        ).kek.generation

    def replace(
        self,
        vault_id: str,
        key: str,
        what: str,
        change: Callable[[VaultKey], VaultKey],
        finish: "Callable[[Transaction], bool]" = lambda _: True,
    ) -> VaultKey:
        """Stores another form of a key, wrapped again by every protector, and returns it.

        Args:
            vault_id: the vault, or ``system``.
            key: its name in lower case, or ``system``.
            what: the kind in the change feed.
            change: returns the new form; the same object if nothing is to be done.
            finish: other work of the same transaction; if it returns False, everything is retried.

        Raises:
            ConflictError: other processes kept changing the keys meanwhile.
            NotFoundError: the vault was removed meanwhile.
            ProtectorError: a protector is unavailable, or refuses.
        """

        def begin(_: _Documents) -> tuple[dict[str, VaultKey], VaultKey]:
            before = self.stored(vault_id)
            after = change(before)
            return ({} if after is before else {vault_id: after}), after

        def work(transaction: "Transaction") -> bool:
            if vault_id != SYSTEM:
                VaultDocument.present(transaction, vault_id, key)
            done = finish(transaction)
            if done:
                transaction.changed(vault_id, COLLECTION, key, "", what)
            return done

        done = self.wrapped({SYSTEM, vault_id}, begin, work)
        self._take_over(vault_id, done.kek)
        return done

    def _take_over(self, vault_id: str, copy: KeyEncryptionKey) -> None:
        held = self._keks.setdefault(vault_id, copy)
        try:
            held.adopt(copy)
        except UsageError:
            raise TamperedError(
                "a different key is stored in the place of a vault key: it was changed outside the "
                "vault; restore the database from a backup"
            ) from None

    def wrapped(
        self,
        concerned: set[str] | None,
        begin: "Callable[[_Documents], tuple[dict[str, VaultKey], T]]",
        work: "Callable[[Transaction], bool]",
        protectors: Sequence["Protector"] | None = None,
    ) -> T:
        """Wraps keys for every protector and stores them, if no key was changed meanwhile.

        Protectors are used before the transaction, because other writers wait for that.
        """
        for _ in range(_ATTEMPTS):
            before = dict(self._store.documents(COLLECTION))
            keys, result = begin(before)
            targets = self._active(before) if protectors is None else protectors
            wraps = {
                f"{vault_id}/{protector.name}": vault_key.wrap(protector)
                for vault_id, vault_key in keys.items()
                for protector in targets
            }
            if self._store.write(_stored(concerned, before, wraps, work)):
                for place, wrap in wraps.items():
                    self._opened[place.partition("/")[0]] = place, wrap
                return result
        raise ConflictError("the vault keys kept changing meanwhile; try again")

    def vault_ids(self) -> dict[str, str]:
        """Returns the identifier of every vault, by its name in lower case."""
        return {
            key: VaultDocument.decode(blob, key).id for key, blob in self._store.documents("vaults")
        }

    # the protectors

    @property
    def protectors(self) -> Sequence["Protector"]:
        """The protectors that wrap the keys.

        A protector that the folder names and that has no wraps is not among them: adding it was
        interrupted, and adding it again continues.
        """
        return tuple(self._active(dict(self._store.documents(COLLECTION))))

    def _active(self, documents: _Documents) -> list["Protector"]:
        """Returns the protectors that wrap the system key, including those of other processes."""
        wrapping = wrapping_names(documents)
        if not wrapping <= {protector.name for protector in self._listed}:
            self.reopen()
        # A wrap whose protector the folder does not name is a remnant, and opens nothing.
        return [protector for protector in self._listed if protector.name in wrapping]

    def wrapping(self) -> set[str]:
        """Returns the names of the protectors with stored wraps, known here or not."""
        return wrapping_names(dict(self._store.documents(COLLECTION)))

    def reopen(self) -> None:
        """Opens the protectors that another process added, and drops those that it removed."""
        if self._reopen is not None:
            self._listed = self._reopen(self._listed)

    def add(self, protector: "Protector") -> None:
        """Wraps every vault key with one more protector.

        Raises:
            ConflictError: other processes kept changing the keys meanwhile.
            ProtectorError: a vault key cannot be opened, or the new protector refuses.
        """

        def begin(_: _Documents) -> tuple[dict[str, VaultKey], None]:
            ids = [SYSTEM, *self.vault_ids().values()]
            return {vault_id: self.stored(vault_id) for vault_id in ids}, None

        def work(transaction: "Transaction") -> bool:
            transaction.changed(SYSTEM, "protectors", protector.name, "", "add")
            return True

        # A vault created, or a key rotated, after these wraps were made would lack one.
        self.wrapped(None, begin, work, [protector])
        for other in self._listed:
            if other.name == protector.name and other is not protector:
                other.close()
        self._listed = [p for p in self._listed if p.name != protector.name] + [protector]

    def remove(self, name: str) -> None:
        """Removes a protector's wraps of every vault key.

        Raises:
            ConflictError: other processes kept changing the keys meanwhile.
            ProtectorError: it is the last one that opens the keys.
        """

        def begin(documents: _Documents) -> tuple[dict[str, VaultKey], None]:
            self._check_removable(documents, name)
            return {}, None

        def work(transaction: "Transaction") -> bool:
            for key, _ in transaction.documents(COLLECTION):
                if key.partition("/")[2] == name:
                    transaction.delete_document(COLLECTION, key)
            transaction.erase()
            transaction.changed(SYSTEM, "protectors", name, "", "remove")
            return True

        self.wrapped(None, begin, work)
        for protector in self._listed:
            if protector.name == name:
                protector.close()
        self._listed = [p for p in self._listed if p.name != name]

    def check_removable(self, name: str) -> None:
        """Checks that every key opens without a protector.

        Raises:
            ProtectorError: one does not.
        """
        self._check_removable(dict(self._store.documents(COLLECTION)), name)

    def _check_removable(self, documents: _Documents, name: str) -> None:
        rest = [p for p in self._active(documents) if p.name != name]
        if not rest:
            raise ProtectorError(
                f"`{name[:64]}` is the last protector that opens the vault keys; add another first"
            )
        for vault_id in [SYSTEM, *self.vault_ids().values()]:
            self._require(rest, vault_id)

    def verify(self) -> list[dict[str, str]]:
        """Tries every protector: each must open every vault key by itself."""
        report = []
        for protector in self.protectors:
            line = {"name": protector.name, "kind": protector.kind}
            try:
                line |= protector.describe()
                for vault_id in [SYSTEM, *self.vault_ids().values()]:
                    self._require([protector], vault_id)
            except (ProtectorError, TamperedError) as refused:
                report.append({**line, "status": "failed", "reason": str(refused)})
            else:
                report.append({**line, "status": "ok"})
        return report

    def hsm(self) -> "Hsm | None":
        """Returns the keys of the first protector that is an HSM, for ``-HSM`` types."""
        for protector in self.protectors:
            if isinstance(protector, Pkcs11Protector):
                return protector.keys
        return None

    def close(self) -> None:
        """Closes the protectors."""
        for protector in self._listed:
            protector.close()

    def _require(self, protectors: Sequence["Protector"], vault_id: str) -> None:
        """Checks that one of these protectors opens a key.

        Raises:
            ProtectorError: none does; the message says why for each.
        """
        self._unwrapped(protectors, vault_id)


def wrapping_names(documents: _Documents) -> set[str]:
    """Returns the names of the protectors that wrap the system key."""
    prefix = f"{SYSTEM}/"
    return {key.removeprefix(prefix) for key in documents if key.startswith(prefix)}


def _stored(
    concerned: set[str] | None,
    before: _Documents,
    wraps: _Documents,
    work: "Callable[[Transaction], bool]",
) -> "Callable[[Transaction], bool]":
    def chosen(documents: _Documents) -> dict[str, bytes]:
        return {
            key: wrap
            for key, wrap in documents.items()
            if concerned is None or key.partition("/")[0] in concerned
        }

    def store(transaction: "Transaction") -> bool:
        if chosen(dict(transaction.documents(COLLECTION))) != chosen(before):
            return False
        if not work(transaction):
            return False
        for key, wrap in wraps.items():
            transaction.put_document(COLLECTION, key, wrap)
        transaction.erase()
        return True

    return store
