"""The engine of the library: with its vaults and the operations of an administrator."""

from vaultcore.engine.engine import Engine
from vaultcore.library.vault import Vault
from vaultcore.management import Management


class LibraryEngine(Engine):
    """A data folder, opened; :func:`vaultcore.open` and :func:`vaultcore.create` return it.

    Safe to use from several threads. A child process must not use an inherited engine: that is
    refused with a :class:`ForkError`. Close the engine before a fork, or start a new process
    instead.
    """

    @property
    def management(self) -> Management:
        """The operations of an administrator on this folder."""
        return Management(self)

    def vault(self, name: str) -> Vault:
        """Returns a vault by name, ignoring case.

        Raises:
            NotFoundError: there is no such vault.
        """
        return Vault(self, self.state(name))
