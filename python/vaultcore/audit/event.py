"""The content of an audit record about one operation, built here for every interface."""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, TypeVar

from vaultcore.errors import VaultError, as_refusal

if TYPE_CHECKING:
    from vaultcore._core import Principal

T = TypeVar("T")
#: The contract's name of an operation that was not named, or was refused before it was known.
AUTHENTICATION: Final = "Authentication"
#: The name of callers in this process.
CLIENT: Final = "vaultcore"


class Event:
    """One operation, before it becomes a record.

    Attributes:
        vault: the name of the vault; empty if the operation concerns none.
        operation: the audit's name of the operation.
        api_version: the version of the interface that the request used.
        object_id: the identifier of the object, or the empty string.
        principal: the caller, once that is known.
        address: the address that the caller came from; empty in this process.
        correlation: the caller's own name for the request.
        uri: the address of the request, without the query.
        client: how the client identifies itself.
        reason: why it was refused, or its outcome.
        extra: members that the operation adds to the record.
        came_by: members that the interface adds to the record.
        started: when it began, by :func:`time.perf_counter`.
    """

    # Most events leave most of these at their defaults, and need not set them.
    vault = ""
    operation = ""
    api_version = ""
    object_id = ""
    principal: "Principal | None" = None
    address = ""
    correlation: str | bytes = ""
    uri: str | bytes = ""
    client: str | bytes = ""
    reason = ""
    extra: "Mapping[str, str | int | bool] | None" = None
    came_by: "Mapping[str, str | int | bool] | None" = None

    def __init__(self) -> None:
        self.started = time.perf_counter()

    def write(self, write: Callable[..., T], status: int) -> T:
        """Passes the members of the record to a function that writes it.

        Every record is built here. This may be called before the change in the record is committed.

        Args:
            write: called with the members, in their order: :meth:`AuditLog.append`, or
                :meth:`~vaultcore.audit.record.Record.of`.
            status: the status of the answer.
        """
        extra = self.extra
        # In the order of `AuditLog.append`: matching names would cost as much again.
        return write(
            self.vault,
            self.operation,
            self.api_version,
            status,
            self.reason,
            (time.perf_counter() - self.started) * 1000.0,
            self.address,
            self.correlation,
            self.principal,
            self.uri,
            self.client,
            self.object_id,
            extra if self.came_by is None else {**(extra or {}), **self.came_by},
        )

    def fail(self, failure: BaseException) -> VaultError:
        """Notes why the operation failed, for the record, and returns that as a refusal.

        Args:
            failure: what was raised. An unforeseen exception is a failure, too.
        """
        refusal = as_refusal(failure)
        self.reason = refusal.message
        return refusal
