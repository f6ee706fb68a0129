"""The installation of `vaultcore dev`: data, TLS, an issuer, an administrator.

A second start on the same folder uses the existing ones. Clients find the service through
``dev.json``, which exists only while the service answers.
"""

import contextlib
import fcntl
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from vaultcore.clock import SystemClock
from vaultcore.engine.creation import DEVELOPMENT, holds_vault, prepare_place
from vaultcore.errors import ConfigurationError
from vaultcore.library.engine import LibraryEngine
from vaultcore.library.opening import create_engine, open_engine
from vaultcore.protectors.options import ProtectorOptions
from vaultcore.protectors.pkcs11 import softhsm
from vaultcore.protectors.private_file import create_private, read_private
from vaultcore.service.development.authority import TlsFiles, ensure_certificates
from vaultcore.service.development.ready import ADDRESS, DOMAIN, READY_FILE, Ready, answers

FIRST_VAULT: Final = "dev"
ADMINISTRATOR: Final = "administrator"
_LOCK_FILE: Final = ".dev.lock"
_CREDENTIALS_FILE: Final = "administrator.json"
_SERVED_NAMES: Final = (
    "localhost", DOMAIN, f"*.{DOMAIN}", ADDRESS, "::1",
)  # fmt: skip
_READY_SECONDS: Final = 60.0
_DOMAIN: Final = re.compile(re.escape(DOMAIN) + r":\d+")
_MAXIMUM_CREDENTIALS: Final = 4096  # bytes
_EVERYTHING: Final = ("all", "purge")
_TOKEN: Final = ProtectorOptions(name="hsm", kind="softhsm")


class Credentials(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The credentials of the administrator of a development folder.

    Attributes:
        client_id: the client id of the application.
        client_secret: its secret.
    """

    client_id: str
    client_secret: str

    def __repr__(self) -> str:
        return f"Credentials({self.client_id})"


class Development:
    """A development service on one folder.

    Args:
        data: the folder; created if it does not exist.
        port: the port on the loopback; 0 for any free one.
        vaults: the vaults to create, the first one first; there is always one named `dev`.
        hsm: whether to create a SoftHSM token, for the vault keys and for keys of ``-HSM`` types.
        secret_expiry: ``enforce`` or ``inform`` for all of these vaults; None does not change it.

    Raises:
        ConfigurationError: SoftHSM is required and not installed.
    """

    def __init__(
        self,
        data: Path,
        *,
        port: int,
        vaults: Sequence[str] = (),
        hsm: bool = False,
        secret_expiry: str | None = None,
    ) -> None:
        if hsm and softhsm.find_module() is None:
            raise ConfigurationError(
                "--hsm needs SoftHSM, which is not installed: apt-get install softhsm2"
            )
        self.data = data.absolute()
        self.port = port
        self.vaults = list(dict.fromkeys([*vaults, FIRST_VAULT]))
        self._hsm = hsm
        self._secret_expiry = secret_expiry

    def prepare(self) -> tuple[Ready, TlsFiles]:
        """Creates what is missing in the folder, and closes it again.

        Raises:
            ConfigurationError: the port is taken, or the folder cannot be used.
        """
        self._place()
        self.port = free_port(self.port)
        tls = ensure_certificates(self.data / "tls", _SERVED_NAMES, clock=SystemClock())
        with self._open() as engine:
            management = engine.management
            if self._hsm and _TOKEN.name not in {p.name for p in engine.key_ring.protectors}:
                management.protector_add(name=_TOKEN.name, kind=_TOKEN.kind)
            credentials = self._administrator(engine)
            for name in self.vaults:
                self._vault(engine, name)
        ready = Ready(
            process=os.getpid(),
            port=self.port,
            vaults=self.vaults,
            client_id=credentials.client_id,
            client_secret=credentials.client_secret,
            authority=str(tls.authority),
            truststore=str(tls.truststore),
        )
        return ready, tls

    @contextlib.contextmanager
    def owned(self) -> Iterator[None]:
        """Keeps a second development service from using the folder.

        Raises:
            ConfigurationError: one runs there already, or the folder was not created for one.
        """
        if holds_vault(self.data) and not (self._is_marked() or self._looks_made()):
            raise self._foreign()
        self._place()
        descriptor = os.open(self.data / _LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                f"a development vault runs on {self.data} already: stop it, or choose another "
                "folder with --data"
            ) from None
        else:
            yield
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def announced(self, ready: Ready, announce: Callable[[], None]) -> Iterator[None]:
        """Writes ``dev.json`` when the service answers, and removes it at the end.

        Args:
            ready: the content of the file.
            announce: called when the file exists.
        """
        path = self.data / READY_FILE
        path.unlink(missing_ok=True)
        ended = threading.Event()

        def wait() -> None:
            deadline = time.monotonic() + _READY_SECONDS
            while not ended.is_set() and time.monotonic() < deadline:
                if answers(ready):
                    create_private(path, msgspec.json.encode(ready), "ready file")
                    announce()
                    return
                ended.wait(0.05)

        watcher = threading.Thread(target=wait, name="vaultcore-ready", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()
            path.unlink(missing_ok=True)

    def _open(self) -> LibraryEngine:
        domain = f"{DOMAIN}:{self.port}"
        if not holds_vault(self.data):
            return create_engine(
                self.data,
                protectors=self._protectors(),
                domain=domain,
                housekeeping=False,
                first=lambda _: self._mark(),
            )
        engine = open_engine(self.data, housekeeping=False)
        if not self._is_marked():
            # Created before there was a mark: then the domain shows it.
            if not _DOMAIN.fullmatch(engine.installation.domain):
                engine.close()
                raise self._foreign()
            self._mark()
        if engine.installation.domain == domain:
            return engine
        # The port is part of every address that the service returns.
        with engine:
            engine.management.installation_move(domain=domain)
        return open_engine(self.data, housekeeping=False)

    def _place(self) -> None:
        # Before anything is put into it: a folder that is not empty is not closed without asking.
        if not holds_vault(self.data):
            prepare_place(self.data)

    def _is_marked(self) -> bool:
        return (self.data / DEVELOPMENT).is_file()

    def _looks_made(self) -> bool:
        return all((self.data / name).exists() for name in (_CREDENTIALS_FILE, "tls/ca.pem"))

    def _mark(self) -> None:
        text = b"vaultcore dev made this folder, and may change it\n"
        create_private(self.data / DEVELOPMENT, text, "mark of a development folder")

    def _foreign(self) -> ConfigurationError:
        return ConfigurationError(
            f"the vault in `{self.data}` was not created by `vaultcore dev`, which would change "
            "its domain and add an administrator: choose another folder with --data, or serve this "
            "one with `vaultcore serve`"
        )

    def _protectors(self) -> list[ProtectorOptions]:
        protectors = [ProtectorOptions(name="file", kind="file")]
        if self._hsm:
            # Second, so that a command that needs no HSM starts no worker for it.
            protectors.append(_TOKEN)
        return protectors

    def _administrator(self, engine: LibraryEngine) -> Credentials:
        management = engine.management
        path = self.data / _CREDENTIALS_FILE
        known = {application.name for application in engine.issuer.applications.all()}
        if ADMINISTRATOR in known and path.exists():
            text = read_private(path, "credentials file", _MAXIMUM_CREDENTIALS)
            return msgspec.json.decode(text, type=Credentials)
        made: dict[str, Any] = (
            management.app_add_secret(name=ADMINISTRATOR)
            if ADMINISTRATOR in known
            else management.app_create(name=ADMINISTRATOR)
        )
        management.access_administrator(principal=ADMINISTRATOR)
        credentials = Credentials(made["client_id"], made["client_secret"])
        path.unlink(missing_ok=True)
        create_private(path, msgspec.json.encode(credentials), "credentials file")
        return credentials

    def _vault(self, engine: LibraryEngine, name: str) -> None:
        # An existing vault is read without a record: no caller requested it.
        management = engine.management
        sku = "premium" if self._hsm else "standard"
        found = {state.name.lower(): state.settings for state in engine.states()}.get(name.lower())
        if found is None:
            management.vault_create(
                name=name, secret_expiry=self._secret_expiry or "enforce", sku=sku
            )
        else:
            expiry = self._secret_expiry
            if expiry is not None and found.secret_expiry != expiry:
                management.vault_update(name=name, secret_expiry=expiry)
            if self._hsm and found.sku != sku:
                management.vault_update(name=name, sku=sku)
        administrator = engine.issuer.applications.find(ADMINISTRATOR).object_id
        holders = {policy.object_id for policy in engine.state(name).settings.policies}
        if administrator not in holders:
            management.access_set(
                vault=name,
                principal=ADMINISTRATOR,
                secret_permissions=_EVERYTHING,
                key_permissions=_EVERYTHING,
                certificate_permissions=_EVERYTHING,
            )


def free_port(port: int) -> int:
    """Returns the port if it is free, or a free one for 0.

    Raises:
        ConfigurationError: another program listens there.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
        except OSError as error:
            raise ConfigurationError(
                f"port {port} of {ADDRESS} cannot be used ({error.strerror}): stop the program "
                "that listens there, or choose another with --port"
            ) from None
        return int(probe.getsockname()[1])
