"""``vaultcore audit``: what happened, and whether the record of it was changed."""

import json
import sys
import time
from typing import Annotated, Any, Final

import typer

from vaultcore.cli.outcome import CHANGED
from vaultcore.cli.output import date_text, print_json, print_line, print_record, printable
from vaultcore.cli.session import Data, Json, PassphraseFile, Session, command, new_group, plain
from vaultcore.cli.words import read_date

group = new_group("The audit log: query it, follow it, verify it.")

Vault = Annotated[str | None, typer.Option("--vault-name", "--vault", help="Only this vault.")]
Operation = Annotated[
    str | None, typer.Option("--operation", help="Only this operation, for example SecretGet.")
]
Principal = Annotated[
    str | None, typer.Option("--principal", help="Only this application or object id.")
]
Status = Annotated[int | None, typer.Option("--status", help="Only this HTTP status.")]

_COLUMNS: Final = {
    "#": "sequence",
    "time": "time",
    "operation": "operationName",
    "status": "httpStatusCode",
    "caller": "caller",
    "address": "callerIpAddress",
    "request": "request",
    "result": "resultDescription",
}
#: The claims that identify the caller, the most readable first.
_CALLER: Final = (
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn",
    "http://schemas.microsoft.com/identity/claims/objectidentifier",
)


@command(group, "query")
def query(
    session: Session,
    *,
    vault: Vault = None,
    operation: Operation = None,
    principal: Principal = None,
    status: Status = None,
    since: Annotated[
        str | None, typer.Option("--since", help="From this time on: 2030-01-31T12:00:00Z (UTC).")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", help="Up to this time: 2030-01-31T12:00:00Z (UTC).")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, help="At most this many, the newest.")
    ] = 100,
) -> None:
    """Shows records, oldest first."""
    records = session.manage(
        "audit.query",
        vault=vault,
        operation=operation,
        principal=principal,
        status=status,
        since=None if since is None else date_text(read_date(since)),
        until=None if until is None else date_text(read_date(until)),
        limit=limit,
    )
    session.records(records if session.json else [_shown(one) for one in records], _COLUMNS)


@command(group, "tail")
def tail(
    session: Session,
    *,
    vault: Vault = None,
    operation: Operation = None,
    principal: Principal = None,
    status: Status = None,
    lines: Annotated[
        int, typer.Option("--lines", min=0, help="How many existing records to show first.")
    ] = 10,
    interval: Annotated[
        float,
        typer.Option("--interval", min=0.1, help="Seconds between two checks for new records."),
    ] = 1.0,
) -> None:
    """Shows records as they are written, until interrupted. With --json, one record per line."""
    answer = session.manage(
        "audit.tail",
        vault=vault,
        operation=operation,
        principal=principal,
        status=status,
        lines=lines,
    )
    while True:
        for record in answer["records"]:
            print_line(json.dumps(record) if session.json else _line(record))
        sys.stdout.flush()
        time.sleep(interval)
        answer = session.manage("audit.follow", cursor=answer["cursor"])


@command(group, "verify")
def verify(
    session: Session,
    *,
    expect: Annotated[
        str | None,
        typer.Option(
            "--expect",
            help="SEQUENCE:HASH that you noted elsewhere: finds a log that was cut or rewritten.",
        ),
    ] = None,
) -> None:
    """Verifies every record and checkpoint. The exit status is 0 only for an unchanged log.

    It is 7 if the log was changed, and 1 if the folder does not open because the log and the
    database are from different times.
    """
    answer = session.manage("audit.verify", expect=expect)
    session.record({**answer, "expect": f"{answer['last']}:{answer['head']}"})
    if answer["ok"] is not True:
        raise typer.Exit(CHANGED)


@command(group, "rotate-keys")
def rotate_keys(session: Session) -> None:
    """Gives the log new keys. The old ones still verify what they signed.

    The record of the rotation names both, and `verify` names the current one.
    """
    session.record(session.manage("audit.rotate_keys"))


@plain(group, "reconcile")
def reconcile(
    *, data: Data = None, passphrase_file: PassphraseFile = None, json: Json = False
) -> None:
    """Lets a folder open again after its log and database were restored to different times.

    A folder does not open if its log was removed or is older than its database, or if its database
    is older than its log. Find out why first. Then this command records what it finds, moves aside
    a log that cannot be continued, and lets the folder open again. Stop the service first.
    """
    from vaultcore.cli.local import DEFAULT_DATA, read_passphrase  # noqa: PLC0415
    from vaultcore.engine.reconciling import reconcile_folder  # noqa: PLC0415

    found = reconcile_folder(data or DEFAULT_DATA, passphrase=read_passphrase(passphrase_file))
    if json:
        print_json(found)
    else:
        print_record(found)


def _shown(record: dict[str, Any]) -> dict[str, Any]:
    """Returns a record with what people ask for first: the caller, and what was requested."""
    properties = record.get("properties")
    properties = properties if isinstance(properties, dict) else {}
    identity = record.get("identity")
    claims = identity.get("claim") if isinstance(identity, dict) else None
    claims = claims if isinstance(claims, dict) else {}
    return {
        **record,
        "caller": next((claims[name] for name in _CALLER if claims.get(name)), ""),
        "request": properties.get("requestUri") or properties.get("id") or "",
    }


def _line(record: dict[str, Any]) -> str:
    shown = _shown(record)
    members = ("time", "httpStatusCode", "operationName", "caller", "callerIpAddress", "request")
    return printable("  ".join(str(shown.get(member, "")) for member in members))
