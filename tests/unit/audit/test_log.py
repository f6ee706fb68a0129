"""The file of the audit log: its records, its chain, and what goes wrong under it."""

import hashlib
import json
import multiprocessing
import os
import random
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unit.audit.entries import append, lines, record, records
from vaultcore._core import AuditLog, Key, Principal
from vaultcore.audit.log import Audit, AuditKeys
from vaultcore.audit.verifier import verify
from vaultcore.errors import AuditError, ForkError, UsageError

LABEL = b"vaultcore audit record 1\n"


def test_a_record_has_the_fields_of_an_audit_event(folder: Path) -> None:
    log = AuditLog(str(folder))
    principal = Principal(
        object_id="o", app_id="a", tenant_id="t", issuer="https://i", name="n", groups=["g"]
    )
    extra = {"algorithm": "ES256", "managed": True, "count": -3}
    number = append(log, time=1_451_957_521.269122, status=403, principal=principal, extra=extra)
    assert number == 1
    found = records(folder)[0]
    assert found.pop("hash") == log.head
    assert found == {
        "time": "2016-01-05T01:32:01.269122Z",
        "resourceId": (
            "/SUBSCRIPTIONS/00000000-0000-0000-0000-000000000000/RESOURCEGROUPS/VAULTCORE"
            "/PROVIDERS/MICROSOFT.KEYVAULT/VAULTS/DEV"
        ),
        "operationName": "SecretGet",
        "operationVersion": "7.4",
        "category": "AuditEvent",
        "resultType": "Failure",
        "resultSignature": "Forbidden",
        "resultDescription": "",
        "durationMs": 0.25,
        "callerIpAddress": "127.0.0.1",
        "correlationId": "c-1",
        "identity": {
            "claim": {
                "http://schemas.microsoft.com/identity/claims/objectidentifier": "o",
                "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn": "n",
                "appid": "a",
                "http://schemas.microsoft.com/identity/claims/tenantid": "t",
                "iss": "https://i",
            }
        },
        "properties": {
            "clientInfo": "tests",
            "requestUri": "https://dev.vault.localhost/secrets/a?api-version=7.4",
            "id": "https://dev.vault.localhost/secrets/a",
            "httpStatusCode": 403,
            "algorithm": "ES256",
            "managed": True,
            "count": -3,
        },
        "sequence": 1,
        "previous": "0" * 64,
    }


def test_each_record_holds_the_hash_of_the_one_before(folder: Path) -> None:
    log = AuditLog(str(folder))
    for _ in range(3):
        append(log)
    head = "0" * 64
    for number, line in enumerate(lines(folder), 1):
        found = json.loads(line)
        covered, _, rest = line.rpartition(b',"hash":"')
        assert (found["sequence"], found["previous"]) == (number, head)
        head = hashlib.sha256(LABEL + covered).hexdigest()
        assert rest == head.encode() + b'"}\n'
    assert (log.sequence, log.head) == (3, head)
    assert log.position()[:2] == (3, head)


def test_a_log_goes_on_where_it_ended(folder: Path) -> None:
    append(AuditLog(str(folder)))
    log = AuditLog(str(folder))
    assert log.sequence == 1
    assert append(log) == 2
    assert verify(folder).ok


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000000Z"),
        (951_782_399.999999, "2000-02-28T23:59:59.999999Z"),
        (951_782_400.0, "2000-02-29T00:00:00.000000Z"),
        (4_107_542_400.0, "2100-03-01T00:00:00.000000Z"),
        (1_709_164_800.0, "2024-02-29T00:00:00.000000Z"),
        (1_735_689_599.5, "2024-12-31T23:59:59.500000Z"),
        (253_402_300_799.0, "9999-12-31T23:59:59.000000Z"),
        (1e30, "9999-12-31T23:59:59.000000Z"),
        (-1.0, "1970-01-01T00:00:00.000000Z"),
        (float("nan"), "1970-01-01T00:00:00.000000Z"),
        (float("inf"), "1970-01-01T00:00:00.000000Z"),
    ],
)
def test_times(folder: Path, seconds: Any, text: Any) -> None:
    append(AuditLog(str(folder)), time=seconds)
    assert records(folder)[0]["time"] == text


def test_every_day_of_four_centuries_has_its_date(folder: Path) -> None:
    log = AuditLog(str(folder))
    days = range(0, 146_097, 37)
    for day in days:
        append(log, time=day * 86_400.0)
    for day, found in zip(days, records(folder), strict=True):
        expected = time.strftime("%Y-%m-%dT00:00:00.000000Z", time.gmtime(day * 86_400))
        assert found["time"] == expected


@pytest.mark.parametrize("duration", [float("nan"), float("inf"), -1.0, 0.0, 1e300, 12.3456])
def test_a_duration_is_always_a_number(folder: Path, duration: Any) -> None:
    append(AuditLog(str(folder)), duration_ms=duration)
    assert 0 <= records(folder)[0]["durationMs"] <= 1e12


NASTY = [
    "a\nb",
    "a\r\nb",
    "\x1b[2J\x1b]0;x\x07",
    "\u2028\u2029\u0085",
    "\u202e\u200b\ufeff",
    '"},"hash":"0"}',
    '","operationName":"AuditLogRotated","x":"',
    "\\",
    "\\u000a",
    "\x00\x7f\x9b",
    "\U0001f600\u00e9",
    "\ud800",
    b"\xff\xfe\x80",
    "{}%s${x}{{x}}",
    "x" * 1_048_576,
    "\n" * 1_048_576,
    "\U0001f600" * 100_000,
    b"\xff" * 1_048_576,
]
TEXTS = [
    "vault",
    "operation",
    "api_version",
    "result_description",
    "address",
    "correlation_id",
    "request_uri",
    "client_info",
    "object_id",
]


@pytest.mark.parametrize("nasty", NASTY, ids=range(len(NASTY)))
def test_nothing_that_is_sent_gets_out_of_its_field(folder: Path, nasty: Any) -> None:
    log = AuditLog(str(folder))
    for name in TEXTS:
        append(log, **{name: nasty})
    append(log, **dict.fromkeys(TEXTS, nasty), extra={"name": nasty, "x": 1})
    text = nasty if isinstance(nasty, str) else ""
    usable = text.encode("utf-8", "replace").decode()
    append(log, principal=Principal(object_id=usable, app_id=usable, name=usable, groups=[usable]))
    written = (folder / "audit.jsonl").read_bytes()
    assert all(byte == 10 or 32 <= byte <= 126 for byte in written)
    assert max(map(len, lines(folder))) <= 64 * 1024
    found = records(folder)
    assert len(found) == len(TEXTS) + 2
    assert all(list(one)[-3:] == ["sequence", "previous", "hash"] for one in found)
    report = verify(folder)
    assert report.ok, report.problems
    assert AuditLog(str(folder)).sequence == len(found)


def test_what_is_cut_off_is_counted(folder: Path) -> None:
    append(AuditLog(str(folder)), client_info="x" * 1000, correlation_id="\u00e9" * 1000)
    found = records(folder)[0]
    assert found["properties"]["clientInfo"] == "x" * 512 + "...(+488)"
    kept, _, cut = found["correlationId"].partition("...(+")
    assert len(kept) + int(cut[:-1]) == 1000
    assert set(kept) == {"\u00e9"}


@given(st.dictionaries(st.sampled_from(TEXTS), st.text() | st.binary(), max_size=4))
@settings(max_examples=150, deadline=None)
def test_as_many_lines_as_events(tmp_path_factory: Any, fields: Any) -> None:
    folder = tmp_path_factory.mktemp("audit")
    fields = {
        name: value
        for name, value in fields.items()
        if name != "operation" or not str(value).startswith("AuditLog")
    }
    append(AuditLog(str(folder)), **fields)
    assert len(records(folder)) == 1
    assert verify(folder).ok


def test_extra_cannot_replace_what_is_fixed(folder: Path) -> None:
    extra = {"httpStatusCode": 200, "id": "x", "requestUri": "x", "clientInfo": "x", "a": "b"}
    append(AuditLog(str(folder)), status=500, extra=extra)
    properties = records(folder)[0]["properties"]
    assert properties["httpStatusCode"] == 500
    assert properties["a"] == "b"
    assert properties["clientInfo"] == "tests"


def test_the_log_keeps_its_own_operations_to_itself(folder: Path) -> None:
    with pytest.raises(UsageError):
        append(AuditLog(str(folder)), operation="AuditLogRotated")


@pytest.mark.parametrize(
    "wrong", [{"vault": 1}, {"status": "x"}, {"extra": {"a": 1.5}}, {"time": None}]
)
def test_arguments_of_another_type_are_refused_and_nothing_is_written(
    folder: Path, wrong: Any
) -> None:
    log = AuditLog(str(folder))
    with pytest.raises(TypeError):
        append(log, **wrong)
    assert lines(folder) == []


def test_files_are_for_their_owner_alone(folder: Path) -> None:
    append(AuditLog(str(folder)))
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "audit.jsonl").stat().st_mode & 0o777 == 0o600


# Segments.


def test_a_full_segment_is_closed_and_the_chain_goes_on(folder: Path) -> None:
    log = AuditLog(str(folder), segment_size=4096)
    for _ in range(40):
        append(log)
    report = verify(folder)
    assert report.ok, report.problems
    assert report.records == log.sequence
    segments = sorted(folder.glob("audit-*.jsonl"))
    assert len(segments) >= 5
    for segment in segments:
        last = json.loads(segment.read_bytes().splitlines()[-1])
        assert last["operationName"] == "AuditLogRotated"
        assert segment.name == f"audit-{last['sequence']:020}.jsonl"
    again = AuditLog(str(folder), segment_size=4096)
    assert again.position() == log.position()
    append(again)
    assert verify(folder).ok


def test_a_second_opener_follows_to_the_next_segment(folder: Path) -> None:
    first = AuditLog(str(folder), segment_size=3000)
    second = AuditLog(str(folder), segment_size=3000)
    numbers = []
    for _ in range(30):
        numbers.append(append(first))
        numbers.append(append(second))
    assert numbers == sorted(numbers)
    assert first.position() == second.position()
    assert verify(folder).ok


def test_a_crash_between_closing_and_renaming_is_finished_by_the_next(folder: Path) -> None:
    log = AuditLog(str(folder), segment_size=1)
    append(log)
    closed = next(folder.glob("audit-*.jsonl"))
    (folder / "audit.jsonl").unlink()
    closed.rename(folder / "audit.jsonl")
    again = AuditLog(str(folder))
    assert append(again) == 3
    assert closed.exists()
    assert verify(folder).ok


# Several processes and threads.


def _append_many(folder: str, count: Any, size: Any) -> None:
    log = AuditLog(folder, segment_size=size)
    for _ in range(count):
        append(log)


# With the smallest size every record closes a segment, so that those who wait are always too late.
@pytest.mark.parametrize("size", [1, 20_000, 1 << 30])
def test_processes_append_to_one_chain(folder: Path, size: Any) -> None:
    folder.mkdir()
    context = multiprocessing.get_context("fork")
    processes = [
        context.Process(target=_append_many, args=(str(folder), 400, size)) for _ in range(3)
    ]
    for process in processes:
        process.start()
    _append_many(str(folder), 400, size)
    for process in processes:
        process.join()
        assert process.exitcode == 0
    report = verify(folder)
    assert report.ok, report.problems
    closed = len(list(folder.glob("audit-*.jsonl")))
    assert report.records == 1600 + closed
    assert (closed > 10) is (size <= 20_000)


def test_threads_append_to_one_chain(folder: Path) -> None:
    log = AuditLog(str(folder), segment_size=30_000)
    numbers = []

    def work() -> None:
        numbers.extend([append(log) for _ in range(300)])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(numbers)) == 1200
    assert verify(folder).ok


HOLD = """
import fcntl, sys
file = open(sys.argv[1], "a")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_waiting_for_another_process_leaves_other_threads_alone(folder: Path) -> None:
    """The interpreter lock is not held while the log is."""
    log = AuditLog(str(folder))
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            HOLD,
            str(folder / "audit.jsonl"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        done = threading.Event()

        def work() -> None:
            append(log)
            done.set()

        thread = threading.Thread(target=work)
        thread.start()
        for _ in range(20):
            time.sleep(0.005)
        assert not done.is_set()
        holder.communicate(b"")
        assert done.wait(10)
        thread.join()
    finally:
        holder.kill()
        holder.communicate()
    assert log.sequence == 1


def test_a_child_process_is_told_to_open_it_again(folder: Path) -> None:
    log = AuditLog(str(folder))
    append(log)
    child = os.fork()
    if child == 0:
        try:
            append(log)
        except ForkError:
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    append(log)
    assert verify(folder).ok


def _append_forever(folder: str, ready: Any) -> None:
    log = AuditLog(folder, segment_size=200_000)
    ready.set()
    while True:
        append(log)


def test_killed_processes_leave_a_chain(folder: Path) -> None:
    folder.mkdir()
    chance = random.Random(4)
    context = multiprocessing.get_context("fork")
    survivor = AuditLog(str(folder), segment_size=200_000)
    for _ in range(25):
        ready = context.Event()
        process = context.Process(target=_append_forever, args=(str(folder), ready))
        process.start()
        assert ready.wait(10)
        time.sleep(chance.random() * 0.03)
        append(survivor)
        process.kill()
        process.join()
        append(survivor)
    report = verify(folder)
    assert report.ok, report.problems
    assert report.records > 100


# Torn ends, as a loss of power leaves them.


@pytest.mark.parametrize("cut", [1, 2, 50, 100, 400])
def test_a_torn_end_is_moved_aside_and_told(folder: Path, cut: Any) -> None:
    log = AuditLog(str(folder))
    for _ in range(3):
        append(log)
    whole = (folder / "audit.jsonl").read_bytes()
    os.truncate(folder / "audit.jsonl", len(whole) - cut)
    torn = whole[: len(whole) - cut].splitlines(keepends=True)[-1]
    unfinished = verify(folder)
    assert unfinished.ok
    assert "unfinished record" in unfinished.notes[0]
    again = AuditLog(str(folder))
    assert again.sequence == 2
    assert append(again) == 4
    report = verify(folder)
    assert report.ok, report.problems
    assert report.repairs == 1
    told = records(folder)[2]
    assert told["operationName"] == "AuditLogRepaired"
    assert told["properties"]["bytes"] == len(torn)
    kept = folder / told["properties"]["keptIn"]
    assert kept.read_bytes() == torn
    assert told["properties"]["sha256"] == hashlib.sha256(torn).hexdigest()


@pytest.mark.parametrize(
    "rubbish", [b"\x00" * 5000, b"\n" * 10, b"{}\n", b'{"time":"x"', b"\xff" * 3, b"x\n" * 1000]
)
def test_rubbish_at_the_end_is_moved_aside(folder: Path, rubbish: Any) -> None:
    log = AuditLog(str(folder))
    append(log)
    with (folder / "audit.jsonl").open("ab") as file:
        file.write(rubbish)
    # The running process finds it as well as the next one.
    append(log)
    report = verify(folder)
    assert report.ok, report.problems
    assert (report.repairs, report.records) == (1, 3)


def test_a_torn_first_record_is_moved_aside(folder: Path) -> None:
    folder.mkdir()
    (folder / "audit.jsonl").write_bytes(b'{"time":"20')
    assert append(AuditLog(str(folder))) == 2
    assert verify(folder).ok


@pytest.mark.parametrize("junk", [b"x", b"\0"])
def test_any_amount_of_junk_at_the_end_is_put_aside(folder: Path, junk: Any) -> None:
    append(AuditLog(str(folder)))
    with (folder / "audit.jsonl").open("ab") as file:
        file.write(junk * 2_000_000)
    assert append(AuditLog(str(folder))) == 3
    repaired = records(folder)[1]
    assert repaired["operationName"] == "AuditLogRepaired"
    assert repaired["properties"]["bytes"] == 2_000_000
    kept = folder / repaired["properties"]["keptIn"]
    assert kept.read_bytes() == junk * 2_000_000
    assert verify(folder).ok


def test_a_log_that_is_cut_under_a_running_process_stops_it(folder: Path) -> None:
    log = AuditLog(str(folder))
    for _ in range(3):
        append(log)
    os.truncate(folder / "audit.jsonl", 10)
    with pytest.raises(AuditError, match="became shorter"):
        append(log)


def test_a_log_that_is_moved_away_is_noticed(folder: Path) -> None:
    log = AuditLog(str(folder))
    append(log)
    (folder / "audit.jsonl").rename(folder / "elsewhere")
    with pytest.raises(AuditError, match="moved, removed or replaced"):
        log.sync()
    (folder / "audit.jsonl").write_bytes(b"")
    with pytest.raises(AuditError, match="moved, removed or replaced"):
        log.sync()


# A full disk.


def test_what_cannot_be_written_whole_is_not_written(folder: Path) -> None:
    """A limit on the size of files stands in for a disk that fills up in the middle of a write."""
    log = AuditLog(str(folder))
    for _ in range(3):
        append(log)
    size = (folder / "audit.jsonl").stat().st_size
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    for room in (0, 1, 100, 600):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + room, old[1]))
        try:
            with pytest.raises(AuditError, match="cannot append to the audit log"):
                append(log)
            with pytest.raises(AuditError, match="cannot append to the audit log"):
                append(log)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, old)
        assert (folder / "audit.jsonl").stat().st_size == size
    assert append(log) == 4
    report = verify(folder)
    assert report.ok, report.problems
    assert report.repairs == 0


def fill(log: AuditLog) -> int:
    """Appends until that is refused, and returns how many records are there."""
    for written in range(1000):
        try:
            append(log)
        except AuditError:
            return written
    return 1000


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system takes root")
def test_a_full_disk_refuses_and_recovers(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode != 0:
        pytest.skip("this machine does not let tests mount a file system")
    try:
        log = AuditLog(str(small / "audit"))
        written = fill(log)
        assert written > 10
        with pytest.raises(AuditError):
            append(log)
        assert log.sequence == written
        report = verify(small / "audit")
        assert (report.ok, report.records) == (True, written)
        subprocess.run(["mount", "-o", "remount,size=1m", str(small)], check=True)
        assert append(log) == written + 1
        report = verify(small / "audit")
        assert (report.ok, report.repairs) == (True, 0)
        del log
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.mark.parametrize("where", ["file", "under-a-file"])
def test_a_folder_that_cannot_be_is_told(tmp_path: Path, where: Any) -> None:
    (tmp_path / "file").write_text("x")
    target = tmp_path / "file" if where == "file" else tmp_path / "file" / "audit"
    with pytest.raises(AuditError):
        AuditLog(str(target))


# The front that the rest of the package uses.


def test_a_checkpoint_is_signed_when_there_is_something_new(
    folder: Path, signer: Any, clock: Any
) -> None:
    audit = Audit(folder, clock, AuditKeys(signer))
    assert audit.checkpoint() is None
    record(audit)
    made = audit.checkpoint()
    assert made is not None
    assert (made.sequence, made.time) == (1, "2023-11-14T22:13:20.500000Z")
    assert audit.checkpoint() is None
    record(audit)
    audit.close()
    audit.close()
    report = verify(folder, audit.public_key())
    assert report.ok, report.problems
    assert (report.checkpoints, report.signed, report.last) == (2, 2, 2)


def test_processes_share_the_chain_of_checkpoints(folder: Path, signer: Any, clock: Any) -> None:
    first, second = Audit(folder, clock, AuditKeys(signer)), Audit(folder, clock, AuditKeys(signer))
    for _ in range(5):
        record(first)
        first.checkpoint()
        assert second.checkpoint() is None
        record(second)
        second.checkpoint()
    report = verify(folder, first.public_key())
    assert report.ok, report.problems
    assert report.checkpoints == 10


def test_without_a_signer_there_are_no_checkpoints(folder: Path, clock: Any) -> None:
    audit = Audit(folder, clock)
    record(audit)
    assert audit.checkpoint() is None
    assert audit.public_key() is None
    audit.close()
    assert verify(folder).ok


def test_a_log_behind_its_checkpoints_is_not_gone_on_with(
    folder: Path, signer: Any, clock: Any
) -> None:
    audit = Audit(folder, clock, AuditKeys(signer))
    for _ in range(3):
        record(audit)
    audit.close()
    kept = lines(folder)[:2]
    (folder / "audit.jsonl").write_bytes(b"".join(kept))
    with pytest.raises(AuditError, match="record 3 was signed"):
        Audit(folder, clock, AuditKeys(signer))


def test_a_torn_checkpoint_is_left_out(folder: Path, signer: Any, clock: Any) -> None:
    audit = Audit(folder, clock, AuditKeys(signer))
    record(audit)
    audit.checkpoint()
    whole = (folder / "checkpoints.jsonl").read_bytes()
    (folder / "checkpoints.jsonl").write_bytes(whole + whole[:40])
    assert verify(folder, audit.public_key()).notes == [
        "the last checkpoint is unfinished and was left out"
    ]
    record(audit)
    audit.checkpoint()
    report = verify(folder, audit.public_key())
    assert (report.ok, report.checkpoints, report.notes) == (True, 2, [])


def test_only_keys_that_can_sign_checkpoints_are_taken(folder: Path, clock: Any) -> None:
    for wrong in (
        Key.generate("oct", size=256),
        Key.generate("EC", curve="P-384"),
        Key.from_jwk(Key.generate("EC", curve="P-256").public_jwk()),
    ):
        with pytest.raises(UsageError):
            Audit(folder, clock, AuditKeys(wrong))


def test_ed25519_signs_checkpoints_too(folder: Path, clock: Any) -> None:
    audit = Audit(folder, clock, AuditKeys(Key.generate("OKP", curve="Ed25519")))
    record(audit)
    audit.close()
    report = verify(folder, audit.public_key())
    assert (report.ok, report.signed) == (True, 1)
