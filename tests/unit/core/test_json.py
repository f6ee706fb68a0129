"""The strict check of bodies: what passes means one thing to every decoder."""

import contextlib
import json
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaultcore._core import check_json
from vaultcore.errors import UsageError


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        " \t\r\n{ } \n",
        '{"a":1,"b":[1,2,{"a":null}],"c":{"a":true}}',
        '{"a":-0,"b":0.5,"c":1e3,"d":-1.5E-7,"e":0e0,"f":0.0}',
        '{"a":9007199254740992,"b":-9007199254740992}',
        '{"":"","\\u0000":"\\ud83d\\ude00\\"\\\\\\/\\b\\f\\n\\r\\t"}',
        '{"a":"\u2028\u00e9\U0001f600"}',
        '{"a":1,"A":2}',
        '{"a":{"x":1},"b":{"x":1}}',
        '{"a":[[],{}]}',
        '{"a":0.00000000000000000000000000001}',
        '{"a":0e99}',
        '{"a":1e14}',
        '{"a":1e-99}',
    ],
)
def test_good_bodies_pass(body: Any) -> None:
    check_json(body.encode())
    json.loads(body)


@pytest.mark.parametrize(
    ("body", "kind", "position"),
    [
        (b"", "something other than an object", 0),
        (b"   ", "something other than an object", 3),
        (b"[]", "something other than an object", 0),
        (b'"a"', "something other than an object", 0),
        (b"null", "something other than an object", 0),
        (b"\xef\xbb\xbf{}", "something other than an object", 0),
        (b'{"a":"\xff"}', "invalid UTF-8", 6),
        (b'{"a":"\xed\xa0\x80"}', "invalid UTF-8", 6),
        (b'{"a":"\xc0\xaf"}', "invalid UTF-8", 6),
        (b"{}x", "something after the end", 2),
        (b"{}{}", "something after the end", 2),
        (b"{}\x00", "something after the end", 2),
        (b"{", "an early end", 1),
        (b'{"a"', "a member without a value", 4),
        (b'{"a":', "an early end", 5),
        (b'{"a":1', "an early end", 6),
        (b'{"a":1,', "an early end", 7),
        (b'{"a', "an early end", 3),
        (b'{"a":1,}', "a member without a name", 7),
        (b"{,}", "a member without a name", 1),
        (b"{a:1}", "a member without a name", 1),
        (b"{'a':1}", "a member without a name", 1),
        (b'{"a" 1}', "a member without a value", 5),
        (b'{"a":1 "b":2}', "a missing comma or bracket", 7),
        (b'{"a":[1,]}', "something that is not a value", 8),
        (b'{"a":[1}', "a missing comma or bracket", 7),
        (b'{"a":{"b":1]}', "a missing comma or bracket", 11),
        (b'{"a":1,"a":2}', "a repeated member", 7),
        (b'{"a":1,"\\u0061":2}', "a repeated member", 7),
        (b'{"x":{"a":1,"b":2,"a":3}}', "a repeated member", 18),
        (b'{"\xf0\x9f\x98\x80":1,"\\ud83d\\ude00":2}', "a repeated member", 10),
        (b'{"a":"\x1f"}', "a control character in a string", 6),
        (b'{"a":"\n"}', "a control character in a string", 6),
        (b'{"a":"\\x41"}', "an unknown escape", 6),
        (b'{"a":"\\u12"}', "an unknown escape", 6),
        (b'{"a":"\\u12g4"}', "an unknown escape", 6),
        (b'{"a":"\\ud800"}', "half of a surrogate pair", 6),
        (b'{"a":"\\udc00"}', "half of a surrogate pair", 6),
        (b'{"a":"\\ud800\\ud800"}', "half of a surrogate pair", 6),
        (b'{"a":"\\ud800x"}', "half of a surrogate pair", 6),
        (b'{"a":9007199254740993}', "too large a number", 5),
        (b'{"a":-9007199254740993}', "too large a number", 5),
        (b'{"a":' + b"9" * 5000 + b"}", "too large a number", 5),
        (b'{"a":1e400}', "too large a number", 5),
        (b'{"a":1e15}', "too large a number", 5),
        (b'{"a":123e13}', "too large a number", 5),
        (b'{"a":0.01e18}', "too large a number", 5),
        (b'{"a":1e999999999999999999999}', "too large a number", 5),
        (b'{"a":1e-999}', "too large a number", 5),
        (b'{"a":0.' + b"1" * 5000 + b"}", "too large a number", 5),
        (b'{"a":01}', "a malformed number", 5),
        (b'{"a":-}', "a malformed number", 5),
        (b'{"a":-01}', "a malformed number", 5),
        (b'{"a":1.}', "a malformed number", 5),
        (b'{"a":1e}', "a malformed number", 5),
        (b'{"a":.5}', "something that is not a value", 5),
        (b'{"a":+1}', "something that is not a value", 5),
        (b'{"a":NaN}', "something that is not a value", 5),
        (b'{"a":Infinity}', "something that is not a value", 5),
        (b'{"a":tru}', "something that is not a value", 5),
        (b'{"a":True}', "something that is not a value", 5),
        (b'{"a":nullx}', "a missing comma or bracket", 9),
        (b'{"a":0x10}', "a missing comma or bracket", 6),
        (b'{"a":1/**/}', "a missing comma or bracket", 6),
    ],
)
def test_bad_bodies_are_told_by_kind_and_place(body: Any, kind: Any, position: Any) -> None:
    with pytest.raises(UsageError) as refused:
        check_json(body)
    assert str(refused.value) == f"the body is not acceptable JSON: {kind} at byte {position}"


def nested(depth: Any, opening: Any, closing: Any) -> Any:
    return (b'{"a":' + opening * (depth - 1) + closing * (depth - 1) + b"}").replace(b":}", b":0}")


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_depth_ends_where_it_should(opening: Any, closing: Any) -> None:
    check_json(nested(16, opening, closing).replace(b":}", b":0}"))
    with pytest.raises(UsageError, match="too deep a nesting"):
        check_json(nested(17, opening, closing).replace(b":}", b":0}"))
    check_json(b'{"a":[]}', max_depth=2)
    with pytest.raises(UsageError, match="too deep a nesting"):
        check_json(b'{"a":[]}', max_depth=1)


def test_members_and_elements_are_counted_together() -> None:
    fits = json.dumps({"a": list(range(997)), "b": 1, "c": {}}).encode()
    check_json(fits)
    check_json(json.dumps({str(n): n for n in range(1000)}).encode())
    for body in (
        {"a": list(range(1000))},
        {str(n): n for n in range(1001)},
        {"a": [{"b": 1}] * 500},
    ):
        with pytest.raises(UsageError, match="too many members"):
            check_json(json.dumps(body).encode())
    check_json(b'{"a":1}', max_members=1)
    with pytest.raises(UsageError, match="too many members"):
        check_json(b'{"a":1,"b":2}', max_members=1)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 1_000_000,
        b'{"a":' * 200_000,
        b'{"a":"' + b"x" * 1_000_000,
        b'{"a":"' + b"\\u0041" * 160_000 + b'"}',
        b'{"' + b"k" * 1_000_000 + b'":1}',
        b'{"a":' + b" " * 1_000_000 + b"1}",
        b'{"a":' + b"1" * 1_000_000 + b"}",
        b'{"a":[' + b"0," * 500_000 + b"0]}",
        b"{" + b",".join(b'"%d":1' % n for n in range(100_000)) + b"}",
        b"\xff" * 1_000_000,
        b'{"a":"' + "\u00e9".encode() * 500_000 + b'"}',
    ],
)
def test_time_is_bounded_by_the_size(body: Any) -> None:
    started = time.perf_counter()
    with contextlib.suppress(UsageError):
        check_json(body)
    assert time.perf_counter() - started < 1.0


def test_errors_hold_nothing_of_the_body() -> None:
    for body in (b'{"canary":1,"canary":2}', b'{"a":"canary', b'{"a":canary}', b"canary"):
        with pytest.raises(UsageError) as refused:
            check_json(body)
        assert "canary" not in str(refused.value)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(-1e14, 1e14).filter(lambda x: x == 0 or abs(x) > 1e-12)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(
    st.dictionaries(st.text(max_size=5), values, max_size=5),
    st.booleans(),
    st.sampled_from([None, 2]),
)
@settings(max_examples=200, deadline=None)
def test_what_encoders_write_passes(body: Any, ascii_only: Any, indent: Any) -> None:
    check_json(json.dumps(body, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "replace"))


pieces = st.sampled_from(
    ["{", "}", "[", "]", ":", ",", '"a"', '"b"', '"\\u0061"', '"', "\\", "0", "-", "1.5", "e9",
     "1e99", "true", "null", " ", "9" * 17, "\x00", "\u00e9", '"\\ud800"']
)  # fmt: skip


@given(st.lists(pieces, max_size=12).map("".join) | st.text(max_size=20))
@settings(max_examples=400, deadline=None)
def test_what_passes_is_what_strict_decoders_take(text: Any) -> Any:
    body = ('{"x":' + text + "}").encode("utf-8", "surrogatepass")
    try:
        check_json(body)
    except UsageError:
        return

    def no_repeats(pairs: Any) -> Any:
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    decoded = json.loads(body, object_pairs_hook=no_repeats)
    assert decoded == msgspec.json.decode(body)
