"""Contexts: one encoding for each, and none for two."""

from collections import OrderedDict, UserDict
from collections.abc import Mapping
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference import envelope as reference
from vaultcore._core import Context
from vaultcore.errors import UsageError

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAMES = TEXT.filter(bool)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    TEXT,
    st.binary(max_size=20),
)
CONTEXTS = st.dictionaries(NAMES, VALUES, max_size=5)


def typed(fields: Mapping[str, object]) -> dict[str, tuple[str, object]]:
    """Tell 1 and True apart, which Python does not."""
    return {name: (type(value).__name__, value) for name, value in fields.items()}


@given(CONTEXTS)
def test_the_encoding_is_that_of_the_document(fields: dict[str, reference.Value]) -> None:
    assert Context(fields).encoded == reference.encode_context(fields)


@given(CONTEXTS)
def test_order_does_not_matter(fields: dict[str, reference.Value]) -> None:
    backwards = dict(reversed(fields.items()))
    assert Context(fields) == Context(backwards)
    assert hash(Context(fields)) == hash(Context(backwards))


# Few names and values, so that near misses are many.
NEAR = st.dictionaries(
    st.sampled_from(["a", "b", "ab", "\0", "é", "e\u0301"]),
    st.sampled_from([None, False, True, 0, 1, "", "1", "a", "\0", b"", b"1", b"a", b"\0"]),
    max_size=3,
)


@given(st.one_of(CONTEXTS, NEAR), st.one_of(CONTEXTS, NEAR))
def test_two_contexts_never_encode_alike(
    one: dict[str, reference.Value], other: dict[str, reference.Value]
) -> None:
    encoded, other_encoded = Context(one).encoded, Context(other).encoded
    same = typed(one) == typed(other)
    assert (encoded == other_encoded) is same
    assert (Context(one) == Context(other)) is same
    # No encoding begins another: what follows a context is never read as part of it.
    assert other_encoded.startswith(encoded) is same


def test_anything_that_maps_will_do() -> None:
    class Colour(StrEnum):
        RED = "red"

    class Number(IntEnum):
        ONE = 1

    fields: dict[str, reference.Value] = {"colour": Colour.RED, "number": Number.ONE}
    wanted = Context({"colour": "red", "number": 1})
    for mapping in (fields, UserDict(fields), OrderedDict(fields), MappingProxyType(fields)):
        assert Context(mapping) == wanted


@pytest.mark.parametrize("fields", [[("a", 1)], "a", 1, None, {1: "a"}, {b"a": 1}, {"a": 1.5}])
def test_other_types_are_refused(fields: Any) -> None:
    with pytest.raises(TypeError, match="context"):
        Context(fields)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"": 1}, "1 to 255 bytes, not 0"),
        ({"n" * 256: 1}, "1 to 255 bytes, not 256"),
        ({"a": 2**63}, "between -2"),
        ({"a": -(2**63) - 1}, "between -2"),
        ({"a": b"x" * 65_536}, "at most 65536 bytes"),
        ({str(n): n for n in range(257)}, "at most 256 fields, not 257"),
        ({"a": "\ud800"}, "lone surrogate"),
        ({"\udfff": "a"}, "lone surrogate"),
    ],
)
def test_limits_are_told(fields: dict[str, reference.Value], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        Context(fields)


def test_a_context_shows_no_values() -> None:
    shown = repr(Context({"customer": "Ada Lovelace"}))
    assert "Ada" not in shown
    assert "customer" not in shown
