"""Grants: who is meant by a name, what of a grant is replaced, and who manages."""

from typing import Any

import pytest

from vaultcore import Engine
from vaultcore.errors import BadParameterError, ConflictError, NotFoundError, VaultError

SOMEBODY = "11111111-2222-3333-4444-5555ABCDEF00"


def grants(engine: Engine) -> dict[str, dict[str, Any]]:
    found = engine.management.access_list(vault="dev")
    return {grant["object_id"]: grant for grant in found}


def test_a_kind_that_is_not_named_keeps_its_permissions(engine: Engine) -> None:
    engine.management.access_set(
        vault="dev", principal=SOMEBODY, secret_permissions=["get"], key_permissions=["sign"]
    )
    after = engine.management.access_set(
        vault="dev", principal=SOMEBODY, secret_permissions=["list"]
    )
    assert (tuple(after["secrets"]), tuple(after["keys"])) == (("list",), ("sign",))
    after = engine.management.access_set(vault="dev", principal=SOMEBODY, key_permissions=[])
    assert "keys" not in after
    assert tuple(after["secrets"]) == ("list",)


def test_an_application_is_named_by_its_name_or_either_id(engine: Engine) -> None:
    made = engine.management.app_create(name="web")
    for name in ("web", "WEB", made["client_id"], made["object_id"].upper()):
        after = engine.management.access_set(
            vault="dev", principal=name, secret_permissions=["get"]
        )
        assert after["object_id"] == made["object_id"]
    assert len(grants(engine)) == 2
    assert grants(engine)[made["object_id"]]["name"] == "web"
    assert grants(engine)[engine.installation.operator]["name"] == "local administrator"


def test_a_guid_is_one_principal_in_any_case(engine: Engine) -> None:
    for spelled in (SOMEBODY, SOMEBODY.lower()):
        engine.management.access_set(vault="dev", principal=spelled, secret_permissions=["get"])
    assert set(grants(engine)) == {engine.installation.operator, SOMEBODY.lower()}


@pytest.mark.parametrize(
    ("principal", "object_id"),
    [
        ("keycloak:alice", "keycloak:alice"),
        ("github:repo:org/x:ref:refs/heads/main", "github:repo:org/x:ref:refs/heads/main"),
        ("group:keycloak:admins", "group:keycloak:admins"),
        ("group:" + SOMEBODY, "group:" + SOMEBODY.lower()),
    ],
)
def test_principals_and_groups_of_other_issuers(
    engine: Engine, principal: str, object_id: str
) -> None:
    after = engine.management.access_set(
        vault="dev", principal=principal, secret_permissions=["get"]
    )
    assert after["object_id"] == object_id


@pytest.mark.parametrize("principal", ["", "nobody", "no body:x", "x" * 65 + ":y", ":x", "x:"])
def test_what_names_nobody_is_refused(engine: Engine, principal: str) -> None:
    with pytest.raises(NotFoundError, match="neither the name of an application"):
        engine.management.access_set(vault="dev", principal=principal, secret_permissions=["get"])


@pytest.mark.parametrize(
    ("kind", "permission"),
    [("secret_permissions", "sign"), ("key_permissions", "read"), ("secret_permissions", "")],
)
def test_a_permission_that_does_not_exist_changes_nothing(
    engine: Engine, kind: str, permission: str
) -> None:
    engine.management.access_set(vault="dev", principal=SOMEBODY, secret_permissions=["get"])
    before = grants(engine)
    with pytest.raises(BadParameterError, match="is one of"):
        engine.management.perform(
            "access.set", {"vault": "dev", "principal": SOMEBODY, kind: ["get", permission]}
        )
    assert grants(engine) == before


def test_a_grant_through_an_application_is_one_of_its_own(engine: Engine) -> None:
    client = "AAAAAAAA-2222-3333-4444-555555555555"
    for application in (None, client, client.lower()):
        engine.management.access_set(
            vault="dev",
            principal=SOMEBODY,
            application_id=application,
            secret_permissions=["get"],
        )
    found = engine.management.access_list(vault="dev")
    theirs = [g.get("application_id") for g in found if g["object_id"] == SOMEBODY.lower()]
    assert theirs == [None, client.lower()]
    engine.management.access_remove(vault="dev", principal=SOMEBODY)
    assert set(grants(engine)) == {engine.installation.operator}


def test_a_grant_that_is_not_there_cannot_be_removed(engine: Engine) -> None:
    with pytest.raises(NotFoundError, match="has no access policy on vault dev"):
        engine.management.access_remove(vault="dev", principal=SOMEBODY)


def test_administrators_come_and_go(engine: Engine) -> None:
    administrator = engine.management.access_administrator
    for _ in range(2):
        assert administrator(principal=SOMEBODY) == {
            "objectId": SOMEBODY.lower(),
            "administrator": True,
        }
    assert list(engine.installation.administrators) == [SOMEBODY.lower()]
    assert administrator(principal=SOMEBODY, remove=True)["administrator"] is False
    assert list(engine.installation.administrators) == []


def test_a_group_does_not_manage(engine: Engine) -> None:
    with pytest.raises(BadParameterError, match="one by one"):
        engine.management.access_administrator(principal="group:" + SOMEBODY)
    assert list(engine.installation.administrators) == []


def test_an_application_is_not_made_twice_and_not_removed_twice(engine: Engine) -> None:
    engine.management.app_create(name="web")
    with pytest.raises(ConflictError):
        engine.management.app_create(name="Web")
    engine.management.app_delete(name="web")
    with pytest.raises(VaultError, match="no application"):
        engine.management.app_delete(name="web")
