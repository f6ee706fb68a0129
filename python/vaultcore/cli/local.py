"""The connection to a vault's folder on this machine, in process.

Requests of the REST API are parsed by the service's parser and answered in the contract's shapes,
so a command gets the same answers here as over HTTPS.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlencode, urlsplit

import msgspec

from vaultcore._core import API_VERSION, Admission, KeyEncryptionKey, Principal
from vaultcore.audit.event import AUTHENTICATION
from vaultcore.cli.outcome import MISSING, CommandError
from vaultcore.engine.caller import Caller
from vaultcore.engine.engine import Engine
from vaultcore.errors import NotFoundError
from vaultcore.inputs import read_text_input
from vaultcore.library.engine import LibraryEngine
from vaultcore.library.opening import open_engine
from vaultcore.management import Management, Progress
from vaultcore.objects.kinds import OpenVault
from vaultcore.operations.action import NOTHING
from vaultcore.operations.call import Call
from vaultcore.operations.perform import perform
from vaultcore.protectors.file import MAXIMUM_PASSPHRASE_FILE
from vaultcore.service.keyvault.faces import FACES

DEFAULT_DATA: Final = Path("vaultcore-data")


class LocalCall(Call):
    """An operation that is asked for with method, path and query.

    Args:
        engine: the engine.
        state: the vault.
        caller: the caller.
        method: the method.
        path: the undecoded path.
        query: the part after the question mark.
    """

    def __init__(
        self, engine: Engine, state: OpenVault, caller: Caller, method: str, path: str, query: str
    ) -> None:
        super().__init__(engine, state, caller, AUTHENTICATION)
        self._request = method, path, query

    def ask_gate(self) -> Admission:
        """Asks the gate about the request, as the service does; see :meth:`Call.ask_gate`."""
        caller, (method, path, query) = self.caller, self._request
        admission = self.engine.gate.authorize_request(
            self.state.name, method, path, query, caller.principal, address=caller.address
        )
        self.operation = admission.asked or self.operation
        if admission.operation is not None:
            self.api_version = admission.operation.api_version
        return admission


class LocalConnection:
    """A data folder, opened.

    Args:
        engine: the folder.
        principal: the principal that acts.
    """

    def __init__(self, engine: LibraryEngine, principal: Principal) -> None:
        self._engine = engine
        self._principal = principal
        self._management = Management(engine, principal)

    @classmethod
    def open(
        cls, data: Path | None, *, acting_as: str | None, passphrase_file: Path | None
    ) -> Self:
        """Opens a folder.

        Args:
            data: the folder, or None for the default one.
            acting_as: an application of the built-in issuer; None for the administrator.
            passphrase_file: the file with the passphrase of the key file, or None.

        Raises:
            CommandError: there is no such application.
            ConfigurationError: there is no vault in the folder.
        """
        engine = open_engine(
            data or DEFAULT_DATA, passphrase=read_passphrase(passphrase_file), housekeeping=False
        )
        try:
            return cls(engine, _principal(engine, acting_as))
        except BaseException:
            engine.close()
            raise

    def manage(self, operation: str, /, **arguments: Any) -> Any:
        """Carries out an operation of the management plane.

        Raises:
            VaultError: it was refused.
        """
        given = {name: value for name, value in arguments.items() if value is not None}
        return self._management.perform(operation, given)

    def watch(self, progress: Progress) -> None:
        """Has later operations report their progress."""
        self._management = Management(self._engine, self._principal, progress=progress)

    def request(
        self,
        vault: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Any:
        """Carries out a request of the data plane.

        Raises:
            VaultError: it was refused.
        """
        state = self._engine.state(vault)
        parameters = urlencode({"api-version": API_VERSION, **(query or {})})
        call = LocalCall(self._engine, state, Caller(self._principal), method, path, parameters)
        content = b"" if body is None else msgspec.json.encode(body)

        def decode(admitted: Call) -> Any:
            face = FACES[admitted.operation]
            return NOTHING if face.decode is None else face.decode(admitted, content)

        result = perform(call, decode=decode)
        answer = FACES[call.operation].render(call, state.url, result)
        return msgspec.json.decode(answer) if answer else None

    def check_place(self, vault: str, identifier: str) -> None:
        """Checks that an identifier belongs to this folder's service; the port may have changed.

        Raises:
            CommandError: it belongs to another service.
        """
        named = urlsplit(identifier).hostname
        ours = urlsplit(self._engine.installation.vault_url(vault)).hostname
        if named != ours:
            raise CommandError(
                f"--id is at {named}, and this folder's vault is at {ours}: use --url for a "
                "service elsewhere"
            )

    def kek(self, vault: str, key: str) -> KeyEncryptionKey:
        """Returns the key-encryption key that follows a key.

        Raises:
            VaultError: it was refused.
        """
        return self._engine.vault(vault).acting_as(self._principal).keys.kek(key)

    def close(self) -> None:
        """Closes the folder."""
        self._engine.close()


def read_passphrase(file: Path | None) -> str | None:
    """Returns the first line of a file, or None when there is no file.

    Raises:
        UnreadableError: it cannot be read as text.
    """
    if file is None:
        return None
    return read_text_input(file, limit=MAXIMUM_PASSPHRASE_FILE).partition("\n")[0]


def _principal(engine: LibraryEngine, name: str | None) -> Principal:
    if name is None:
        return engine.administrator()
    try:
        return engine.application(name)
    except NotFoundError:
        raise CommandError(
            f"there is no application named `{name[:64]}`: see `vaultcore app list`",
            status=MISSING,
        ) from None
