"""Queries of the audit log."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from unit.audit.entries import append, record
from vaultcore._core import AuditLog, Principal
from vaultcore.audit.log import Audit
from vaultcore.audit.query import query_records
from vaultcore.errors import UsageError


@pytest.fixture
def log(folder: Path, clock: Any) -> Any:
    audit = Audit(folder, clock)
    for number in range(20):
        person = Principal(object_id=f"O{number % 2}", app_id=f"app{number % 3}", name="Ann")
        record(
            audit,
            vault="dev" if number % 4 else "other",
            operation="SecretGet" if number % 5 else "KeySign",
            status=200 if number % 7 else 403,
            principal=None if number == 19 else person,
        )
        clock.advance(10)
    return folder


def numbers(found: Any) -> Any:
    return [one["sequence"] for one in found]


def test_the_newest_come_last(log: Any) -> None:
    assert numbers(query_records(log)) == list(range(1, 21))
    assert numbers(query_records(log, limit=3)) == [18, 19, 20]
    assert query_records(log, limit=0) == []
    assert query_records(log, limit=1)[0]["httpStatusCode"] == 200


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"vault": "OTHER"}, [1, 5, 9, 13, 17]),
        ({"operation": "keysign"}, [1, 6, 11, 16]),
        ({"status": 403}, [1, 8, 15]),
        ({"principal": "o1", "limit": 2}, [16, 18]),
        ({"principal": "APP2"}, [3, 6, 9, 12, 15, 18]),
        ({"principal": "ann", "limit": 1}, [19]),
        ({"principal": "nobody"}, []),
        ({"since": "2023-11-14T22:16:20.5Z"}, [19, 20]),
        ({"since": "2023-11-14T22:16:20Z"}, [19, 20]),
        ({"since": "2023-11-14T22:16:21Z"}, [20]),
        ({"until": "2023-11-14T22:13:30.5Z"}, [1, 2]),
        ({"until": "2023-11-14T22:13:30"}, [1]),
        ({"since": "2024-01-01T00:00:00+00:00"}, []),
        ({"since": "2023-11-14T23:13:30+01:00", "until": "2023-11-14T22:13:51Z"}, [2, 3, 4]),
        ({"vault": "dev", "status": 403, "operation": "SecretGet"}, [8, 15]),
    ],
)
def test_filters(log: Any, wanted: Any, expected: Any) -> None:
    assert numbers(query_records(log, **wanted)) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "2023-13-01T00:00:00Z", "1700000000"])
def test_what_is_no_time_is_refused(log: Any, text: Any) -> None:
    with pytest.raises(UsageError, match="a time is written as"):
        query_records(log, since=text)


def test_segments_are_one_log(folder: Path) -> None:
    log = AuditLog(str(folder), segment_size=3000)
    for _ in range(20):
        append(log)
    found = query_records(folder, operation="SecretGet")
    assert len(found) == 20
    assert numbers(found) == sorted(numbers(found))
    assert numbers(query_records(folder, limit=1000)) == list(range(1, log.sequence + 1))


def test_a_segment_that_is_closed_meanwhile_is_read_once(folder: Path) -> None:
    """Opened under the one name and listed under the other, it is the same file."""
    log = AuditLog(str(folder), segment_size=3000)
    while not list(folder.glob("audit-*.jsonl")):
        append(log)
    closed = next(folder.glob("audit-*.jsonl"))
    (folder / "audit.jsonl").write_bytes(closed.read_bytes())
    assert numbers(query_records(folder)) == list(range(1, log.sequence + 1))


def test_long_logs_are_read_from_their_end(folder: Path) -> None:
    log = AuditLog(str(folder))
    for _ in range(3000):
        append(log)
    assert (folder / "audit.jsonl").stat().st_size > 2 * 1024 * 1024
    assert numbers(query_records(folder, limit=5000)) == list(range(1, 3001))


def test_what_is_no_record_is_left_out(log: Any) -> None:
    with (log / "audit.jsonl").open("ab") as file:
        file.write(b'{}\n[]\n"x"\n{"time":"x","sequence":1}\n{"time":1}\n\xff\n{"identity":')
    assert numbers(query_records(log, principal="o1", limit=1)) == [18]


def test_there_may_be_no_log_yet(tmp_path: Path) -> None:
    assert query_records(tmp_path) == []


def test_what_was_recorded_before_the_clock_went_back_is_found(folder: Path, clock: Any) -> None:
    audit = Audit(folder, clock)
    clock.advance(100 * 86_400)
    ahead = clock.now()
    for _ in range(3):
        record(audit)
        clock.advance(10)
    clock.set(ahead - 100 * 86_400)
    for _ in range(3):
        record(audit)
        clock.advance(10)
    since = datetime.fromtimestamp(ahead + 5, UTC).isoformat()
    assert numbers(query_records(folder, since=since)) == [2, 3]
    assert numbers(query_records(folder, since=since, limit=1)) == [3]


@pytest.mark.parametrize("offset", ["+00:00", "+05:30", "-11:00"])
def test_the_very_time_of_a_record_is_in(log: Any, offset: str) -> None:
    zone = datetime.fromisoformat(f"2023-01-01T00:00:00{offset}").tzinfo
    time = query_records(log, limit=3)[0]["time"]
    since = datetime.fromisoformat(time).astimezone(zone).isoformat()
    assert numbers(query_records(log, since=since)) == [18, 19, 20]
