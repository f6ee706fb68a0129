"""Signed checkpoints: how far the log had come, in the words of a key.

The hash chain alone shows an accident and a careless change; whoever can write the files can also
compute every hash anew. A checkpoint is what he cannot make: number and hash of a record, signed.
Checkpoints form a chain of their own, so that none can be left out.
"""

import fcntl
import hashlib
import json
import os
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from vaultcore.errors import AuditError, UsageError

if TYPE_CHECKING:
    from vaultcore._core import Key

FILE: Final = "checkpoints.jsonl"
#: What every signature begins with, so that it means nothing anywhere else.
LABEL: Final = b"vaultcore audit checkpoint 1\n"
_NOTHING: Final = "0" * 64
_TAIL: Final = 64 * 1024


class Checkpoint(NamedTuple):
    """How far the log had come.

    Attributes:
        sequence: the number of a record.
        hash: its hash.
        time: when it was signed, RFC 3339 in UTC.
    """

    sequence: int
    hash: str
    time: str


class Checkpoints:
    """The file of checkpoints in the folder of a log; several processes may append to it.

    Args:
        directory: the folder.
        signer: a P-256 or Ed25519 key with its private part.

    Raises:
        UsageError: The key cannot sign checkpoints.
    """

    def __init__(self, directory: Path, signer: "Key") -> None:
        algorithms = {("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}
        algorithm = algorithms.get((signer.kty, signer.curve or ""))
        if algorithm is None or not signer.is_private:
            raise UsageError("checkpoints are signed by a private key on P-256 or Ed25519")
        self._algorithm = algorithm
        self._signer = signer
        self._key_id = signer.thumbprint()
        self._path = directory / FILE

    def last(self) -> Checkpoint | None:
        """Returns the newest checkpoint of any process, without checking its signature.

        Raises:
            AuditError: The file cannot be read.
        """
        with self._locked() as file:
            return _parse(_last_line(file))

    def sign(self, sequence: int, head: str, now: float) -> Checkpoint | None:
        """Signs a record that is on the disk, unless a checkpoint reaches as far already.

        Returns:
            The new checkpoint, on the disk, or None.

        Raises:
            AuditError: It cannot be written.
        """
        with self._locked() as file:
            line = _last_line(file)
            previous = _parse(line)
            if previous is not None and previous.sequence >= sequence:
                return None
            time = datetime.fromtimestamp(now, UTC).isoformat(timespec="microseconds")
            made = Checkpoint(sequence, head, time.replace("+00:00", "Z"))
            _append(file, self._sign(made, line))
            return made

    def _sign(self, made: Checkpoint, previous: bytes) -> bytes:
        link = hashlib.sha256(previous).hexdigest() if previous else _NOTHING
        members = {
            "sequence": made.sequence,
            "hash": made.hash,
            "time": made.time,
            "previous": link,
            "keyId": self._key_id,
            "algorithm": self._algorithm,
        }
        signed = json.dumps(members, separators=(",", ":")).encode()[:-1]
        message = LABEL + signed
        if self._algorithm == "ES256":
            message = hashlib.sha256(message).digest()
        signature = urlsafe_b64encode(self._signer.sign(self._algorithm, message)).rstrip(b"=")
        return signed + b',"signature":"' + signature + b'"}\n'

    @contextmanager
    def _locked(self) -> Iterator[int]:
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield file
            finally:
                os.close(file)
        except OSError as error:
            raise AuditError(f"cannot use the checkpoints of the audit log: {error}") from error


def _last_line(file: int) -> bytes:
    """Returns the last whole line without its newline; cuts off a torn one behind it."""
    size = os.fstat(file).st_size
    tail = os.pread(file, _TAIL, max(0, size - _TAIL))
    whole = tail.rfind(b"\n") + 1
    if whole < len(tail):
        # A checkpoint that was not written whole was never acknowledged, and proves nothing.
        os.ftruncate(file, size - len(tail) + whole)
    lines = tail[:whole].splitlines()
    return lines[-1] if lines else b""


def _append(file: int, line: bytes) -> None:
    size = os.fstat(file).st_size
    try:
        written = os.write(file, line)
        os.fdatasync(file)
    except OSError:
        os.ftruncate(file, size)
        raise
    if written != len(line):
        os.ftruncate(file, size)
        raise AuditError("cannot use the checkpoints of the audit log: the disk is full")


def _parse(line: bytes) -> Checkpoint | None:
    if not line:
        return None
    try:
        members = json.loads(line)
        return Checkpoint(int(members["sequence"]), str(members["hash"]), str(members["time"]))
    except (ValueError, KeyError, TypeError):
        raise AuditError(
            "the last checkpoint of the audit log is malformed: verify the log"
        ) from None
