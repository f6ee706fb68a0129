"""Opens a data folder, and creates a new one."""

import contextlib
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from vaultcore.audit.event import CLIENT, Event
from vaultcore.clock import Clock, SystemClock
from vaultcore.engine.creation import Draft
from vaultcore.engine.parts import close_all, open_parts, reopen
from vaultcore.installation import hosts
from vaultcore.installation.key_ring import KeyRing
from vaultcore.installation.settings import DATABASE, Installation
from vaultcore.library.engine import LibraryEngine
from vaultcore.protectors.options import ProtectorOptions
from vaultcore.protectors.registry import create_protectors
from vaultcore.storage import open_store


def open_engine(
    data: str | Path,
    *,
    passphrase: str | None = None,
    clock: Clock | None = None,
    housekeeping: bool = True,
) -> LibraryEngine:
    """Opens a data folder.

    Args:
        data: the folder that ``vaultcore init`` or :func:`create_engine` created.
        passphrase: of the file protector, if it has one.
        clock: the current time; the system's by default.
        housekeeping: whether to sign checkpoints and purge in the background.

    Raises:
        ConfigurationError: there is no vault in the folder, or other users could change it.
        ProtectorError: no protector opens the vault keys; the message says why for each.
        StorageError: the store cannot be read.
    """
    clock = clock or SystemClock()
    with contextlib.ExitStack() as undo:
        folder = Path(data)
        store, keys = open_parts(folder, undo, passphrase=passphrase, clock=clock)
        installation = Installation.load(store, keys.system)
        engine = LibraryEngine(folder, store, clock, keys, installation)
        undo.pop_all()
    if housekeeping:
        engine.start_housekeeping()
    return engine


def create_engine(
    data: str | Path,
    *,
    protectors: Sequence[ProtectorOptions] = (),
    passphrase: str | None = None,
    tenant_id: str | None = None,
    domain: str = "vault.localhost",
    issuer_url: str | None = None,
    location: str = "local",
    audiences: Sequence[str] = (),
    clock: Clock | None = None,
    housekeeping: bool = True,
    first: Callable[[LibraryEngine], None] | None = None,
) -> LibraryEngine:
    """Creates a data folder and opens it.

    The vault is created whole or not at all. If the process ends in between, the same call creates
    it again; until then nothing opens the folder.

    Args:
        data: a folder that is empty or does not exist; other files in it are not touched.
        protectors: what protects the vault keys; a key file in the folder by default.
        passphrase: for a file protector, instead of a key file that is enough on its own.
        tenant_id: the tenant of the built-in issuer; a new one by default.
        domain: the parent domain of the vaults' host names, with a port unless that is 443.
        issuer_url: the URL of the built-in issuer; ``https://login.{domain}`` by default.
        location: the contract's region.
        audiences: accepted audiences of tokens, in addition to ``https://{domain}``.
        clock: the current time; the system's by default.
        housekeeping: whether to sign checkpoints and purge in the background.
        first: called as the last part of the creation, before there are secrets or keys; if it
            fails, nothing was created.

    Raises:
        ConfigurationError: the folder contains a vault already, or cannot be written.
        ProtectorError: a protector cannot be created.
    """
    folder = Path(data)
    clock = clock or SystemClock()
    wanted = protectors or [ProtectorOptions(name="file", kind="file")]
    with Draft(folder, wanted) as draft, contextlib.ExitStack() as undo:
        store = open_store(f"sqlite:///{folder / DATABASE}", clock=clock)
        undo.callback(store.close)
        opened = create_protectors(
            folder, draft.plan, passphrase=passphrase, announce=draft.note_key_file
        )
        undo.callback(close_all, opened)
        keys = KeyRing.create(store, opened, reopen(folder, passphrase))
        installation = Installation(
            id=uuid.uuid4().hex,
            tenant_id=tenant_id or str(uuid.uuid4()),
            created=int(clock.now()),
            domain=domain,
            issuer_url=issuer_url or hosts.issuer_url(domain),
            location=location,
            operator=str(uuid.uuid4()),
            audiences=tuple(audiences),
        )
        installation = installation.save(store, keys.system)
        engine = LibraryEngine(folder, store, clock, keys, installation)
        undo.callback(engine.close)
        _record_creation(engine)
        if first is not None:
            first(engine)
        draft.finish()
        undo.pop_all()
    if housekeeping:
        engine.start_housekeeping()
    return engine


def _record_creation(engine: LibraryEngine) -> None:
    """Records that an installation was created, and its administrator: the first record.

    Raises:
        AuditError: it could not be recorded.
    """
    installation = engine.installation
    event = Event()
    event.operation = "InstallationPut"
    event.api_version = hosts.MANAGEMENT_VERSION
    event.principal = engine.administrator()
    event.uri = f"/{hosts.MANAGEMENT_VERSION}/installation.create"
    event.client = CLIENT
    event.reason = "the installation was created; its operator may manage it"
    event.extra = {"operator": installation.operator, "domain": installation.domain}
    event.write(engine.audit.record, 201)
