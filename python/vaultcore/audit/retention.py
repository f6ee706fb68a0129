"""Removes segments whose retention has expired, and records which.

The record of a removal names number and hash of the last record that is removed, and is signed
before anything is removed. So what remains is known to be the end of a longer log, and a verifier
can tell what has expired from what was cut off.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from vaultcore._core import MAX_LINE, ROTATED
from vaultcore.audit.genuine import is_genuine
from vaultcore.errors import AuditError

if TYPE_CHECKING:
    from vaultcore.audit.log import Audit

#: For how long records are kept by default, in days.
RETENTION_DAYS: Final = 365
#: The operation in the record of a removal.
EXPIRED: Final = "AuditSegmentExpired"
_DAY: Final = 86_400.0


def expire(audit: "Audit", days: int, now: float) -> int:
    """Removes closed segments whose last record is older than the retention.

    Args:
        audit: the log.
        days: the retention; 0 keeps everything.
        now: Unix seconds, by a trusted clock: a clock that is ahead would remove everything.

    Returns:
        How many segments were removed.

    Raises:
        AuditError: a segment cannot be read or removed, or its removal cannot be recorded; or it
            does not end with a record of this vault, so its content and its age are unknown.
        StorageError: the store cannot be written.
    """
    if not days:
        return 0
    removed = 0
    for segment in sorted(audit.directory.glob("audit-*.jsonl")):
        with _held(segment) as held:
            if not held:
                break  # another process does the same
            last = _last_record(segment, audit)
            time = datetime.fromisoformat(last["time"]).timestamp()
            if now - time < days * _DAY:
                break
            told = {
                "segment": segment.name,
                "lastSequence": last["sequence"],
                "lastHash": last["hash"],
            }
            audit.record_own(EXPIRED, f"its records are older than {days} days", told)
            # Signed before the removal: without it, nobody could explain the missing segment.
            audit.checkpoint()
            try:
                segment.unlink()
            except OSError as error:
                raise AuditError(
                    f"cannot remove a segment of the audit log: {error.strerror}"
                ) from error
            audit.prune(last["sequence"])
            removed += 1
    return removed


@contextlib.contextmanager
def _held(segment: Path) -> Iterator[bool]:
    try:
        # A pipe of that name must not block this.
        descriptor = os.open(segment, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False
        return
    except OSError as error:
        raise AuditError(f"cannot read the audit log: {error.strerror}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield segment.exists()
    finally:
        os.close(descriptor)


def _last_record(segment: Path, audit: "Audit") -> dict[str, Any]:
    if not segment.is_file():
        raise AuditError(_foreign(segment))
    try:
        with segment.open("rb") as file:
            file.seek(max(0, segment.stat().st_size - MAX_LINE))
            lines = file.read().splitlines()
        line = lines[-1]
        record: dict[str, Any] = json.loads(line)
        closes = record["operationName"] == ROTATED
        named = segment.name == f"audit-{record['sequence']:020d}.jsonl"
    except OSError as error:
        raise AuditError(f"cannot read `{segment.name}` of the audit log") from error
    except (ValueError, IndexError, KeyError, TypeError, RecursionError) as error:
        raise AuditError(_foreign(segment)) from error
    # A removal is signed, and trusted from then on: a stranger's file must not be its reason.
    if not (closes and named and is_genuine(line, audit.made)):
        raise AuditError(_foreign(segment))
    return record


def _foreign(segment: Path) -> str:
    return (
        f"`{segment.name}` does not end as this vault closes a segment, so no segment is removed: "
        "see `vaultcore audit verify`, and move the file out of the folder if it is not the log's"
    )
