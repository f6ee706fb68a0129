"""What the store holds about the installation as a whole: its name, its vault keys.

Everything here is a small document, sealed under the key that it concerns, so that who can write
the database can neither read nor change it unnoticed.
"""

import secrets as random
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Self, TypeVar

import msgspec

from vaultcore._core import Context, Key, KeyEncryptionKey
from vaultcore.errors import (
    ConflictError,
    DecryptionError,
    NotFoundError,
    ProtectorError,
    ProtectorUnavailableError,
    StorageError,
    TamperedError,
    UnavailableError,
)
from vaultcore.protectors.registry import AbsentProtector, TokenProtector
from vaultcore.state import VaultSettings

if TYPE_CHECKING:
    from vaultcore.key_use import Token
    from vaultcore.protectors.protector import Protector
    from vaultcore.storage import Store, Transaction

Document = TypeVar("Document")
DATABASE: Final = "vaultcore.db"
#: The identifier of the key that seals what belongs to no vault.
SYSTEM: Final = "system"
_AUDIT_SIGNER: Final = "audit-signer"
_ATTEMPTS: Final = 5
_Wrap = tuple[str, bytes]


class Installation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the installation is called; sealed under the system key.

    Attributes:
        id: 32 hexadecimal characters.
        tenant_id: the tenant of the built-in issuer, a GUID.
        created: Unix seconds.
        domain: the parent domain of the vaults' host names, with a port unless that is 443.
        issuer_url: of the built-in issuer.
        location: what the contract calls the region.
        operator: the object id of whoever holds the folder.
        audiences: for whom tokens may be meant, beside the resource.
        administrators: object ids that may use the management plane over HTTPS.
    """

    id: str
    tenant_id: str
    created: int
    domain: str
    issuer_url: str
    location: str
    operator: str
    audiences: tuple[str, ...] = ()
    administrators: tuple[str, ...] = ()

    @property
    def resource(self) -> str:
        """For whom tokens are meant (contract 3.2)."""
        return f"https://{self.domain}"

    @property
    def management_resource(self) -> str:
        """For whom tokens of administrators are meant; a vault's token is not one."""
        return f"https://management.{self.domain}"

    def vault_url(self, name: str) -> str:
        """Returns the base URL of a vault, without a slash at the end."""
        return f"https://{name.lower()}.{self.domain}"

    @classmethod
    def load(cls, store: "Store | Transaction", system: KeyEncryptionKey) -> Self:
        """Reads the installation.

        Raises:
            TamperedError: it does not verify.
        """
        return msgspec.json.decode(
            _open(system, store.document("installation", "settings"), "installation", "settings"),
            type=cls,
        )

    @classmethod
    def revise(
        cls,
        store: "Store",
        system: KeyEncryptionKey,
        change: "Callable[[Installation], Installation]",
    ) -> "Installation":
        """Changes the installation, starting from what is stored, and returns what it is then.

        Args:
            store: the store.
            system: the system key.
            change: returns what it shall be; it may be called again.

        Raises:
            TamperedError: what is stored does not verify.
        """

        def work(transaction: "Transaction") -> Installation:
            after = change(cls.load(transaction, system))
            after._put(transaction, system)  # noqa: SLF001 - of the same class
            return after

        return store.write(work)

    def save(self, store: "Store", system: KeyEncryptionKey) -> None:
        """Writes a new installation."""
        store.write(lambda transaction: self._put(transaction, system))

    def _put(self, transaction: "Transaction", system: KeyEncryptionKey) -> None:
        blob = _seal(system, msgspec.json.encode(self), "installation", "settings")
        transaction.put_document("installation", "settings", blob)
        transaction.changed(SYSTEM, "installation", "settings", "", "set")


class _WrappedKey(msgspec.Struct, frozen=True):
    """A vault key under one protector.

    Attributes:
        outer: 32 random bytes, wrapped by the protector, base64.
        kek: the vault key with all its generations, sealed under those bytes, base64.
    """

    outer: bytes
    kek: bytes


class _VaultDocument(msgspec.Struct, frozen=True):
    id: str
    settings: bytes

    @classmethod
    def present(cls, transaction: "Transaction", vault_id: str, key: str) -> Self:
        """Returns what is stored of a vault.

        Raises:
            NotFoundError: the vault was removed meanwhile, and its name is free or another's.
        """
        blob = transaction.document("vaults", key)
        found = None if blob is None else _decode(blob, cls, f"settings of vault {key}")
        if found is None or found.id != vault_id:
            raise NotFoundError(f"vault {key} was removed meanwhile", code="VaultNotFound")
        return found


class KeyRing:
    """The vault keys, each wrapped by every protector; any one opens them.

    Args:
        store: the store.
        protectors: those that could be opened.

    Raises:
        ProtectorError: no protector opens the system key; the message says why for each.
    """

    def __init__(self, store: "Store", protectors: Sequence["Protector"]) -> None:
        self._store = store
        self._protectors = list(protectors)
        self._keks: dict[str, KeyEncryptionKey] = {}
        # The wrap that each key was opened from: its place, and what stood there.
        self._opened: dict[str, tuple[str, bytes]] = {}
        self.system = self.kek(SYSTEM)

    @classmethod
    def create(cls, store: "Store", protectors: Sequence["Protector"]) -> Self:
        """Makes the system key of a new installation."""
        kek = KeyEncryptionKey.generate()
        documents = [
            (f"{SYSTEM}/{protector.name}", _wrap(kek, protector)) for protector in protectors
        ]

        def work(transaction: "Transaction") -> None:
            for key, document in documents:
                transaction.put_document("vault-keys", key, document)
            transaction.changed(SYSTEM, "vault-keys", SYSTEM, "", "create")

        store.write(work)
        return cls(store, protectors)

    @property
    def protectors(self) -> Sequence["Protector"]:
        """The protectors that are open."""
        return tuple(self._protectors)

    def kek(self, vault_id: str) -> KeyEncryptionKey:
        """Returns a vault key, unwrapped by the first protector that can.

        Raises:
            ProtectorError: none can; the message says why for each.
            TamperedError: none can, though each is there: the wraps of this key were changed.
        """
        found = self._keks.get(vault_id)
        if found is not None:
            return found
        reasons = []
        present = vault_id != SYSTEM  # what is wrong with a protector shows at the system key
        for protector in self._protectors:
            present = present and not isinstance(protector, AbsentProtector)
            place = f"{vault_id}/{protector.name}"
            document = self._store.document("vault-keys", place)
            if document is None:
                reasons.append(f"{protector.name}: holds no wrap of this key")
                continue
            try:
                opened = self._unwrap(protector, document)
            except (ProtectorError, TamperedError) as refused:
                reasons.append(f"{protector.name}: {refused}")
                present = present and not isinstance(refused, ProtectorUnavailableError)
                continue
            self._keks[vault_id] = opened
            self._opened[vault_id] = place, document
            return opened
        kind = TamperedError if present and reasons else ProtectorError
        raise kind(
            "no protector opens the vault key"
            + (f" ({'; '.join(reasons)})" if reasons else ": none is configured")
        )

    def forget(self, vault_id: str) -> None:
        """Forgets an unwrapped key, so that it is unwrapped again when it is next needed."""
        self._keks.pop(vault_id, None)
        self._opened.pop(vault_id, None)

    def forget_replaced(self) -> None:
        """Forgets the keys whose wraps in the store are others than those they were opened from.

        A key whose wrap still stands is kept: the token that would unwrap it may be unavailable.

        Raises:
            StorageError: the store cannot be read.
        """
        for vault_id in list(self._keks):
            place, document = self._opened.get(vault_id, ("", b""))
            if vault_id != SYSTEM and self._store.document("vault-keys", place) != document:
                self.forget(vault_id)

    def load_vault(self, key: str) -> tuple[str, VaultSettings, KeyEncryptionKey] | None:
        """Reads a vault's settings.

        Args:
            key: the vault's name in lower case.

        Returns:
            Its identifier, settings and key; None when there is no such vault.

        Raises:
            ProtectorError: no protector opens its key.
            TamperedError: the settings do not verify.
        """
        blob = self._store.document("vaults", key)
        if blob is None:
            return None
        document = _decode(blob, _VaultDocument, f"settings of vault {key}")
        kek = self.kek(document.id)
        try:
            text = kek.open(document.settings, context=_vault_context(document.id, key))
        except DecryptionError:
            raise TamperedError(
                f"the settings of vault {key} do not verify: they were changed outside the vault; "
                "restore the database from a backup"
            ) from None
        return document.id, msgspec.json.decode(text, type=VaultSettings), kek

    def create_vault(self, settings: VaultSettings) -> str:
        """Makes a vault with a key of its own and returns its identifier.

        Raises:
            ConflictError: the name is taken.
        """
        vault_id = uuid.uuid4().hex
        kek = KeyEncryptionKey.generate()
        wraps = [(f"{vault_id}/{p.name}", _wrap(kek, p)) for p in self._protectors]
        key = settings.name.lower()
        document = self._vault_document(vault_id, key, settings, kek)

        def work(transaction: "Transaction") -> None:
            self._require_known_protectors(transaction)
            if transaction.document("vaults", key) is not None:
                raise ConflictError(
                    f"the vault name `{settings.name}` is already in use",
                    code="VaultAlreadyExists",
                )
            for wrap_key, wrap in wraps:
                transaction.put_document("vault-keys", wrap_key, wrap)
            transaction.put_document("vaults", key, document)
            transaction.changed(vault_id, "vaults", key, "", "create")

        self._store.write(work)
        self._keks[vault_id] = kek
        return vault_id

    def save_vault(
        self, vault_id: str, key: str, revise: Callable[[VaultSettings], VaultSettings]
    ) -> VaultSettings:
        """Changes a vault's settings, starting from what is stored.

        Args:
            vault_id: the vault.
            key: its name in lower case.
            revise: returns the new settings; it may be called again.

        Raises:
            NotFoundError: the vault was removed meanwhile.
            TamperedError: the stored settings do not verify.
        """
        kek = self.kek(vault_id)

        def work(transaction: "Transaction") -> VaultSettings:
            stored = _VaultDocument.present(transaction, vault_id, key)
            try:
                text = kek.open(stored.settings, context=_vault_context(vault_id, key))
            except DecryptionError:
                raise TamperedError(f"the settings of vault {key} do not verify") from None
            after = revise(msgspec.json.decode(text, type=VaultSettings))
            after.check()
            transaction.put_document("vaults", key, self._vault_document(vault_id, key, after, kek))
            transaction.changed(vault_id, "vaults", key, "", "update")
            return after

        return self._store.write(work)

    def remove_vault(self, vault_id: str, key: str) -> None:
        """Removes an empty vault with its key.

        Raises:
            ConflictError: there is something in it, deleted objects included.
            NotFoundError: the vault was removed meanwhile.
        """

        def work(transaction: "Transaction") -> None:
            # By now another vault may have the name.
            _VaultDocument.present(transaction, vault_id, key)
            counts = transaction.counts(vault_id)
            if any(count.active or count.deleted for count in counts.values()):
                raise ConflictError(
                    f"vault {key} is not empty; delete and purge what it holds first"
                )
            transaction.delete_document("vaults", key)
            for wrap_key, _ in transaction.documents("vault-keys"):
                if wrap_key.startswith(f"{vault_id}/"):
                    transaction.delete_document("vault-keys", wrap_key)
            transaction.changed(vault_id, "vaults", key, "", "delete")

        self._store.write(work)
        self.forget(vault_id)

    def rotate(self, vault_id: str, key: str) -> int:
        """Gives a vault key a new generation and returns its number.

        What is stored stays readable: the old generations stay in the key.

        Raises:
            ConflictError: another process changed the vault key meanwhile.
            UnavailableError: another process changed the protectors since this one opened them.
        """
        place = f"{vault_id}/{self._protectors[0].name}"
        before = self._store.document("vault-keys", place)
        # Unwrapped afresh: a generation that another process added must not be lost.
        self.forget(vault_id)
        rotated = self._copy(self.kek(vault_id))
        generation = rotated.rotate()
        wraps = [(f"{vault_id}/{p.name}", _wrap(rotated, p)) for p in self._protectors]

        def work(transaction: "Transaction") -> None:
            self._require_known_protectors(transaction)
            _VaultDocument.present(transaction, vault_id, key)
            if transaction.document("vault-keys", place) != before:
                raise ConflictError("the vault key was changed meanwhile; try again")
            for wrap_key, wrap in wraps:
                transaction.put_document("vault-keys", wrap_key, wrap)
            transaction.changed(vault_id, "vault-keys", key, "", "rotate")

        self._store.write(work)
        self._keks[vault_id] = rotated
        return generation

    def add(self, protector: "Protector") -> None:
        """Wraps every vault key with one more protector.

        Raises:
            ConflictError: another process kept changing vault keys meanwhile.
            ProtectorError: a vault key cannot be opened, or the new protector refuses.
        """
        for _ in range(_ATTEMPTS):
            before = self._store.documents("vault-keys")
            ids = [SYSTEM, *(self._vault_ids())]
            for vault_id in ids:
                self.forget(vault_id)
            wraps = [(f"{i}/{protector.name}", _wrap(self.kek(i), protector)) for i in ids]
            if self._store.write(self._added(protector, before, wraps)):
                self._protectors.append(protector)
                return
        raise ConflictError("the vault keys kept changing meanwhile; try again")

    @staticmethod
    def _added(
        protector: "Protector", before: Sequence[tuple[str, bytes]], wraps: Sequence[_Wrap]
    ) -> "Callable[[Transaction], bool]":
        def work(transaction: "Transaction") -> bool:
            # A vault made, or a key rotated, since the wraps were made would stay without one.
            unchanged = transaction.documents("vault-keys") == before
            if unchanged:
                for wrap_key, wrap in wraps:
                    transaction.put_document("vault-keys", wrap_key, wrap)
            transaction.changed(SYSTEM, "protectors", protector.name, "", "add")
            return unchanged

        return work

    def _require_known_protectors(self, transaction: "Transaction") -> None:
        """Keeps a key from being wrapped for other protectors than the folder has by now."""
        prefix = f"{SYSTEM}/"
        present = {
            key.removeprefix(prefix)
            for key, _ in transaction.documents("vault-keys")
            if key.startswith(prefix)
        }
        if present != {protector.name for protector in self._protectors}:
            raise UnavailableError(
                "the protectors were changed by another process since this one opened the folder: "
                "do this on the folder itself, with --data, or restart the service"
            )

    def remove(self, name: str) -> None:
        """Removes a protector's wraps of every vault key.

        Raises:
            ProtectorError: it is the last one that opens the keys.
        """
        rest = [p for p in self._protectors if p.name != name]
        if not rest:
            raise ProtectorError(
                f"`{name}` is the last protector that opens the vault keys; add another first"
            )
        ids = [SYSTEM, *(self._vault_ids())]
        for vault_id in ids:
            KeyRing._require(self._store, rest, vault_id)

        def work(transaction: "Transaction") -> None:
            for vault_id in ids:
                transaction.delete_document("vault-keys", f"{vault_id}/{name}")
            transaction.changed(SYSTEM, "protectors", name, "", "remove")

        self._store.write(work)
        for protector in self._protectors:
            if protector.name == name:
                protector.close()
        self._protectors = rest

    def verify(self) -> list[dict[str, str]]:
        """Rehearses every protector: each must open every vault key by itself."""
        report = []
        for protector in self._protectors:
            line = {"name": protector.name, "kind": protector.kind, **protector.describe()}
            try:
                for vault_id in [SYSTEM, *self._vault_ids()]:
                    KeyRing._require(self._store, [protector], vault_id)
            except ProtectorError as refused:
                report.append({**line, "status": "failed", "reason": str(refused)})
            else:
                report.append({**line, "status": "ok"})
        return report

    def token(self) -> "Token | None":
        """Returns the keys of the first protector that is a token, for ``-HSM`` types."""
        for protector in self._protectors:
            if isinstance(protector, TokenProtector):
                return protector.keys
        return None

    def close(self) -> None:
        """Closes the protectors."""
        for protector in self._protectors:
            protector.close()

    def _vault_ids(self) -> list[str]:
        return [
            _decode(blob, _VaultDocument, "settings of a vault").id
            for _, blob in self._store.documents("vaults")
        ]

    @staticmethod
    def _require(store: "Store", protectors: Sequence["Protector"], vault_id: str) -> None:
        for protector in protectors:
            document = store.document("vault-keys", f"{vault_id}/{protector.name}")
            if document is not None:
                KeyRing._unwrap(protector, document)
                return
        raise ProtectorError(f"no other protector holds a wrap of the key of {vault_id}")

    @staticmethod
    def _unwrap(protector: "Protector", document: bytes) -> KeyEncryptionKey:
        wrapped = _decode(document, _WrappedKey, "wrap of a vault key")
        outer = KeyEncryptionKey.danger_from_bytes(protector.unwrap(wrapped.outer))
        try:
            return KeyEncryptionKey.unwrap_under(outer, wrapped.kek)
        except DecryptionError:
            raise ProtectorError(
                "its wrap of the vault key was changed outside the vault"
            ) from None

    @staticmethod
    def _copy(kek: KeyEncryptionKey) -> KeyEncryptionKey:
        outer = KeyEncryptionKey.generate()
        return KeyEncryptionKey.unwrap_under(outer, kek.wrap_under(outer))

    @staticmethod
    def _vault_document(
        vault_id: str, key: str, settings: VaultSettings, kek: KeyEncryptionKey
    ) -> bytes:
        sealed = kek.seal(msgspec.json.encode(settings), context=_vault_context(vault_id, key))
        return msgspec.json.encode(_VaultDocument(vault_id, sealed))


def load_audit_signer(store: "Store", system: KeyEncryptionKey) -> Key:
    """Returns the key that signs the checkpoints of the audit log, making it the first time."""
    context = _document_context("keys", _AUDIT_SIGNER)
    blob = store.document("keys", _AUDIT_SIGNER)
    if blob is None:
        made = Key.generate("EC", curve="P-256")
        sealed = made.seal(system, context)

        def work(transaction: "Transaction") -> bytes:
            present = transaction.document("keys", _AUDIT_SIGNER)
            if present is not None:
                return present
            transaction.put_document("keys", _AUDIT_SIGNER, sealed)
            transaction.changed(SYSTEM, "audit-keys", _AUDIT_SIGNER, "", "create")
            return sealed

        blob = store.write(work)
    try:
        return Key.open(system, blob, context)
    except DecryptionError:
        raise TamperedError("the key that signs audit checkpoints does not verify") from None


def _wrap(kek: KeyEncryptionKey, protector: "Protector") -> bytes:
    raw = random.token_bytes(32)
    outer = KeyEncryptionKey.danger_from_bytes(raw)
    return msgspec.json.encode(_WrappedKey(protector.wrap(raw), kek.wrap_under(outer)))


def _decode(blob: bytes, kind: type[Document], what: str) -> Document:
    try:
        return msgspec.json.decode(blob, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise TamperedError(
            f"the stored {what} cannot be read: it was changed outside the vault; restore the "
            "database from a backup"
        ) from None


def _vault_context(vault_id: str, key: str) -> Context:
    return Context({"purpose": "vault", "vault": vault_id, "name": key})


def _document_context(collection: str, key: str) -> Context:
    return Context({"purpose": "document", "collection": collection, "key": key})


def _seal(kek: KeyEncryptionKey, body: bytes, collection: str, key: str) -> bytes:
    return kek.seal(body, context=_document_context(collection, key))


def _open(kek: KeyEncryptionKey, blob: bytes | None, collection: str, key: str) -> bytes:
    if blob is None:
        raise StorageError(f"the store holds no {collection}; it was not fully initialised")
    try:
        return kek.open(blob, context=_document_context(collection, key))
    except DecryptionError:
        raise TamperedError(
            f"the stored {collection} does not verify: it was changed outside the vault; restore "
            "the database from a backup"
        ) from None
