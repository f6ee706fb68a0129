"""Keys in process: each argument reaches the key, and each result the caller."""

from typing import Any

import pytest

from vaultcore import Engine
from vaultcore._core import Key
from vaultcore.clock import ManualClock
from vaultcore.errors import BadParameterError
from vaultcore.library.keys import Keys
from vaultcore.library.results import Encryption, Signature

OCT = {"kty": "oct", "k": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}
DIGEST = bytes(range(32))


@pytest.fixture
def keys(engine: Engine) -> Keys:
    return engine.vault("dev").acting_as(engine.administrator()).keys


def test_every_argument_reaches_the_key(keys: Keys, clock: ManualClock) -> None:
    now = int(clock.now())
    made = keys.create(
        "Name", "EC", curve="P-384", operations=["sign"], enabled=False, not_before=now,
        expires=now + 5, tags={"a": "b"},
    )  # fmt: skip
    assert (made.enabled, made.not_before, made.expires, made.tags) == (
        *(False, now, now + 5, {"a": "b"}),
    )
    metadata = made.metadata
    assert (metadata.key_type, metadata.operations) == ("EC", ("sign",))
    assert (metadata.public or {})["crv"] == "P-384"
    assert keys.get("name") == keys.get("NAME", made.version) == made
    assert keys.create("sized", "oct", size=192).metadata.key_size == 192


def test_an_import_is_the_key_that_was_given(keys: Keys) -> None:
    made = keys.import_("a", {**OCT, "key_ops": ["wrapKey", "unwrapKey"]}, tags={"a": "b"})
    assert made.metadata.operations == ("wrapKey", "unwrapKey")
    assert made.tags == {"a": "b"}
    wrapped = keys.wrap_key("a", "A256KW", bytes(16))
    assert Key.from_jwk(OCT).unwrap_key("A256KW", wrapped.ciphertext) == bytes(16)


def test_an_import_into_an_hsm_needs_one(keys: Keys) -> None:
    with pytest.raises(BadParameterError) as refused:
        keys.import_("a", OCT, hsm=True)
    assert refused.value.inner_code == "KeyTypeNotSupported"


def test_a_signature_names_the_version_that_made_it(keys: Keys) -> None:
    old = keys.create("a", "EC").version
    new = keys.rotate("a").version
    made = keys.sign("a", "ES256", DIGEST)
    assert isinstance(made, Signature)
    assert made.key_version == new
    older = keys.sign("a", "ES256", DIGEST, version=old)
    assert older.key_version == old
    assert keys.verify("a", "ES256", DIGEST, older.signature, version=old)
    assert not keys.verify("a", "ES256", DIGEST, older.signature)


def test_encryption_with_every_part(keys: Keys) -> None:
    version = keys.import_("a", OCT).version
    made = keys.encrypt("a", "A256GCM", b"plain", associated_data=b"with it")
    assert isinstance(made, Encryption)
    assert made.key_version == version
    parts: dict[str, Any] = {"nonce": made.nonce, "tag": made.tag}
    assert (
        keys.decrypt("a", "A256GCM", made.ciphertext, associated_data=b"with it", **parts)
        == b"plain"
    )
    with pytest.raises(BadParameterError):
        keys.decrypt("a", "A256GCM", made.ciphertext, **parts)
    cbc = keys.encrypt("a", "A256CBCPAD", b"plain", nonce=bytes(16), version=version)
    assert (cbc.nonce, cbc.tag) == (bytes(16), None)
    assert keys.decrypt("a", "A256CBCPAD", cbc.ciphertext, nonce=bytes(16)) == b"plain"


def test_wrapping_names_the_version_and_unwrapping_takes_it(keys: Keys) -> None:
    old = keys.create("a", "oct").version
    keys.rotate("a")
    wrapped = keys.wrap_key("a", "A256KW", DIGEST, version=old)
    assert wrapped.key_version == old
    assert keys.unwrap_key("a", "A256KW", wrapped.ciphertext, version=old) == DIGEST
    with pytest.raises(BadParameterError):
        keys.unwrap_key("a", "A256KW", wrapped.ciphertext)


def test_an_update_changes_what_is_given(keys: Keys) -> None:
    made = keys.create("a", "oct", tags={"a": "b"})
    changed = keys.update("a", made.version, operations=["encrypt"], enabled=False)
    assert (changed.metadata.operations, changed.enabled) == (("encrypt",), False)
    assert changed.tags == {"a": "b"}


def test_random_bytes_are_as_many_as_asked_for(keys: Keys) -> None:
    assert len(keys.random_bytes(7)) == 7
    assert keys.random_bytes(32) != keys.random_bytes(32)


def test_a_key_encryption_key_takes_its_suite(keys: Keys) -> None:
    keys.create("a", "oct")
    assert keys.kek("a").suite == 1
    assert keys.kek("a", suite=2).suite == 2
