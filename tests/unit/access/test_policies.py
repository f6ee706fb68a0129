"""Access policies, and what the gate is told of them."""

import msgspec
import pytest

from vaultcore._core import Gate, Principal
from vaultcore.access.policies import PERMISSIONS, AccessPolicy, flatten
from vaultcore.errors import BadParameterError


def test_permissions_are_those_of_the_contract() -> None:
    assert {kind: len(rights) for kind, rights in PERMISSIONS.items()} == {
        "keys": 21,
        "secrets": 9,
        "certificates": 17,
        "storage": 15,
    }


def test_policies_become_what_the_gate_takes() -> None:
    policies = [
        AccessPolicy(object_id="a", keys=("WRAPKEY", "Get"), secrets=("all",)),
        AccessPolicy(object_id="b", application_id="app", certificates=("ManageContacts",)),
    ]
    flat = flatten(policies)
    assert flat == [
        ("a", "", ["keys/wrapKey", "keys/get", "secrets/all"]),
        ("b", "app", ["certificates/managecontacts"]),
    ]
    gate = Gate()
    gate.set_vault("dev", policies=flat)
    assert gate.permitted("dev", Principal(object_id="a"), "keys/wrapKey")
    assert not gate.permitted("dev", Principal(object_id="b"), "certificates/managecontacts")


@pytest.mark.parametrize(
    "policy",
    [
        AccessPolicy(object_id=""),
        AccessPolicy(object_id="a" * 129),
        AccessPolicy(object_id="a\nb"),
        AccessPolicy(object_id="\u00e9"),
        AccessPolicy(object_id="a", application_id=""),
        AccessPolicy(object_id="a", keys=("set",)),
        AccessPolicy(object_id="a", secrets=("",)),
        AccessPolicy(object_id="a", secrets=("get ",)),
        AccessPolicy(object_id="a", certificates=("sign",)),
        AccessPolicy(object_id="a", storage=("list ", "get")),
    ],
)
def test_malformed_policies_are_refused(policy: AccessPolicy) -> None:
    with pytest.raises(BadParameterError):
        policy.check()
    with pytest.raises(BadParameterError):
        flatten([policy])


def test_there_are_not_too_many() -> None:
    policy = AccessPolicy(object_id="a")
    assert len(flatten([policy] * 1024)) == 1024
    with pytest.raises(BadParameterError, match="1024"):
        flatten([policy] * 1025)


def test_members_that_are_unknown_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"object_id": "a", "purge": ["all"]}, AccessPolicy)
