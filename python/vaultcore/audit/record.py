"""The record of an answered request, before it is in the log."""

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vaultcore._core import Principal


class Caller(msgspec.Struct, frozen=True):
    """A caller, in the terms of a record."""

    object_id: str
    app_id: str
    tenant_id: str
    issuer: str
    name: str


class Record(msgspec.Struct, kw_only=True):
    """The record of an answered request; see ``docs/audit.md`` for the members.

    Attributes:
        time: Unix seconds.
        principal: the caller, if known.
        after: the last record of the log when this one was built.
    """

    vault: str
    operation: str
    api_version: str = ""
    status: int = 200
    result_description: str = ""
    duration_ms: float = 0.0
    address: str = ""
    correlation_id: str = ""
    principal: Caller | None = None
    request_uri: str = ""
    client_info: str = ""
    object_id: str = ""
    extra: dict[str, str | int | bool] | None = None
    time: float = 0.0
    after: int = 0

    @classmethod
    def of(
        cls,
        vault: str = "",
        operation: str = "",
        api_version: str = "",
        status: int = 200,
        result_description: str = "",
        duration_ms: float = 0.0,
        address: str = "",
        correlation_id: str | bytes = "",
        principal: "Principal | None" = None,
        request_uri: str | bytes = "",
        client_info: str | bytes = "",
        object_id: str = "",
        extra: "Mapping[str, str | int | bool] | None" = None,
        *,
        time: float = 0.0,
    ) -> "Record":
        """Returns a record with the members that :meth:`Audit.record` accepts, in their order."""
        caller = None
        if principal is not None:
            caller = Caller(
                principal.object_id,
                principal.app_id,
                principal.tenant_id,
                principal.issuer,
                principal.name,
            )
        return cls(
            vault=vault,
            operation=operation,
            api_version=api_version,
            status=status,
            result_description=result_description,
            duration_ms=duration_ms,
            address=address,
            correlation_id=_text(correlation_id),
            principal=caller,
            request_uri=_text(request_uri),
            client_info=_text(client_info),
            object_id=object_id,
            extra=dict(extra) if extra else None,
            time=time,
        )


def _text(text: str | bytes) -> str:
    if isinstance(text, bytes):
        return text.decode("utf-8", "replace")
    if text.isascii():
        return text
    # Half a surrogate pair cannot be written.
    return text.encode("utf-8", "replace").decode()
