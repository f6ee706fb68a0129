"""Bytes in JSON."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultcore.encoding import decode_base64url, encode_base64url
from vaultcore.errors import BadParameterError


@given(st.binary(max_size=100))
def test_bytes_come_back_with_and_without_padding(data: bytes) -> None:
    text = encode_base64url(data)
    assert not set(text) & set("+/=")
    assert decode_base64url(text, "x") == data
    assert decode_base64url(text + "=" * (-len(text) % 4), "x") == data


@pytest.mark.parametrize("text", ["+/8", "a/b=", "a", "a\n", "é", "a b", "AA=A", "\ud800"])
def test_what_is_no_base64url_names_the_member(text: str) -> None:
    with pytest.raises(BadParameterError, match=r"key\.k "):
        decode_base64url(text, "key.k")


def test_the_vectors_of_the_rfc() -> None:
    assert encode_base64url(b"\x03\xec\xff\xe0\xc1") == "A-z_4ME"
    assert decode_base64url("A-z_4ME", "x") == b"\x03\xec\xff\xe0\xc1"
