"""Follows the change feed, so that the next request sees what other processes committed.

The feed has no gaps and only grows, so a process that has read it up to a revision knows everything
that was committed. Writing the database in another way, or restoring a backup in its place, breaks
that: an entry is missing, or the last entry that was read is now a different one. Then nothing in
memory can be trusted, so everything is read again, and the audit log says so.
"""

import logging
import threading
from typing import TYPE_CHECKING, Final, Protocol

from vaultcore.errors import (
    AuditError,
    ConfigurationError,
    ForkError,
    ProtectorError,
    StorageError,
    TamperedError,
    UnavailableError,
)
from vaultcore.installation.settings import SYSTEM, Installation
from vaultcore.objects.kinds import KINDS
from vaultcore.storage.rows import REPAIR

if TYPE_CHECKING:
    from vaultcore.audit.log import Audit
    from vaultcore.engine.vaults import Vaults
    from vaultcore.installation.key_ring import KeyRing
    from vaultcore.storage import Store
    from vaultcore.storage.rows import ChangeRow

#: The kinds of objects in a vault; any other kind of change may change who may do what.
OBJECTS: Final = frozenset({*KINDS, "rekey"})
_BATCH: Final = 1000  # entries per read
_NOTHING: Final = -2  # a revision that no position equals

logger = logging.getLogger("vaultcore.feed")


class Followed(Protocol):
    """The memory of a folder's content, which changes with the folder; an engine implements it.

    Attributes:
        store: the store that has the feed.
        key_ring: the vault keys and their protectors.
        vaults: the vaults.
        audit: records when everything had to be read again.
        installation: the settings of the installation.
        access_epoch: changes with everything that decides who may do what.
    """

    store: "Store"
    key_ring: "KeyRing"
    vaults: "Vaults"
    audit: "Audit"
    installation: Installation
    access_epoch: int

    def load_installation(self) -> None:
        """Reads the installation from the store."""

    def forget_identities(self) -> None:
        """Forgets every token."""


class Feed:
    """Applies what any process has committed.

    Args:
        engine: what is kept up to date.
    """

    def __init__(self, engine: Followed) -> None:
        self._engine = engine
        self._store = engine.store
        # The position at which requests need not look any further: what was read, or nothing.
        self._fresh = _NOTHING
        self._seen = _NOTHING
        # The last entry that was read; None before the first one.
        self._anchor: ChangeRow | None = None
        # Why everything has to be read again, and the revision that was read until then.
        self._broken: tuple[str, int] | None = None
        self._refusal = ""
        self._catching_up = threading.Lock()
        self._forked = False

    def synchronise(self) -> None:
        """Applies what any process has committed since the last call.

        Raises:
            ForkError: this is a child of the process that opened the engine.
            StorageError: the feed cannot be read, so nothing cached may be used.
            UnavailableError: the database was moved or replaced, the feed was broken and that
                cannot be recorded, or requests are refused for now.
        """
        position = self._store.position()
        if position == self._fresh and position >= 0:
            return
        self._catch_up()

    def look(self) -> None:
        """Does the same as `synchronise`, and checks the database itself for other changes.

        The signal covers the commits of vaultcore. Other changes to the database are noticed here:
        housekeeping calls it each second.

        Raises:
            StorageError: the feed cannot be read, so nothing cached may be used.
            UnavailableError: the database was moved or replaced, or the feed was broken and that
                cannot be recorded.
        """
        try:
            self._follow()
        except BaseException:
            # Nothing may be answered from memory until the database can be checked.
            self._fresh = _NOTHING
            raise

    def take_over(self) -> None:
        """Does the same as `synchronise`, even while requests are refused.

        Raises:
            ForkError: this is a child of the process that opened the engine.
            StorageError: the feed cannot be read, so nothing cached may be used.
            UnavailableError: the database was moved or replaced, or the feed was broken and that
                cannot be recorded.
        """
        position = self._store.position()
        if position != self._fresh or position < 0:
            self._follow()

    def refuse(self, reason: str) -> None:
        """Refuses every request with a reason, until `accept` is called."""
        self._refusal = reason
        self._fresh = _NOTHING

    def accept(self) -> None:
        """Accepts requests again."""
        self._refusal = ""

    def disinherit(self) -> None:
        """Refuses every further use; called in a child process."""
        self._forked = True
        self._fresh = self._seen = _NOTHING

    def _catch_up(self) -> None:
        if self._refusal:
            raise UnavailableError(self._refusal)
        self._follow()

    def _follow(self) -> None:
        if self._forked:
            raise ForkError(
                "this engine was opened in the parent process; close it before the fork, or start "
                "a fresh process instead of a fork"
            )
        with self._catching_up:
            if self._seen == _NOTHING:
                self._seen = self._load()
            self._store.check_presence()
            if self._broken is None:
                self._broken = self._read_on()
            if self._broken is not None:
                self._start_over(*self._broken)
                self._broken = None
            self._fresh = self._seen
            # In this order: a concurrent refusal finds it set, or is found here.
            if self._refusal:
                self._fresh = _NOTHING

    def _read_on(self) -> tuple[str, int] | None:
        """Applies later entries; returns what is wrong with the feed, if anything."""
        while True:
            anchor, seen = self._anchor, self._seen
            entries = self._store.changes(seen - 1 if anchor else seen, _BATCH)
            if anchor is not None:
                if not entries:
                    return "the feed went back", seen
                if entries[0] != anchor:
                    return "the last entry that was read is now a different one", seen
                del entries[0]
            for entry in entries:
                if entry.kind == REPAIR:
                    return "the feed was repaired", seen
                if entry.revision != self._seen + 1:
                    return "entries of the feed are missing", self._seen
                self._apply(entry.vault_id, entry.kind, entry.name)
                self._anchor, self._seen = entry, entry.revision
            if len(entries) < _BATCH - 1:
                return None

    def _load(self) -> int:
        """Reads everything; returns the revision after which the feed lists the changes."""
        revision, anchor = self._end()
        self._engine.vaults.load_all()
        self._engine.access_epoch += 1
        self._anchor = anchor
        return revision

    def _end(self) -> tuple[int, "ChangeRow | None"]:
        while True:
            # Anything that is committed meanwhile comes later in the feed.
            revision = self._store.revision()
            entries = self._store.changes(revision - 1, 1) if revision else []
            if [entry.revision for entry in entries] == [revision] * bool(revision):
                return revision, entries[0] if entries else None

    def _start_over(self, reason: str, seen: int) -> None:
        """Reads everything again, whatever is in memory, and records why."""
        engine = self._engine
        revision, anchor = self._end()
        logger.error(
            "the database was changed outside vaultcore: %s (seen %d, found %d); everything is "
            "read again",
            reason,
            seen,
            revision,
        )
        engine.key_ring.forget_replaced()
        installation = Installation.load(self._store, engine.key_ring.system)
        if installation.id != engine.installation.id:
            raise StorageError(
                "the database belongs to another installation: put the right one in its place, "
                "and restart"
            )
        engine.load_installation()
        engine.vaults.reload(installation)
        engine.forget_identities()
        engine.access_epoch += 1
        # Only what is on record has happened: without a record, all of this is repeated.
        self._record(reason, seen, revision)
        self._anchor, self._seen = anchor, revision

    def _record(self, reason: str, seen: int, found: int) -> None:
        try:
            self._engine.audit.record_own(
                "StoreReset",
                f"the database was changed outside vaultcore: {reason}",
                {"seenRevision": seen, "foundRevision": found},
            )
        except AuditError as error:
            raise UnavailableError(
                "the database was changed outside vaultcore, and the audit log cannot be written, "
                "so no request is answered; try again later"
            ) from error

    def _apply(self, vault_id: str, kind: str, key: str) -> None:
        engine = self._engine
        if kind in OBJECTS:
            state = engine.vaults.find_by_id(vault_id)
            if state is not None:
                state.invalidate(kind, key)
            return
        if kind == "vaults":
            engine.vaults.load(key)
        elif kind == "vault-keys":
            self._take_over_key(vault_id, key)
        elif kind == "protectors":
            self._take_over_protectors()
            engine.vaults.use_hsm(engine.key_ring.hsm())
        elif kind in {"applications", "signing-keys"}:
            engine.forget_identities()
        elif kind == "installation":
            engine.load_installation()
        # After it has taken effect: a reader of this count uses the new rules.
        engine.access_epoch += 1

    def _take_over_protectors(self) -> None:
        try:
            self._engine.key_ring.reopen()
        except ConfigurationError as failure:
            # The open ones remain in use; a key under another protector fails when it is needed.
            logger.warning("the protectors that were changed cannot be opened: %s", failure)

    def _take_over_key(self, vault_id: str, key: str) -> None:
        engine = self._engine
        if vault_id == SYSTEM:
            engine.key_ring.refresh(SYSTEM)
            return
        try:
            engine.key_ring.refresh(vault_id)
        except (ProtectorError, TamperedError):
            # It affects only this vault, which the next lines set aside.
            engine.key_ring.forget(vault_id)
        state = engine.vaults.find_by_id(vault_id)
        if state is not None:
            # Cached content may be sealed under a generation that was removed.
            state.clear()
        engine.vaults.load(key)
