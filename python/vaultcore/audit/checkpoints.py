"""Signed checkpoints: how far the log had come, with a signature.

The hash chain alone reveals accidents and careless changes, but an attacker with write access to
the files can compute every hash again. A checkpoint is what the attacker cannot create: number and
hash of a record, signed. Checkpoints form a chain of their own, so none can be left out.

Anything after the last valid checkpoint is not a checkpoint. It is moved to a file of its own, so
a torn write or a stranger's line does not prevent further signatures.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from vaultcore._core import MAX_KEPT
from vaultcore.audit.state import NOTHING
from vaultcore.errors import AuditError, UsageError

if TYPE_CHECKING:
    from vaultcore._core import Key

FILE: Final = "checkpoints.jsonl"
#: The prefix of everything that is signed, so that a signature has no meaning anywhere else.
LABEL: Final = b"vaultcore audit checkpoint 1\n"
_SIGNATURE: Final = b',"signature":"'
#: The beginning of a checkpoint.
_SEQUENCE: Final = re.compile(rb'\{"sequence":([1-9][0-9]{0,18}),')
_BLOCK: Final = 64 * 1024
_ALGORITHMS: Final = {("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}


class Checkpoint(NamedTuple):
    """How far the log had come.

    Attributes:
        sequence: the number of a record.
        hash: its hash.
        time: when it was signed, RFC 3339 in UTC.
        end: where the record ends in its segment, in bytes; None in checkpoints of older versions.
        revision: the highest revision of the store that a record had named.
    """

    sequence: int
    hash: str
    time: str
    end: int | None = None
    revision: int = 0


class Retired(NamedTuple):
    """A key that signed checkpoints in the past.

    Attributes:
        key: its public part.
        until: the last record that it may have signed.
    """

    key: "Key"
    until: int


class Checkpoints:
    """The file of checkpoints in the folder of a log; several processes may append to it.

    Args:
        directory: the folder.
        signer: a P-256 or Ed25519 key with its private part.
        retired: the keys that signed before this one.

    Raises:
        UsageError: The key cannot sign checkpoints.
    """

    def __init__(self, directory: Path, signer: "Key", retired: Sequence[Retired] = ()) -> None:
        algorithm = _ALGORITHMS.get((signer.kty, signer.curve or ""))
        if algorithm is None or not signer.is_private:
            raise UsageError("checkpoints are signed by a private key on P-256 or Ed25519")
        self._algorithm = algorithm
        self._signer = signer
        self._key_id = signer.thumbprint()
        self._retired = tuple(retired)
        self._directory = directory
        self._path = directory / FILE
        #: Names of the files that invalid data was moved to, until that is recorded.
        self.kept: list[str] = []

    def last(self) -> Checkpoint | None:
        """Returns the newest valid checkpoint of any process.

        Raises:
            AuditError: The file cannot be read.
        """
        with self._locked() as file:
            return self._last(file)[0]

    def sign(self, made: Checkpoint) -> bool:
        """Signs a record that is on the disk, unless a checkpoint already covers it.

        Returns:
            Whether it was signed, and is on the disk.

        Raises:
            AuditError: It cannot be written.
        """
        with self._locked() as file:
            previous, line, end = self._last(file)
            if previous is not None and previous.sequence >= made.sequence:
                return False
            self._append(file, end, self._sign(made, line))
            return True

    def prune(self, until: int) -> None:
        """Removes the checkpoints up to a record, except the very last one.

        Raises:
            AuditError: The file cannot be written.
        """
        with self._locked() as file:
            _, line, end = self._last(file)
            start = self._first_behind(until, end - len(line) - 1)
            if start <= 0:
                return
            part = self._path.with_suffix(".part")
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            with os.fdopen(os.open(part, flags, 0o600), "wb") as target:
                # Piece by piece: a year of checkpoints may be gigabytes.
                while rest := os.pread(file, min(_BLOCK, end - start), start):
                    target.write(rest)
                    start += len(rest)
                target.flush()
                os.fsync(target.fileno())
            part.rename(self._path)
            _sync_folder(self._directory)

    def _first_behind(self, until: int, last: int) -> int:
        """Returns where the checkpoints after a record begin; at the latest, the very last one.

        Args:
            until: the record.
            last: where the last checkpoint begins.
        """
        position = 0
        with self._path.open("rb") as file:
            while position < last:
                line = file.readline(last - position)
                found = _SEQUENCE.match(line)
                # Anything that is not a checkpoint is removed with those around it.
                if found is not None and int(found[1]) > until:
                    break
                position += len(line)
        return position

    def _sign(self, made: Checkpoint, previous: bytes) -> bytes:
        link = hashlib.sha256(previous).hexdigest() if previous else NOTHING
        members = {
            "sequence": made.sequence,
            "hash": made.hash,
            "time": made.time,
            "end": made.end,
            "revision": made.revision,
            "previous": link,
            "keyId": self._key_id,
            "algorithm": self._algorithm,
        }
        signed = json.dumps(members, separators=(",", ":")).encode()[:-1]
        signature = self._signer.sign(self._algorithm, _digested(self._signer, signed))
        return signed + _SIGNATURE + urlsafe_b64encode(signature).rstrip(b"=") + b'"}\n'

    def _last(self, file: int) -> tuple[Checkpoint | None, bytes, int]:
        """Returns the last valid checkpoint, its line, and where that line ends.

        Anything after it is moved aside.
        """
        size = os.fstat(file).st_size
        reach = _BLOCK
        while True:
            start = max(0, size - reach)
            tail = os.pread(file, size - start, start)
            # A line that begins further to the left is examined when more is read.
            first = tail.find(b"\n") + 1 if start else 0
            end = tail.rfind(b"\n") + 1
            while end > first:
                begin = tail.rfind(b"\n", 0, end - 1) + 1
                line = tail[begin : end - 1]
                found = self._read(line)
                if found is not None:
                    self._move_away(file, start + end, size)
                    return found, line, start + end
                end = begin
            if not start:
                self._move_away(file, 0, size)
                return None, b"", 0
            reach *= 4

    def _read(self, line: bytes) -> Checkpoint | None:
        """Returns the content of a line, if a key that was valid for it has signed it."""
        signed, found, rest = line.partition(_SIGNATURE)
        if not found or not rest.endswith(b'"}'):
            return None
        try:
            signature = urlsafe_b64decode(rest[:-2] + b"==")
        except ValueError:
            return None
        keys = [(self._signer, None), *((old.key, old.until) for old in self._retired)]
        signers = [until for key, until in keys if _verifies(key, signed, signature)]
        if not signers:
            # Unsigned content is not parsed: a stranger's line must not be able to cause a failure.
            return None
        try:
            members = json.loads(signed + b"}")
            end = members.get("end")
            made = Checkpoint(
                int(members["sequence"]),
                str(members["hash"]),
                str(members["time"]),
                None if end is None else int(end),
                int(members.get("revision", 0)),
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
        return made if any(until is None or made.sequence <= until for until in signers) else None

    def _move_away(self, file: int, start: int, size: int) -> None:
        if start == size:
            return
        rest = os.pread(file, min(size - start, MAX_KEPT), start)
        name = f"torn-checkpoints-{hashlib.sha256(rest).hexdigest()[:16]}.bin"
        descriptor = os.open(
            self._directory / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600
        )
        with os.fdopen(descriptor, "wb") as kept:
            kept.write(rest)
            kept.flush()
            os.fsync(kept.fileno())
        _sync_folder(self._directory)
        os.ftruncate(file, start)
        self.kept.append(name)

    def _append(self, file: int, end: int, line: bytes) -> None:
        try:
            written = os.write(file, line)
            os.fdatasync(file)
        except OSError:
            os.ftruncate(file, end)
            raise
        if written != len(line):
            os.ftruncate(file, end)
            raise AuditError("cannot use the checkpoints of the audit log: the disk is full")
        if end == 0:
            _sync_folder(self._directory)

    @contextmanager
    def _locked(self) -> Iterator[int]:
        try:
            file = self._open()
            try:
                yield file
            finally:
                os.close(file)
        except OSError as error:
            raise AuditError(f"cannot use the checkpoints of the audit log: {error}") from error

    def _open(self) -> int:
        """Opens and locks the file of that name, even if another one took its place meanwhile."""
        while True:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                with contextlib.suppress(FileNotFoundError):
                    if os.fstat(file).st_ino == self._path.stat().st_ino:
                        return file
            except BaseException:
                os.close(file)
                raise
            os.close(file)


def timestamp(now: float) -> str:
    """Returns a time in Unix seconds in the form that checkpoints use."""
    time = datetime.fromtimestamp(now, UTC).isoformat(timespec="microseconds")
    return time.replace("+00:00", "Z")


def _digested(key: "Key", signed: bytes) -> bytes:
    message = LABEL + signed
    # ES256 is given the digest, EdDSA the message (RFC 7518 section 3.4, RFC 8032).
    return hashlib.sha256(message).digest() if key.kty == "EC" else message


def _verifies(key: "Key", signed: bytes, signature: bytes) -> bool:
    algorithm = _ALGORITHMS[key.kty, key.curve or ""]
    return key.verify(algorithm, _digested(key, signed), signature)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
