"""The audit as the rest of the package uses it: records now, checkpoints every second."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaultcore._core import AuditLog
from vaultcore.audit.checkpoints import Checkpoint, Checkpoints
from vaultcore.errors import AuditError

if TYPE_CHECKING:
    from vaultcore._core import Key, Principal
    from vaultcore.clock import Clock


class Audit:
    """The audit log of a data folder. Several threads and processes may write to it.

    Args:
        directory: the folder of the log, made if it is not there.
        clock: tells the time of records and checkpoints.
        signer: signs checkpoints, on P-256 or Ed25519; without one there are none.

    Raises:
        AuditError: The log cannot be used, or ends before a checkpoint says it did.
        UsageError: The key cannot sign checkpoints.
    """

    def __init__(self, directory: Path, clock: "Clock", signer: "Key | None" = None) -> None:
        self._log = AuditLog(str(directory))
        self._clock = clock
        self._signer = signer
        self._checkpoints = None if signer is None else Checkpoints(directory, signer)
        self._closed = False
        self._signing = threading.Lock()
        self._append = self._log.append
        self._now = clock.now
        last = None if self._checkpoints is None else self._checkpoints.last()
        # Looked at after the checkpoints: other processes go on writing both.
        sequence, _ = self._log.position()
        if last is not None and last.sequence > sequence:
            raise AuditError(
                f"the audit log ends at record {sequence}, but record {last.sequence} "
                "was signed: it was cut or restored; verify it, and move its folder aside"
            )

    def record(
        self,
        *,
        vault: str,
        operation: str,
        api_version: str,
        status: int,
        result_description: str,
        duration_ms: float,
        address: str | bytes,
        correlation_id: str | bytes,
        principal: "Principal | None",
        request_uri: str | bytes,
        client_info: str | bytes,
        object_id: str,
        extra: Mapping[str, str | int | bool] | None = None,
    ) -> int:
        """Writes the record of one answered request, and returns its number.

        Raises:
            AuditError: It cannot be written; the answer may not leave.
            ForkError: The log was opened by another process.
        """
        return self._append(
            time=self._now(),
            vault=vault,
            operation=operation,
            api_version=api_version,
            status=status,
            result_description=result_description,
            duration_ms=duration_ms,
            address=address,
            correlation_id=correlation_id,
            principal=principal,
            request_uri=request_uri,
            client_info=client_info,
            object_id=object_id,
            extra=extra,
        )

    def checkpoint(self) -> Checkpoint | None:
        """Brings the log to the disk and signs how far it has come, if it has come further.

        Raises:
            AuditError: The log or its checkpoints cannot be written.
            ForkError: The log was opened by another process.
        """
        with self._signing:
            sequence, head = self._log.position()
            self._log.sync()
            if self._checkpoints is None or sequence == 0:
                return None
            return self._checkpoints.sign(sequence, head, self._now())

    def public_key(self) -> dict[str, Any] | None:
        """Returns the key that verifies checkpoints, as a JWK."""
        return None if self._signer is None else dict(self._signer.public_jwk())

    @property
    def sequence(self) -> int:
        """The number of the last record that this process has seen."""
        return self._log.sequence

    def close(self) -> None:
        """Signs a last checkpoint; records can still be written, but are not signed any more.

        Raises:
            AuditError: The log or its checkpoints cannot be written.
        """
        if not self._closed:
            self._closed = True
            self.checkpoint()
