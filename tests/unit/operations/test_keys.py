"""Where the operations of keys run, and what of a key's rules each asks."""

from collections.abc import Callable
from typing import Any

import pytest

from unit.objects.fake_hsm import FakeHsm
from vaultcore import Engine
from vaultcore._core import Key
from vaultcore.engine.caller import Caller
from vaultcore.errors import BadParameterError, ForbiddenError, ObjectNotFoundError
from vaultcore.objects.kinds import OpenVault
from vaultcore.operations.action import NOTHING, Where
from vaultcore.operations.call import Call
from vaultcore.operations.keys import (
    MAXIMUM_RANDOM,
    CreateKey,
    Decrypt,
    Encrypt,
    ImportKey,
    RandomBytes,
    Sign,
    Verify,
    Wrap,
    confirm,
)
from vaultcore.operations.table import ACTIONS

OCT = {"kty": "oct", "k": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}


@pytest.fixture(scope="module")
def rsa() -> dict[str, str]:
    """A private key, made once: making one takes a while."""
    return Key.generate("RSA", size=2048, exportable=True).export_private_jwk()


@pytest.fixture
def vault(engine: Engine) -> OpenVault:
    """A vault with an HSM."""
    engine.management.vault_update(name="dev", sku="premium")
    state = engine.state("dev")
    state.hsm = FakeHsm()
    return state


@pytest.fixture
def asked(engine: Engine, vault: OpenVault) -> Callable[..., Call]:
    def make(verb: str, name: str = "") -> Call:
        call = Call(engine, vault, Caller(engine.administrator()), verb, name)
        call.admit()
        return call

    return make


def where(call: Call, arguments: Any = NOTHING) -> Where:
    action = ACTIONS[call.operation]
    return Where.LOOP if action.where is None else action.where(call, arguments)


@pytest.mark.parametrize(
    ("kty", "place"),
    [
        ("RSA", Where.PROCESSOR), ("EC", Where.LOOP), ("oct", Where.LOOP), ("canary", Where.LOOP),
        ("RSA-HSM", Where.HSM), ("EC-HSM", Where.HSM),
    ],
)  # fmt: skip
def test_a_key_is_made_where_its_type_says(
    asked: Callable[..., Call], kty: str, place: Where
) -> None:
    assert where(asked("KeyCreate", "a"), CreateKey(kty)) is place


def test_an_import_takes_a_processor_or_the_hsm(asked: Callable[..., Call]) -> None:
    call = asked("KeyImport", "a")
    assert where(call, ImportKey(OCT)) is Where.PROCESSOR
    assert where(call, ImportKey(OCT, hsm=True)) is Where.HSM
    assert where(call, ImportKey({**OCT, "kty": "EC-HSM"})) is Where.HSM
    for odd in ({}, {"kty": 5}, {"kty": None}):
        assert where(call, ImportKey(odd)) is Where.PROCESSOR


USES: dict[str, Any] = {
    "KeyEncrypt": Encrypt("RSA-OAEP", b"plain"),
    "KeyDecrypt": Decrypt("RSA-OAEP", b"?"),
    "KeyWrap": Wrap("RSA-OAEP", b"plain"),
    "KeyUnwrap": Wrap("RSA-OAEP", b"?"),
    "KeySign": Sign("RS256", bytes(32)),
    "KeyVerify": Verify("RS256", bytes(32), b"?"),
}
PUBLIC = {"KeyEncrypt", "KeyWrap", "KeyVerify"}


@pytest.mark.parametrize("verb", USES)
def test_a_key_is_used_where_it_is_and_away_from_the_loop_if_it_is_slow(
    engine: Engine, asked: Callable[..., Call], rsa: dict[str, str], verb: str
) -> None:
    keys = engine.vault("dev").acting_as(engine.administrator()).keys
    keys.import_("soft", rsa)
    keys.import_("hard", rsa, hsm=True)
    soft = Where.LOOP if verb in PUBLIC else Where.PROCESSOR
    assert where(asked(verb, "soft"), USES[verb]) is soft
    hard = Where.LOOP if verb == "KeyVerify" else Where.HSM
    assert where(asked(verb, "hard"), USES[verb]) is hard


@pytest.mark.parametrize("kty", ["EC", "oct"])
def test_what_is_quick_stays_on_the_loop(
    engine: Engine, asked: Callable[..., Call], kty: str
) -> None:
    keys = engine.vault("dev").acting_as(engine.administrator()).keys
    keys.create("quick", kty)
    for verb, arguments in USES.items():
        assert where(asked(verb, "quick"), arguments) is Where.LOOP


def test_a_rotation_goes_where_its_key_was_made(engine: Engine, asked: Callable[..., Call]) -> None:
    keys = engine.vault("dev").acting_as(engine.administrator()).keys
    for kty, place in (("RSA", Where.PROCESSOR), ("EC", Where.LOOP), ("EC-HSM", Where.HSM)):
        keys.create("a", kty)
        assert where(asked("KeyRotate", "a")) is place


@pytest.mark.parametrize("verb", sorted(set(USES) - {"KeyVerify"}))
def test_what_the_rules_refuse_is_refused_before_it_goes_anywhere(
    engine: Engine, vault: OpenVault, asked: Callable[..., Call], rsa: dict[str, str], verb: str
) -> None:
    keys = engine.vault("dev").acting_as(engine.administrator()).keys
    keys.import_("hard", rsa, hsm=True)
    hsm = vault.hsm
    assert isinstance(hsm, FakeHsm)
    hsm.asked.clear()
    call = asked(verb, "hard")
    with pytest.raises(BadParameterError, match="not an algorithm"):
        where(call, type(USES[verb])("canary", b""))
    assert call.extra is None
    where(call, USES[verb])
    assert call.extra == {"Algorithm": USES[verb].algorithm}
    keys.update("hard", enabled=False)
    with pytest.raises(ForbiddenError):
        where(asked(verb, "hard"), USES[verb])
    assert hsm.asked == []


@pytest.mark.parametrize("verb", ["KeyCreate", "KeyImport"])
def test_a_key_that_may_not_be_made_does_not_wait_for_the_hsm(
    vault: OpenVault, asked: Callable[..., Call], verb: str
) -> None:
    refuses = ACTIONS[verb].refuses
    assert refuses is not None
    call, hsm = asked(verb, "a"), vault.hsm
    assert isinstance(hsm, FakeHsm)
    right: Any = CreateKey("EC-HSM") if verb == "KeyCreate" else ImportKey(OCT, hsm=True)
    refuses(call, right)
    wrong: Any = (
        CreateKey("EC-HSM", tags={"": ""}) if verb == "KeyCreate" else ImportKey({}, hsm=True)
    )
    with pytest.raises(BadParameterError):
        refuses(call, wrong)
    assert hsm.asked == []


def test_what_was_used_is_looked_at_again_for_what_it_did(
    engine: Engine, asked: Callable[..., Call]
) -> None:
    keys = engine.vault("dev").acting_as(engine.administrator()).keys
    keys.create("a", "EC")
    call = asked("KeySign", "a")
    confirm(call)  # nothing was used
    ACTIONS["KeySign"].run(call, Sign("ES256", bytes(32)))
    confirm(call)
    keys.update("a", operations=["verify"])
    call.look_again()
    with pytest.raises(ForbiddenError) as refused:
        confirm(call)
    assert "Operation sign" in refused.value.message
    keys.delete("a")
    call.look_again()
    with pytest.raises(ObjectNotFoundError):
        confirm(call)


def test_random_bytes_have_a_number(asked: Callable[..., Call]) -> None:
    run = ACTIONS["RandomBytesGet"].run
    for count in (1, MAXIMUM_RANDOM):
        assert len(run(asked("RandomBytesGet"), RandomBytes(count))) == count
    for count in (0, -1, MAXIMUM_RANDOM + 1):
        with pytest.raises(BadParameterError):
            run(asked("RandomBytesGet"), RandomBytes(count))


def test_associated_data_comes_back_as_it_was_given(
    engine: Engine, asked: Callable[..., Call]
) -> None:
    engine.vault("dev").acting_as(engine.administrator()).keys.import_("a", OCT)
    for given in (None, b"", b"with it"):
        call = asked("KeyEncrypt", "a")
        found = ACTIONS["KeyEncrypt"].run(call, Encrypt("A256GCM", b"plain", None, given))
        assert found.associated_data == given
        opened = Key.from_jwk(OCT).decrypt(
            "A256GCM", found.ciphertext, nonce=found.nonce, tag=found.tag,
            associated_data=given or b"",
        )  # fmt: skip
        assert opened == b"plain"
