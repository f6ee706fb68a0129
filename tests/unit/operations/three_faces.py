"""One operation, asked for through each face on a folder of its own."""

import asyncio
import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qsl

import pytest

import vaultcore
from unit.operations.asking import KEK, METHODS, NAMED, ROUTES, Ask, body_of
from unit.operations.one_form import comparable, in_one_form, lines, state_of, without_new
from vaultcore._core import Principal
from vaultcore.cli.local import LocalConnection
from vaultcore.clock import ManualClock
from vaultcore.errors import VaultcoreError, as_refusal
from vaultcore.library.engine import LibraryEngine
from vaultcore.service.app import build_application

API_VERSION = "2026-04-01"
DOMAIN = "vault.localhost"
ADDRESS = "192.0.2.1"
HTTPS, LIBRARY, COMMAND_LINE = "HTTPS", "library", "command line"
FACES = (HTTPS, LIBRARY, COMMAND_LINE)


class Fault(Protocol):
    """Makes something of an opened engine fail."""

    def __call__(self, patch: pytest.MonkeyPatch, engine: LibraryEngine, verb: str) -> object: ...


class Scenario(NamedTuple):
    """Who asks for what, and what has to come of it.

    Attributes:
        ask: what is asked for.
        status: of the answer.
        inner: the inner code of the refusal.
        stranger: whether the caller has no permission.
        vault: the vault.
        address: where the caller comes from; None for the command line, which has none.
        fault: what fails.
        faces: which faces there are for it.
        unread: whether HTTPS does not read who the caller is, which others know.
        request: method, path and query of a request, instead of what is asked for.
        shows: members that the answer has to show.
        record: members that the last record has to have, or with None must not have.
    """

    ask: Ask
    status: int = 200
    inner: str | None = None
    stranger: bool = False
    vault: str = "dev"
    address: str | None = None
    fault: Fault | None = None
    faces: tuple[str, ...] = FACES
    unread: bool = False
    request: tuple[str, str, str] | None = None
    shows: Mapping[str, Any] = MappingProxyType({})
    record: Mapping[str, Any] = MappingProxyType({})


class Outcome(NamedTuple):
    """What came of a scenario.

    Attributes:
        status: of the answer.
        shown: what the caller was shown.
        records: what was recorded.
        state: what is stored in the vault.
        in_token: how many objects the token holds.
    """

    status: int
    shown: Any
    records: list[dict[str, Any]]
    state: list[Any]
    in_token: int


class HttpsError(Exception):
    """A refusal as it came over the wire."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(status)
        self.status = status
        self.error = json.loads(body)["error"]


def ask_https(engine: LibraryEngine, who: Principal | str, scenario: Scenario) -> Any:
    """Asks the ASGI application, without a network; a list is read to its end.

    Args:
        engine: what is behind it.
        who: who asks, or the token that says so.
        scenario: what is asked for.
    """
    front = build_application(engine)
    bearer = who if isinstance(who, str) else secrets.token_urlsafe(32)
    if isinstance(who, Principal):
        engine.gate.remember(bearer, who, engine.clock.now() + 600, 0.0)
    method, path, query = target(scenario)
    body = body_of(scenario.ask)
    content = b"" if body is None else json.dumps(body).encode()

    async def request(more: str) -> Any:
        sent: list[Any] = []
        arriving = [{"type": "http.request", "body": content}]

        async def receive() -> Any:
            return arriving.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http", "http_version": "1.1", "method": method,
            "raw_path": path.encode(), "query_string": more.encode(),
            "client": (scenario.address or ADDRESS, 1),
            "headers": [
                (b"host", f"{scenario.vault}.{DOMAIN}".encode()),
                (b"authorization", b"Bearer " + bearer.encode()),
                (b"content-length", b"%d" % len(content)),
            ],
        }  # fmt: skip
        await front(scope, receive, send)
        start, end = sent
        if start["status"] >= 400:
            raise HttpsError(start["status"], end["body"])
        assert (start["status"] == 204) == (not end["body"])
        return json.loads(end["body"] or b"null")

    async def ask() -> Any:
        answer = await request(f"api-version={API_VERSION}{query}")
        pages = answer
        while pages and pages.get("nextLink"):
            pages = await request(pages["nextLink"].partition("?")[2])
            answer["value"] += pages["value"]
        return answer

    try:
        return asyncio.run(ask())
    finally:
        front.close()


def target(scenario: Scenario) -> tuple[str, str, str]:
    """Returns method, path and what the query says beside the version of the interface."""
    if scenario.request is not None:
        return scenario.request
    method, path = ROUTES[scenario.ask.verb]
    return method, path.format(name=scenario.ask.name, version=scenario.ask.version), ""


def ask_library(engine: LibraryEngine, who: Principal, scenario: Scenario) -> Any:
    ask = scenario.ask
    acting = engine.vault(scenario.vault).acting_as(who, address=scenario.address)
    method = getattr(getattr(acting, ask.kind), METHODS[ask.verb])
    named = [ask.name] if ask.verb in NAMED else []
    version = {"version": ask.version} if ask.version else {}
    answer = method(*named, **version, **ask.given)
    return list(answer) if "List" in ask.verb else answer


def ask_command_line(engine: LibraryEngine, who: Principal, scenario: Scenario) -> Any:
    """Asks as the commands on a folder do; a list is read to its end."""
    connection, ask = LocalConnection(engine, who), scenario.ask
    if ask.verb == KEK:
        return connection.kek(scenario.vault, ask.name)
    method, path, query = target(scenario)
    named = dict(parse_qsl(query, keep_blank_values=True))
    answer = connection.request(scenario.vault, method, path, query=named, body=body_of(ask))
    pages = answer
    while pages and pages.get("nextLink"):
        named = dict(parse_qsl(pages["nextLink"].partition("?")[2]))
        pages = connection.request(scenario.vault, method, path, query=named)
        answer["value"] += pages["value"]
    return answer


_ASKED = {HTTPS: ask_https, LIBRARY: ask_library, COMMAND_LINE: ask_command_line}


def run(
    face: str, folder: Path, clock: ManualClock, known: frozenset[str], scenario: Scenario
) -> Outcome:
    """Carries a scenario out through one face.

    Args:
        face: one of :data:`FACES`.
        folder: a copy of the data folder.
        clock: what it goes by.
        known: the versions that the folder held before.
        scenario: what to do.
    """
    with vaultcore.open(folder, clock=clock, housekeeping=False) as engine:
        owner = engine.administrator()
        nobody = Principal(object_id="n0b0dy", tenant_id=owner.tenant_id, name="nobody")
        who = nobody if scenario.stranger else owner
        before = len(lines(engine))
        status = 0
        with pytest.MonkeyPatch.context() as patch:
            if scenario.fault is not None:
                scenario.fault(patch, engine, scenario.ask.verb)
            try:
                answer = _ASKED[face](engine, who, scenario)
            except HttpsError as refused:
                status, error = refused.status, refused.error
                inner = error.get("innererror", {}).get("code")
                shown: Any = (error["code"], inner, error["message"])
            except (VaultcoreError, OSError) as failure:
                refusal = as_refusal(failure)
                status = refusal.status
                shown = (refusal.code, refusal.inner_code, refusal.public)
        records = [comparable(line) for line in lines(engine)[before:]]
        if not status:
            status = int(records[-1]["properties"]["httpStatusCode"])
            shown = in_one_form(engine, scenario.vault, scenario.ask, answer, known)
        found = without_new(state_of(engine.state(scenario.vault), known), known)
        return Outcome(status, without_new(shown, known), records, found, in_token(folder))


def in_token(folder: Path) -> int:
    """Returns how many objects the software token in a data folder holds."""
    return sum(1 for _ in (folder / "token").rglob("*.object"))
