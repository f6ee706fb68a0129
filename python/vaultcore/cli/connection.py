"""The two ways to reach a vault: its folder on this machine, or a running service.

Commands are written once, against :class:`Connection`. The verbs of secrets and keys are requests
of the REST API in both, so that a command does the same in process and over HTTPS.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from vaultcore.cli.outcome import CommandError

if TYPE_CHECKING:
    from vaultcore._core import KeyEncryptionKey
    from vaultcore.management import Progress


class Connection(Protocol):
    """A way to reach a vault."""

    def manage(self, operation: str, /, **arguments: Any) -> Any:
        """Carries out an operation of the management plane, for example ``vault.create``.

        Raises:
            VaultError: it was refused.
        """
        ...

    def watch(self, progress: "Progress") -> None:
        """Has operations of the management plane report their progress, if they can.

        Args:
            progress: called with the current step, how much of it is done, and how much there is.
        """
        ...

    def request(
        self,
        vault: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Any:
        """Sends a request of the data plane and returns the answer's JSON, or None for no body.

        Raises:
            VaultError: it was refused.
        """
        ...

    def check_place(self, vault: str, identifier: str) -> None:
        """Checks that an object's identifier belongs to the service that this connects to.

        Args:
            vault: the vault that the identifier names.
            identifier: an address of an object, in the form that ``read_identifier`` accepts.

        Raises:
            CommandError: it belongs to another service.
        """
        ...

    def kek(self, vault: str, key: str) -> "KeyEncryptionKey":
        """Returns the key-encryption key that follows a key.

        Raises:
            CommandError: the service does not hand out keys.
            VaultError: it was refused.
        """
        ...

    def close(self) -> None:
        """Releases what it holds."""
        ...


def connect(
    *, data: Path | None, url: str | None, acting_as: str | None, passphrase_file: Path | None
) -> Connection:
    """Opens the folder, or connects to the service.

    Args:
        data: the data folder, or None for the default one.
        url: the service, or None to use the folder.
        acting_as: the application to act as on a folder, or None for the administrator.
        passphrase_file: the file with the passphrase of the folder's key file, or None.

    Raises:
        CommandError: both ways were named, or the environment lacks what the service needs.
        ConfigurationError: there is no data folder.
    """
    if url is None:
        # The engine takes a while to import, and is not needed to talk to a service.
        from vaultcore.cli.local import LocalConnection  # noqa: PLC0415

        return LocalConnection.open(data, acting_as=acting_as, passphrase_file=passphrase_file)
    if data is not None or passphrase_file is not None:
        raise CommandError("choose one: --data for a folder here, or --url for a running service")
    if acting_as is not None:
        raise CommandError("--as works on a folder; for a service, set AZURE_CLIENT_ID and _SECRET")
    from vaultcore.cli.remote import RemoteConnection  # noqa: PLC0415

    return RemoteConnection.from_environment(url)
