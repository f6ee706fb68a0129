"""The drivers of an operation: one that blocks, and one that does not.

Both run the same actions in the same order. An admitted action runs where it belongs, a write is
committed together with its record, the rest outside the store is done, and a request that has
waited is checked again.
"""

import asyncio
import functools
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from vaultcore.audit.record import Record
from vaultcore.engine import guarded
from vaultcore.errors import AuditError, BadParameterError, ObjectNotFoundError, UnavailableError
from vaultcore.operations.action import NOTHING, Action, Where, check
from vaultcore.operations.keys import confirm
from vaultcore.operations.table import action_of
from vaultcore.storage.witness import witnessed

if TYPE_CHECKING:
    from vaultcore.audit.change import Change
    from vaultcore.audit.outbox import Outbox
    from vaultcore.engine.engine import Engine
    from vaultcore.operations.call import Call
    from vaultcore.operations.pools import Pools
    from vaultcore.operations.request import Request

logger = logging.getLogger("vaultcore.operations")


def perform(
    call: "Call",
    arguments: msgspec.Struct = NOTHING,
    decode: Callable[["Call"], msgspec.Struct] | None = None,
) -> Any:
    """Admits, performs and records an operation of a caller in process.

    Args:
        call: the requested operation.
        arguments: the arguments, of the type that the action declares.
        decode: returns the arguments of the admitted call, if they must be read after the
            admission.

    Returns:
        The result of the operation; its record is written by then.

    Raises:
        AuditError: it cannot be recorded; a change was not made then.
        VaultError: it was refused.
        VaultcoreError: something failed.
    """
    audit = call.engine.audit
    if audit.refusing:
        audit.require()
    admitted = False
    try:
        call.admit()
        admitted = True
        action = action_of(call.operation)
        if decode is not None:
            arguments = decode(call)
        elif action.writes:
            arguments = check(arguments)
        if action.writes:
            result = _write(call, action, arguments)
        else:
            result = action.run(call, arguments)
            if action.lasts or (call.used is not None and call.used.slow):
                # The key, the HSM or its queue may have taken long: the rules of now apply.
                call.look_again()
                confirm(call)
    except BaseException as failure:
        told = _told(call, failure, arguments if admitted else NOTHING)
        status = call.fail(told).status
        _record(call, call.settled(status))
        if told is failure:
            raise
        raise told from None
    _record(call, action.status)
    return result


def _write(call: "Call", action: Action, arguments: msgspec.Struct) -> Any:
    engine = call.engine
    work = action.run(call, arguments)
    call.planned = action.status
    call.change = engine.audit.changes.begin(call.write(Record.of, action.status))
    with witnessed(call.change):
        result = guarded.write(engine.store, guarded.guarded(work, call.look_again))
    left = None if action.left is None else action.left(call, result)
    if left is not None:
        left()
    return result


def _record(call: "Call", status: int) -> None:
    audit = call.engine.audit
    if call.change is None:
        call.write(audit.record, status)
    else:
        call.write(functools.partial(audit.changes.finish, call.change), status)


def _told(call: "Call", failure: BaseException, arguments: msgspec.Struct) -> BaseException:
    """Returns the failure that the caller sees.

    A name or an argument of a wrong type is refused first, as over the network. Operations that
    only read do not check types unless something fails.
    """
    if isinstance(failure, Exception):
        try:
            call.check_types()
            check(arguments)
        except BadParameterError as refusal:
            return refusal
    if isinstance(failure, ObjectNotFoundError):
        return failure.spelled(call.asked.object_name)
    return failure


async def perform_async(
    request: "Request", action: Action, arguments: Any, engine: "Engine", pools: "Pools"
) -> Any:
    """Performs an operation that the gate has admitted, without holding up the event loop.

    The caller records it: the request contains what it changes.

    Args:
        request: the admitted request.
        action: the action of the operation.
        arguments: the arguments, of the type that the action declares.
        engine: the engine.
        pools: the pools for slow work.

    Raises:
        AuditError: it cannot be recorded; a change was not made then.
        VaultError: it was refused, or something takes too long.
        VaultcoreError: something failed.
    """
    where = Where.LOOP if action.where is None else action.where(request, arguments)
    if where is Where.LOOP:
        result = action.run(request, arguments)
    else:

        def look_and(do: Callable[["Request", Any], Any]) -> Any:
            request.look_again()
            return do(request, arguments)

        if where is Where.HSM and action.refuses is not None:
            await pools.compute(functools.partial(look_and, action.refuses))
        act = functools.partial(look_and, action.run)
        result = await pools.run(where, request.state.hsm, act, changes=action.changes_hsm)
    if action.lasts or (where is not Where.LOOP and not action.writes):
        request.look_again()
        confirm(request)
    if action.writes:
        result = await _write_async(request, action, result, engine)
        left = None if action.left is None else action.left(request, result)
        if left is not None:
            await _settle(request, left, pools)
    return result


async def _write_async(request: "Request", action: Action, work: Any, engine: "Engine") -> Any:
    # Inside the store's transaction, and not before its queue: what it sees there is final.
    guarded_work = guarded.guarded(work, request.look_again)
    request.planned = action.status
    record = request.write(Record.of, action.status)
    changes = engine.audit.changes
    change = request.change = changes.begin(record)
    with witnessed(change):
        # Its task has the context of this moment, and so the witness.
        task = asyncio.ensure_future(guarded.write_async(engine.store, guarded_work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        # Nobody waits for the answer any more; the write that was begun ends, and is recorded.
        request.change, request.recorded = None, True
        task.add_done_callback(functools.partial(_end_unattended, changes, change, record))
        raise


def _end_unattended(
    changes: "Outbox", change: "Change", record: Record, done: "asyncio.Task[Any]"
) -> None:
    if done.cancelled() or done.exception() is not None:
        record.status, record.result_description = 500, "it failed after its caller had left"
    try:
        changes.end(change, record)
    except AuditError as error:
        logger.error("%s", error)  # noqa: TRY400 - the reason is in its words


async def _settle(request: "Request", left: Callable[[], None], pools: "Pools") -> None:
    """Does the rest of a write in the HSM. The write is not undone, whatever happens here."""
    try:
        await pools.run(Where.HSM, request.state.hsm, left, changes=True)
    except UnavailableError as failure:
        logger.warning(
            "vault %s: a purged key keeps its pairs in the HSM: %s", request.vault, failure
        )
