"""What a record holds before the log has it: as it comes from a request, and as it is kept."""

import msgspec

from vaultcore._core import Principal
from vaultcore.audit.record import Caller, Record

CALLER = Principal(object_id="o", app_id="a", tenant_id="t", issuer="i", name="n")


def test_the_caller_is_kept_as_a_record_names_him() -> None:
    assert Record.of(vault="dev", operation="SecretSet", principal=CALLER).principal == Caller(
        "o", "a", "t", "i", "n"
    )
    assert Record.of(vault="dev", operation="SecretSet").principal is None


def test_bytes_of_a_request_become_text_that_can_be_written() -> None:
    record = Record.of(
        vault="dev",
        operation="SecretSet",
        correlation_id=b"caf\xc3\xa9",
        request_uri=b"/secrets/\xff",
        client_info="half a pair: \ud800",
    )
    assert record.correlation_id == "café"
    assert record.request_uri == "/secrets/\N{REPLACEMENT CHARACTER}"
    assert record.client_info == "half a pair: ?"
    assert msgspec.json.decode(msgspec.json.encode(record), type=Record) == record


def test_what_a_record_has_besides_is_its_own_copy() -> None:
    extra: dict[str, str | int | bool] = {"Algorithm": "ES256", "count": 2, "hsm": True}
    record = Record.of(vault="dev", operation="KeySign", extra=extra)
    extra["Algorithm"] = "none"
    assert record.extra == {"Algorithm": "ES256", "count": 2, "hsm": True}
    assert Record.of(vault="dev", operation="KeySign", extra={}).extra is None
