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

from vaultcore.audit.genuine import is_genuine
from vaultcore.errors import AuditError

if TYPE_CHECKING:
    from vaultcore.audit.log import Audit

#: For how long records are kept unless the configuration says otherwise, in days.
RETENTION_DAYS: Final = 365
#: The operation of the record that tells of a removal.
EXPIRED: Final = "AuditSegmentExpired"
#: The operation of the record that closes a segment.
_CLOSING: Final = "AuditLogRotated"
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
        AuditError: a segment cannot be read or removed, or its removal not be recorded; or it does
            not end with a record of ours, so that nobody knows what was in it, and how old it is.
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
        # A pipe of that name must not keep this from going on.
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
            file.seek(max(0, segment.stat().st_size - _LONGEST_LINE))
            lines = file.read().splitlines()
        line = lines[-1]
        record: dict[str, Any] = json.loads(line)
        closes = record["operationName"] == _CLOSING
        named = segment.name == f"audit-{record['sequence']:020d}.jsonl"
    except OSError as error:
        raise AuditError(f"cannot read `{segment.name}` of the audit log") from error
    except (ValueError, IndexError, KeyError, TypeError, RecursionError) as error:
        raise AuditError(_foreign(segment)) from error
    # A removal is signed, and believed from then on: a stranger's file must not be one's reason.
    if not (closes and named and is_genuine(line, audit.made)):
        raise AuditError(_foreign(segment))
    return record


def _foreign(segment: Path) -> str:
    return (
        f"`{segment.name}` does not end as this vault closes a segment, so no segment is removed: "
        "see `vaultcore audit verify`, and move the file out of the folder if it is not the log's"
    )
