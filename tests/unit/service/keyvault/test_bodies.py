"""Bodies are read strictly, and what is wrong with one is told without what was sent."""

from typing import Any

import msgspec
import pytest

from vaultcore.errors import BadParameterError
from vaultcore.objects.attributes import Attributes
from vaultcore.service.keyvault.bodies import (
    BlobBody,
    KeyCreateBody,
    KeyImportBody,
    KeyOperationBody,
    KeyUpdateBody,
    KeyVerifyBody,
    RandomBody,
    SecretSetBody,
    SecretUpdateBody,
    reader,
)

FULL: dict[type, tuple[bytes, msgspec.Struct]] = {
    SecretSetBody: (
        b'{"value":"v","contentType":"t","attributes":{"enabled":true,"nbf":1},"tags":{"a":"b"}}',
        SecretSetBody("v", "t", Attributes(True, 1), {"a": "b"}),
    ),
    SecretUpdateBody: (b'{"contentType":"x","tags":{}}', SecretUpdateBody("x", tags={})),
    BlobBody: (b'{"value":"AAAA"}', BlobBody("AAAA")),
    KeyCreateBody: (
        b'{"kty":"RSA","key_size":2048,"public_exponent":3,"key_ops":["sign"],"crv":null}',
        KeyCreateBody("RSA", 2048, 3, ["sign"]),
    ),
    KeyImportBody: (
        b'{"key":{"kty":"oct"},"Hsm":true}',
        KeyImportBody({"kty": "oct"}, hsm=True),
    ),
    KeyUpdateBody: (b'{"key_ops":[],"release_policy":{}}', KeyUpdateBody([], release_policy={})),
    KeyOperationBody: (
        b'{"alg":"A","value":"B","iv":"C","aad":"D","tag":"E"}',
        KeyOperationBody("A", "B", "C", "D", "E"),
    ),
    KeyVerifyBody: (b'{"alg":"A","digest":"B","value":"C"}', KeyVerifyBody("A", "B", "C")),
    RandomBody: (b'{"count":5}', RandomBody(5)),
}


@pytest.mark.parametrize("shape", FULL, ids=lambda shape: shape.__name__)
def test_every_member_is_read_by_its_name_in_the_contract(shape: type) -> None:
    body, expected = FULL[shape]
    assert reader(shape)(body) == expected


def test_members_that_are_not_known_are_ignored() -> None:
    assert reader(RandomBody)(b'{"more":{"x":[1]},"count":5,"Count":6}') == RandomBody(5)


def test_names_of_members_count_their_case() -> None:
    """The member that asks for the HSM is `Hsm`, and nothing else is."""
    assert reader(KeyImportBody)(b'{"key":{},"hsm":true}').hsm is None


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[1]", b"null", b"5", b'"canary"', b'{"count":}', b'{"count":5}canary',
        b'\xef\xbb\xbf{"count":5}', b'{"count":5,"count":6}', b'{"count":"\xff"}',
        b'{"count":5,"x":"\\ud800"}', b"[" * 5000, b'{"count":NaN}',
    ],
)  # fmt: skip
def test_what_is_no_body(body: bytes) -> None:
    with pytest.raises(BadParameterError) as refused:
        reader(RandomBody)(body)
    assert "canary" not in refused.value.message
    assert refused.value.__suppress_context__


@pytest.mark.parametrize(
    ("shape", "body", "place"),
    [
        (SecretSetBody, b"{}", "value"),
        (SecretSetBody, b'{"value":5}', "$.value"),
        (SecretSetBody, b'{"value":"canary","tags":{"a":5}}', "$.tags[...]"),
        (SecretSetBody, b'{"value":"canary","attributes":{"exp":"canary"}}', "$.attributes.exp"),
        (SecretSetBody, b'{"value":"canary","attributes":{"nbf":1.5}}', "$.attributes.nbf"),
        (KeyCreateBody, b'{"kty":"RSA","key_size":"canary"}', "$.key_size"),
        (KeyCreateBody, b'{"kty":"RSA","key_ops":["sign",5]}', "$.key_ops[1]"),
        (KeyImportBody, b'{"key":"canary"}', "$.key"),
        (KeyImportBody, b'{"key":{},"Hsm":"canary"}', "$.Hsm"),
        (KeyVerifyBody, b'{"alg":"ES256","digest":"canary"}', "value"),
        (RandomBody, b'{"count":true}', "$.count"),
    ],
)
def test_the_member_that_is_wrong_is_named_and_not_shown(
    shape: Any, body: bytes, place: str
) -> None:
    with pytest.raises(BadParameterError) as refused:
        reader(shape)(body)
    message = refused.value.message
    assert message.startswith("Property has invalid value\r\n")
    assert f"`{place}`" in message
    assert "canary" not in message
