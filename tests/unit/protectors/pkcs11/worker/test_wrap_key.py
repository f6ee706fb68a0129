"""Wrapping keys inside a token: what they may do, and which of them are used."""

import os
from collections.abc import Callable
from typing import Any

import pytest

from vaultcore.errors import ProtectorError
from vaultcore.protectors.pkcs11.protector import Pkcs11Protector
from vaultcore.protectors.pkcs11.softhsm import SoftToken
from vaultcore.protectors.pkcs11.token import Token
from vaultcore.protectors.pkcs11.worker.wrap_key import _fresh_nonce

SECRET = bytes(range(32))


def test_the_key_cannot_leave_the_token(
    own_token: SoftToken, in_token: Callable[[str], Any], opened: Callable[..., Token]
) -> None:
    protector = Pkcs11Protector.create(opened(own_token))
    flags = in_token(
        "k = next(s.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY}))\n"
        "names = ['SENSITIVE', 'EXTRACTABLE', 'PRIVATE', 'TOKEN', 'NEVER_EXTRACTABLE', 'LOCAL',\n"
        "         'WRAP', 'UNWRAP', 'SIGN']\n"
        "print(json.dumps({n: bool(k[Attribute[n]]) for n in names}))"
    )
    assert flags == {
        "SENSITIVE": True,
        "EXTRACTABLE": False,
        "PRIVATE": True,
        "TOKEN": True,
        "NEVER_EXTRACTABLE": True,
        "LOCAL": True,
        "WRAP": False,
        "UNWRAP": False,
        "SIGN": False,
    }
    assert protector.describe()["token_serial"] == own_token.serial


def test_an_extractable_key_is_refused(
    own_token: SoftToken, in_token: Callable[[str], Any], opened: Callable[..., Token]
) -> None:
    in_token(
        "s.generate_key(KeyType.AES, 256, id=b'x', label='vaultcore', store=True,"
        " template={Attribute.EXTRACTABLE: True})"
    )
    with pytest.raises(ProtectorError, match="can leave the token, so it is refused"):
        Pkcs11Protector(opened(own_token)).wrap(SECRET)


def test_an_aes_128_key_is_refused(
    own_token: SoftToken, in_token: Callable[[str], Any], opened: Callable[..., Token]
) -> None:
    in_token("s.generate_key(KeyType.AES, 128, id=b'x', label='vaultcore', store=True)")
    with pytest.raises(ProtectorError, match="is not an AES-256 key"):
        Pkcs11Protector(opened(own_token)).wrap(SECRET)


def test_two_keys_with_one_label_are_refused(
    own_token: SoftToken, in_token: Callable[[str], Any], opened: Callable[..., Token]
) -> None:
    in_token(
        "for i in b'xy': s.generate_key(KeyType.AES, 256, id=bytes([i]), label='vaultcore',"
        " store=True)"
    )
    with pytest.raises(ProtectorError, match="several AES keys with the label `vaultcore`"):
        Pkcs11Protector(opened(own_token)).wrap(SECRET)


def test_another_key_under_the_same_id_is_refused(
    own_token: SoftToken, in_token: Callable[[str], Any], opened: Callable[..., Token]
) -> None:
    protector = Pkcs11Protector.create(opened(own_token))
    wrapped = protector.wrap(SECRET)
    expected = protector.describe()
    in_token(
        "old = next(s.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY}))\n"
        "id = old[Attribute.ID]\n"
        "old.destroy()\n"
        "s.generate_key(KeyType.AES, 256, id=id, label='vaultcore', store=True,"
        " template={Attribute.EXTRACTABLE: False})"
    )
    uses: list[Callable[[], bytes]] = [
        lambda: protector.wrap(SECRET),
        lambda: protector.unwrap(wrapped),
    ]
    for use in uses:
        with pytest.raises(ProtectorError, match="holds another key") as caught:
            use()
        assert f"expected check value {expected['check_value']}, found " in str(caught.value)
        assert str(caught.value).count(expected["check_value"]) == 1


def test_the_check_value_is_not_the_classic_one(
    own_token: SoftToken, in_token: Callable[[str], Any], opened: Callable[..., Token]
) -> None:
    protector = Pkcs11Protector.create(opened(own_token))
    classic = in_token(
        "from pkcs11 import Mechanism\n"
        "k = next(s.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY}))\n"
        "print(json.dumps(k.encrypt(bytes(16), mechanism=Mechanism.AES_ECB).hex()))"
    )
    assert not classic.startswith(protector.describe()["check_value"][:6])


def test_a_nonce_is_never_that_of_the_check_value(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = [b"\xff" * 12, b"\xff" * 12, bytes(12)]
    monkeypatch.setattr(os, "urandom", lambda _: drawn.pop(0))
    assert _fresh_nonce() == bytes(12)
    assert not drawn
