"""Every management operation, made by several threads of two processes at once, against itself.

What was answered with 200 is there afterwards, whoever else was at it; what was refused is not.
"""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import vaultcore
from unit.management.racers import Call, Outcome, Racer, race, racer
from vaultcore import Engine
from vaultcore.errors import ConfigurationError
from vaultcore.management import OPERATIONS
from vaultcore.protectors.list_file import read_list

#: How many calls each of the two processes makes at once.
EACH = 6

Made = list[tuple[dict[str, Any], Outcome]]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, Racer]]:
    data = tmp_path_factory.mktemp("races") / "data"
    with vaultcore.create(data, housekeeping=False) as engine, racer(data) as other:
        yield engine, other


class Field:
    """One installation and the two processes that race on it."""

    def __init__(self, engine: Engine, other: Racer) -> None:
        self.engine = engine
        self._other = other
        self.manage = engine.management

    def race(
        self,
        name: str,
        calls: list[dict[str, Any]],
        failures: tuple[type[Exception], ...] = (),
    ) -> Made:
        """Makes the calls, one half in each process; returns each with its outcome.

        Args:
            name: the operation.
            calls: its arguments.
            failures: what may be raised besides the refusals of the contract.
        """
        here: list[Call] = [(name, arguments) for arguments in calls[::2]]
        there: list[Call] = [(name, arguments) for arguments in calls[1::2]]
        self._other.ask(there)
        outcomes = [*race(self.engine, here), *self._other.answer()]
        allowed = {f"{kind.__name__}" for kind in failures}
        assert all(
            0 < status < 500 or str(result).partition(":")[0] in allowed
            for status, result in outcomes
        ), outcomes
        return list(zip([*calls[::2], *calls[1::2]], outcomes, strict=True))

    def vault(self) -> str:
        name = f"v{uuid.uuid4().hex[:12]}"
        self.manage.vault_create(name=name)
        return name

    def fresh(self) -> Engine:
        """Opens the folder once more: what is stored, not what somebody remembers."""
        return vaultcore.open(self.engine.data, housekeeping=False)


@pytest.fixture
def field(pair: tuple[Engine, Racer]) -> Field:
    return Field(*pair)


def acknowledged(made: Made) -> list[dict[str, Any]]:
    return [arguments for arguments, (status, _) in made if status == 200]


def people() -> list[str]:
    return [str(uuid.uuid4()) for _ in range(2 * EACH)]


def administrators(field: Field) -> set[str]:
    with field.fresh() as engine:
        listed = engine.installation.administrators
        assert len(listed) == len(set(listed))
        return set(listed)


def test_administrators_that_were_added_or_removed_are(field: Field) -> None:
    before = administrators(field)
    calls = [{"principal": person} for person in people()]
    assert len(acknowledged(field.race("access.administrator", calls))) == len(calls)
    assert administrators(field) == before | {call["principal"] for call in calls}
    removals = [{**call, "remove": True} for call in calls]
    assert len(acknowledged(field.race("access.administrator", removals))) == len(calls)
    assert administrators(field) == before


def test_removals_of_administrators_hold_while_others_are_added(field: Field) -> None:
    before = administrators(field)
    gone, come = people(), people()
    for person in gone:
        field.manage.access_administrator(principal=person)
    calls = [{"principal": p, "remove": True} for p in gone] + [{"principal": p} for p in come]
    made = field.race("access.administrator", calls)
    assert len(acknowledged(made)) == len(calls)
    assert administrators(field) == before | set(come)
    for person in come:
        field.manage.access_administrator(principal=person, remove=True)


def policies(field: Field, vault: str) -> dict[str, tuple[str, ...]]:
    with field.fresh() as engine:
        return {p.object_id: p.secrets for p in engine.state(vault).settings.policies}


def test_grants_that_were_given_or_taken_are(field: Field) -> None:
    vault = field.vault()
    owner = policies(field, vault)
    calls: list[dict[str, Any]] = [
        {"vault": vault, "principal": person, "secret_permissions": ["get"]} for person in people()
    ]
    assert len(acknowledged(field.race("access.set", calls))) == len(calls)
    assert policies(field, vault) == owner | {c["principal"]: ("get",) for c in calls}
    removals = [{"vault": vault, "principal": call["principal"]} for call in calls]
    assert len(acknowledged(field.race("access.remove", removals))) == len(calls)
    assert policies(field, vault) == owner


def test_a_grant_is_taken_once(field: Field) -> None:
    vault, person = field.vault(), str(uuid.uuid4())
    field.manage.access_set(vault=vault, principal=person, secret_permissions=["get"])
    made = field.race("access.remove", [{"vault": vault, "principal": person}] * 2 * EACH)
    assert len(acknowledged(made)) == 1


def ranges(field: Field, vault: str) -> set[str]:
    with field.fresh() as engine:
        return set(engine.state(vault).settings.firewall.ranges)


def test_addresses_that_were_added_or_removed_are(field: Field) -> None:
    vault = field.vault()
    calls = [{"vault": vault, "address": f"10.{n}.0.0/16"} for n in range(2 * EACH)]
    assert len(acknowledged(field.race("firewall.add", calls))) == len(calls)
    assert ranges(field, vault) == {call["address"] for call in calls}
    assert len(acknowledged(field.race("firewall.remove", calls))) == len(calls)
    assert ranges(field, vault) == set()


def test_the_default_action_changes_nothing_else(field: Field) -> None:
    vault = field.vault()
    field.manage.firewall_add(vault=vault, address="10.0.0.0/8")
    calls = [{"vault": vault, "default_action": a} for a in ("Allow", "Deny") * EACH]
    assert len(acknowledged(field.race("firewall.set", calls))) == len(calls)
    assert ranges(field, vault) == {"10.0.0.0/8"}


def test_addresses_of_a_host_that_were_added_or_removed_are(field: Field) -> None:
    calls = [{"host": "issuer", "address": f"10.{n}.0.0/16"} for n in range(2 * EACH)]

    def stored() -> set[str]:
        with field.fresh() as engine:
            return set(engine.management.host_firewall_list(host="issuer")["ranges"])

    assert len(acknowledged(field.race("host_firewall.add", calls))) == len(calls)
    assert stored() == {call["address"] for call in calls}
    actions = [{"host": "issuer", "default_action": a} for a in ("Allow", "Deny") * EACH]
    assert len(acknowledged(field.race("host_firewall.set", actions))) == len(calls)
    assert stored() == {call["address"] for call in calls}
    assert len(acknowledged(field.race("host_firewall.remove", calls))) == len(calls)
    assert stored() == set()


def test_settings_that_were_changed_are(field: Field) -> None:
    vault = field.vault()
    changes: list[dict[str, Any]] = [
        {"purge_protection": True},
        {"secret_expiry": "inform"},
        {"sku": "premium"},
    ]
    calls = [{"name": vault, **changes[n % 3]} for n in range(2 * EACH)]
    assert len(acknowledged(field.race("vault.update", calls))) == len(calls)
    with field.fresh() as engine:
        settings = engine.state(vault).settings
    assert settings.purge_protection
    assert (settings.secret_expiry, settings.sku) == ("inform", "premium")


def test_each_vault_that_was_made_is_there_and_each_name_is_given_once(field: Field) -> None:
    names = [f"race{n}" for n in range(EACH)]
    made = field.race("vault.create", [{"name": name} for name in names * 2])
    assert sorted(call["name"] for call in acknowledged(made)) == names
    with field.fresh() as engine:
        found = {state.name: state.id for state in engine.states() if state.name in names}
    assert found == {a["name"]: r["id"] for a, (s, r) in made if s == 200}


def test_a_vault_is_removed_once_and_another_of_its_name_stays(field: Field) -> None:
    vault = field.vault()
    made = field.race("vault.delete", [{"name": vault}] * 2 * EACH)
    assert len(acknowledged(made)) == 1
    field.manage.vault_create(name=vault)
    with field.fresh() as engine:
        assert engine.state(vault).settings.name == vault


def test_a_vault_is_not_removed_in_the_place_of_one_that_had_its_name(field: Field) -> None:
    vault = field.vault()
    old = field.engine.state(vault).id
    field.manage.vault_delete(name=vault)
    field.manage.vault_create(name=vault)
    for change in (
        lambda: field.engine.key_ring.remove_vault(old, vault),
        lambda: field.engine.key_ring.save_vault(old, vault, lambda settings: settings),
    ):
        with pytest.raises(vaultcore.VaultcoreError):
            change()
    with field.fresh() as engine:
        assert engine.state(vault).id != old


def test_each_generation_that_was_promised_is_kept(field: Field) -> None:
    vault = field.vault()
    acting = field.engine.vault(vault).acting_as(field.engine.administrator()).secrets
    acting.set("before", "value")
    made = field.race("vault.rotate_key", [{"name": vault}] * 2 * EACH)
    done = sorted(result["generation"] for _, (status, result) in made if status == 200)
    assert done == list(range(2, 2 + len(done)))
    assert {status for _, (status, _) in made} <= {200, 409}
    with field.fresh() as engine:
        assert engine.state(vault).kek.generations == [1, *done]
        secrets = engine.vault(vault).acting_as(engine.administrator()).secrets
        assert secrets.get("before").value == "value"


def test_each_application_that_was_made_is_there_and_each_name_is_given_once(
    field: Field,
) -> None:
    names = [f"made{n}" for n in range(EACH)]
    made = field.race("app.create", [{"name": name} for name in names * 2])
    assert sorted(call["name"] for call in acknowledged(made)) == names
    with field.fresh() as engine:
        found = {a.name: a.client_id for a in engine.issuer.applications.all() if a.name in names}
    assert found == {a["name"]: r["client_id"] for a, (s, r) in made if s == 200}
    removed = field.race("app.delete", [{"name": name} for name in names * 2])
    assert sorted(call["name"] for call in acknowledged(removed)) == names


def test_each_secret_of_an_application_that_was_made_or_removed_is(field: Field) -> None:
    name = f"app-{uuid.uuid4().hex[:8]}"
    first = field.manage.app_create(name=name)["secret_id"]
    made = field.race("app.add_secret", [{"name": name}] * 2 * EACH)
    ids = [result["secret_id"] for _, (status, result) in made if status == 200]

    def stored() -> set[str]:
        with field.fresh() as engine:
            return {secret.id for secret in engine.issuer.applications.find(name).secrets}

    assert len(ids) == 2 * EACH
    assert stored() == {first, *ids}
    removed = field.race("app.remove_secret", [{"name": name, "id": i} for i in ids])
    assert len(acknowledged(removed)) == 2 * EACH
    assert stored() == {first}


def test_the_groups_of_an_application_are_those_of_one_call(field: Field) -> None:
    name = f"app-{uuid.uuid4().hex[:8]}"
    field.manage.app_create(name=name)
    calls = [{"name": name, "groups": [str(uuid.uuid4())]} for _ in range(2 * EACH)]
    made = field.race("app.set_groups", calls)
    assert len(acknowledged(made)) == len(calls)
    assert all(result["groups"] == call["groups"] for call, (_, result) in made)
    with field.fresh() as engine:
        found = list(engine.issuer.applications.find(name).groups)
    assert found in [call["groups"] for call in calls]


def test_the_last_of_several_moves_holds(field: Field) -> None:
    before = field.engine.installation
    calls = [{"domain": f"d{n}.example"} for n in range(2 * EACH)]
    assert len(acknowledged(field.race("installation.move", calls))) == len(calls)
    with field.fresh() as engine:
        found = engine.installation
    assert found.domain in {call["domain"] for call in calls}
    assert found.issuer_url == f"https://login.{found.domain}"
    assert found.administrators == before.administrators


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("vault.list", {}),
        ("vault.show", {"name": "shown"}),
        ("access.list", {"vault": "shown"}),
        ("firewall.list", {"vault": "shown"}),
        ("host_firewall.list", {"host": "issuer"}),
        ("app.list", {}),
        ("audit.query", {"limit": 5}),
        ("audit.tail", {}),
        ("audit.verify", {}),
        ("protector.list", {}),
        ("protector.verify", {}),
    ],
)
def test_questions_do_not_disturb_each_other(
    field: Field, name: str, arguments: dict[str, Any]
) -> None:
    if "shown" not in {state.name for state in field.engine.states()}:
        field.manage.vault_create(name="shown")
    made = field.race(name, [arguments] * 2 * EACH)
    assert len(acknowledged(made)) == 2 * EACH
    if name == "audit.verify":
        assert all(report["ok"] for _, (_, report) in made)


def test_all_looks_with_one_cursor_answer(field: Field) -> None:
    cursor = field.manage.audit_tail()["cursor"]
    made = field.race("audit.follow", [{"cursor": cursor}] * 2 * EACH)
    assert len(acknowledged(made)) == 2 * EACH


def test_protectors_that_were_added_or_removed_are(field: Field) -> None:
    names = [f"p{n}" for n in range(EACH)]
    calls = [{"name": name, "kind": "file"} for name in names * 2]
    made = field.race("protector.add", calls, failures=(ConfigurationError,))
    assert sorted(call["name"] for call in acknowledged(made)) == names
    with field.fresh() as engine:
        assert {p.name for p in engine.key_ring.protectors} == {"file", *names}
        assert {line["status"] for line in engine.key_ring.verify()} == {"ok"}
    removed = field.race(
        "protector.remove", [{"name": name} for name in names * 2], failures=(ConfigurationError,)
    )
    assert sorted(call["name"] for call in acknowledged(removed)) == names
    with field.fresh() as engine:
        assert [p.name for p in engine.key_ring.protectors] == ["file"]
        assert [known.name for known in read_list(engine.data)] == ["file"]


def test_rekeys_at_once_lose_nothing(field: Field) -> None:
    vault = field.vault()
    acting = field.engine.vault(vault).acting_as(field.engine.administrator()).secrets
    for number in range(5):
        acting.set(f"s{number}", str(number))
    made = field.race("installation.rekey", [{"vault": vault}] * EACH)
    assert len(acknowledged(made)) == EACH
    with field.fresh() as engine:
        assert len(engine.state(vault).kek.generations) == 1
        secrets = engine.vault(vault).acting_as(engine.administrator()).secrets
        assert [secrets.get(f"s{n}").value for n in range(5)] == list("01234")


def test_each_key_of_the_log_that_was_replaced_goes_on_to_verify(field: Field) -> None:
    made = field.race("audit.rotate_keys", [{}] * EACH)
    assert len(acknowledged(made)) == EACH
    with field.fresh() as engine:
        report = engine.management.audit_verify()
    assert report["ok"], report["problems"]


def test_a_clock_that_several_confirm_is_believed(field: Field) -> None:
    made = field.race("clock.confirm", [{}] * EACH)
    assert len(acknowledged(made)) == EACH
    with field.fresh() as engine:
        assert engine.purge_time.now() is not None


def test_every_operation_is_raced_here() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert {name for name in OPERATIONS if f'"{name}"' in text} == set(OPERATIONS)
