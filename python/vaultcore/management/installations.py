"""Operations on the installation as a whole."""

from typing import Any

import msgspec

from vaultcore.errors import BadParameterError
from vaultcore.installation import Installation
from vaultcore.management.operation import Operator, operation


class Installations(Operator):
    """The installation."""

    @operation("installation.move", "InstallationPatch", local=True)
    def installation_move(self, *, domain: str) -> dict[str, Any]:
        """Gives every host of the installation another parent domain, from the next opening on.

        Tokens that are out are for the old domain, and are refused from then on.
        """
        if not domain or "/" in domain:
            raise BadParameterError("a domain is a host name, with a port unless that is 443")
        engine = self._engine
        moved = Installation.revise(
            engine.store,
            engine.keys.system,
            lambda before: msgspec.structs.replace(
                before, domain=domain, issuer_url=f"https://login.{domain}"
            ),
        )
        return {"domain": moved.domain, "issuer": moved.issuer_url}
