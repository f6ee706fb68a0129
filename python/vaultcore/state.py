"""What an engine keeps in memory about each vault: its settings, its key, its caches."""

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, TypeVar

import msgspec

from vaultcore.access.firewall import Firewall
from vaultcore.access.policies import AccessPolicy
from vaultcore.errors import BadParameterError, NotFoundError, VaultcoreError
from vaultcore.keys import KeyRules
from vaultcore.secrets import SecretRules

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vaultcore._core import KeyEncryptionKey
    from vaultcore.clock import Clock
    from vaultcore.key_use import Token
    from vaultcore.storage import Store

T = TypeVar("T")

MINIMUM_RETENTION: Final = 7
MAXIMUM_RETENTION: Final = 90
MAXIMUM_POLICIES: Final = 1024
CACHE_SIZE: Final = 50_000  # entries for each kind; a sealed secret is about 1 KiB


class VaultSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an administrator sets about a vault; stored sealed under the vault's key.

    Attributes:
        name: 3 to 24 characters.
        created: Unix seconds.
        retention_days: 7 to 90, fixed at creation.
        purge_protection: once on, it stays on.
        secret_expiry: ``enforce`` or ``inform``.
        sku: ``standard``, or ``premium`` for a vault that makes keys in the token.
        firewall: which addresses may talk to it.
        policies: who may do what.
        deleted: whether the vault was deleted.
    """

    name: str
    created: int
    retention_days: int = MAXIMUM_RETENTION
    purge_protection: bool = False
    secret_expiry: str = "enforce"  # noqa: S105 - a mode, not a secret
    sku: str = "standard"
    firewall: Firewall = Firewall()
    policies: tuple[AccessPolicy, ...] = ()

    def check(self) -> None:
        """Checks what a type cannot say.

        Raises:
            BadParameterError: a member is out of its range; the message says which.
        """
        if not MINIMUM_RETENTION <= self.retention_days <= MAXIMUM_RETENTION:
            raise BadParameterError(
                f"retention is {MINIMUM_RETENTION} to {MAXIMUM_RETENTION} days, "
                f"not {self.retention_days}"
            )
        if self.secret_expiry not in {"enforce", "inform"}:
            raise BadParameterError("secret expiry is `enforce` or `inform`")
        if self.sku not in {"standard", "premium"}:
            raise BadParameterError("sku is `standard` or `premium`")
        if len(self.policies) > MAXIMUM_POLICIES:
            raise BadParameterError(f"a vault has at most {MAXIMUM_POLICIES} access policies")
        if self.firewall.default_action not in {"Allow", "Deny"}:
            raise BadParameterError("the firewall's default action is `Allow` or `Deny`")


class Cache(Generic[T]):
    """Objects kept between calls, until the change feed names them.

    What is read from the store may be kept only if nothing was invalidated since before it was
    read, or a slow reader would put back what a write has just removed.
    """

    def __init__(self, size: int = CACHE_SIZE) -> None:
        self._size = size
        self._entries: dict[tuple[str, str], T] = {}
        self._objects: OrderedDict[str, tuple[tuple[str, str], ...]] = OrderedDict()
        self._epoch = 0
        self._lock = threading.Lock()
        self.get = self._entries.get

    def seen(self) -> int:
        """Returns the moment that :meth:`put` is told."""
        return self._epoch

    def put(self, place: tuple[str, str], entry: T, seen: int) -> None:
        """Keeps an entry that was read after :meth:`seen` was asked.

        Args:
            place: the canonical name, and the version or the empty string.
            entry: what to keep.
            seen: what :meth:`seen` returned before the read.
        """
        with self._lock:
            if seen != self._epoch:
                return
            while len(self._entries) >= self._size:
                _, places = self._objects.popitem(last=False)
                self._forget(places)
            if place not in self._entries:
                self._objects[place[0]] = (*self._objects.get(place[0], ()), place)
            self._entries[place] = entry

    def invalidate(self, key: str) -> None:
        """Forgets every version of an object."""
        with self._lock:
            self._epoch += 1
            self._forget(self._objects.pop(key, ()))

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._epoch += 1
            self._entries.clear()
            self._objects.clear()

    def _forget(self, places: "Iterable[tuple[str, str]]") -> None:
        for place in places:
            self._entries.pop(place, None)


class VaultState:
    """One vault in memory.

    Args:
        vault_id: 32 hexadecimal characters.
        settings: its settings.
        kek: the vault key.
        store: where it is stored.
        clock: tells the time.
        location: the name of this installation, as the contract's region.
        url: what identifiers begin with, where a request does not say it.
        token: the token for keys of ``-HSM`` types, or None.
    """

    def __init__(
        self,
        vault_id: str,
        settings: VaultSettings,
        kek: "KeyEncryptionKey",
        *,
        store: "Store",
        clock: "Clock",
        location: str,
        url: str,
        token: "Token | None" = None,
    ) -> None:
        self.id = vault_id
        self.kek = kek
        self.store = store
        self.clock = clock
        self.location = location
        self.url = url
        self.secret_cache: Cache[Any] = Cache()
        self.key_cache: Cache[Any] = Cache()
        self.removed = False
        self._failure: VaultcoreError | None = None
        self.secret_rules = SecretRules(self)
        self.key_rules = KeyRules(self, token)
        self.apply(settings)

    def apply(self, settings: VaultSettings) -> None:
        """Takes over new settings."""
        self.settings = settings
        self.name = settings.name
        self.retention_days = settings.retention_days
        self.purge_protection = settings.purge_protection
        self.enforces_expiry = settings.secret_expiry == "enforce"  # noqa: S105

    def replace_key(self, kek: "KeyEncryptionKey") -> None:
        """Takes over a vault key."""
        self.kek = kek

    def close(self, failure: "VaultcoreError | None" = None) -> None:
        """Ends the use of this object by everybody who holds it.

        Args:
            failure: why the vault cannot be opened any more; None when it was removed.
        """
        self._failure = failure
        self.removed = True

    def refuse(self) -> NoReturn:
        """Says why this vault cannot be used any more.

        Raises:
            NotFoundError: it was removed.
            ProtectorError: no protector opens its key.
            TamperedError: its settings or its key do not verify.
        """
        if self._failure is not None:
            # One for each caller: a traceback belongs to one thread.
            raise type(self._failure)(str(self._failure))
        raise NotFoundError("the vault was removed", code="VaultNotFound")

    def now(self) -> int:
        """Returns Unix seconds."""
        return int(self.clock.now())

    @property
    def recovery_level(self) -> str:
        """The contract's name for how deleted objects are kept (section 9.2)."""
        level = (
            "Recoverable" if self.retention_days == MAXIMUM_RETENTION else ("CustomizedRecoverable")
        )
        return level if self.purge_protection else f"{level}+Purgeable"

    def invalidate(self, kind: str, key: str) -> None:
        """Forgets what is cached of an object that changed."""
        if kind == "secrets":
            self.secret_cache.invalidate(key)
        elif kind == "keys":
            self.key_cache.invalidate(key)

    def clear(self) -> None:
        """Forgets everything that is cached."""
        self.secret_cache.clear()
        self.key_cache.clear()
