"""Operations on the installation as a whole."""

from typing import Any

import msgspec

from vaultcore.engine.audit_rotation import rotate_audit_keys
from vaultcore.errors import BadParameterError
from vaultcore.installation.hosts import issuer_url
from vaultcore.installation.rekey import Rekey
from vaultcore.installation.settings import SYSTEM, Installation
from vaultcore.management.operation import Operator, operation


class Installations(Operator):
    """The installation."""

    @operation("installation.move", "InstallationPatch", local=True)
    def installation_move(self, *, domain: str) -> dict[str, Any]:
        """Gives every host of the installation another parent domain, from the next opening on.

        Tokens issued before are for the old domain, and are refused from then on.
        """
        if not domain or "/" in domain:
            raise BadParameterError("a domain is a host name, with a port unless that is 443")
        engine = self._engine
        moved = Installation.revise(
            engine.store,
            engine.key_ring.system,
            lambda before: msgspec.structs.replace(
                before, domain=domain, issuer_url=issuer_url(domain)
            ),
        )
        return {"domain": moved.domain, "issuer": moved.issuer_url}

    @operation("installation.rekey", "InstallationRekey", local=True)
    def installation_rekey(self, *, vault: str | None = None) -> dict[str, Any]:
        """Gives a vault, or the whole installation, new keys, and removes the old ones.

        Everything stored is moved to the new keys. If this is interrupted, the next call continues.
        For the whole installation, the issuer's signing key and the keys of the audit log are
        replaced too, so all tokens issued before are refused.
        """
        engine = self._engine
        if vault is None:
            names = {SYSTEM: SYSTEM, **{s.name.lower(): s.id for s in engine.states()}}
            # What else is sealed under the system key and is worth a theft.
            renewals = [engine.issuer.keys.replace, lambda: rotate_audit_keys(engine)]
        else:
            state = engine.state(vault)
            names, renewals = {state.name.lower(): state.id}, []
        self._record_begun("installation.rekey", "InstallationRekey", {"vault": vault})
        results = Rekey(engine.store, engine.key_ring, self._progress).run(names, renewals)
        engine.synchronise()
        return {"keys": msgspec.to_builtins(results)}

    @operation("clock.confirm", "ClockConfirm")
    def clock_confirm(self) -> dict[str, Any]:
        """Trusts the clock as it is, after a jump, so that purges continue."""
        return {"clock": int(self._engine.purge_time.confirm())}
