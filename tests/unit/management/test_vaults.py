"""Vaults: what they may be called, what of them can be changed, and who owns a new one."""

from typing import Any

import pytest

from vaultcore import Engine
from vaultcore._core import Principal
from vaultcore.errors import BadParameterError, ConflictError, NotFoundError
from vaultcore.management import Management


@pytest.mark.parametrize("name", ["abc", "A-b-C", "a1b2", "v" * 24])
def test_names_that_the_contract_takes(engine: Engine, name: str) -> None:
    assert engine.management.vault_create(name=name)["name"] == name
    assert engine.management.vault_show(name=name.upper())["name"] == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "ab",
        "v" * 25,
        "1ab",
        "-ab",
        "ab-",
        "a--b",
        "a_b",
        "a.b",
        "a b",
        "äbc",
        "abc\n",
        "login",
        "Management",
        "LOCALHOST",
        "system",
    ],
)
def test_names_that_it_does_not_take_or_that_hosts_have(engine: Engine, name: str) -> None:
    with pytest.raises(BadParameterError) as caught:
        engine.management.vault_create(name=name)
    assert caught.value.code == "VaultNameNotValid"
    assert [vault["name"] for vault in engine.management.vault_list()] == ["dev"]


def test_a_name_is_taken_in_any_case(engine: Engine) -> None:
    with pytest.raises(ConflictError) as caught:
        engine.management.vault_create(name="DEV")
    assert caught.value.code == "VaultAlreadyExists"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"retention_days": 6}, "7 to 90 days"),
        ({"retention_days": 91}, "7 to 90 days"),
        ({"secret_expiry": "ignore"}, "`enforce` or `inform`"),
        ({"sku": "gold"}, "`standard` or `premium`"),
    ],
)
def test_a_vault_that_cannot_be_is_not_made(
    engine: Engine, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadParameterError, match=said):
        engine.management.vault_create(name="other", **changes)
    with pytest.raises(NotFoundError):
        engine.management.vault_show(name="other")


def test_what_is_shown_is_what_was_asked_for(engine: Engine) -> None:
    made = engine.management.vault_create(
        name="Other",
        retention_days=7,
        purge_protection=True,
        secret_expiry="inform",
        sku="premium",
    )
    expected = {
        "name": "Other",
        "uri": "https://other.vault.localhost/",
        "tenantId": engine.installation.tenant_id,
        "created": int(engine.clock.now()),
        "softDeleteRetentionInDays": 7,
        "enablePurgeProtection": True,
        "secretExpiry": "inform",
        "sku": "premium",
        "networkAcls": {"defaultAction": "Allow", "ipRules": []},
        "keyGeneration": 1,
    }
    assert {key: made[key] for key in expected} == expected
    assert set(made) - set(expected) == {"id"}
    assert engine.management.vault_show(name="other") == made


def test_whoever_makes_a_vault_may_do_everything_in_it(engine: Engine) -> None:
    maker = Principal(
        object_id="11111111-2222-3333-4444-555555555555",
        tenant_id=engine.installation.tenant_id,
    )
    engine.management.access_administrator(principal=maker.object_id)
    Management(engine, maker, "192.0.2.1", remote=True).perform("vault.create", {"name": "theirs"})
    for principal in (maker, engine.administrator()):
        secrets = engine.vault("theirs").acting_as(principal).secrets
        secrets.set("a", "value")
        secrets.delete("a")
        secrets.purge("a")
    grants = engine.management.access_list(vault="theirs")
    assert {grant["object_id"] for grant in grants} == {
        maker.object_id,
        engine.installation.operator,
    }


def test_a_change_leaves_what_it_does_not_name(engine: Engine) -> None:
    before = engine.management.vault_show(name="dev")
    after = engine.management.vault_update(name="dev", secret_expiry="inform")
    assert after == {**before, "secretExpiry": "inform"}
    assert engine.management.vault_update(name="dev") == after
    with pytest.raises(BadParameterError):
        engine.management.vault_update(name="dev", sku="gold")
    assert engine.management.vault_show(name="dev") == after


def test_purge_protection_is_not_taken_back(engine: Engine) -> None:
    engine.management.vault_update(name="dev", purge_protection=False)
    engine.management.vault_update(name="dev", purge_protection=True)
    with pytest.raises(BadParameterError, match="cannot be switched off"):
        engine.management.vault_update(name="dev", purge_protection=False)
    assert engine.management.vault_show(name="dev")["enablePurgeProtection"] is True


def test_a_rotation_is_seen_in_the_generation(engine: Engine) -> None:
    assert engine.management.vault_rotate_key(name="DEV") == {"name": "dev", "generation": 2}
    assert engine.management.vault_show(name="dev")["keyGeneration"] == 2


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("vault_show", {}),
        ("vault_update", {"sku": "premium"}),
        ("vault_delete", {}),
        ("vault_rotate_key", {}),
    ],
)
def test_there_is_no_such_vault(engine: Engine, name: str, more: dict[str, Any]) -> None:
    with pytest.raises(NotFoundError, match="no vault named `other`"):
        getattr(engine.management, name)(name="other", **more)
