"""What an audit record says about one operation: built here, whatever the operation came by."""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, TypeVar

from vaultcore.errors import VaultError, as_refusal

if TYPE_CHECKING:
    from vaultcore._core import Principal

T = TypeVar("T")
#: What callers in this process are called.
CLIENT: Final = "vaultcore"


class Event:
    """One operation on its way to its record.

    Attributes:
        vault: the name of the vault; empty where it is about none.
        operation: the audit's name for what is asked.
        api_version: of the interface that it was asked in.
        object_id: the identifier of what it is about, or the empty string.
        principal: who asks, once that is known.
        address: the address that the caller came from; empty in this process.
        correlation: the caller's own name for the request.
        uri: the address of the request, without the query.
        client: what the client calls itself.
        reason: why it was refused, or what became of it.
        extra: what the operation adds to the record.
        came_by: what its way adds to the record.
        started: when it began, by :func:`time.perf_counter`.
    """

    # Most events leave most of these as they are, and need not set them.
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
        """Has something written that takes the members of a record.

        Every record is built here. It may be called before what it tells is committed.

        Args:
            write: is called with the members, by name: :meth:`AuditLog.append`, or
                :meth:`~vaultcore.audit.record.Record.of`.
            status: of the answer.
        """
        extra = self.extra
        # Handed on by name: a dictionary between the two would cost as much again.
        return write(
            vault=self.vault,
            operation=self.operation,
            api_version=self.api_version,
            status=status,
            result_description=self.reason,
            duration_ms=(time.perf_counter() - self.started) * 1000.0,
            address=self.address,
            correlation_id=self.correlation,
            principal=self.principal,
            request_uri=self.uri,
            client_info=self.client,
            object_id=self.object_id,
            extra=extra if self.came_by is None else {**(extra or {}), **self.came_by},
        )

    def fail(self, failure: BaseException) -> VaultError:
        """Notes why the operation failed, for the record, and returns that as a refusal.

        Args:
            failure: what was raised. What nobody foresaw is a failure too.
        """
        refusal = as_refusal(failure)
        self.reason = refusal.message
        return refusal
