"""Callers in process that pass odd objects, and callers over HTTPS that leave."""

import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

import vaultcore
from vaultcore import Engine
from vaultcore.audit.query import newest_first
from vaultcore.errors import BadParameterError, ForbiddenError, UnauthorizedError, UsageError
from vaultcore.objects import backup as backups
from vaultcore.objects.usable_key import UsableKey
from vaultcore.service.app import build_application
from vaultcore.service.keyvault.bodies import KeyImportBody, KeyOperationBody, SecretSetBody

DIGEST = "A" * 43


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with vaultcore.create(tmp_path / "data", housekeeping=False) as opened:
        opened.management.vault_create(name="dev")
        yield opened


def last(engine: Engine) -> dict[str, Any]:
    return next(newest_first(engine.audit.directory))


def acting(engine: Engine) -> Any:
    return engine.vault("dev").acting_as(engine.administrator())


class Fickle(Mapping[str, Any]):
    """Answers with text while it is checked, and with a number later."""

    def __init__(self) -> None:
        self.asked = 0

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[str]:
        return iter(["a"])

    def __getitem__(self, _: str) -> Any:
        self.asked += 1
        return "fine" if self.asked <= 2 else 5


class Forged(str):
    """Text that says of itself that it is an algorithm."""

    __slots__ = ()

    def __hash__(self) -> int:
        return hash("ES256")

    def __eq__(self, other: object) -> bool:
        return True


class Swelling(str):
    """Text that shows another value when it is encoded."""

    __slots__ = ()

    def encode(self, *_: Any) -> bytes:
        return b"\xff" * 100_000


def test_what_was_checked_is_what_is_stored(engine: Engine) -> None:
    secrets = acting(engine).secrets
    secrets.set("a", Swelling("value"), tags=Fickle())
    assert secrets.get("a").value == "value"
    assert [item.tags for item in secrets.list()] == [{"a": "fine"}]


def test_an_algorithm_is_plain_text_and_on_record_as_such(engine: Engine) -> None:
    keys = acting(engine).keys
    keys.create("k", "EC")
    with pytest.raises(BadParameterError):
        keys.sign("k", Forged("RAW"), bytes(32))
    assert "RAW" not in json.dumps(last(engine))


def test_a_refused_token_is_on_record_in_process_too(engine: Engine) -> None:
    with pytest.raises(UnauthorizedError):
        engine.vault("dev").acting_as("no.valid.token")
    record = last(engine)
    assert record["operationName"] == "Authentication"
    assert record["properties"]["httpStatusCode"] == 401
    odd: Any = (b"token", {"address": 5})
    with pytest.raises(UsageError):
        engine.vault("dev").acting_as(odd[0])
    with pytest.raises(UsageError):
        engine.vault("dev").acting_as(engine.administrator(), **odd[1])


def test_a_revocation_during_a_long_read_holds(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = acting(engine).secrets
    secrets.set("a", "value")
    real = backups.backup

    def slow(*arguments: Any) -> bytes:
        blob = real(*arguments)
        engine.management.access_remove(vault="dev", principal=engine.administrator().object_id)
        return blob

    monkeypatch.setattr(backups, "backup", slow)
    with pytest.raises(ForbiddenError):
        secrets.backup("a")
    assert last(engine)["properties"]["httpStatusCode"] == 403


def leave(engine: Engine, method: str, path: str, body: Any, turns: int) -> None:
    """Asks over HTTPS, and leaves after some turns of the loop."""
    engine.gate.remember("t" * 32, engine.administrator(), time.time() + 600, 0.0)

    async def ask() -> None:
        transport = httpx.ASGITransport(build_application(engine), client=("192.0.2.1", 1))
        async with httpx.AsyncClient(
            transport=transport, base_url="https://dev.vault.localhost"
        ) as client:
            headers = {"authorization": "Bearer " + "t" * 32}
            request = client.request(method, path + "?api-version=7.6", headers=headers, json=body)
            task = asyncio.create_task(request)
            for _ in range(turns):
                await asyncio.sleep(0.02)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(ask())


def test_a_key_that_was_used_for_a_caller_who_left_is_on_record(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    acting(engine).keys.create("k", "RSA")
    sign = UsableKey.sign

    def slow(self: UsableKey, algorithm: str, digest: bytes) -> bytes:
        time.sleep(0.3)
        return sign(self, algorithm, digest)

    monkeypatch.setattr(UsableKey, "sign", slow)
    before = engine.audit.sequence
    leave(engine, "POST", "/keys/k/sign", {"alg": "RS256", "value": DIGEST}, 5)
    record = last(engine)
    assert (record["operationName"], engine.audit.sequence) == ("KeySign", before + 1)
    assert record["properties"]["httpStatusCode"] == 500
    assert "left" in record["resultDescription"]


@pytest.mark.parametrize(
    "body",
    [
        SecretSetBody("HIDDEN"),
        KeyImportBody({"k": "HIDDEN"}),
        KeyOperationBody("A256GCM", "HIDDEN"),
    ],
)
def test_a_body_does_not_show_itself(body: Any) -> None:
    assert "HIDDEN" not in repr(body)
