"""Reads the audit log."""

import json
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

from vaultcore.errors import AuditError, UsageError

_BLOCK: Final = 1024 * 1024
#: The beginning of a record, and where its time ends: always UTC, with microseconds.
_TIME: Final = b'{"time":"'
_TIME_END: Final = len(_TIME) + len("2030-01-31T12:00:00.000000Z")
_OBJECT_ID: Final = "http://schemas.microsoft.com/identity/claims/objectidentifier"
_NAME: Final = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn"


def query_records(
    directory: Path,
    *,
    vault: str | None = None,
    operation: str | None = None,
    principal: str | None = None,
    status: int | None = None,
    since: str | None = None,
    until: str | None = None,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """Returns the newest records that match, oldest first.

    Args:
        directory: the folder of the log.
        vault: only this vault, ignoring case.
        operation: only this operation, for example ``SecretGet``, ignoring case.
        principal: only this object id, application id or name, ignoring case.
        status: only this HTTP status.
        since: only from this time on, for example ``2030-01-31T12:00:00Z``.
        until: only up to this time.
        limit: the most records to return.

    Raises:
        AuditError: The log cannot be read.
        UsageError: A time is malformed.
    """
    first = None if since is None else _time(since)
    last = None if until is None else _time(until)
    found: deque[dict[str, Any]] = deque()
    if limit <= 0:
        return []
    # Records are in the order in which they were written. The clock may have been set back, by any
    # amount, so a record that is too old says nothing about those before it.
    for record in newest_first(directory, _text(first)):
        time = _time(record["time"])
        if first is not None and time < first:
            continue
        if last is not None and time > last:
            continue
        code = _inside(record, "properties").get("httpStatusCode")
        if (
            _fits(vault, str(record.get("resourceId", "")).rpartition("/")[2])
            and _fits(operation, record.get("operationName"))
            and (status is None or code == status)
            and (principal is None or _is_by(record, principal))
        ):
            record["httpStatusCode"] = code
            found.appendleft(record)
            if len(found) == limit:
                break
    return list(found)


def _fits(wanted: str | None, value: object) -> bool:
    return wanted is None or (isinstance(value, str) and value.lower() == wanted.lower())


def _inside(record: dict[str, Any], name: str) -> dict[str, Any]:
    value = record.get(name)
    return value if isinstance(value, dict) else {}


def _is_by(record: dict[str, Any], principal: str) -> bool:
    claim = _inside(_inside(record, "identity"), "claim")
    return any(_fits(principal, claim.get(name)) for name in (_OBJECT_ID, "appid", _NAME))


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError("a time is written as 2030-01-31T12:00:00Z") from None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def _text(time: datetime | None) -> bytes:
    """Returns a time in the form that records use, so that the two compare as text."""
    if time is None:
        return b""
    try:
        text = time.astimezone(UTC).isoformat(timespec="microseconds")
    except OverflowError:  # the first or the last possible day, in another zone
        return b""
    return text.replace("+00:00", "Z").encode()


def newest_first(
    directory: Path, first: bytes = b"", takes: Callable[[bytes], bool] = bool
) -> Iterator[dict[str, Any]]:
    """Yields records; ``httpStatusCode`` and similar members are as they were written.

    Args:
        directory: the folder of the log.
        first: records before this time may be left out unread; empty to read all.
        takes: returns whether a line is to be read; without it, all are.

    Raises:
        AuditError: The log cannot be read.
    """
    try:
        # Opened before the folder is read, so that no segment closed meanwhile is missed.
        current = (directory / "audit.jsonl").open("rb")
    except FileNotFoundError:
        current = None
    except OSError as error:
        raise AuditError(f"cannot read the audit log: {error}") from error
    lowest: int | None = None
    try:
        if current is not None:
            for record in _records(current, first, takes):
                lowest = record["sequence"]
                yield record
        # Opening a pipe would block.
        segments = [path for path in directory.glob("audit-*.jsonl") if path.is_file()]
        for segment in sorted(segments, reverse=True):
            with segment.open("rb") as file:
                for record in _records(file, first, takes):
                    if lowest is None or record["sequence"] < lowest:
                        lowest = record["sequence"]
                        yield record
    except OSError as error:
        raise AuditError(f"cannot read the audit log: {error}") from error
    finally:
        if current is not None:
            current.close()


def _records(
    file: BinaryIO, first: bytes, takes: Callable[[bytes], bool]
) -> Iterator[dict[str, Any]]:
    for line in _lines_from_the_end(file):
        # Parsing a record takes a hundred times as long as reading its time.
        if line.startswith(_TIME) and line[len(_TIME) : _TIME_END] < first:
            continue
        if not takes(line):
            continue
        try:
            record = json.loads(line)
            _time(record["time"])
            record["sequence"] = int(record["sequence"])
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            # A query does not judge this: the verifier reports what is wrong with it.
            continue
        yield record


def _lines_from_the_end(file: BinaryIO) -> Iterator[bytes]:
    position = file.seek(0, 2)
    rest = b""
    while position > 0:
        size = min(_BLOCK, position)
        position -= size
        file.seek(position)
        lines = (file.read(size) + rest).split(b"\n")
        rest = lines[0]
        yield from reversed(lines[1:])
    yield rest
