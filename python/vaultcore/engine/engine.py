"""The engine: one data folder, opened.

It holds what the service and the library share: the store, the vault keys, the gate, the audit log
and the built-in issuer. The two differ only in how requests arrive.
"""

import contextlib
import logging
import os
import weakref
from collections.abc import Sequence
from concurrent.futures import wait
from pathlib import Path
from typing import Self

from vaultcore._core import Gate, Principal
from vaultcore.access.firewall import HostFirewalls
from vaultcore.access.issuer import Issuer
from vaultcore.access.remote_keys import FLIGHT_SECONDS
from vaultcore.access.tokens import TokenValidator, ValidToken
from vaultcore.access.trust import TrustedIssuer
from vaultcore.audit.identity import load_keys
from vaultcore.clock import Clock
from vaultcore.engine.auditing import open_audit
from vaultcore.engine.caller import Caller
from vaultcore.engine.feed import Feed
from vaultcore.engine.housekeeping import Housekeeper
from vaultcore.engine.purge_time import PurgeTime
from vaultcore.engine.purging import Purger
from vaultcore.engine.strangers import Strangers
from vaultcore.engine.vaults import Vaults
from vaultcore.errors import VaultNotFoundError
from vaultcore.installation.key_ring import KeyRing
from vaultcore.installation.settings import Installation
from vaultcore.objects.kinds import OpenVault
from vaultcore.storage import Store

logger = logging.getLogger("vaultcore.engine")
_engines: "weakref.WeakSet[Engine]" = weakref.WeakSet()


class Engine:
    """A data folder, opened; use :func:`vaultcore.open` or :func:`vaultcore.create`.

    Safe to use from several threads. A child process must not use an inherited engine: that is
    refused with a :class:`ForkError`. Close the engine before a fork, or start a new process
    instead.

    Attributes:
        data: the folder.
        store: the store.
        clock: the current time.
        gate: the compiled gate.
        audit: the audit log.
        issuer: the built-in issuer.
        key_ring: the vault keys and their protectors.
        installation: the settings of the installation.
        vaults: what is in memory about each vault.
        feed: keeps that up to date.
        housekeeper: does the periodic work.
        purger: purges objects whose retention has expired.
        purge_time: the time by which housekeeping purges.
        management_validator: validates tokens for the management plane.
    """

    def __init__(
        self,
        data: Path,
        store: Store,
        clock: Clock,
        keys: KeyRing,
        installation: Installation,
    ) -> None:
        self.data = data
        self.store = store
        self.clock = clock
        self.key_ring = keys
        self.installation = installation
        self.gate = Gate()
        self.audit = open_audit(data, store, clock, keys.system)
        self._host_firewalls = HostFirewalls()
        self.issuer = Issuer(
            store,
            keys.system,
            clock,
            base_url=installation.issuer_url,
            tenants=(installation.tenant_id,),
            resources=(
                installation.resource,
                installation.management_resource,
                *installation.audiences,
            ),
        )
        self._trusted: list[TrustedIssuer] = self.issuer.trust(
            (installation.resource, *installation.audiences)
        )
        self._validator = self._new_validator()
        #: Validates tokens of administrators, which only the built-in issuer issues.
        self.management_validator = TokenValidator(
            self.issuer.trust((installation.management_resource,)), clock=clock
        )
        self.identity_epoch = 0
        #: Changes with everything that decides who may do what, once that has taken effect.
        self.access_epoch = 0
        self.vaults = Vaults(store, keys, clock, self.gate, installation)
        #: Counts answers to strangers beyond a rate, so that strangers cannot fill the disk.
        self.strangers = Strangers(clock)
        self.feed = Feed(self)
        self.purger = Purger(store, self.vaults, self.audit)
        self.purge_time = PurgeTime(
            store, keys.system, clock, self.audit, created=installation.created
        )
        self.housekeeper = Housekeeper(
            audit=self.audit,
            feed=self.feed,
            issuer=self.issuer,
            keys=keys,
            purger=self.purger,
            purge_time=self.purge_time,
            strangers=self.strangers,
        )
        #: Applies what any process has committed; see :meth:`Feed.synchronise`. Each request
        #: calls it, so it is the feed's own method, which saves one call.
        self.synchronise = self.feed.synchronise
        # What a write seals must open for every later reader: a key that another process has
        # changed is adopted before the write runs.
        store.before_works(self.feed.take_over)
        self._closed = False
        self._forked = False
        _engines.add(self)
        self.synchronise()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def state(self, name: str) -> OpenVault:
        """Returns the open vault of a name.

        Raises:
            NotFoundError: there is no such vault.
            ProtectorError: no protector opens its key.
            TamperedError: its settings or its key do not verify; other vaults are not affected.
        """
        self.synchronise()
        found = self.vaults.find(name)
        if found is None:
            raise VaultNotFoundError(name)
        return found

    def states(self) -> list[OpenVault]:
        """Returns every vault, by name."""
        self.synchronise()
        return self.vaults.all()

    def administrator(self) -> Principal:
        """Returns the principal of the local administrator, who has this folder and its keys.

        It has the permissions that the vaults' policies grant it, and no others.
        """
        return Principal(
            object_id=self.installation.operator,
            tenant_id=self.installation.tenant_id,
            issuer=self.installation.issuer_url,
            name="local administrator",
        )

    def application(self, name: str) -> Principal:
        """Returns the principal of an application of the built-in issuer.

        Args:
            name: its name, client id or object id.

        Raises:
            NotFoundError: there is no such application.
        """
        found = self.issuer.applications.find(name)
        return Principal(
            object_id=found.object_id,
            app_id=found.client_id,
            tenant_id=self.installation.tenant_id,
            issuer=self.installation.issuer_url,
            groups=found.groups,
            name=found.name,
        )

    def is_administrator(self, principal: Principal) -> bool:
        """Returns whether a principal may use the management plane."""
        self.synchronise()
        return self.installation.obeys(principal)

    def check_address(self, host: str, address: str) -> None:
        """Checks that an address may talk to the issuer or to the management plane.

        Args:
            host: one of :data:`vaultcore.access.firewall.HOSTS`.
            address: the client's.

        Raises:
            ForbiddenError: the firewall of that host does not allow the address.
            StorageError: the change feed cannot be read.
        """
        self.synchronise()
        self._host_firewalls.check(self.installation, host, address)

    # identity

    def trust(self, issuers: Sequence[TrustedIssuer]) -> None:
        """Accepts tokens of further issuers, in addition to the built-in one."""
        self._trusted.extend(issuers)
        self._validator = self._new_validator()
        for issuer in issuers:
            if issuer.tenants and issuer.tenants.isdisjoint(self._tenants()):
                logger.warning(
                    "every token of the trusted issuer `%s` is refused: it speaks for tenant %s, "
                    "and the vaults belong to %s; leave out its `tenant` if it has none of these",
                    issuer.name,
                    ", ".join(sorted(issuer.tenants)),
                    ", ".join(sorted(self._tenants())),
                )

    def _tenants(self) -> set[str]:
        """Returns the tenants that the vaults belong to."""
        found = {self.installation.tenant_id.lower()}
        return found.union(*(i.tenants for i in self._trusted if i.is_directory))

    def _new_validator(self) -> TokenValidator:
        return TokenValidator(self._trusted, clock=self.clock, tenants=self._tenants())

    @property
    def validator(self) -> TokenValidator:
        """The validator of tokens of the issuers that this engine trusts."""
        return self._validator

    def validate(self, token: str) -> Principal:
        """Returns the principal of a token; may wait a few seconds for the keys of its issuer.

        They are fetched if the token names a key that is not known.

        Raises:
            UnauthorizedError: the token is not valid; the message says why.
            UnavailableError: the keys of its issuer are unavailable.
        """
        self._fetch_keys(token)
        return self.accept(token).principal

    def accept(self, token: str) -> ValidToken:
        """Validates a token and adds it to the gate's memory.

        Raises:
            UnauthorizedError: the token is not valid; the message says why.
        """
        self.synchronise()
        epoch = self.identity_epoch
        valid = self._validator.validate(token)
        self.gate.remember(token, valid.principal, valid.expires, valid.not_before)
        if epoch != self.identity_epoch:
            # An application was removed meanwhile: the remembered token may be its own.
            self.gate.forget_tokens()
        return valid

    def refresh(self, caller: Caller) -> None:
        """Checks that the token of a caller in process is still valid.

        Raises:
            UnauthorizedError: it has expired or was revoked.
        """
        if caller.identity_epoch != self.identity_epoch or (
            caller.expires is not None and self.clock.now() >= caller.expires
        ):
            self._fetch_keys(caller.token or "")
            epoch = self.identity_epoch
            valid = self._validator.validate(caller.token or "")
            caller.principal, caller.expires = valid.principal, valid.expires
            caller.identity_epoch = epoch

    def _fetch_keys(self, token: str) -> None:
        flight = self._validator.refresh(token)
        if flight is not None:
            wait([flight], FLIGHT_SECONDS)

    def load_installation(self) -> None:
        """Reads the installation from the store, with the keys of its audit log.

        Raises:
            TamperedError: it does not verify.
        """
        before, self.installation = (
            self.installation,
            Installation.load(self.store, self.key_ring.system),
        )
        identity = self.installation.audit
        if identity is not None and identity != before.audit:
            self.audit.adopt_keys(load_keys(self.store, self.key_ring.system, identity))

    def forget_identities(self) -> None:
        """Forgets every token, because an application was changed."""
        self.identity_epoch += 1
        self.gate.forget_tokens()

    # housekeeping

    def start_housekeeping(self) -> None:
        """Starts the thread that signs checkpoints and purges expired objects."""
        self.housekeeper.start()

    def purge_due(self) -> int:
        """Purges deleted objects whose retention has expired by the clock, and returns how many.

        Here the clock is trusted without the check that housekeeping makes.
        """
        return self.purger.purge_due(self.clock.now())

    def count_strangers(self, *, everything: bool = False) -> None:
        """Records how many answers to strangers were only counted.

        Args:
            everything: whether to record also counts that are not complete yet.

        Raises:
            AuditError: it could not be recorded; the rest stays counted.
        """
        self.strangers.flush(self.audit.record, everything=everything)

    def close(self) -> None:
        """Closes the folder: signs the last checkpoint and finishes waiting writes."""
        if self._forked or self._closed:
            return
        self._closed = True
        self.housekeeper.close()
        with contextlib.ExitStack() as last_first:
            last_first.callback(self.key_ring.close)
            last_first.callback(self.store.close)
            last_first.callback(self.audit.close)
            last_first.callback(self.count_strangers, everything=True)

    def _after_fork(self) -> None:
        self._forked = True
        self.feed.disinherit()


def _mark_forked() -> None:
    for engine in list(_engines):
        engine._after_fork()  # noqa: SLF001 - the module's own business


os.register_at_fork(after_in_child=_mark_forked)
