"""The installation as a whole: where it lives, its keys, the clock that it believes."""

import pytest

import vaultcore
from vaultcore import Engine
from vaultcore.clock import ManualClock
from vaultcore.errors import BadParameterError, ForbiddenError, NotFoundError
from vaultcore.management import Management


def test_a_move_holds_from_the_next_opening_on(engine: Engine) -> None:
    moved = engine.management.installation_move(domain="vault.example:8443")
    assert moved == {"domain": "vault.example:8443", "issuer": "https://login.vault.example:8443"}
    engine.close()
    with vaultcore.open(engine.data, housekeeping=False) as again:
        assert again.management.vault_show(name="dev")["uri"] == "https://dev.vault.example:8443/"
        assert again.installation.resource == "https://vault.example:8443"


@pytest.mark.parametrize("domain", ["", "https://vault.example", "vault.example/x"])
def test_what_is_no_host_name_is_refused(engine: Engine, domain: str) -> None:
    with pytest.raises(BadParameterError, match="host name"):
        engine.management.installation_move(domain=domain)
    assert engine.installation.domain == "vault.localhost"


def test_a_rekey_says_which_keys_are_new(engine: Engine) -> None:
    engine.management.vault_create(name="other")
    one = engine.management.installation_rekey(vault="dev")["keys"]
    assert [key["name"] for key in one] == ["dev"]
    every = engine.management.installation_rekey()["keys"]
    assert {key["name"] for key in every} == {"system", "dev", "other"}
    with pytest.raises(NotFoundError):
        engine.management.installation_rekey(vault="none")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("installation.move", {"domain": "vault.example"}), ("installation.rekey", {})],
)
def test_neither_is_done_over_the_network(
    engine: Engine, name: str, arguments: dict[str, str]
) -> None:
    remote = Management(engine, engine.administrator(), "10.0.0.1", remote=True)
    with pytest.raises(ForbiddenError, match="server itself"):
        remote.perform(name, arguments)
    assert engine.installation.domain == "vault.localhost"


def test_a_clock_that_was_confirmed_is_believed(engine: Engine, clock: ManualClock) -> None:
    assert engine.purge_time.now() == clock.now()
    clock.advance(100 * 86_400)
    assert engine.purge_time.now() is None
    assert engine.management.clock_confirm() == {"clock": int(clock.now())}
    assert engine.purge_time.now() == clock.now()
