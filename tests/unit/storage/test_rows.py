"""A row of a driver becomes a record, or is refused as not ours."""

import pytest

from vaultcore.errors import TamperedError
from vaultcore.storage.rows import ObjectRow, VersionRow, pair, record

OBJECT = (1, "v", "secrets", "A", "a", 7, None, None, b"seal")
VERSION = (7, 1, "v1", "{}", b"payload")


def test_a_row_becomes_a_record():
    assert record(OBJECT, ObjectRow) == ObjectRow(*OBJECT)
    assert record(VERSION, VersionRow) == VersionRow(*VERSION)


def test_a_row_of_both_becomes_two_records():
    assert pair(OBJECT + VERSION) == (ObjectRow(*OBJECT), VersionRow(*VERSION))


@pytest.mark.parametrize("at", range(len(OBJECT)))
def test_a_value_of_another_type_is_refused_in_each_column(at):
    row = (*OBJECT[:at], 1.5, *OBJECT[at + 1 :])
    with pytest.raises(TamperedError, match="changed outside the vault"):
        record(row, ObjectRow)
    with pytest.raises(TamperedError):
        pair(row + VERSION)


@pytest.mark.parametrize("row", [OBJECT[:-1], VERSION[:-1], ()])
def test_a_row_of_another_width_is_refused(row):
    with pytest.raises(TamperedError):
        record(row, ObjectRow)
    with pytest.raises(TamperedError):
        record(row, VersionRow)
