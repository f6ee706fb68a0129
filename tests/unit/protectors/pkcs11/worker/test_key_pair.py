"""Key pairs inside a token: what their objects allow, and which of them are used."""

from collections.abc import Callable
from typing import Any

import pytest

from unit.protectors.pkcs11.jwks import private_jwk
from vaultcore.errors import ProtectorError
from vaultcore.protectors.pkcs11.hsm_keys import HsmKeys
from vaultcore.protectors.pkcs11.softhsm import SoftToken
from vaultcore.protectors.pkcs11.token import Token


@pytest.mark.parametrize("kty", ["RSA", "EC"])
@pytest.mark.parametrize("imported", [False, True])
def test_private_keys_cannot_leave_the_token(
    own_token: SoftToken,
    in_token: Callable[[str], Any],
    opened: Callable[..., Token],
    kty: str,
    imported: bool,
) -> None:
    keys = HsmKeys(opened(own_token))
    if imported:
        keys.import_key(private_jwk(kty))
    else:
        keys.generate(kty)
    (flags,) = in_token(
        "secret = ['VALUE', 'PRIVATE_EXPONENT', 'PRIME_1', 'PRIME_2']\n"
        "names = ['SENSITIVE', 'EXTRACTABLE', 'PRIVATE', 'TOKEN', 'SIGN', 'DERIVE', 'UNWRAP']\n"
        "def known(k, n):\n"
        "    try: return k[Attribute[n]]\n"
        "    except pkcs11.PKCS11Error: return None\n"
        "print(json.dumps([{'flags': {n: bool(known(k, n)) for n in names},\n"
        "  'told': [n for n in secret if known(k, n)]}\n"
        "  for k in s.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY})]))"
    )
    assert flags["told"] == []
    assert flags["flags"] == {
        "SENSITIVE": True,
        "EXTRACTABLE": False,
        "PRIVATE": True,
        "TOKEN": True,
        "SIGN": True,
        "DERIVE": False,
        "UNWRAP": False,
    }


def test_a_destroyed_key_leaves_nothing_behind(
    own_token: SoftToken, in_token: Callable[[str], Any], opened: Callable[..., Token]
) -> None:
    keys = HsmKeys(opened(own_token))
    kept, gone = keys.generate("EC"), keys.generate("EC")
    keys.destroy(gone.reference)
    assert in_token("print(len(list(s.get_objects())))") == 2
    keys.sign(kept.reference, "ES256", bytes(32))


def test_another_key_under_the_same_id_is_refused(
    own_token: SoftToken, in_token: Callable[[str], Any], opened: Callable[..., Token]
) -> None:
    keys = HsmKeys(opened(own_token))
    made = keys.generate("RSA")
    in_token(
        "old = list(s.get_objects())\n"
        "id = bytes(old[0][Attribute.ID])\n"
        "[o.destroy() for o in old]\n"
        "s.generate_keypair(KeyType.RSA, 2048, id=id, store=True)"
    )
    for use in (
        lambda: keys.sign(made.reference, "RS256", bytes(32)),
        lambda: keys.decrypt(made.reference, "RSA-OAEP", bytes(256)),
        lambda: keys.destroy(made.reference),
    ):
        with pytest.raises(ProtectorError, match=r"another key .*: expected thumbprint .*, found"):
            use()


def test_a_private_half_that_was_exchanged_is_refused(
    own_token: SoftToken, in_token: Callable[[str], Any], opened: Callable[..., Token]
) -> None:
    keys = HsmKeys(opened(own_token))
    made = keys.generate("RSA")
    in_token(
        "private = next(s.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY}))\n"
        "id = bytes(private[Attribute.ID])\n"
        "private.destroy()\n"
        "public, _ = s.generate_keypair(KeyType.RSA, 2048, id=id, store=True)\n"
        "public.destroy()"
    )
    with pytest.raises(ProtectorError, match="signs with another key than the public half says"):
        keys.sign(made.reference, "RS256", bytes(32))
