"""A worker that is lost, or whose session is not to be believed, is replaced once for each call."""

import time
from typing import TYPE_CHECKING, Any, cast

import pytest

from vaultcore.errors import ProtectorUnavailableError
from vaultcore.protectors.pkcs11.faults import HungError
from vaultcore.protectors.pkcs11.lane import Lane
from vaultcore.protectors.pkcs11.messages import Category, Done, Failed, PublicPart, Reply
from vaultcore.protectors.pkcs11.process import (
    WorkerBehindError,
    WorkerLostError,
    WorkerSlowError,
)

if TYPE_CHECKING:
    from vaultcore.protectors.pkcs11.login import Login

REQUEST = PublicPart(key_id=b"id", thumbprint="t")
Outcome = Reply | Exception


class ScriptedWorker:
    """Answers with what it is told, in this order, as a process would."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes = list(outcomes)
        self.pid = id(self)
        self.alive = True
        self.late: Exception | None = None

    def is_alive(self) -> bool:
        return self.alive

    def exchange(self, *_: object) -> Reply:
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, WorkerLostError | WorkerSlowError):
            self.alive = False
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def finish(self, _hangs: float) -> None:
        if self.late is not None:
            self.alive = False
            raise self.late

    def end(self) -> None:
        self.alive = False

    close = end


class ScriptedLogin:
    """Starts the workers that it is given, one after the other."""

    label = "t"

    def __init__(self, *workers: ScriptedWorker) -> None:
        self.workers = list(workers)

    def start(self) -> ScriptedWorker:
        return self.workers.pop(0)


def lane_of(*workers: ScriptedWorker) -> Lane:
    return Lane(cast("Login", ScriptedLogin(*workers)))


def ask(lane: Lane) -> Reply:
    return lane.ask(REQUEST, 5.0, time.monotonic() + 5.0)


def failed(category: Category) -> Failed:
    return Failed(category=category, text="what happened")


def test_a_worker_is_started_once() -> None:
    worker = ScriptedWorker(Done(b"one"), Done(b"two"))
    lane = lane_of(worker)
    assert lane.pid is None
    assert lane.open()
    assert not lane.open()
    assert [ask(lane), ask(lane)] == [Done(b"one"), Done(b"two")]
    assert lane.pid == worker.pid
    lane.close()
    assert lane.pid is None
    assert not worker.alive


def test_one_that_died_between_two_calls_is_replaced() -> None:
    first, second = ScriptedWorker(Done()), ScriptedWorker(Done(b"second"))
    lane = lane_of(first, second)
    ask(lane)
    first.alive = False
    assert ask(lane) == Done(b"second")


@pytest.mark.parametrize(
    "loss", [WorkerLostError(), failed("unavailable"), failed("changed"), failed("key")]
)
def test_a_session_that_is_lost_or_doubtful_is_replaced_within_the_call(loss: Outcome) -> None:
    first, second = ScriptedWorker(Done(), loss), ScriptedWorker(Done(b"second"))
    lane = lane_of(first, second)
    ask(lane)
    assert ask(lane) == Done(b"second")
    assert not first.alive
    assert lane.pid == second.pid


@pytest.mark.parametrize("category", ["algorithm", "configuration", "decryption", "format", "pin"])
def test_other_failures_are_the_answer(category: Category) -> None:
    worker = ScriptedWorker(Done(), failed(category))
    lane = lane_of(worker)
    ask(lane)
    assert ask(lane) == failed(category)
    assert worker.alive


def test_a_fresh_session_is_believed() -> None:
    for category, kept in (("key", True), ("unavailable", False), ("changed", False)):
        worker = ScriptedWorker(failed(cast("Category", category)))
        lane = lane_of(worker)
        assert ask(lane) == failed(cast("Category", category))
        assert worker.alive is kept, "a session in which a key is absent is not a bad one"


def test_a_worker_that_crashes_twice_is_told() -> None:
    lane = lane_of(ScriptedWorker(Done(), WorkerLostError()), ScriptedWorker(WorkerLostError()))
    ask(lane)
    with pytest.raises(ProtectorUnavailableError, match="the worker of token `t` crashed"):
        ask(lane)
    assert lane.pid is None


def test_one_that_hangs_is_told_and_gone() -> None:
    lane = lane_of(ScriptedWorker(WorkerSlowError()))
    with pytest.raises(HungError, match="did not answer within 5 s"):
        ask(lane)
    assert lane.pid is None


def test_an_interrupted_call_leaves_no_worker() -> None:
    interrupt = RuntimeError("between request and reply")
    lane = lane_of(ScriptedWorker(interrupt), ScriptedWorker(Done(b"next")))
    with pytest.raises(RuntimeError):
        ask(lane)
    assert ask(lane) == Done(b"next")


@pytest.mark.parametrize(
    ("late", "kept_to_its_time", "stays"),
    [(None, True, True), (WorkerLostError(), True, False), (WorkerSlowError(), False, False)],
)
def test_one_whose_caller_has_left_has_the_rest_of_its_time(
    late: Exception | None, kept_to_its_time: bool, stays: bool
) -> None:
    worker = ScriptedWorker(WorkerBehindError(), Done(b"next"))
    worker.late = late
    lane = lane_of(worker)
    with pytest.raises(WorkerBehindError):
        ask(lane)
    assert lane.pid == worker.pid
    assert lane.finish() is kept_to_its_time
    assert (lane.pid == worker.pid) is stays


def test_the_start_of_a_fresh_worker_is_not_the_callers_time() -> None:
    given: list[float] = []

    class Timed(ScriptedWorker):
        def exchange(self, *arguments: Any) -> Reply:
            given.append(arguments[2] - time.monotonic())
            return super().exchange()

    class Slow(ScriptedLogin):
        def start(self) -> ScriptedWorker:
            time.sleep(0.2)
            return super().start()

    lane = Lane(cast("Login", Slow(Timed(Done(), Done()))))
    for _ in range(2):
        lane.ask(REQUEST, 1.0, time.monotonic() + 1.0)
    assert all(0.95 < seconds <= 1.01 for seconds in given)
