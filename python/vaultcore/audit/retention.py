"""Old segments are removed when their retention has passed, and the log says which.

The record of a removal holds number and hash of the last record that is gone, and is signed before
anything is removed. So the log that is left is known to be the end of a longer one, and a verifier
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

from vaultcore.errors import AuditError

if TYPE_CHECKING:
    from vaultcore.audit.log import Audit

#: For how long records are kept unless the configuration says otherwise, in days.
RETENTION_DAYS: Final = 365
#: The operation of the record that tells of a removal.
EXPIRED: Final = "AuditSegmentExpired"
_LONGEST_LINE: Final = 64 * 1024
_DAY: Final = 86_400.0


def expire(audit: "Audit", days: int, now: float) -> int:
    """Removes closed segments whose last record is older than so many days.

    Args:
        audit: the log.
        days: the retention; 0 keeps everything.
        now: Unix seconds, by a clock that is believed: one that is ahead would remove everything.

    Returns:
        How many segments were removed.

    Raises:
        AuditError: a segment cannot be read or removed, or its removal not be recorded.
        StorageError: the store cannot be written.
    """
    if not days:
        return 0
    removed = 0
    for segment in sorted(audit.directory.glob("audit-*.jsonl")):
        with _held(segment) as held:
            if not held:
                break  # another process does the same
            last = _last_record(segment)
            time = datetime.fromisoformat(last["time"]).timestamp()
            if now - time < days * _DAY:
                break
            told = {
                "segment": segment.name,
                "lastSequence": last["sequence"],
                "lastHash": last["hash"],
            }
            audit.record_own(EXPIRED, f"its records are older than {days} days", told)
            # Signed before it is gone: without this nobody could say why it is not there.
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
        descriptor = os.open(segment, os.O_RDONLY | os.O_CLOEXEC)
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


def _last_record(segment: Path) -> dict[str, Any]:
    try:
        with segment.open("rb") as file:
            file.seek(max(0, segment.stat().st_size - _LONGEST_LINE))
            lines = file.read().splitlines()
        record: dict[str, Any] = json.loads(lines[-1])
    except (OSError, ValueError, IndexError) as error:
        raise AuditError(f"cannot read `{segment.name}` of the audit log") from error
    return record
