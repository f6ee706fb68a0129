"""The offline verifier finds every kind of change, by whoever can write the files."""

import hashlib
import json
import random
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path
from typing import Any

import pytest

from unit.audit.entries import append, lines, record, records
from vaultcore._core import AuditLog, Key
from vaultcore.audit.log import Audit, AuditKeys
from vaultcore.audit.verifier import verify

COUNT = 12
#: Checkpoints are made behind these records.
SIGNED = (4, 8)


@pytest.fixture
def log(folder: Path, clock: Any, signer: Any) -> Any:
    """A log of twelve records, two checkpoints, and the key that verifies them."""
    audit = Audit(folder, clock, AuditKeys(signer))
    for number in range(1, COUNT + 1):
        record(audit, object_id=f"https://dev/secrets/s{number}")
        clock.advance(1)
        if number in SIGNED:
            audit.checkpoint()
    report = verify(folder, audit.public_key())
    assert report.ok, report.problems
    assert (report.records, report.last, report.signed) == (COUNT, COUNT, SIGNED[-1])
    return audit.public_key()


def write(folder: Path, changed: Any) -> None:
    (folder / "audit.jsonl").write_bytes(b"".join(changed))


def told(folder: Path, key: Any, **more: Any) -> Any:
    report = verify(folder, key, **more)
    assert not report.ok
    return " | ".join(problem.what for problem in report.problems)


def rewritten(kept: Any, label: Any = b"vaultcore audit record 1\n") -> Any:
    """The chain of these records as somebody computes it who knows the format."""
    head, out = "0" * 64, []
    for number, line in enumerate(kept, 1):
        covered = line.rpartition(b',"sequence":')[0]
        covered += b',"sequence":%d,"previous":"%s"' % (number, head.encode())
        head = hashlib.sha256(label + covered).hexdigest()
        out.append(covered + b',"hash":"' + head.encode() + b'"}\n')
    return out


@pytest.mark.parametrize("number", range(1, COUNT + 1))
def test_a_changed_record(folder: Path, log: Any, number: Any) -> None:
    changed = lines(folder)
    changed[number - 1] = changed[number - 1].replace(
        b'"resultType":"Success"', b'"resultType":"Failure"'
    )
    write(folder, changed)
    assert f"record {number} was changed" in told(folder, log)


def test_every_byte_counts(folder: Path, log: Any) -> None:
    """One byte of each record, and every byte of one record, changed."""
    whole = lines(folder)
    chance = random.Random(1)
    places = [(n, chance.randrange(len(line))) for n, line in enumerate(whole) for _ in range(15)]
    places += [(5, place) for place in range(len(whole[5]))]
    for number, place in places:
        line = bytearray(whole[number])
        line[place] ^= 1 << chance.randrange(8)
        write(folder, [*whole[:number], bytes(line), *whole[number + 1 :]])
        assert not verify(folder, log).ok, (number, place)
    write(folder, whole)
    assert verify(folder, log).ok


def test_a_changed_record_with_its_hash_made_anew(folder: Path, log: Any) -> None:
    changed = lines(folder)
    line = changed[5].replace(b"secrets/s6", b"secrets/xx")
    covered = line.rpartition(b',"hash":')[0]
    digest = hashlib.sha256(b"vaultcore audit record 1\n" + covered).hexdigest().encode()
    changed[5] = covered + b',"hash":"' + digest + b'"}\n'
    write(folder, changed)
    assert told(folder, log) == "record 7 does not continue the record before it"


@pytest.mark.parametrize("number", [1, 2, 6, 8, 11])
def test_a_removed_record(folder: Path, log: Any, number: Any) -> None:
    changed = lines(folder)
    del changed[number - 1]
    write(folder, changed)
    assert f"missing before record {number + 1}: {number}" in told(folder, log)


def test_several_removed_records(folder: Path, log: Any) -> None:
    changed = lines(folder)
    del changed[4:7]
    write(folder, changed)
    assert "missing before record 8: 5 to 7" in told(folder, log)


@pytest.mark.parametrize("left", [0, 1, 7])
def test_a_log_cut_before_a_checkpoint(folder: Path, log: Any, left: Any) -> None:
    write(folder, lines(folder)[:left])
    assert "record 8 was signed, but the log ends before it" in told(folder, log)


def test_a_log_cut_behind_the_last_checkpoint_is_found_by_a_witness_only(
    folder: Path, log: Any
) -> None:
    head = records(folder)[-1]["hash"]
    write(folder, lines(folder)[:9])
    assert verify(folder, log).ok
    assert "record 12, which was expected, is not there" in told(folder, log, expect=(12, head))


@pytest.mark.parametrize(("first", "second"), [(1, 2), (0, 11), (4, 5), (7, 8)])
def test_records_in_another_order(folder: Path, log: Any, first: Any, second: Any) -> None:
    changed = lines(folder)
    changed[first], changed[second] = changed[second], changed[first]
    write(folder, changed)
    assert "comes after record" in told(folder, log)


def test_a_repeated_record(folder: Path, log: Any) -> None:
    changed = lines(folder)
    write(folder, [*changed[:5], changed[4], *changed[5:]])
    assert "record 5 comes after record 5" in told(folder, log)


def test_an_inserted_record(folder: Path, log: Any, tmp_path: Path) -> None:
    """Whether it bears a number that is taken, or the next one of another log."""
    changed = lines(folder)
    for number in (6, 7, 99):
        strange = changed[5].replace(b'"sequence":6,', b'"sequence":%d,' % number)
        covered = strange.rpartition(b',"hash":')[0]
        digest = hashlib.sha256(b"vaultcore audit record 1\n" + covered).hexdigest().encode()
        inserted = covered + b',"hash":"' + digest + b'"}\n'
        write(folder, [*changed[:6], inserted, *changed[6:]])
        assert not verify(folder, log).ok
    other = AuditLog(str(tmp_path / "other"))
    for _ in range(7):
        append(other)
    write(folder, [*changed[:6], lines(tmp_path / "other")[6], *changed[6:]])
    assert "does not continue the record before it" in told(folder, log)


@pytest.mark.parametrize(
    "rubbish",
    [b"\n", b"{}\n", b"x" * 70_000 + b"\n", b"\x00\n", b"\r\n", b" ", b"x" * 200_000],
    ids=range(7),
)
def test_rubbish_between_records(folder: Path, log: Any, rubbish: Any) -> None:
    changed = lines(folder)
    write(folder, [*changed[:6], rubbish, *changed[6:]])
    assert "is not a record" in told(folder, log)


def test_a_history_written_anew(folder: Path, log: Any) -> None:
    """The chain holds; the checkpoints do not."""
    kept = lines(folder)
    del kept[2]
    write(folder, rewritten(kept))
    assert verify(folder, None).problems[0].what == "record 4 is not the one that was signed"
    assert "record 4 is not the one that was signed" in told(folder, log)


def test_a_history_written_anew_with_the_checkpoints_removed(folder: Path, log: Any) -> None:
    head = records(folder)[3]["hash"]
    write(folder, rewritten(lines(folder)[1:]))
    (folder / "checkpoints.jsonl").unlink()
    assert "no checkpoint" in told(folder, log)
    assert "record 4 is not the one that was expected" in told(folder, log, expect=(4, head))


def test_an_end_written_anew_is_not_signed_yet(folder: Path, log: Any) -> None:
    report = verify(folder, log)
    assert len(report.notes) == 1
    assert report.notes[0].startswith("records 9 to 12 are not signed yet")


def _checkpoints(folder: Path) -> Any:
    return (folder / "checkpoints.jsonl").read_bytes().splitlines(keepends=True)


def _write_checkpoints(folder: Path, changed: Any) -> None:
    (folder / "checkpoints.jsonl").write_bytes(b"".join(changed))


def test_every_byte_of_a_checkpoint_counts(folder: Path, log: Any) -> None:
    whole = _checkpoints(folder)
    chance = random.Random(2)
    for place in range(len(whole[0])):
        line = bytearray(whole[0])
        line[place] ^= 1 << chance.randrange(8)
        _write_checkpoints(folder, [bytes(line), whole[1]])
        report = verify(folder, log)
        # The last bits of a signature's last character carry nothing; the chain tells even so.
        assert not report.ok, place


def test_a_removed_checkpoint(folder: Path, log: Any) -> None:
    _write_checkpoints(folder, _checkpoints(folder)[1:])
    assert "a checkpoint is missing before that of record 8" in told(folder, log)


def test_checkpoints_in_another_order(folder: Path, log: Any) -> None:
    _write_checkpoints(folder, reversed(_checkpoints(folder)))
    assert "is out of order" in told(folder, log)


def test_a_checkpoint_signed_by_another_key(
    folder: Path, log: Any, clock: Any, tmp_path: Path, signer: Any
) -> None:
    other = Audit(tmp_path / "other", clock, AuditKeys(Key.generate("EC", curve="P-256")))
    for number in range(1, COUNT + 1):
        record(other, object_id=f"https://dev/secrets/x{number}")
        if number in SIGNED:
            other.checkpoint()
    # A whole other log in the place of ours is valid in itself, but not signed by this vault.
    report = verify(tmp_path / "other", other.public_key())
    assert report.ok
    assert "the checkpoint of record 4 has no valid signature" in told(tmp_path / "other", log)


def test_a_signature_made_for_something_else_is_none(folder: Path, log: Any, signer: Any) -> None:
    first, second = _checkpoints(folder)
    signed = second.rpartition(b',"signature":')[0]
    digest = hashlib.sha256(signed).digest()
    forged = urlsafe_b64encode(signer.sign("ES256", digest)).rstrip(b"=")
    _write_checkpoints(folder, [first, signed + b',"signature":"' + forged + b'"}\n'])
    assert "the checkpoint of record 8 has no valid signature" in told(folder, log)


@pytest.mark.parametrize("text", [b"", b"A", b"AAAA", b"A" * 86, b"A" * 5000])
def test_what_is_no_signature_is_none(folder: Path, log: Any, text: Any) -> None:
    first, second = _checkpoints(folder)
    signed = second.rpartition(b',"signature":')[0]
    _write_checkpoints(folder, [first, signed + b',"signature":"' + text + b'"}\n'])
    assert not verify(folder, log).ok


def test_the_key_decides_the_algorithm(folder: Path, log: Any) -> None:
    first, second = _checkpoints(folder)
    changed = second.replace(b'"algorithm":"ES256"', b'"algorithm":"EdDSA"')
    _write_checkpoints(folder, [first, changed])
    assert not verify(folder, log).ok


def test_a_witness_that_fits(folder: Path, log: Any) -> None:
    report = verify(folder, log)
    assert verify(folder, log, expect=(report.last, report.head.upper())).ok
    assert verify(folder, log, expect=(1, records(folder)[0]["hash"])).ok


# Segments.


@pytest.fixture
def segmented(folder: Path) -> Any:
    log = AuditLog(str(folder), segment_size=3000)
    for _ in range(15):
        append(log)
    assert verify(folder).ok
    return sorted(folder.glob("audit-*.jsonl"))


def test_a_removed_segment(folder: Path, segmented: Any) -> None:
    segmented[1].unlink()
    assert "missing before record" in told(folder, None)


def test_a_removed_first_segment(folder: Path, segmented: Any) -> None:
    segmented[0].unlink()
    assert re.search(r"missing before record \d+: 1 to", told(folder, None))


def test_a_renamed_segment(folder: Path, segmented: Any) -> None:
    segmented[0].rename(folder / f"audit-{10**19:020}.jsonl")
    assert not verify(folder).ok


def test_a_segment_cut_at_its_end(folder: Path, segmented: Any) -> None:
    whole = segmented[0].read_bytes().splitlines(keepends=True)
    segmented[0].write_bytes(b"".join(whole[:-1]))
    assert "does not end with the record it is named by" in told(folder, None)


def test_a_segment_torn_at_its_end(folder: Path, segmented: Any) -> None:
    segmented[0].write_bytes(segmented[0].read_bytes()[:-5])
    assert "a line has no end" in told(folder, None)


def test_a_segment_with_more_behind_its_end(folder: Path, segmented: Any) -> None:
    whole = segmented[0].read_bytes()
    segmented[0].write_bytes(whole + whole.splitlines(keepends=True)[0])
    assert "after the record that closes a segment" in told(folder, None)


def test_a_current_segment_that_is_gone(
    folder: Path, segmented: Any, signer: Any, clock: Any
) -> None:
    audit = Audit(folder, clock, AuditKeys(signer))
    record(audit)
    audit.close()
    (folder / "audit.jsonl").unlink()
    assert "was signed, but the log ends before it" in told(folder, audit.public_key())


def test_a_repaired_end_that_is_gone_or_changed(folder: Path) -> None:
    append(AuditLog(str(folder)))
    with (folder / "audit.jsonl").open("ab") as file:
        file.write(b"torn")
    append(AuditLog(str(folder)))
    kept = next(folder.glob("torn-*.bin"))
    kept.write_bytes(b"other")
    assert "was removed or changed" in told(folder, None)
    kept.unlink()
    assert "was removed or changed" in told(folder, None)


def test_signed_records_cannot_be_passed_off_as_torn(
    folder: Path, log: Any, clock: Any, signer: Any
) -> None:
    """Whoever makes signed records unreadable, and has them moved aside, is found out."""
    whole = lines(folder)
    write(folder, [*whole[:6], b"x\n", b"y\n"])
    append(AuditLog(str(folder)))
    for _ in range(5):
        append(AuditLog(str(folder)))
    assert "record 8 is not the one that was signed" in told(folder, log)


def test_no_log_at_all(tmp_path: Path) -> None:
    assert told(tmp_path, None) == "there is no log"


def test_members_may_not_be_repeated(folder: Path) -> None:
    append(AuditLog(str(folder)))
    changed = [line.replace(b'{"time"', b'{"category":"x","time"') for line in lines(folder)]
    write(folder, rewritten(changed))
    assert "is not the JSON that records are" in told(folder, None)


def test_a_thousand_problems_are_a_hundred(folder: Path) -> None:
    folder.mkdir()
    (folder / "audit.jsonl").write_bytes(b"x\n" * 1000)
    assert len(verify(folder).problems) == 100


@pytest.mark.parametrize(
    "jwk", [{}, {"kty": "RSA"}, {"kty": "EC", "crv": "P-384"}, {"kty": "oct", "k": "AAAA"}]
)
def test_only_keys_that_verify_are_taken(folder: Path, log: Any, jwk: Any) -> None:
    with pytest.raises(ValueError, match="P-256 or Ed25519"):
        verify(folder, jwk)


def test_the_verifier_shares_no_code_with_the_writer() -> None:
    """It agrees with the documented format, not with whatever the writer does."""
    import vaultcore.audit.verifier as module

    names = {getattr(value, "__module__", "") for value in vars(module).values()}
    assert not any(name.startswith("vaultcore") for name in names - {module.__name__})


def test_the_documented_example_verifies(folder: Path) -> None:
    """The line of the documentation is a record, and the first of a log."""
    line = b'{"time":"2023-11-14T22:13:20.500000Z","sequence":1,"previous":"' + b"0" * 64 + b'"'
    digest = hashlib.sha256(b"vaultcore audit record 1\n" + line).hexdigest()
    folder.mkdir()
    (folder / "audit.jsonl").write_bytes(line + b',"hash":"' + digest.encode() + b'"}\n')
    assert AuditLog(str(folder)).position()[:2] == (1, digest)
    # It lacks the members of a record, which the verifier misses.
    assert "is not the JSON" in told(folder, None)


def test_signatures_are_as_the_standard_says(folder: Path, log: Any) -> None:
    """A checkpoint verified with nothing but the documentation at hand (RFC 7518 section 3.4)."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
    from cryptography.hazmat.primitives.hashes import SHA256

    line = _checkpoints(folder)[0]
    members = json.loads(line)
    raw = urlsafe_b64decode(members["signature"] + "==")
    signature = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
    x, y = (int.from_bytes(urlsafe_b64decode(log[name] + "==")) for name in "xy")
    key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    message = b"vaultcore audit checkpoint 1\n" + line.rpartition(b',"signature":')[0]
    key.verify(signature, message, ec.ECDSA(SHA256()))
    assert members["hash"] == records(folder)[members["sequence"] - 1]["hash"]
