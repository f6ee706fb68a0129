"""A vault as a program holds it, and as one caller sees it."""

import pytest

from vaultcore import Engine
from vaultcore._core import Principal
from vaultcore.access.issuer import Shape
from vaultcore.clock import ManualClock
from vaultcore.errors import ForbiddenError, NotFoundError, UnauthorizedError


@pytest.fixture
def token(engine: Engine) -> str:
    """The token of an application that may set secrets in the vault ``dev``."""
    made = engine.management.app_create(name="robot")
    engine.management.access_set(vault="dev", principal="robot", secret_permissions=["set"])
    robot = engine.issuer.applications.authenticate(made["client_id"], made["client_secret"])
    assert robot is not None
    installation = engine.installation
    issued = engine.issuer.issue(
        robot, resource=installation.resource, tenant=installation.tenant_id, shape=Shape.V2
    )
    return issued.token


def test_a_vault_is_found_in_any_case(engine: Engine) -> None:
    assert engine.vault("DEV").name == "dev"
    with pytest.raises(NotFoundError) as refused:
        engine.vault("other")
    assert refused.value.code == "VaultNotFound"


def test_a_token_says_who_acts(engine: Engine, token: str) -> None:
    acting = engine.vault("dev").acting_as(token)
    assert acting.secrets.set("a", "value").name == "a"
    with pytest.raises(ForbiddenError) as refused:
        acting.keys.create("a", "EC")
    assert "robot" in refused.value.message or "appid=" in refused.value.message


def test_a_token_that_is_none_is_refused_at_once(engine: Engine, token: str) -> None:
    for wrong in ("", "canary", token[:-4] + "AAAA"):
        with pytest.raises(UnauthorizedError) as refused:
            engine.vault("dev").acting_as(wrong)
        assert "canary" not in str(refused.value)


def test_a_token_acts_until_it_ends(engine: Engine, token: str, clock: ManualClock) -> None:
    acting = engine.vault("dev").acting_as(token)
    acting.secrets.set("a", "value")
    clock.advance(7 * 86_400)
    with pytest.raises(UnauthorizedError):
        acting.secrets.set("a", "value")


def test_two_callers_of_one_vault_are_two(engine: Engine) -> None:
    vault = engine.vault("dev")
    owner = vault.acting_as(engine.administrator())
    nobody = vault.acting_as(Principal(object_id="nobody"))
    owner.secrets.set("a", "value")
    with pytest.raises(ForbiddenError):
        nobody.secrets.get("a")
    assert owner.secrets.get("a").value == "value"


def test_a_caller_has_an_address_or_none(engine: Engine) -> None:
    vault, owner = engine.vault("dev"), engine.administrator()
    engine.management.firewall_set(vault="dev", default_action="Deny")
    engine.management.firewall_add(vault="dev", address="10.0.0.0/8")
    vault.acting_as(owner).secrets.set("a", "value")
    assert vault.acting_as(owner, address="10.0.0.1").secrets.get("a").value == "value"
    for address in ("192.0.2.1", "", "nonsense"):
        with pytest.raises(ForbiddenError) as refused:
            vault.acting_as(owner, address=address).secrets.get("a")
        assert refused.value.inner_code == "ForbiddenByFirewall"
