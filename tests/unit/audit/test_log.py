"""The log as the rest of the package uses it: checkpoints, and the keys that sign them."""

from pathlib import Path
from typing import Any

import pytest

from unit.audit.entries import lines, record
from vaultcore._core import Key
from vaultcore.audit.log import Audit, AuditKeys
from vaultcore.audit.verifier import verify
from vaultcore.errors import AuditError, UsageError


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
