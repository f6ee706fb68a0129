"""What an administrator does: vaults, access, firewalls, applications, protectors, audit.

Every operation takes keyword arguments and returns plain lists and dictionaries, so that the
command line, the management plane over HTTPS and a caller in process use the same ones. Each
operation is recorded.
"""

from vaultcore.management.access import Access
from vaultcore.management.applications import Applications
from vaultcore.management.firewalls import Firewalls
from vaultcore.management.host_firewalls import HostFirewalls
from vaultcore.management.installations import Installations
from vaultcore.management.operation import OPERATIONS, Progress
from vaultcore.management.protectors import Protectors
from vaultcore.management.records import Records

__all__ = ["OPERATIONS", "Management", "Progress"]


class Management(
    Access, Firewalls, HostFirewalls, Applications, Records, Protectors, Installations
):
    """The operations of an administrator; see :class:`~.operation.Operator` for its arguments."""
