"""The offline verifier of the audit log. It does not trust the code that wrote the log.

It shares no code with the writer: SHA-256 from the standard library, signatures by
``cryptography``, and the format as ``docs/audit.md`` describes it. It cannot know whether the end
was cut off or rewritten together with the checkpoints: for that, note number and hash of a record
elsewhere, and pass them as ``expect``.
"""

import contextlib
import hashlib
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from cryptography.hazmat.primitives.hashes import SHA256

_RECORD_LABEL: Final = b"vaultcore audit record 1\n"
_CHECKPOINT_LABEL: Final = b"vaultcore audit checkpoint 1\n"
_RECORD: Final = re.compile(
    rb'(\{[ -~]*,"sequence":([1-9][0-9]{0,18}),"previous":"([0-9a-f]{64})")'
    rb',"hash":"([0-9a-f]{64})"(?:,"mac":"([0-9a-f]{32})")?\}'
)
_CHECKPOINT: Final = re.compile(
    rb'(\{"sequence":([1-9][0-9]{0,18}),"hash":"([0-9a-f]{64})","time":"[ !#-\[\]-~]*",'
    rb'(?:"end":(?:[0-9]{1,18}|null),"revision":[0-9]{1,18},)?'
    rb'"previous":"([0-9a-f]{64})","keyId":"[ !#-\[\]-~]*","algorithm":"(ES256|EdDSA)")'
    rb',"signature":"([0-9A-Za-z_-]+)"\}'
)
_SEGMENT: Final = re.compile(r"audit-([0-9]{20})\.jsonl")
_NOTHING: Final = b"0" * 64
_MAX_LINE: Final = 64 * 1024
_MAX_PROBLEMS: Final = 100


@dataclass(frozen=True)
class Problem:
    """Something that would not be there if nobody had changed the log.

    Attributes:
        sequence: the record that it concerns, or the one before; 0 at the beginning.
        what: what is wrong.
    """

    sequence: int
    what: str


@dataclass
class Report:
    """What the verifier found.

    Attributes:
        ok: whether the log is unchanged, as far as can be known.
        records: how many records were read.
        last: the number of the last record.
        head: its hash. Note ``last:head`` elsewhere and expect it the next time.
        checkpoints: how many checkpoints were read.
        signed: the last record that a checkpoint covers; the chain alone protects later ones.
        key_id: the thumbprint of the current signing key.
        repairs: how many invalid ends were moved aside, for example after a loss of power.
        problems: what is wrong; the first hundred.
        notes: what is not wrong, but useful to know.
    """

    ok: bool = True
    records: int = 0
    last: int = 0
    head: str = _NOTHING.decode()
    checkpoints: int = 0
    signed: int = 0
    key_id: str = ""
    repairs: int = 0
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def problem(self, sequence: int, what: str) -> None:
        """Notes something that is wrong."""
        self.ok = False
        if len(self.problems) < _MAX_PROBLEMS:
            self.problems.append(Problem(sequence, what))


def verify(
    directory: Path,
    public_key: Mapping[str, Any] | None = None,
    expect: tuple[int, str] | None = None,
    *,
    retired: Sequence[tuple[Mapping[str, Any], int]] = (),
    made: Callable[[int, str, str | None], bool] | None = None,
) -> Report:
    """Verifies the log in a folder from its first record to its last.

    Args:
        directory: the folder.
        public_key: the JWK that verifies checkpoints; without it only the chain is verified.
        expect: number and hash of a record, noted earlier, that must still be there.
        retired: the JWKs that verify older checkpoints, each with the last record it may sign.
        made: returns whether the installation made the MAC of a record (number, hash, MAC); it
            needs the keys of the installation, and without it MACs are not checked.

    Raises:
        OSError: A file cannot be read.
        ValueError: The key is not a public key on P-256 or Ed25519.
    """
    report = Report()
    check = None
    if public_key is not None:
        report.key_id = _thumbprint(public_key)
        check = _check_of_all(_signature_check(public_key), retired)
    witnesses = _Witnesses(report, _checkpoints(directory, report, check))
    chain = _Chain(directory, report, witnesses, expect, made)
    chain.follow()
    witnesses.finish()
    chain.finish()
    if check is not None and report.records and not report.checkpoints:
        report.problem(0, "there are records, but no checkpoint: they were removed, or never made")
    if check is None:
        report.notes.append("no public key: checkpoints were compared, but not verified")
    if check is not None and report.last > report.signed:
        report.notes.append(
            f"records {report.signed + 1} to {report.last} are not signed yet: anyone with write "
            "access to the files could have rewritten them"
        )
    return report


class _Chain:
    """Follows the records through all segments."""

    def __init__(
        self,
        directory: Path,
        report: Report,
        witnesses: "_Witnesses",
        expect: tuple[int, str] | None,
        made: Callable[[int, str, str | None], bool] | None,
    ) -> None:
        self._directory = directory
        self._expect = expect
        self._head = _NOTHING
        self._report = report
        self._sequence = 0
        self._witnesses = witnesses
        self._kept: dict[str, str] = {}
        self._made = made
        self._before: tuple[int, str] | None = None
        self._expired: dict[tuple[int, str], int] = {}

    def follow(self) -> None:
        segments = _segments(self._directory)
        current = self._directory / "audit.jsonl"
        for path in self._directory.iterdir():
            # Opening a pipe would block.
            if path.suffix == ".jsonl" and not path.is_file():
                self._problem(f"{path.name} is not a regular file")
        ended = False
        for segment in segments:
            ended = self._segment(segment, closed=True)
            name = _SEGMENT.fullmatch(segment.name)
            if not ended or name is None or int(name[1]) != self._sequence:
                self._problem(f"segment {segment.name} does not end with the record it is named by")
        if current.is_file():
            if self._segment(current, closed=False):
                self._note_unfinished("still has the name of the current one")
        elif not segments:
            self._problem("there is no log")
        elif ended:
            self._note_unfinished("has no next one yet")

    def _note_unfinished(self, what: str) -> None:
        self._report.notes.append(
            f"the segment that ends with record {self._sequence} {what}, as a crash or a failing "
            "disk leaves it; the next record finishes that"
        )

    def finish(self) -> None:
        self._report.last = self._sequence
        self._report.head = self._head.decode()
        if self._before is not None:
            last = self._before[0]
            told = self._expired.get(self._before)
            if told is not None and told <= self._report.signed:
                self._report.notes.append(f"records up to {last} have expired and were removed")
            else:
                # Such a record is signed before anything is removed; an unsigned one can be forged.
                self._report.problem(last, f"missing before record {last + 1}: 1 to {last}")
        if self._expect is not None:
            self._problem(f"record {self._expect[0]}, which was expected, is not there")
        for name, digest in self._kept.items():
            path = self._directory / name
            if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
                self._problem(f"the torn end kept in {name} was removed or changed")

    def _segment(self, path: Path, *, closed: bool) -> bool:
        """Follows one segment; returns whether it ended with a closing record."""
        ended = False
        with path.open("rb") as file:
            while line := file.readline(_MAX_LINE + 1):
                if ended:
                    self._problem("there is something after the record that closes a segment")
                if not line.endswith(b"\n"):
                    self._unfinished(line, closed=closed)
                    if len(line) <= _MAX_LINE:
                        break
                ended = self._record(line[:-1]) or ended
        return ended

    def _unfinished(self, line: bytes, *, closed: bool) -> None:
        if closed or len(line) > _MAX_LINE:
            self._problem("a line has no end")
            return
        self._report.notes.append(
            f"{len(line)} bytes after record {self._sequence} are an unfinished record, as a "
            "killed process leaves it; the next record moves them aside"
        )

    def _record(self, line: bytes) -> bool:
        """Checks one line; returns whether it closes its segment."""
        parts = _RECORD.fullmatch(line)
        if parts is None:
            self._problem(f"what follows record {self._sequence} is not a record")
            return False
        self._report.records += 1
        covered, number, previous, claimed, mac = parts.groups()
        sequence = int(number)
        actual = hashlib.sha256(_RECORD_LABEL + covered).hexdigest().encode()
        if actual != claimed:
            self._report.problem(sequence, f"record {sequence} was changed: its hash does not fit")
        self._place(sequence, previous)
        if self._made is not None and not self._made(
            sequence, actual.decode(), None if mac is None else mac.decode()
        ):
            self._report.problem(sequence, f"record {sequence} was not made by this vault")
        # A gap is reported once: from here on, the chain is followed as the log claims it.
        self._sequence, self._head = sequence, claimed
        self._witnesses.see(sequence, actual.decode())
        if self._expect is not None and sequence == self._expect[0]:
            if actual.decode() != self._expect[1].lower():
                self._problem(f"record {sequence} is not the one that was expected")
            self._expect = None
        return self._members(line, sequence)

    def _place(self, sequence: int, previous: bytes) -> None:
        if self._sequence == 0 and sequence > 1:
            # The records before may have expired; the log itself must say so.
            self._before = (sequence - 1, previous.decode())
            self._witnesses.skip(sequence)
            return
        expected = self._sequence + 1
        if sequence > expected:
            missing = f"{expected}" if sequence == expected + 1 else f"{expected} to {sequence - 1}"
            self._problem(f"missing before record {sequence}: {missing}")
        elif sequence < expected:
            self._problem(f"record {sequence} comes after record {self._sequence}")
        elif previous != self._head:
            self._report.problem(
                sequence, f"record {sequence} does not continue the record before it"
            )

    def _members(self, line: bytes, sequence: int) -> bool:
        try:
            record = json.loads(line, object_pairs_hook=_no_repeats)
            operation = record["operationName"]
            if operation == "AuditLogRepaired":
                self._report.repairs += 1
                properties = record["properties"]
                self._kept[Path(properties["keptIn"]).name] = properties["sha256"]
            elif operation == "AuditSegmentExpired":
                properties = record["properties"]
                gone = (properties["lastSequence"], properties["lastHash"])
                self._expired.setdefault(gone, sequence)
        except (ValueError, KeyError, TypeError):
            self._report.problem(sequence, f"record {sequence} is not the JSON that records are")
            return False
        return bool(operation == "AuditLogRotated")

    def _problem(self, what: str) -> None:
        self._report.problem(self._sequence, what)


class _Witnesses:
    """Compares checkpoints with the records as they are read."""

    def __init__(self, report: Report, checkpoints: Iterator[tuple[int, str]]) -> None:
        self._report = report
        self._checkpoints = checkpoints
        self._next = next(checkpoints, None)

    def see(self, sequence: int, digest: str) -> None:
        while self._next is not None and self._next[0] <= sequence:
            signed, expected = self._next
            if signed < sequence:
                self._report.problem(signed, f"record {signed} was signed, but is not there")
            elif expected != digest:
                self._report.problem(signed, f"record {signed} is not the one that was signed")
            else:
                self._report.signed = signed
            self._next = next(self._checkpoints, None)

    def skip(self, sequence: int) -> None:
        """Skips the checkpoints of records that come before."""
        while self._next is not None and self._next[0] < sequence:
            self._next = next(self._checkpoints, None)

    def finish(self) -> None:
        while self._next is not None:
            self._report.problem(
                self._next[0], f"record {self._next[0]} was signed, but the log ends before it"
            )
            self._next = next(self._checkpoints, None)


def _checkpoints(
    directory: Path, report: Report, check: "_Check | None"
) -> Iterator[tuple[int, str]]:
    """Yields number and hash of each valid checkpoint, in order."""
    path = directory / "checkpoints.jsonl"
    if not path.is_file():
        return
    link: str | None = _NOTHING.decode() if _begins(directory) else None
    last = 0
    with path.open("rb") as file:
        while line := file.readline(_MAX_LINE):
            if not line.endswith(b"\n"):
                report.notes.append("the last checkpoint is unfinished and was left out")
                return
            parts = _CHECKPOINT.fullmatch(line[:-1])
            if parts is None:
                report.problem(
                    last, f"what follows the checkpoint of record {last} is not a checkpoint"
                )
                continue
            report.checkpoints += 1
            signed, number, digest, previous, algorithm, signature = parts.groups()
            sequence = int(number)
            if check is not None and not check(
                sequence, _CHECKPOINT_LABEL + signed, algorithm, signature
            ):
                report.problem(
                    sequence, f"the checkpoint of record {sequence} has no valid signature"
                )
                continue
            if link is not None and previous.decode() != link:
                report.problem(
                    sequence, f"a checkpoint is missing before that of record {sequence}"
                )
            link = hashlib.sha256(line[:-1]).hexdigest()
            if sequence <= last:
                report.problem(sequence, f"the checkpoint of record {sequence} is out of order")
                continue
            last = sequence
            yield sequence, digest.decode()


def _segments(directory: Path) -> list[Path]:
    """Returns the closed segments in order."""
    found = (path for path in directory.iterdir() if _SEGMENT.fullmatch(path.name))
    return sorted(path for path in found if path.is_file())


def _begins(directory: Path) -> bool:
    """Returns whether the log contains its first record, so that its checkpoints begin there."""
    current = directory / "audit.jsonl"
    first = next(iter([*_segments(directory), current]))
    if not first.is_file():
        return True
    with contextlib.suppress(FileNotFoundError), first.open("rb") as file:
        parts = _RECORD.fullmatch(file.readline(_MAX_LINE).removesuffix(b"\n"))
        return parts is None or int(parts[2]) == 1
    return True


_Check = Callable[[int, bytes, bytes, bytes], bool]


def _check_of_all(current: "_Check", retired: Sequence[tuple[Mapping[str, Any], int]]) -> _Check:
    """Returns the check of signatures that uses each key for the records of its time."""
    older = [(_signature_check(jwk), until) for jwk, until in retired]

    def check(sequence: int, message: bytes, algorithm: bytes, signature: bytes) -> bool:
        return current(sequence, message, algorithm, signature) or any(
            sequence <= until and earlier(sequence, message, algorithm, signature)
            for earlier, until in older
        )

    return check


def _thumbprint(jwk: Mapping[str, Any]) -> str:
    """Returns the thumbprint of a key (RFC 7638)."""
    members = {name: jwk[name] for name in ("crv", "kty", "x", "y") if name in jwk}
    canonical = json.dumps(members, separators=(",", ":"), sort_keys=True).encode()
    return urlsafe_b64encode(hashlib.sha256(canonical).digest()).rstrip(b"=").decode()


def _signature_check(jwk: Mapping[str, Any]) -> _Check:
    """Returns the check of a signature. The key determines the algorithm, not the checkpoint."""
    match jwk.get("kty"), jwk.get("crv"):
        case "EC", "P-256":
            x, y = (int.from_bytes(_decode(jwk[name])) for name in ("x", "y"))
            point = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()

            def es256(_: int, message: bytes, algorithm: bytes, signature: bytes) -> bool:
                raw = _decode_signature(signature)
                if algorithm != b"ES256" or len(raw) != 64:  # noqa: PLR2004 - r and s
                    return False
                der = utils.encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
                return _verifies(lambda: point.verify(der, message, ec.ECDSA(SHA256())))

            return es256
        case "OKP", "Ed25519":
            key = ed25519.Ed25519PublicKey.from_public_bytes(_decode(jwk["x"]))

            def eddsa(_: int, message: bytes, algorithm: bytes, signature: bytes) -> bool:
                raw = _decode_signature(signature)
                return algorithm == b"EdDSA" and _verifies(lambda: key.verify(raw, message))

            return eddsa
        case _:
            raise ValueError("checkpoints are verified by a public key on P-256 or Ed25519")


def _verifies(attempt: Callable[[], None]) -> bool:
    with contextlib.suppress(InvalidSignature):
        attempt()
        return True
    return False


def _decode_signature(signature: bytes) -> bytes:
    with contextlib.suppress(ValueError):
        return _decode(signature.decode())
    return b""


def _decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a repeated member")
    return dict(pairs)
