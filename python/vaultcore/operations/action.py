"""What an operation does, and where it runs."""

import enum
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from vaultcore.errors import BadParameterError
from vaultcore.operations.request import Request


class Where(enum.Enum):
    """Where an operation runs, if its thread must not hold up the one that takes requests."""

    LOOP = enum.auto()
    PROCESSOR = enum.auto()
    HSM = enum.auto()


class Nothing(msgspec.Struct, frozen=True):
    """The arguments of an operation that has none besides its object."""


NOTHING: Final = Nothing()


class Action:
    """What an operation does.

    Args:
        run: called with the admitted request and the arguments. It returns the result or, for an
            operation that writes, the work for the store, whose result is the result.
        arguments: the type of the arguments.
        writes: whether ``run`` returns a work for the store.
        where: where it runs; None for always on the thread that takes requests.
        refuses: raises the refusals of ``run`` that do not come from the HSM; called before the
            wait for the HSM, on a thread that may be kept busy. None if ``where`` raises them.
        changes_hsm: whether ``run`` may create a key in the HSM.
        left: called with the request and the result of the work; returns a function that does the
            rest outside the store, or None if there is no rest.
        lasts: whether it may read so much that the rules can change meanwhile.
        status: the status of the answer.

    Attributes:
        at_once: whether it runs on the thread that takes requests and does not wait.
    """

    __slots__ = (
        "arguments", "at_once", "changes_hsm", "lasts", "left", "refuses", "run", "status", "where",
        "writes",
    )  # fmt: skip

    def __init__(
        self,
        run: Callable[[Request, Any], Any],
        arguments: type = Nothing,
        *,
        writes: bool = False,
        where: Callable[[Request, Any], Where] | None = None,
        refuses: Callable[[Request, Any], object] | None = None,
        changes_hsm: bool = False,
        left: Callable[[Request, Any], Callable[[], None] | None] | None = None,
        lasts: bool = False,
        status: int = 200,
    ) -> None:
        self.run = run
        self.arguments = arguments
        self.writes = writes
        self.where = where
        self.refuses = refuses
        self.changes_hsm = changes_hsm
        self.left = left
        self.lasts = lasts
        self.status = status
        self.at_once = where is None and not writes and not lasts


def check(arguments: msgspec.Struct) -> Any:
    """Returns arguments in the types that their class declares, as a copy that nobody changes.

    Args:
        arguments: from a caller in process; those that came over the network were checked when
            they were decoded.

    Raises:
        BadParameterError: one does not; the message names it as the contract does, and not its
            value.
    """
    plain = _plain(arguments, "$")
    try:
        # Text would be taken for bytes in base64 otherwise.
        return msgspec.convert(plain, type=type(arguments), builtin_types=(bytes,))
    except msgspec.ValidationError as refused:
        raise _invalid(str(refused)) from None


def _plain(value: Any, place: str) -> Any:
    """Returns a value with dictionaries instead of structs.

    Raises:
        BadParameterError: it has a type that would be converted, or text that is not Unicode.
    """
    if isinstance(value, msgspec.Struct):
        fields = zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True)
        return {
            encoded: _plain(getattr(value, name), f"{place}.{encoded}") for name, encoded in fields
        }
    if isinstance(value, Mapping):
        inside = f"{place}[...]"
        return {_plain(name, inside): _plain(item, inside) for name, item in value.items()}
    if isinstance(value, (bytearray, memoryview)):
        raise _invalid(f"Expected `bytes`, got `{type(value).__name__}` - at `{place}`")
    if isinstance(value, str):
        # A subclass may answer differently each time that it is asked.
        text = str.__str__(value)
        try:
            text.encode()
        except UnicodeEncodeError:
            raise _invalid(f"the text is not valid Unicode - at `{place}`") from None
        return text
    if isinstance(value, int) and not isinstance(value, bool):
        return int.__add__(value, 0)
    return value


def _invalid(what: str) -> BadParameterError:
    return BadParameterError(f"Property has invalid value\r\n{what}")
