"""What can be set about a vault, and what cannot."""

from typing import Any

import msgspec
import pytest

from vaultcore.access.firewall import Firewall
from vaultcore.access.policies import MAXIMUM_POLICIES, AccessPolicy
from vaultcore.errors import BadParameterError
from vaultcore.installation.vault_settings import VaultSettings

PLAIN = VaultSettings("dev", 1_700_000_000)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"retention_days": 7},
        {"retention_days": 90},
        {"secret_expiry": "inform"},
        {"sku": "premium"},
        {"firewall": Firewall("Deny", ("192.0.2.0/24",))},
        {"policies": tuple(AccessPolicy(str(n)) for n in range(MAXIMUM_POLICIES))},
    ],
)
def test_what_may_be(changes: dict[str, Any]) -> None:
    settings = msgspec.structs.replace(PLAIN, **changes)
    settings.check()
    assert msgspec.json.decode(msgspec.json.encode(settings), type=VaultSettings) == settings


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"retention_days": 6}, "not 6"),
        ({"retention_days": 91}, "not 91"),
        ({"secret_expiry": ""}, "secret expiry"),
        ({"secret_expiry": "Enforce"}, "secret expiry"),
        ({"sku": "Premium"}, "sku"),
        ({"firewall": Firewall("allow")}, "default action"),
        ({"policies": tuple(AccessPolicy(str(n)) for n in range(MAXIMUM_POLICIES + 1))}, "1024"),
    ],
)
def test_what_may_not(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(BadParameterError, match=said):
        msgspec.structs.replace(PLAIN, **changes).check()


def test_members_that_are_unknown_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"name": "dev", "created": 1, "colour": "red"}, VaultSettings)
