"""Arguments of callers in process, checked against what their class declares."""

from types import MappingProxyType
from typing import Any

import msgspec
import pytest

from vaultcore.errors import BadParameterError
from vaultcore.objects.attributes import Attributes
from vaultcore.operations.action import NOTHING, Action, Where, check
from vaultcore.operations.keys import (
    CreateKey,
    Decrypt,
    Encrypt,
    FollowKey,
    ImportKey,
    Verify,
    Wrap,
)
from vaultcore.operations.secrets import SetSecret
from vaultcore.operations.shared import Restore
from vaultcore.operations.table import ACTIONS

RIGHT: list[msgspec.Struct] = [
    NOTHING,
    SetSecret("v", "text", Attributes(True, 1, 2), {"a": "b"}),
    CreateKey("EC", operations=("sign",)),
    CreateKey("EC", operations=["sign"]),
    ImportKey({"kty": "oct", "k": "AA", "more": [1, {"any": None}]}),
    ImportKey(MappingProxyType({"kty": "oct"})),
    SetSecret("ä\U0001f511"),
    Encrypt("A256GCM", b"plain"),
    Restore(b"blob"),
]
WRONG: list[tuple[Any, str]] = [
    (SetSecret(5), "$.value"),  # type: ignore[arg-type]
    (SetSecret(b"canary"), "$.value"),  # type: ignore[arg-type]
    (SetSecret("v", 5), "$.contentType"),  # type: ignore[arg-type]
    (SetSecret("v", attributes=Attributes(enabled=1)), "$.attributes.enabled"),  # type: ignore[arg-type]
    (SetSecret("v", attributes=Attributes(expires="canary")), "$.attributes.exp"),  # type: ignore[arg-type]
    (SetSecret("v", attributes=Attributes(not_before=1.5)), "$.attributes.nbf"),  # type: ignore[arg-type]
    (SetSecret("v", tags={"a": None}), "$.tags[...]"),  # type: ignore[dict-item]
    (SetSecret("v", tags=[]), "$.tags"),  # type: ignore[arg-type]
    (CreateKey("RSA", "canary"), "$.key_size"),  # type: ignore[arg-type]
    (CreateKey("EC", curve=5), "$.crv"),  # type: ignore[arg-type]
    (CreateKey("EC", operations="sign"), "$.key_ops"),
    (ImportKey("canary"), "$.key"),  # type: ignore[arg-type]
    (Encrypt(5, b""), "$.alg"),  # type: ignore[arg-type]
    (Decrypt("A256GCM", "canary", 5), "$.value"),  # type: ignore[arg-type]
    (Wrap("A256KW", None), "$.value"),  # type: ignore[arg-type]
    (Verify("ES256", b"", 5), "$.value"),  # type: ignore[arg-type]
    (Restore("canary"), "$.value"),  # type: ignore[arg-type]
    (Restore("aGVsbG8="), "$.value"),  # type: ignore[arg-type]
    (Restore(bytearray(b"canary")), "$.value"),  # type: ignore[arg-type]
    (Encrypt("A256GCM", b"", memoryview(b"canary")), "$.iv"),  # type: ignore[arg-type]
    (SetSecret("canary\ud800"), "$.value"),
    (SetSecret("v", "\ud800"), "$.contentType"),
    (SetSecret("v", tags={"a": "\ud800"}), "$.tags[...]"),
    (SetSecret("v", tags={"\ud800": "a"}), "$.tags[...]"),
    (ImportKey({"kty": "oct", "k": "\ud800"}), "$.key[...]"),
    (FollowKey(256), "$.suite"),
    (FollowKey(-1), "$.suite"),
]


@pytest.mark.parametrize("arguments", RIGHT, ids=str)
def test_what_is_right_passes(arguments: msgspec.Struct) -> None:
    check(arguments)


@pytest.mark.parametrize("case", range(len(WRONG)))
def test_what_is_wrong_is_named_as_the_contract_does_and_not_shown(case: int) -> None:
    arguments, place = WRONG[case]
    with pytest.raises(BadParameterError) as refused:
        check(arguments)
    message = refused.value.message
    assert message.startswith("Property has invalid value\r\n")
    assert "Expected" in message or "not valid Unicode" in message
    assert message.endswith(f"- at `{place}`")
    assert "canary" not in message
    assert refused.value.__cause__ is None


def test_what_waits_for_nothing_is_done_at_once() -> None:
    at_once = Action(lambda *_: None)
    assert at_once.at_once
    assert not Action(lambda *_: None, writes=True).at_once
    assert not Action(lambda *_: None, where=lambda *_: Where.LOOP).at_once
    assert ACTIONS["SecretGet"].at_once
    assert not ACTIONS["KeySign"].at_once


def test_no_arguments_show_what_is_secret() -> None:
    for arguments in (
        SetSecret("canary"),
        ImportKey({"d": "canary"}),
        Encrypt("A256GCM", b"canary"),
        Wrap("A256KW", b"canary"),
    ):
        assert "canary" not in repr(arguments)
