"""An operation of a caller in process: done or refused, and on record once, whatever happens."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from vaultcore import Engine
from vaultcore._core import Principal
from vaultcore.audit.outbox import Outbox
from vaultcore.engine.caller import Caller
from vaultcore.errors import (
    AuditError,
    BadParameterError,
    ForbiddenError,
    NotFoundError,
    ObjectNotFoundError,
    UnavailableError,
)
from vaultcore.library.vault import ActingVault
from vaultcore.objects.usable_key import UsableKey
from vaultcore.operations.action import Action
from vaultcore.operations.call import Call
from vaultcore.operations.perform import perform
from vaultcore.operations.secrets import SetSecret
from vaultcore.operations.shared import ListPage
from vaultcore.operations.table import ACTIONS


@pytest.fixture
def acting(engine: Engine) -> ActingVault:
    return engine.vault("dev").acting_as(engine.administrator())


@pytest.fixture
def recorded(engine: Engine) -> Callable[[], list[tuple[str, int, str]]]:
    """Returns what was recorded since the last call: operation, status, reason."""
    log = engine.data / "audit" / "audit.jsonl"
    seen = len(log.read_bytes().splitlines())

    def since() -> list[tuple[str, int, str]]:
        nonlocal seen
        lines = log.read_bytes().splitlines()
        new, seen = lines[seen:], len(lines)
        return [
            (
                record["operationName"],
                record["properties"]["httpStatusCode"],
                record["resultDescription"],
            )
            for record in map(json.loads, new)
        ]

    return since


Recorded = Callable[[], list[tuple[str, int, str]]]


def call(engine: Engine, verb: str, name: str = "", who: Principal | None = None) -> Call:
    return Call(engine, engine.state("dev"), Caller(who or engine.administrator()), verb, name)


def replaced(monkeypatch: pytest.MonkeyPatch, verb: str, run: Callable[..., Any]) -> None:
    monkeypatch.setattr(ACTIONS[verb], "run", run)


def raising(failure: BaseException) -> Callable[..., Any]:
    def fail(*_: object) -> Any:
        raise failure

    return fail


def test_each_operation_has_one_record(acting: ActingVault, recorded: Recorded) -> None:
    acting.secrets.set("a", "value")
    assert recorded() == [("SecretSet", 200, "")]
    acting.secrets.get("a")
    assert recorded() == [("SecretGet", 200, "")]
    acting.secrets.delete("a")
    acting.secrets.purge("a")
    assert recorded() == [("SecretDelete", 200, ""), ("SecretPurge", 204, "")]


def test_a_name_is_spelled_as_the_caller_did(acting: ActingVault, recorded: Recorded) -> None:
    with pytest.raises(ObjectNotFoundError, match=r"\(name/id\) Missing was") as refused:
        acting.secrets.get("Missing")
    assert refused.value.__suppress_context__
    ((_, status, reason),) = recorded()
    assert status == 404
    assert "(name/id) Missing was" in reason


WRONG: dict[str, Callable[[Any], Any]] = {
    "name": lambda acting: acting.secrets.get(5),
    "version": lambda acting: acting.secrets.get("a", 5),
    "value": lambda acting: acting.secrets.set("a", 5),
    "tags": lambda acting: acting.secrets.set("a", "v", tags={"a": 1}),
    "half a surrogate": lambda acting: acting.secrets.set("a", "v", content_type="\ud800"),
    "text for bytes": lambda acting: acting.secrets.restore("aGVsbG8="),
    "digest": lambda acting: acting.keys.sign("a", "ES256", "aGVsbG8="),
    "digest that can change": lambda acting: acting.keys.sign("a", "ES256", bytearray(32)),
    "digest of what is missing": lambda acting: acting.keys.sign("missing", "ES256", 5),
    "algorithm": lambda acting: acting.keys.sign("a", [], b""),
    "JWK": lambda acting: acting.keys.import_("a", None),
    "suite": lambda acting: acting.keys.kek("a", suite=10**30),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_type_is_refused_and_recorded_as_the_callers_mistake(
    acting: ActingVault, recorded: Recorded, case: str
) -> None:
    acting.keys.create("a", "EC")
    recorded()
    with pytest.raises(BadParameterError):
        WRONG[case](acting)
    ((_, status, _),) = recorded()
    assert status == 400


def test_permission_comes_before_the_arguments(engine: Engine, recorded: Recorded) -> None:
    nobody = engine.vault("dev").acting_as(Principal(object_id="nobody"))
    with pytest.raises(ForbiddenError):
        nobody.secrets.set("a", 5)  # type: ignore[arg-type]
    with pytest.raises(ForbiddenError):
        nobody.keys.sign("a", "ES256", 5)  # type: ignore[arg-type]
    assert [status for _, status, _ in recorded()] == [403, 403]


@pytest.mark.parametrize("verb", ["SecretList", "SecretDelete"])
@pytest.mark.parametrize(
    ("failure", "reason"),
    [(OSError("canary"), "unexpected OSError"), (KeyboardInterrupt(), "unexpected Keyboard")],
    ids=str,
)
def test_what_nobody_foresaw_is_recorded_and_raised(
    engine: Engine,
    recorded: Recorded,
    monkeypatch: pytest.MonkeyPatch,
    verb: str,
    failure: BaseException,
    reason: str,
) -> None:
    replaced(monkeypatch, verb, raising(failure))
    with pytest.raises(type(failure)) as raised:
        perform(call(engine, verb, "a" if verb == "SecretDelete" else ""))
    assert raised.value is failure
    ((operation, status, said),) = recorded()
    assert (operation, status) == (verb, 500)
    assert said.startswith(reason)
    assert "canary" not in said


def test_an_interrupt_is_not_hidden_by_a_mistake_of_the_caller(
    engine: Engine, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    replaced(monkeypatch, "SecretList", raising(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        perform(call(engine, "SecretList"), ListPage(5))  # type: ignore[arg-type]
    assert [status for _, status, _ in recorded()] == [500]


def test_a_type_error_of_ours_is_no_mistake_of_the_caller(
    engine: Engine, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    replaced(monkeypatch, "SecretList", raising(TypeError("ours")))
    with pytest.raises(TypeError, match="ours"):
        perform(call(engine, "SecretList"))
    assert [status for _, status, _ in recorded()] == [500]


def test_a_failure_inside_the_transaction_changes_nothing_and_is_recorded(
    engine: Engine, acting: ActingVault, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    revision = engine.store.revision()
    replaced(monkeypatch, "SecretSet", lambda *_: raising(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        acting.secrets.set("a", "value")
    assert recorded() == [("SecretSet", 500, "unexpected KeyboardInterrupt")]
    assert engine.store.revision() == revision


def test_nothing_is_asked_while_nothing_can_be_recorded(
    engine: Engine, acting: ActingVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine.audit, "refusing", True)
    monkeypatch.setattr(engine.audit, "require", raising(AuditError("the log is away")))
    monkeypatch.setattr(Call, "admit", raising(AssertionError("it was asked")))
    with pytest.raises(AuditError):
        acting.secrets.get("a")


def test_a_change_that_cannot_be_recorded_is_not_made(
    engine: Engine, acting: ActingVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Outbox, "begin", raising(AuditError("the log is away")))
        with pytest.raises(AuditError):
            acting.secrets.set("a", "value")
    with pytest.raises(NotFoundError):
        acting.secrets.get("a")


def test_an_answer_that_cannot_be_recorded_is_not_given(
    engine: Engine, acting: ActingVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    acting.secrets.set("a", "value")
    monkeypatch.setattr(engine.audit, "record", raising(AuditError("the log is away")))
    with pytest.raises(AuditError):
        acting.secrets.get("a")


def test_what_took_long_is_not_given_to_whoever_may_not_have_it_any_more(
    engine: Engine, acting: ActingVault, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key of type RSA is slow, one on a curve is not: nobody looks again after it."""
    for name, kty, algorithm in (("rsa", "RSA", "RS256"), ("ec", "EC", "ES256")):
        acting.keys.create(name, kty)
        real = UsableKey.sign

        def sign(
            key: UsableKey, alg: str, digest: bytes, real: Any = real, name: str = name
        ) -> bytes:
            signature: bytes = real(key, alg, digest)
            with monkeypatch.context() as patch:
                patch.setattr(UsableKey, "sign", real)
                acting.keys.update(name, enabled=False)
            return signature

        with monkeypatch.context() as patch:
            patch.setattr(UsableKey, "sign", sign)
            recorded()
            if kty == "RSA":
                with pytest.raises(ForbiddenError) as refused:
                    acting.keys.sign(name, algorithm, bytes(32))
                assert refused.value.inner_code == "KeyDisabled"
            else:
                acting.keys.sign(name, algorithm, bytes(32))
        assert recorded()[-1][:2] == ("KeySign", 403 if kty == "RSA" else 200)


def test_what_is_left_outside_the_store_is_done_after_the_commit(
    engine: Engine, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def work(_: object) -> str:
        order.append("work")
        return "result"

    def left(_: object, result: str) -> Callable[[], None]:
        order.append(f"left {result}")
        return lambda: order.append("settled")

    action = Action(lambda *_: work, writes=True, left=left, status=204)
    monkeypatch.setitem(ACTIONS, "SecretPurge", action)
    assert perform(call(engine, "SecretPurge", "a")) == "result"
    assert order == ["work", "left result", "settled"]
    assert recorded() == [("SecretPurge", 204, "")]


def test_arguments_that_have_to_be_read_are_read_after_the_gate(
    engine: Engine, recorded: Recorded
) -> None:
    def decode(admitted: Call) -> SetSecret:
        assert admitted.asked.object_name == "a"
        return SetSecret("value")

    perform(call(engine, "SecretSet", "a"), decode=decode)
    assert recorded() == [("SecretSet", 200, "")]
    nobody = Principal(object_id="nobody")
    with pytest.raises(ForbiddenError):
        perform(call(engine, "SecretSet", "a", nobody), decode=raising(AssertionError("read")))
    with pytest.raises(BadParameterError):
        perform(call(engine, "SecretSet", "a"), decode=raising(BadParameterError("malformed")))
    assert [status for _, status, _ in recorded()] == [403, 400]


def test_what_is_not_offered_is_missing(engine: Engine, recorded: Recorded) -> None:
    with pytest.raises(NotFoundError, match="CertificateGet is not offered"):
        perform(call(engine, "CertificateGet", "a"))
    assert [status for _, status, _ in recorded()] == [404]


def test_a_store_that_is_away_is_recorded_as_that(
    engine: Engine, acting: ActingVault, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(engine.store, "write", raising(UnavailableError("the disk is full")))
        with pytest.raises(UnavailableError):
            acting.secrets.set("a", "value")
    assert recorded() == [("SecretSet", 503, "the disk is full")]
