"""Attributes of versions: what a caller sets, and what stays."""

import msgspec
import pytest

from vaultcore.errors import BadParameterError
from vaultcore.objects.attributes import LATEST_DATE, Attributes, new_metadata, revised

NOW = 1_700_000_000


def test_a_new_version_is_enabled_unless_it_is_said_otherwise() -> None:
    made = new_metadata(NOW, Attributes(), tags=None, content_type="text")
    assert (made.enabled, made.created, made.updated) == (True, NOW, NOW)
    assert (made.content_type, made.not_before, made.expires, made.tags) == (
        *("text", None, None, None),
    )
    assert not new_metadata(NOW, Attributes(enabled=False), tags=None).enabled


def test_what_is_none_stays_and_what_is_not_changes() -> None:
    before = new_metadata(
        NOW, Attributes(False, 5, 9), tags={"a": "b"}, content_type="text", operations=("sign",)
    )
    after = revised(before, NOW + 1, Attributes(), tags=None, content_type=None)
    assert after == msgspec.structs.replace(before, updated=NOW + 1)
    after = revised(before, NOW, Attributes(True, 6, 8), tags={}, content_type="x", operations=())
    assert (after.enabled, after.not_before, after.expires) == (True, 6, 8)
    assert (after.tags, after.content_type, after.operations) == ({}, "x", ())
    assert after.created == NOW


@pytest.mark.parametrize("date", [-1, LATEST_DATE + 1])
@pytest.mark.parametrize("member", ["not_before", "expires"])
def test_dates_have_a_range(member: str, date: int) -> None:
    with pytest.raises(BadParameterError, match="is not a date"):
        new_metadata(NOW, Attributes(**{member: date}), tags=None)  # type: ignore[arg-type]


def test_an_expiry_is_later_than_what_it_ends() -> None:
    new_metadata(NOW, Attributes(None, 0, LATEST_DATE), tags=None)
    new_metadata(NOW, Attributes(None, 5, 6), tags=None)
    with pytest.raises(BadParameterError, match="later than"):
        new_metadata(NOW, Attributes(None, 5, 5), tags=None)
    before = new_metadata(NOW, Attributes(None, 5), tags=None)
    with pytest.raises(BadParameterError, match="later than"):
        revised(before, NOW, Attributes(expires=4), tags=None)


def test_attributes_are_read_by_the_names_of_the_contract() -> None:
    read = msgspec.json.decode(b'{"enabled":true,"nbf":1,"exp":2}', type=Attributes)
    assert read == Attributes(True, 1, 2)
