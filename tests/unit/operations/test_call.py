"""An operation of a caller in process, on its way through the gate."""

import time

import pytest

from vaultcore import Engine
from vaultcore._core import API_VERSION, Principal
from vaultcore.engine.caller import Caller
from vaultcore.errors import BadParameterError, ForbiddenError, NotFoundError
from vaultcore.operations.call import Call

VERSION = "0123456789ABCDEF" * 2


def call(
    engine: Engine,
    verb: str = "SecretGet",
    name: str = "Name",
    version: str = "",
    caller: Caller | None = None,
) -> Call:
    caller = caller or Caller(engine.administrator())
    return Call(engine, engine.state("dev"), caller, verb, name, version)


def test_what_is_asked_for_is_understood_as_over_the_network(engine: Engine) -> None:
    asked = call(engine, version=VERSION)
    asked.admit()
    assert (asked.asked.object_name, asked.asked.canonical_name) == ("Name", "NAME")
    assert asked.asked.version == VERSION.lower()
    assert asked.object_id == f"https://dev.vault.localhost/secrets/Name/{VERSION.lower()}"
    assert asked.rules is asked.state.rules["secrets"]
    assert (asked.vault, asked.api_version) == ("dev", API_VERSION)
    assert asked.principal == engine.administrator()


def test_what_is_about_no_object_has_no_identifier(engine: Engine) -> None:
    for verb in ("KeyList", "RandomBytesGet"):
        asked = call(engine, verb, "")
        asked.admit()
        assert asked.object_id == ""
        assert asked.rules is asked.state.rules["keys"]


def test_a_malformed_name_is_no_part_of_an_identifier(engine: Engine) -> None:
    for name in ("", "a/b", "../a", "a\ud800", "a" * 128):
        asked = call(engine, name=name)
        with pytest.raises(BadParameterError):
            asked.admit()
        assert asked.object_id == ""


def test_a_refusal_for_want_of_permission_says_of_what(engine: Engine) -> None:
    asked = call(engine, caller=Caller(Principal(object_id="nobody")))
    with pytest.raises(ForbiddenError):
        asked.admit()
    assert asked.object_id == "https://dev.vault.localhost/secrets/Name"


def test_names_and_versions_are_text(engine: Engine) -> None:
    call(engine).check_types()
    for wrong in (
        call(engine, name=5),  # type: ignore[arg-type]
        call(engine, version=b"canary"),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError):
            wrong.admit()
        with pytest.raises(BadParameterError, match=r"is text, and not (int|bytes)") as refused:
            wrong.check_types()
        assert "canary" not in str(refused.value)


def test_an_address_counts_before_the_token(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token costs nothing, and is not looked at, where the address may not talk to the vault."""
    read: list[Caller] = []
    monkeypatch.setattr(engine, "refresh", read.append)
    engine.management.firewall_set(vault="dev", default_action="Deny")
    engine.management.firewall_add(vault="dev", address="10.0.0.0/8")
    who = engine.administrator()
    outside, inside = Caller(who, "192.0.2.1", "token"), Caller(who, "10.0.0.1", "token")
    asked = call(engine, caller=outside)
    with pytest.raises(ForbiddenError) as refused:
        asked.admit()
    assert refused.value.inner_code == "ForbiddenByFirewall"
    assert asked.address == "192.0.2.1"
    assert read == []
    call(engine, caller=inside).admit()
    assert read == [inside]
    call(engine, caller=Caller(who, None, "token")).admit()
    assert len(read) == 2


def test_nothing_is_asked_again_while_the_rules_stay(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = call(engine)
    asked.admit()
    engine.vault("dev").acting_as(engine.administrator()).secrets.set("a", "object changed")
    admitted: list[object] = []
    monkeypatch.setattr(Call, "admit", lambda again: admitted.append(again))  # noqa: PLW0108 - bound
    asked.look_again()
    assert admitted == []
    engine.management.access_remove(vault="dev", principal=engine.administrator().object_id)
    asked.look_again()
    assert admitted == [asked]


def test_what_was_revoked_is_refused_when_it_is_asked_again(engine: Engine) -> None:
    asked = call(engine)
    asked.admit()
    engine.management.access_remove(vault="dev", principal=engine.administrator().object_id)
    with pytest.raises(ForbiddenError):
        asked.look_again()


def test_a_vault_that_was_removed_is_refused_though_another_has_its_name(engine: Engine) -> None:
    asked = call(engine)
    asked.admit()
    engine.management.vault_delete(name="dev")
    engine.management.vault_create(name="dev")
    for again in (asked.look_again, asked.admit):
        with pytest.raises(NotFoundError) as refused:
            again()
        assert refused.value.code == "VaultNotFound"


def test_its_duration_counts_from_when_it_was_asked_for(engine: Engine) -> None:
    before = time.perf_counter()
    asked = call(engine)
    assert before <= asked.started <= time.perf_counter()
