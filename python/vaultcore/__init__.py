"""A vault for secrets and keys, as a library: envelopes, keys, and the engine of the service.

Envelopes and keys need no vault, no file and no server. :func:`open` opens a data folder and
returns the same engine that ``vaultcore serve`` puts behind HTTPS.
"""

import importlib
from typing import TYPE_CHECKING, Any

from vaultcore._core import (
    Context,
    Key,
    KeyEncryptionKey,
    Principal,
    StreamOpener,
    StreamSealer,
    __version__,
    inspect,
)
from vaultcore.errors import (
    AlgorithmError,
    AuditError,
    BadParameterError,
    ConfigurationError,
    ConflictError,
    DecryptionError,
    ForbiddenError,
    ForkError,
    KeyFormatError,
    NotFoundError,
    ProtectorError,
    StorageError,
    TamperedError,
    UnauthorizedError,
    UnavailableError,
    UsageError,
    VaultcoreError,
    VaultError,
)

if TYPE_CHECKING:
    from vaultcore.files import open_file, rewrap_file, seal_file
    from vaultcore.library.engine import LibraryEngine as Engine
    from vaultcore.library.opening import create_engine as create
    from vaultcore.library.opening import open_engine as open  # noqa: A004 - as in `vaultcore.open("data")`

__all__ = [
    "AlgorithmError",
    "AuditError",
    "BadParameterError",
    "ConfigurationError",
    "ConflictError",
    "Context",
    "DecryptionError",
    "Engine",
    "ForbiddenError",
    "ForkError",
    "Key",
    "KeyEncryptionKey",
    "KeyFormatError",
    "NotFoundError",
    "Principal",
    "ProtectorError",
    "StorageError",
    "StreamOpener",
    "StreamSealer",
    "TamperedError",
    "UnauthorizedError",
    "UnavailableError",
    "UsageError",
    "VaultError",
    "VaultcoreError",
    "__version__",
    "create",
    "inspect",
    "open",
    "open_file",
    "rewrap_file",
    "seal_file",
]

#: Imported when first used: a program that only seals and signs does not load the database.
_LATER = {
    "Engine": ("library.engine", "LibraryEngine"),
    "create": ("library.opening", "create_engine"),
    "open": ("library.opening", "open_engine"),
    "open_file": ("files", "open_file"),
    "rewrap_file": ("files", "rewrap_file"),
    "seal_file": ("files", "seal_file"),
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, found = _LATER[name]
    return getattr(importlib.import_module(f"vaultcore.{module}"), found)
