"""An operation that the gate has let in, performed without holding up the event loop."""

import asyncio
import json
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from vaultcore import Engine
from vaultcore._core import Principal
from vaultcore.engine.caller import Caller
from vaultcore.errors import ForbiddenError, UnavailableError
from vaultcore.operations.action import NOTHING, Action, Where
from vaultcore.operations.call import Call
from vaultcore.operations.perform import perform_async
from vaultcore.operations.pools import Pools
from vaultcore.operations.secrets import SetSecret
from vaultcore.operations.table import ACTIONS
from vaultcore.storage import Transaction


@contextmanager
def opened() -> Iterator[Pools]:
    pools = Pools()
    try:
        yield pools
    finally:
        pools.close()


def admitted(engine: Engine, verb: str = "SecretSet", who: Principal | None = None) -> Call:
    request = Call(engine, engine.state("dev"), Caller(who or engine.administrator()), verb, "name")
    request.admit()
    return request


def do(engine: Engine, request: Call, action: Action, arguments: Any = NOTHING) -> Any:
    with opened() as pools:
        return asyncio.run(perform_async(request, action, arguments, engine, pools))


def with_change(engine: Engine, act: Callable[[], Awaitable[None]]) -> list[dict[str, Any]]:
    """Runs a coroutine, and returns what was recorded meanwhile."""
    log = engine.data / "audit" / "audit.jsonl"
    before = len(log.read_bytes().splitlines())
    asyncio.run(act())  # type: ignore[arg-type]
    return [json.loads(line) for line in log.read_bytes().splitlines()[before:]]


def test_it_runs_where_it_belongs(engine: Engine) -> None:
    threads: list[str] = []

    def run(*_: object) -> str:
        threads.append(threading.current_thread().name)
        return "done"

    for where in (Where.LOOP, Where.PROCESSOR, Where.HSM):
        action = Action(run, where=lambda *_, where=where: where)
        assert do(engine, admitted(engine), action) == "done"
    loop, processor, without_hsm = threads
    assert loop == without_hsm == threading.main_thread().name
    assert processor.startswith("vaultcore-crypto")


def test_what_is_written_is_committed_with_its_record(engine: Engine) -> None:
    request = admitted(engine)
    stored = do(engine, request, ACTIONS["SecretSet"], SetSecret("value"))
    assert stored.value == "value"
    assert request.change is not None
    assert request.change.revision == engine.store.revision()


def test_who_has_waited_is_asked_again_before_and_after(engine: Engine) -> None:
    order: list[str] = []

    class Watched(Call):
        def look_again(self) -> None:
            order.append("look")

    request = Watched(engine, engine.state("dev"), Caller(engine.administrator()), "KeyList")
    request.admit()

    def run(*_: object) -> None:
        order.append("run")

    processor = Action(run, where=lambda *_: Where.PROCESSOR)
    do(engine, request, processor)
    assert order == ["look", "run", "look"]
    order.clear()
    do(engine, request, Action(run, where=lambda *_: Where.LOOP))
    assert order == ["run"]


def test_a_revocation_counts_that_came_while_it_waited(engine: Engine) -> None:
    robot = Principal(object_id="11111111-2222-3333-4444-555555555555")
    engine.management.access_set(
        vault="dev", principal=robot.object_id, secret_permissions=["set", "get"]
    )
    ran: list[bool] = []

    def where(*_: object) -> Where:
        engine.management.access_remove(vault="dev", principal=robot.object_id)
        return Where.PROCESSOR

    for action in (
        Action(lambda *_: ran.append(True), where=where),
        Action(lambda *_: lambda _: ran.append(True), where=where, writes=True),
    ):
        engine.management.access_set(
            vault="dev", principal=robot.object_id, secret_permissions=["set", "get"]
        )
        with pytest.raises(ForbiddenError):
            do(engine, admitted(engine, who=robot), action)
    assert ran == []


def test_what_is_refused_anyway_does_not_ask_the_hsm(engine: Engine) -> None:
    order: list[str] = []

    def refuses(*_: object) -> None:
        order.append(threading.current_thread().name[:16])
        raise ForbiddenError("by the rules")

    action = Action(
        lambda *_: order.append("run"), where=lambda *_: Where.HSM, refuses=refuses, writes=True
    )
    with pytest.raises(ForbiddenError, match="by the rules"):
        do(engine, admitted(engine), action)
    assert order == ["vaultcore-crypto"]
    elsewhere = Action(lambda *_: "done", where=lambda *_: Where.PROCESSOR, refuses=refuses)
    assert do(engine, admitted(engine), elsewhere) == "done"


def test_what_is_left_is_settled_after_the_commit_and_never_undoes_it(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    order: list[str] = []

    def settle() -> None:
        order.append("settled")
        raise UnavailableError("the HSM does not answer")

    def work(_: Transaction) -> str:
        order.append("committed")
        return "result"

    action = Action(lambda *_: work, writes=True, left=lambda *_: settle)
    with caplog.at_level(logging.WARNING, "vaultcore.operations"):
        assert do(engine, admitted(engine), action) == "result"
    assert order == ["committed", "settled"]
    assert "a purged key keeps its pairs in the HSM: the HSM does not answer" in caplog.text


def test_what_nobody_foresaw_while_settling_is_not_hidden(engine: Engine) -> None:
    def settle() -> None:
        raise OSError("unforeseen")

    action = Action(lambda *_: lambda _: None, writes=True, left=lambda *_: settle)
    with pytest.raises(OSError, match="unforeseen"):
        do(engine, admitted(engine), action)


@pytest.mark.parametrize("fails", [False, True])
def test_what_was_begun_ends_and_is_recorded_though_its_caller_has_left(
    engine: Engine, fails: bool
) -> None:
    entered, released = threading.Event(), threading.Event()

    def work(transaction: Transaction) -> None:
        transaction.changed("vault", "secrets", "NAME", "", "set")
        entered.set()
        assert released.wait(10)
        if fails:
            raise OSError("unforeseen")

    action = Action(lambda *_: work, writes=True)
    request = admitted(engine)

    async def leave() -> None:
        with opened() as pools:
            task = asyncio.ensure_future(perform_async(request, action, NOTHING, engine, pools))
            assert await asyncio.to_thread(entered.wait, 10)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert request.change is None, "nobody else records it"
            released.set()
            for _ in range(1000):
                if not engine.audit.changes._pending:
                    break
                await asyncio.sleep(0.01)

    revision = engine.store.revision()
    (record,) = with_change(engine, leave)
    assert record["operationName"] == "SecretSet"
    properties = record["properties"]
    if fails:
        assert properties["httpStatusCode"] == 500
        assert record["resultDescription"] == "it failed after its caller had left"
        assert engine.store.revision() == revision
    else:
        assert properties["httpStatusCode"] == 200
        assert properties["revision"] == engine.store.revision() == revision + 1
