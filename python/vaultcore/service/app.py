"""The application: the front, then the vaults, the issuer and the management plane."""

from typing import TYPE_CHECKING

from vaultcore.access.firewall import ISSUER
from vaultcore.access.proxies import Proxies
from vaultcore.installation import hosts
from vaultcore.service.front import Front, Place
from vaultcore.service.health import health_routes
from vaultcore.service.identity.routes import issuer_place
from vaultcore.service.keyvault.plane import DataPlane
from vaultcore.service.management.routes import management_place
from vaultcore.service.routed import Routed

if TYPE_CHECKING:
    from vaultcore.engine.engine import Engine


def build_application(
    engine: "Engine",
    *,
    default_hosts: tuple[str, ...] = (),
    default_vault: str | None = None,
    challenge_tenant: str | None = None,
    proxies: Proxies | None = None,
) -> Front:
    """Returns the whole service as one ASGI application.

    Args:
        engine: the engine.
        default_hosts: host names, with port, at which the default vault answers too.
        default_vault: the name of that vault.
        challenge_tenant: the tenant that the challenge names.
        proxies: the proxies whose reports of the client's address are trusted; None for none.
    """
    domain = engine.installation.domain
    known: dict[bytes, Place] = {
        f"{hosts.ISSUER}.{domain}".encode(): issuer_place(
            engine.issuer,
            engine.clock,
            lambda exchange: engine.check_address(ISSUER, exchange.address),
        ),
        f"{hosts.MANAGEMENT}.{domain}".encode(): management_place(engine),
    }
    plane = DataPlane(
        engine,
        known,
        default_hosts=default_hosts,
        default_vault=default_vault,
        challenge_tenant=challenge_tenant,
    )
    nowhere = Routed("", health_routes(engine))
    return Front(
        known,
        plane.find,
        nowhere,
        engine.audit.record,
        engine.audit.changes.finish,
        engine.strangers,
        proxies,
        plane.close,
    )
