"""The one path of every operation of an administrator, however it is called.

An operation is called as an attribute in process, or by name from the command line or over HTTPS.
The caller is checked, then the arguments, and the outcome is recorded.
"""

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeVar

import msgspec

from vaultcore._core import Principal
from vaultcore.audit.event import CLIENT, Event
from vaultcore.audit.record import Record
from vaultcore.errors import (
    BadParameterError,
    ForbiddenError,
    UsageError,
)
from vaultcore.installation.hosts import MANAGEMENT_VERSION
from vaultcore.installation.settings import Installation
from vaultcore.storage.witness import witnessed

if TYPE_CHECKING:
    from vaultcore.audit.change import Change
    from vaultcore.engine.engine import Engine
    from vaultcore.storage import Transaction

#: The name in records of an operation that the management plane does not have.
UNKNOWN: Final = "ManagementOperation"
#: The largest integer that every reader of JSON reads exactly.
_LARGEST: Final = 2**53
#: The progress of an operation: the current step, how much of it is done, and how much there is.
Progress = Callable[[str, int, int], None]

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound="Operator")


class Operation:
    """An operation and how the audit log names it.

    Args:
        method: the function that performs it.
        audited: the name of its records.
        local: whether it is refused over the network.
        quiet: returns whether a call continues one that is on record; such a call is not recorded
            if it succeeds.

    Attributes:
        audited: the name of its records.
        local: whether it is refused over the network.
        quiet: as above, or None.
    """

    def __init__(
        self,
        method: Callable[..., Any],
        audited: str,
        *,
        local: bool = False,
        quiet: "Callable[[Any, dict[str, Any]], bool] | None" = None,
    ) -> None:
        self._method = method
        self.audited = audited
        self.local = local
        self.quiet = quiet
        self._parameters = {
            name: kind
            for name, kind in method.__annotations__.items()
            if name not in {"self", "return"}
        }
        self._required = set(self._parameters) - set(method.__kwdefaults__ or {})

    def check(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the arguments in the method's own types.

        Raises:
            BadParameterError: an argument is unknown, missing or of another type.
        """
        unknown = set(arguments) - set(self._parameters)
        missing = self._required - set(arguments)
        if unknown or missing:
            named = ", ".join(sorted(str(name)[:32] for name in unknown | missing))
            raise BadParameterError(f"{'unknown' if unknown else 'missing'} arguments: {named}")
        return {
            name: msgspec.convert(value, type=self._parameters[name])
            for name, value in arguments.items()
        }

    def call(self, operator: "Operator", arguments: Mapping[str, Any]) -> Any:
        """Performs it."""
        return self._method(operator, **arguments)


#: Every operation by name.
OPERATIONS: Final[dict[str, Operation]] = {}


def operation(
    name: str,
    audited: str,
    *,
    local: bool = False,
    quiet: "Callable[[Any, dict[str, Any]], bool] | None" = None,
) -> Callable[[Callable[Concatenate[S, P], R]], Callable[Concatenate[S, P], R]]:
    """Turns a method into an operation: calling it is :meth:`Operator.perform` by its name.

    Args:
        name: for example ``vault.create``.
        audited: the name of its records, for example ``VaultPut``.
        local: whether it is refused over the network.
        quiet: see :class:`Operation`.
    """

    def register(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
        OPERATIONS[name] = Operation(method, audited, local=local, quiet=quiet)

        @functools.wraps(method)
        def carry_out(operator: S, /, *_: P.args, **arguments: P.kwargs) -> R:
            result: R = operator.perform(name, arguments)
            return result

        return carry_out

    return register


class Operator:
    """Performs operations for a principal at an address.

    Args:
        engine: the engine.
        principal: who acts; by default, whoever has the folder.
        address: where the request came from; empty in process.
        client: how the client identifies itself.
        remote: whether the request came over the network.
        progress: called with the progress of long operations.
        peer: where the connection came from, if that is not the address.
    """

    def __init__(
        self,
        engine: "Engine",
        principal: Principal | None = None,
        address: str = "",
        client: str = CLIENT,
        *,
        remote: bool = False,
        progress: Progress | None = None,
        peer: str = "",
    ) -> None:
        self._engine = engine
        self._principal = principal or engine.administrator()
        self._address = address
        self._came_by = None if peer in {"", address} else {"peerIpAddress": peer}
        self._client = client
        self._remote = remote
        self._progress: Progress = progress or (lambda *_: None)

    def perform(self, operation: str, arguments: Mapping[str, Any]) -> Any:
        """Performs an operation by name and records it.

        Args:
            operation: for example ``vault.create``.
            arguments: the keyword arguments.

        Raises:
            AuditError: it could not be recorded.
            BadParameterError: the operation does not exist, or the arguments do not fit it.
            ForbiddenError: the principal is not an administrator.
        """
        found = OPERATIONS.get(operation)
        event = self._event(operation, UNKNOWN if found is None else found.audited, arguments)
        change: Change | None = None
        quiet = False
        status = 500  # anything unforeseen is a failure, never a success
        try:
            found = self._admit(operation)
            try:
                checked = found.check(arguments)
                event.extra = _told(checked, None)
                self._engine.synchronise()
                quiet = found.quiet is not None and found.quiet(self, checked)
                change = self._engine.audit.changes.begin(
                    event.write(Record.of, 200), self._look_again
                )
                with witnessed(change):
                    result = found.call(self, checked)
            except (UsageError, msgspec.ValidationError) as refused:
                raise BadParameterError(f"the arguments do not fit: {refused}") from None
            event.extra = _told(checked, result)
            status = 200
        except BaseException as failure:
            status = event.fail(failure).status
            event.reason = _text(event.reason)
            raise
        finally:
            if change is None:
                event.write(self._engine.audit.record, status)
            elif status == 200 and quiet:  # noqa: PLR2004 - the status of HTTP
                self._engine.audit.changes.abandon(change)
            else:
                finish = functools.partial(self._engine.audit.changes.finish, change)
                event.write(finish, status)
        return result

    def _record_begun(self, name: str, audited: str, arguments: Mapping[str, Any]) -> None:
        """Records that a long operation has begun: it may be killed before its last record.

        Raises:
            AuditError: it could not be recorded.
        """
        event = self._event(name, audited, arguments)
        event.reason = "it has begun; another record says how it ended"
        event.extra = _told(arguments, None)
        event.write(self._engine.audit.record, 202)

    def _look_again(self, transaction: "Transaction") -> None:
        """Refuses a caller who was removed while the operation waited for the store."""
        if not Installation.load(transaction, self._engine.key_ring.system).obeys(self._principal):
            raise _not_an_administrator()

    def _admit(self, name: str) -> Operation:
        if not self._engine.is_administrator(self._principal):
            raise _not_an_administrator()
        found = OPERATIONS.get(name)
        if found is None:
            raise BadParameterError(f"there is no operation named `{name[:64]}`")
        if found.local and self._remote:
            raise ForbiddenError(
                f"{name} concerns code, files or keys of the server: run it on the server "
                "itself, with --data"
            )
        return found

    def _event(self, name: str, audited: str, arguments: Mapping[str, Any]) -> Event:
        event = Event()
        event.vault = _addressed(name, arguments)
        event.operation = audited
        event.api_version = MANAGEMENT_VERSION
        event.address = self._address
        event.principal = self._principal
        event.uri = _text(f"/{MANAGEMENT_VERSION}/{name[:64]}")
        event.client = self._client
        event.came_by = self._came_by
        return event


def _not_an_administrator() -> ForbiddenError:
    return ForbiddenError(
        "the caller is not an administrator of this installation; add it with "
        "`vaultcore access administrator`",
        inner="AccessDenied",
    )


def _addressed(name: str, arguments: Mapping[str, Any]) -> str:
    """Returns the vault that an operation concerns, for its record."""
    vault = arguments.get("name" if name.startswith("vault.") else "vault")
    return _text(vault[:64]) if isinstance(vault, str) else ""


def _told(arguments: Mapping[str, Any], result: Any) -> dict[str, str | int | bool]:
    """Returns the arguments for the record: a reader of it wants to know who got what.

    A name can belong to another principal later, so the object id is recorded too.
    """
    told: dict[str, str | int | bool] = {}
    for name, value in arguments.items():
        if name == "cursor":
            continue
        # A record already has a member `id`.
        member = "secretId" if name == "id" else _camel(name)
        if isinstance(value, bool) or (isinstance(value, int) and abs(value) <= _LARGEST):
            told[member] = value
        elif isinstance(value, (str, int)):
            told[member] = _text(str(value))
        elif isinstance(value, (list, tuple)):
            told[member] = _text(" ".join(map(str, value)))
    if isinstance(result, dict):
        object_id = result.get("objectId") or result.get("object_id")
        if isinstance(object_id, str):
            told["objectId"] = _text(object_id)
    return told


def _text(text: str) -> str:
    # Half a surrogate pair cannot be written, and a caller in process may pass one.
    return text.encode("utf-8", "replace").decode()


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
