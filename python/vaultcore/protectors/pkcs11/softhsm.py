"""Software tokens by SoftHSM, for development and tests. Service side."""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vaultcore.errors import ConfigurationError, ProtectorUnavailableError
from vaultcore.protectors.pkcs11.messages import Failed, InitToken, Opened
from vaultcore.protectors.pkcs11.pin import MAX_PIN_FILE
from vaultcore.protectors.pkcs11.process import WorkerLostError, WorkerProcess, WorkerSlowError
from vaultcore.protectors.pkcs11.token import Token
from vaultcore.protectors.private_file import create_private, read_private

#: Where the distributions' packages install SoftHSM's PKCS#11 module.
_MODULES: Final = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)
#: Seconds for creating a token, including the start of a worker.
_CREATE_DEADLINE: Final = 15.0
#: Bytes: of the label of a token (PKCS #11), of the file with its serial number.
_MAX_LABEL: Final = 32
_MAX_SERIAL: Final = 256


@dataclass(frozen=True)
class SoftToken:
    """A SoftHSM token in a folder of its own.

    Attributes:
        module: the path of SoftHSM's PKCS#11 module.
        label: the label of the token.
        serial: its serial number.
        pin_file: the file that contains its PIN.
        environment: the variables that the worker needs to find it.
    """

    module: Path
    label: str
    serial: str
    pin_file: Path
    environment: Mapping[str, str]

    def token(self) -> Token:
        """Returns the token, ready for use."""
        return Token(
            module=self.module,
            label=self.label,
            serial=self.serial,
            pin_file=self.pin_file,
            environment=self.environment,
        )


def find_module() -> Path | None:
    """Returns the path of SoftHSM's PKCS#11 module, or None if it is not installed."""
    return next((path for path in map(Path, _MODULES) if path.is_file()), None)


def make(folder: Path, label: str = "vaultcore", *, module: Path | None = None) -> SoftToken:
    """Creates a token with random PINs in a folder, or opens the one that was created there.

    Args:
        folder: where its files go; created if absent, with mode 0700.
        label: the label of the token, at most 32 bytes.
        module: SoftHSM's PKCS#11 module, if it is not where Debian and others install it.

    Raises:
        ConfigurationError: SoftHSM is not installed, or the folder cannot be used.
        ProtectorError: the folder contains a token that does not open, or it cannot be created.
    """
    module = module or find_module()
    if module is None:
        raise ConfigurationError(
            "SoftHSM is not installed: install the package `softhsm2`, or use the file protector"
        )
    if not 1 <= len(label.encode()) <= _MAX_LABEL:
        raise ConfigurationError(f"the label of a token has 1 to {_MAX_LABEL} bytes")
    tokens, pin_file, serial_file = folder / "tokens", folder / "pin", folder / "serial"
    environment = {"SOFTHSM2_CONF": str((folder / "softhsm2.conf").absolute())}
    if serial_file.exists():  # written last
        serial = read_private(serial_file, "serial number file", _MAX_SERIAL).decode().strip()
        return SoftToken(module, label, serial, pin_file, environment)
    try:
        for path in (folder, tokens):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"the folder `{folder}` cannot be created: {error.strerror}"
        ) from None
    _write_configuration(folder, tokens)
    if not pin_file.exists():
        create_private(pin_file, secrets.token_urlsafe(24).encode(), "PIN file")
    if any(tokens.iterdir()):  # created before, but the last step was not reached
        serial = _find(SoftToken(module, label, "", pin_file, environment))
    else:
        serial = _initialise(module, label, pin_file, environment)
    create_private(serial_file, serial.encode(), "serial number file")
    return SoftToken(module, label, serial, pin_file, environment)


def _write_configuration(folder: Path, tokens: Path) -> None:
    path = folder / "softhsm2.conf"
    if path.exists():
        return
    text = (
        f"directories.tokendir = {tokens.absolute()}\n"
        "objectstore.backend = file\n"
        "log.level = ERROR\n"
        "slots.removable = false\n"
    )
    create_private(path, text.encode(), "SoftHSM configuration")


def _find(made: SoftToken) -> str:
    """Returns the serial number of the existing token, which is never replaced."""
    token = Token(
        module=made.module,
        label=made.label,
        pin_file=made.pin_file,
        environment=made.environment,
    )
    try:
        return token.open().serial
    finally:
        token.close()


def _initialise(module: Path, label: str, pin_file: Path, environment: Mapping[str, str]) -> str:
    """Returns the serial number of a new token.

    The security officer's PIN is not kept: a token that needs it is created again.
    """
    pin = read_private(pin_file, "PIN file", MAX_PIN_FILE).decode()
    request = InitToken(module=str(module), label=label, so_pin=secrets.token_urlsafe(24), pin=pin)
    worker = WorkerProcess(environment)
    try:
        reply = worker.exchange(request, time.monotonic() + _CREATE_DEADLINE)
    except (WorkerLostError, WorkerSlowError):
        raise ProtectorUnavailableError(f"SoftHSM at `{module}` could not create a token") from None
    worker.close()
    if isinstance(reply, Opened):
        return reply.serial
    text = reply.text if isinstance(reply, Failed) else "the HSM worker answered out of turn"
    raise ConfigurationError(f"SoftHSM at `{module}` could not create a token: {text}")
