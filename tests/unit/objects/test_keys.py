"""The rules of keys: made here or in the HSM, used as they allow, purged without a trace."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from unit.objects.fake_hsm import FakeHsm
from vaultcore.clock import ManualClock
from vaultcore.errors import (
    BadParameterError,
    ConflictError,
    ForbiddenError,
    ObjectNotFoundError,
    TamperedError,
    UnavailableError,
)
from vaultcore.objects.attributes import Attributes, Version
from vaultcore.objects.key_parameters import KeyParameters
from vaultcore.objects.keys import KeyRules
from vaultcore.objects.kinds import OpenVault

Do = Callable[[Any], Any]
Create = Callable[..., Version]
EVERY_USE = ("encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey")
#: The key of RFC 7517, appendix A.2.
JWK = {
    "kty": "EC",
    "crv": "P-256",
    "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    "d": "870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE",
}
BOUND = {"encrypt", "sign", "wrapKey"}


@pytest.fixture
def create(keys: KeyRules, do: Do) -> Create:
    """Creates a key called ``name``."""

    def made(kty: str = "EC", attributes: Attributes | None = None, **wanted: Any) -> Version:
        plan = keys.plan_creation(
            "name", "NAME", KeyParameters(kty, **wanted), attributes=attributes
        )
        found: Version = do(plan())
        return found

    return made


def refused(keys: KeyRules, use: str) -> str | None:
    """Returns the inner code of the refusal of a use; None if it is allowed."""
    try:
        keys.authorize_use(keys.load("NAME", ""), use)
    except ForbiddenError as refusal:
        return refusal.inner_code
    return None


def test_a_key_is_described_by_its_public_half(create: Create, keys: KeyRules) -> None:
    made = create("EC", curve="P-384")
    metadata = made.metadata
    assert (metadata.key_type, metadata.key_size) == ("EC", None)
    assert set(metadata.public or {}) == {"crv", "x", "y"}
    assert keys.load("NAME", "").key.public_jwk() == {"kty": "EC", **(metadata.public or {})}


def test_a_symmetric_key_is_described_by_its_size(create: Create) -> None:
    made = create("oct", size=192)
    assert (made.metadata.key_size, made.metadata.public) == (192, None)


def test_a_plan_makes_nothing(keys: KeyRules, hsm: FakeHsm) -> None:
    keys.plan_creation("name", "NAME", KeyParameters("EC-HSM"))
    keys.plan_import("name", "NAME", JWK, hsm=True)
    assert hsm.asked == []


def test_a_key_of_the_hsm_is_used_there_and_leaves_it_never(
    create: Create, keys: KeyRules, hsm: FakeHsm
) -> None:
    made = create("EC-HSM")
    assert made.metadata.key_type == "EC-HSM"
    found = keys.load("NAME", "")
    assert found.in_hsm
    assert found.verify("ES256", bytes(32), found.sign("ES256", bytes(32)))
    assert hsm.asked == ["generate", "sign"]
    with pytest.raises(BadParameterError, match="never leaves it"):
        keys.refuse_backup(made.metadata)


def test_an_import_goes_where_it_is_asked_to(keys: KeyRules, do: Do, hsm: FakeHsm) -> None:
    for options, kty in (({}, "EC"), ({"hsm": True}, "EC-HSM")):
        found = do(keys.plan_import("name", "NAME", JWK, **options)())  # type: ignore[arg-type]
        assert found.metadata.key_type == kty
        assert found.metadata.public == {name: JWK[name] for name in ("crv", "x", "y")}
    in_hsm = keys.plan_import("name", "NAME", {**JWK, "kty": "EC-HSM"})
    assert do(in_hsm()).metadata.key_type == "EC-HSM"
    assert hsm.asked == ["import", "import"]


def test_without_an_hsm_there_are_no_keys_for_it(
    vault: OpenVault, keys: KeyRules, hsm: FakeHsm
) -> None:
    wanted = KeyParameters("RSA-HSM")
    vault.apply(msgspec.structs.replace(vault.settings, sku="standard"))
    with pytest.raises(BadParameterError) as refusal:
        keys.plan_creation("name", "NAME", wanted)
    assert refusal.value.inner_code == "KeyTypeNotSupported"
    vault.apply(msgspec.structs.replace(vault.settings, sku="premium"))
    vault.hsm = None
    with pytest.raises(BadParameterError):
        keys.plan_creation("name", "NAME", wanted)
    assert hsm.asked == []


def test_an_hsm_that_does_not_answer_makes_nothing(
    create: Create, keys: KeyRules, hsm: FakeHsm
) -> None:
    hsm.available = False
    with pytest.raises(UnavailableError):
        create("EC-HSM")
    with pytest.raises(ObjectNotFoundError):
        keys.find("NAME")


def test_a_name_that_is_deleted_is_refused_before_a_key_is_made(
    create: Create, keys: KeyRules, do: Do, hsm: FakeHsm
) -> None:
    create()
    do(keys.delete("NAME"))
    for plan in (
        lambda: keys.plan_creation("name", "NAME", KeyParameters("EC-HSM")),
        lambda: keys.plan_import("name", "NAME", JWK),
    ):
        with pytest.raises(ConflictError):
            plan()
    with pytest.raises(ObjectNotFoundError):
        keys.plan_rotation("NAME")
    assert hsm.asked == []


@pytest.mark.parametrize(
    "wanted",
    [
        {"kty": "EC", "curve": "P-521", "operations": ["verify"]},
        {"kty": "oct", "size": 384},
        {"kty": "EC-HSM", "curve": "P-256K"},
    ],
    ids=str,
)
def test_a_rotation_keeps_type_size_curve_and_operations(
    create: Create, keys: KeyRules, do: Do, wanted: dict[str, Any]
) -> None:
    before = create(**wanted)
    after = do(keys.plan_rotation("NAME")())
    assert after.version != before.version
    for member in ("key_type", "key_size", "operations", "tags"):
        assert getattr(after.metadata, member) == getattr(before.metadata, member)
    assert (after.metadata.public or {}).get("crv") == (before.metadata.public or {}).get("crv")
    assert after.metadata.public != before.metadata.public or wanted["kty"] == "oct"
    assert keys.load("NAME", before.version).version == before.version


def test_a_use_is_allowed_that_the_key_is_for(create: Create, keys: KeyRules) -> None:
    create("EC", operations=["verify"])
    assert {use: refused(keys, use) for use in ("verify", "sign")} == {
        "verify": None, "sign": "KeyOperationForbidden",
    }  # fmt: skip


def test_a_disabled_key_does_nothing(create: Create, keys: KeyRules) -> None:
    create("oct", operations=EVERY_USE, attributes=Attributes(enabled=False))
    assert {refused(keys, use) for use in EVERY_USE} == {"KeyDisabled"}


def test_dates_bind_what_makes_something_new(
    create: Create, keys: KeyRules, clock: ManualClock
) -> None:
    now = int(clock.now())
    dates = Attributes(not_before=now + 5, expires=now + 10)
    create("oct", operations=EVERY_USE, attributes=dates)
    for seconds, code in ((4.9, "KeyNotYetValid"), (0.1, None), (4.9, None), (0.1, "KeyExpired")):
        clock.advance(seconds)
        assert {use: refused(keys, use) for use in EVERY_USE} == {
            use: code if use in BOUND else None for use in EVERY_USE
        }


def test_what_was_used_is_confirmed_by_what_holds_now(
    create: Create, keys: KeyRules, do: Do
) -> None:
    create()
    used = keys.load("NAME", "")
    keys.confirm(used, "NAME", "", "sign")
    create()  # another version is current now, and this one may still do what it did
    keys.confirm(used, "NAME", "", "sign")
    do(keys.update("NAME", used.version, attributes=Attributes(enabled=False)))
    with pytest.raises(ForbiddenError):
        keys.confirm(used, "NAME", "", "sign")
    do(keys.delete("NAME"))
    with pytest.raises(ObjectNotFoundError):
        keys.confirm(used, "NAME", "", "sign")


def test_an_update_changes_what_a_key_is_for(create: Create, keys: KeyRules, do: Do) -> None:
    made = create("EC")
    assert do(keys.update("NAME", "", operations=[])).metadata.operations == ()
    assert do(keys.update("NAME", made.version)).metadata.operations == ()
    with pytest.raises(BadParameterError):
        do(keys.update("NAME", "", operations=["encrypt"]))
    with pytest.raises(BadParameterError, match="exportable"):
        keys.update("NAME", "", attributes=Attributes(exportable=True))


def test_a_purge_leaves_no_pair_in_the_hsm(
    create: Create, keys: KeyRules, do: Do, hsm: FakeHsm
) -> None:
    for kty in ("EC-HSM", "EC", "EC-HSM"):
        create(kty)
    do(keys.delete("NAME"))
    left = keys.discard(do(keys.purge("NAME")), "NAME")
    assert len(hsm.held) == 2
    assert left is not None
    left()
    assert hsm.held == {}


def test_a_purge_of_software_keys_has_nothing_left_to_do(
    create: Create, keys: KeyRules, do: Do
) -> None:
    create()
    do(keys.delete("NAME"))
    assert keys.discard(do(keys.purge("NAME")), "NAME") is None


def test_pairs_that_cannot_be_removed_are_named_in_the_log(
    create: Create, keys: KeyRules, do: Do, hsm: FakeHsm, caplog: pytest.LogCaptureFixture
) -> None:
    made = create("EC-HSM")
    do(keys.delete("NAME"))
    purged = do(keys.purge("NAME"))
    # Even of what kind it was cannot be read any more.
    changed = msgspec.structs.replace(purged[0], metadata="{")
    assert keys.discard([changed], "NAME") is not None
    hsm.available = False
    left = keys.discard([changed, *purged], "NAME")
    assert left is not None
    left()
    broken, away = (record.getMessage() for record in caplog.records)
    assert made.version in broken
    assert "does not verify" in broken
    assert made.version in away
    assert "the HSM does not answer" in away
    assert len(hsm.held) == 1


def test_a_changed_payload_is_no_key(create: Create, keys: KeyRules, do: Do) -> None:
    made = create()
    _, stored = keys.find("NAME")

    def breaks(transaction: Any) -> None:
        transaction.update_version(
            stored.sequence, metadata=stored.metadata, payload=stored.payload[:-1] + b"\0\0"
        )
        transaction.changed(keys.vault.id, "keys", "NAME", made.version, "update")

    do(breaks)
    with pytest.raises(TamperedError, match=f"name/{made.version}"):
        keys.load("NAME", "")


def test_a_key_that_was_opened_is_kept(create: Create, keys: KeyRules) -> None:
    create()
    assert keys.load("NAME", "") is keys.load("NAME", "")
