"""What an operation does, and how it is to be run."""

import enum
from collections.abc import Callable
from typing import Any, Final

import msgspec

from vaultcore.errors import BadParameterError
from vaultcore.operations.request import Request


class Where(enum.Enum):
    """Where an operation is run, when something waits for the thread that takes requests."""

    LOOP = enum.auto()
    PROCESSOR = enum.auto()
    HSM = enum.auto()


class Nothing(msgspec.Struct, frozen=True):
    """The arguments of an operation that has none beside its object."""


NOTHING: Final = Nothing()


class Action:
    """What an operation does.

    Args:
        run: is given the admitted request and the arguments. It returns the result; of an
            operation that writes, the work that the store shall do, whose result it is.
        arguments: the type of the arguments.
        writes: whether ``run`` returns a work for the store.
        where: where it is run; None for always on the thread that takes requests.
        changes_hsm: whether ``run`` may create a key in the HSM.
        left: is given the request and the result of the work, and returns what is left to do
            outside the store; None for nothing.
        status: of the answer.

    Attributes:
        at_once: whether it is run on the thread that takes requests and waits for nothing.
    """

    __slots__ = (
        "arguments", "at_once", "changes_hsm", "left", "run", "status", "where", "writes",
    )  # fmt: skip

    def __init__(
        self,
        run: Callable[[Request, Any], Any],
        arguments: type = Nothing,
        *,
        writes: bool = False,
        where: Callable[[Request, Any], Where] | None = None,
        changes_hsm: bool = False,
        left: Callable[[Request, Any], Callable[[], None] | None] | None = None,
        status: int = 200,
    ) -> None:
        self.run = run
        self.arguments = arguments
        self.writes = writes
        self.where = where
        self.changes_hsm = changes_hsm
        self.left = left
        self.status = status
        self.at_once = where is None and not writes


def check(arguments: msgspec.Struct) -> None:
    """Checks that arguments are of the types that their class declares.

    Args:
        arguments: as a caller in process made them; what came over the network was checked when it
            was decoded.

    Raises:
        BadParameterError: one is not; the message names it, and not its value.
    """
    try:
        msgspec.convert(_members(arguments), type=type(arguments))
    except msgspec.ValidationError as refused:
        raise BadParameterError(f"Property has invalid value: {refused}") from None


def _members(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        fields = zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True)
        return {encoded: _members(getattr(value, name)) for name, encoded in fields}
    return value
