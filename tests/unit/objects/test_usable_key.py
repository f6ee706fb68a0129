"""A key ready for use: here, or in an HSM that alone has its private half."""

import pytest

from unit.objects.fake_hsm import FakeHsm
from vaultcore._core import Key
from vaultcore.errors import AlgorithmError
from vaultcore.objects.attributes import Metadata
from vaultcore.objects.usable_key import UsableKey

VERSION = "0" * 32


def here(kty: str, **shape: object) -> UsableKey:
    key = Key.generate(kty, **shape)  # type: ignore[arg-type]
    return UsableKey("name", VERSION, Metadata(1, 1), key)


@pytest.fixture(scope="module")
def rsa() -> Key:
    return Key.generate("RSA", size=2048)


@pytest.fixture
def hsm(rsa: Key) -> FakeHsm:
    made = FakeHsm()
    made.held["one"] = rsa
    return made


@pytest.fixture
def away(rsa: Key, hsm: FakeHsm) -> UsableKey:
    """The key in the HSM; what is known of it here is its public half."""
    public = Key.from_jwk(rsa.public_jwk())
    return UsableKey("name", VERSION, Metadata(1, 1), public, hsm=hsm, reference="one")


def test_private_operations_that_take_long_are_known(rsa: Key, away: UsableKey) -> None:
    assert not here("EC", curve="P-256").slow
    assert not here("oct", size=256).slow
    assert UsableKey("name", VERSION, Metadata(1, 1), rsa).slow
    assert away.slow
    assert away.in_hsm
    assert not here("oct", size=256).in_hsm


def test_a_key_here_does_everything_here() -> None:
    key = here("oct", size=256)
    ciphertext, nonce, tag = key.encrypt("A256GCM", b"plain", None, b"with it")
    assert key.decrypt("A256GCM", ciphertext, nonce, tag, b"with it") == b"plain"
    assert key.unwrap("A256KW", key.wrap("A256KW", bytes(16))) == bytes(16)
    signing = here("EC", curve="P-256")
    assert signing.verify("ES256", bytes(32), signing.sign("ES256", bytes(32)))
    assert (key.size, key.key.kty) == (256, "oct")


def test_the_hsm_does_what_needs_the_private_half(away: UsableKey, hsm: FakeHsm) -> None:
    signature = away.sign("RS256", bytes(32))
    assert away.verify("RS256", bytes(32), signature)
    ciphertext, nonce, tag = away.encrypt("RSA-OAEP", b"plain", None, b"")
    assert (nonce, tag) == (None, None)
    assert away.decrypt("RSA-OAEP", ciphertext, None, None, b"") == b"plain"
    assert away.unwrap("RSA-OAEP", away.wrap("RSA-OAEP", b"a key")) == b"a key"
    assert hsm.asked == ["sign", "offers", "decrypt", "offers", "decrypt"]


def test_nothing_is_encrypted_that_the_hsm_could_not_decrypt(away: UsableKey) -> None:
    for refuse in (
        lambda: away.encrypt("RSA-OAEP-256", b"plain", None, b""),
        lambda: away.wrap("RSA-OAEP-256", b"a key"),
    ):
        with pytest.raises(AlgorithmError, match="use RSA-OAEP"):
            refuse()
