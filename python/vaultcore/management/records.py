"""Operations on the audit log: query it, follow it, verify it."""

import base64
import binascii
import re
from typing import Any, Final

import msgspec

from vaultcore._core import Context
from vaultcore.audit.query import query_records
from vaultcore.audit.verifier import verify
from vaultcore.engine.audit_rotation import rotate_audit_keys
from vaultcore.engine.auditing import FOLDER
from vaultcore.errors import AuditError, BadParameterError, DecryptionError, TamperedError
from vaultcore.management.operation import Operator, operation

#: How long one record covers all polls of a caller who follows the log, in seconds.
TAIL_SECONDS: Final = 3600
_CURSOR: Final = Context({"purpose": "audit-tail"})
#: How many records the first read of the log takes; each further one takes twice as many.
_LOOK: Final = 1000
#: Not `isdigit`: a superscript is a digit too, but not a number; and the length is limited.
_SEQUENCE: Final = re.compile(r"[0-9]{1,18}")


class _Cursor(msgspec.Struct, frozen=True):
    """How far a caller has followed the log; sealed, so that nobody continues without a record.

    Attributes:
        principal: the object id of the caller.
        recorded: when that was recorded last, in Unix seconds.
        seen: the number of the last record that was read.
        vault: the filter, as of :meth:`Records.audit_query`.
        operation: the same.
        by: the same.
        status: the same.
    """

    principal: str
    recorded: int
    seen: int
    vault: str | None
    operation: str | None
    by: str | None
    status: int | None


class Records(Operator):
    """The audit log."""

    @operation("audit.query", "AuditQuery")
    def audit_query(
        self,
        *,
        vault: str | None = None,
        operation: str | None = None,
        principal: str | None = None,
        status: int | None = None,
        since: str | None = None,
        until: str | None = None,
        limit: int = 100,
    ) -> list[dict[str, Any]]:
        """Returns the newest records that match, oldest first."""
        return list(
            query_records(
                self._engine.data / FOLDER,
                vault=vault,
                operation=operation,
                principal=principal,
                status=status,
                since=since,
                until=until,
                limit=limit,
            )
        )

    @operation("audit.tail", "AuditTail")
    def audit_tail(
        self,
        *,
        vault: str | None = None,
        operation: str | None = None,
        principal: str | None = None,
        status: int | None = None,
        lines: int = 10,
    ) -> dict[str, Any]:
        """Begins to follow the log: the newest matching records, and a cursor to continue from."""
        cursor = _Cursor(
            principal=self._principal.object_id,
            recorded=int(self._engine.clock.now()),
            seen=self._newest(),
            vault=vault,
            operation=operation,
            by=principal,
            status=status,
        )
        found = self._matching(cursor, lines)
        return self._followed([r for r in found if r["sequence"] <= cursor.seen], cursor)

    @operation("audit.follow", "AuditTail", quiet=lambda self, given: self._is_followed(given))
    def audit_follow(self, *, cursor: str) -> dict[str, Any]:
        """Returns what was recorded since, and the cursor for the next poll.

        All polls within an hour count as one act, and one record covers them.
        """
        before = self._opened(cursor)
        seen = max(self._newest(), before.seen)
        found: list[dict[str, Any]] = []
        limit = _LOOK
        while seen > before.seen:
            found = self._matching(before, limit)
            if len(found) < limit or found[0]["sequence"] <= before.seen:
                break
            limit *= 2
        fresh = [record for record in found if before.seen < record["sequence"] <= seen]
        recorded = before.recorded if self._stands(before) else int(self._engine.clock.now())
        return self._followed(fresh, msgspec.structs.replace(before, seen=seen, recorded=recorded))

    @operation("audit.verify", "AuditVerify")
    def audit_verify(self, *, expect: str | None = None) -> dict[str, Any]:
        """Verifies the audit log from its first record to its last."""
        engine = self._engine
        anchor = None
        if expect is not None:
            sequence, _, head = expect.partition(":")
            if not (_SEQUENCE.fullmatch(sequence) and head):
                raise BadParameterError("expect is `SEQUENCE:HASH`, as an earlier verify printed")
            anchor = (int(sequence), head)
        problem = ""
        try:
            engine.audit.checkpoint()
            engine.audit.compare(engine.store)
        except (AuditError, TamperedError) as error:
            problem = str(error)
        report = verify(
            engine.data / FOLDER,
            public_key=engine.audit.public_key(),
            expect=anchor,
            retired=engine.audit.retired_keys(),
            made=engine.audit.made,
        )
        if problem:
            report.problem(report.last, problem)
        return msgspec.to_builtins(report)  # type: ignore[no-any-return]

    @operation("audit.rotate_keys", "AuditKeyRotate", local=True)
    def audit_rotate_keys(self) -> dict[str, Any]:
        """Gives the log new keys; the old ones still verify what they signed."""
        return {**rotate_audit_keys(self._engine)}

    def _newest(self) -> int:
        newest = query_records(self._engine.data / FOLDER, limit=1)
        return int(newest[0]["sequence"]) if newest else 0

    def _matching(self, cursor: _Cursor, limit: int) -> list[dict[str, Any]]:
        return query_records(
            self._engine.data / FOLDER,
            vault=cursor.vault,
            operation=cursor.operation,
            principal=cursor.by,
            status=cursor.status,
            limit=limit,
        )

    def _followed(self, records: list[dict[str, Any]], cursor: _Cursor) -> dict[str, Any]:
        sealed = self._engine.key_ring.system.seal(msgspec.json.encode(cursor), context=_CURSOR)
        return {"records": records, "cursor": base64.urlsafe_b64encode(sealed).decode()}

    def _opened(self, cursor: str) -> _Cursor:
        try:
            sealed = base64.urlsafe_b64decode(cursor.encode())
            text = self._engine.key_ring.system.open(sealed, context=_CURSOR)
            found = msgspec.json.decode(text, type=_Cursor)
        except (DecryptionError, binascii.Error, UnicodeEncodeError, msgspec.DecodeError):
            found = None
        if found is None or found.principal != self._principal.object_id:
            raise BadParameterError("the cursor is not one of yours: begin with audit.tail")
        return found

    def _stands(self, cursor: _Cursor) -> bool:
        return 0 <= self._engine.clock.now() - cursor.recorded < TAIL_SECONDS

    def _is_followed(self, arguments: dict[str, Any]) -> bool:
        return self._stands(self._opened(arguments["cursor"]))
