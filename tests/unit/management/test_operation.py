"""Every operation of an administrator is checked and recorded once, however it is called."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import vaultcore
from unit.management.recording import Records, recorded, statuses
from vaultcore import Engine
from vaultcore._core import Principal
from vaultcore.cli.local import LocalConnection
from vaultcore.errors import BadParameterError, ForbiddenError, NotFoundError
from vaultcore.management import OPERATIONS, Management
from vaultcore.service.development.installation import Development
from vaultcore.storage import Transaction
from vaultcore.storage.sqlite.store import SqliteStore

GROUPS = ["0a0a0a0a-1111-2222-3333-44444444abcd", "0b0b0b0b-1111-2222-3333-44444444abcd"]
STRANGER = Principal(object_id="00000000-0000-0000-0000-00000000dead", name="stranger")


#: What is called by each name: the attribute, and arguments that fit a new installation with an
#: application `app`, a vault `dev` and an address and a grant in it.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "vault.create": {"name": "other"},
    "vault.list": {},
    "vault.show": {"name": "dev"},
    "vault.update": {"name": "dev", "secret_expiry": "inform"},
    "vault.rotate_key": {"name": "dev"},
    "access.set": {"vault": "dev", "principal": "app", "secret_permissions": ["get", "list"]},
    "access.remove": {"vault": "dev", "principal": "app"},
    "access.list": {"vault": "dev"},
    "access.administrator": {"principal": "app"},
    "firewall.set": {"vault": "dev", "default_action": "Deny"},
    "firewall.add": {"vault": "dev", "address": "10.0.0.0/8"},
    "firewall.remove": {"vault": "dev", "address": "10.1.0.0/16"},
    "firewall.list": {"vault": "dev"},
    "host_firewall.set": {"host": "issuer", "default_action": "Deny"},
    "host_firewall.add": {"host": "issuer", "address": "10.0.0.0/8"},
    "host_firewall.remove": {"host": "issuer", "address": "10.1.0.0/16"},
    "host_firewall.list": {"host": "issuer"},
    "app.create": {"name": "second"},
    "app.list": {},
    "app.set_groups": {"name": "app", "groups": GROUPS},
    "app.add_secret": {"name": "app"},
    "app.remove_secret": {"name": "app", "id": "?"},
    "app.delete": {"name": "app"},
    "audit.query": {},
    "audit.tail": {},
    "audit.verify": {},
    "audit.rotate_keys": {},
    "clock.confirm": {},
    "protector.list": {},
    "protector.add": {"name": "spare", "kind": "file"},
    "protector.remove": {"name": "second"},
    "protector.verify": {},
    "installation.move": {"domain": "vault.example"},
    "vault.delete": {"name": "dev"},
}


@pytest.fixture
def prepared(engine: Engine) -> Engine:
    made = engine.management.app_create(name="app")
    ARGUMENTS["app.remove_secret"]["id"] = made["secret_id"]
    engine.management.access_set(vault="dev", principal="app", key_permissions=["get"])
    engine.management.firewall_add(vault="dev", address="10.1.0.0/16")
    engine.management.host_firewall_add(host="issuer", address="10.1.0.0/16")
    engine.management.protector_add(name="second", kind="file")
    return engine


def attribute(name: str) -> str:
    return name.replace(".", "_")


def test_the_table_of_this_test_is_whole() -> None:
    assert {*ARGUMENTS, "audit.follow", "installation.rekey"} == set(OPERATIONS)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_an_attribute_is_the_operation_and_recorded_once(
    prepared: Engine, records: Records, name: str
) -> None:
    records()
    getattr(prepared.management, attribute(name))(**ARGUMENTS[name])
    assert statuses(records()) == [(OPERATIONS[name].audited, 200)]


@pytest.mark.parametrize("name", ARGUMENTS)
def test_by_name_it_is_recorded_once(prepared: Engine, records: Records, name: str) -> None:
    records()
    prepared.management.perform(name, ARGUMENTS[name])
    assert statuses(records()) == [(OPERATIONS[name].audited, 200)]


@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_stranger_is_refused_and_recorded_once(
    prepared: Engine, records: Records, name: str
) -> None:
    records()
    with pytest.raises(ForbiddenError, match="not an administrator"):
        getattr(Management(prepared, STRANGER), attribute(name))(**ARGUMENTS[name])
    found = records()
    assert [status for _, status in statuses(found)] == [403]
    assert STRANGER.object_id in json.dumps(found[0]["identity"])


def test_arguments_of_another_type_are_refused_in_process_too(
    engine: Engine, records: Records
) -> None:
    with pytest.raises(BadParameterError, match="do not fit"):
        engine.management.vault_create(name=7)  # type: ignore[arg-type]
    with pytest.raises(BadParameterError, match="missing arguments: name"):
        engine.management.vault_create()  # type: ignore[call-arg]
    with pytest.raises(BadParameterError, match="unknown arguments: colour"):
        engine.management.vault_list(colour="red")  # type: ignore[call-arg]
    assert [status for _, status in statuses(records())] == [400, 400, 400]


def test_a_record_says_who_got_what(engine: Engine, records: Records) -> None:
    made = engine.management.app_create(name="app")
    engine.management.access_administrator(principal="app")
    engine.management.access_set(vault="dev", principal="app", secret_permissions=["get", "set"])
    engine.management.app_set_groups(name="app", groups=GROUPS)
    created, granted, allowed, grouped = (r["properties"] for r in records())
    assert (created["name"], created["objectId"]) == ("app", made["object_id"])
    assert (granted["principal"], granted["objectId"]) == ("app", made["object_id"])
    assert (allowed["principal"], allowed["secretPermissions"]) == ("app", "get set")
    assert (grouped["name"], grouped["objectId"]) == ("app", made["object_id"])
    assert grouped["groups"] == " ".join(GROUPS)
    assert made["client_secret"] not in json.dumps(recorded(engine))


def test_what_no_record_can_hold_does_not_keep_it_from_the_record(
    engine: Engine, records: Records
) -> None:
    engine.management.audit_query(limit=10**30)
    with pytest.raises(NotFoundError):
        engine.management.vault_show(name="\ud800")
    engine.management.audit_query(principal="\ud800")
    assert [status for _, status in statuses(records())] == [200, 404, 200]


@pytest.mark.parametrize("failure", [OSError(28, "No space left"), KeyError("x"), SystemExit(3)])
def test_a_failure_that_nobody_foresaw_is_recorded_as_one(
    engine: Engine, records: Records, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(type(engine.key_ring), "create_vault", fail)
    with pytest.raises(type(failure)):
        engine.management.vault_create(name="other")
    (record,) = records()
    assert record["properties"]["httpStatusCode"] == 500
    assert record["resultType"] != "Success"
    assert type(failure).__name__ in record["resultDescription"]
    assert "No space" not in json.dumps(record)


def test_the_first_grants_are_the_first_records(tmp_path: Path) -> None:
    with vaultcore.create(tmp_path / "data", housekeeping=False) as engine:
        (first,) = recorded(engine)
        assert first["operationName"] == "InstallationPut"
        assert first["properties"]["operator"] == engine.installation.operator


def test_dev_records_its_grants_once_and_nothing_when_it_starts_again(tmp_path: Path) -> None:
    development = Development(tmp_path / "data", port=0)
    development.prepare()
    with vaultcore.open(tmp_path / "data", housekeeping=False) as engine:
        first = statuses(recorded(engine))
    assert first == [
        ("InstallationPut", 201),
        ("ApplicationPut", 200),
        ("InstallationPatch", 200),
        ("VaultPut", 200),
        ("VaultPatch", 200),
    ]
    again = Development(tmp_path / "data", port=development.port)
    again.prepare()
    with vaultcore.open(tmp_path / "data", housekeeping=False) as engine:
        assert statuses(recorded(engine)) == first


def test_the_command_line_on_a_folder_records_once(engine: Engine, records: Records) -> None:
    LocalConnection(engine, engine.administrator()).manage("vault.show", name="dev")
    with pytest.raises(ForbiddenError):
        LocalConnection(engine, STRANGER).manage("vault.show", name="dev")
    assert statuses(records()) == [("VaultGet", 200), ("VaultGet", 403)]


def test_an_administrator_who_was_removed_while_he_waited_does_nothing(
    prepared: Engine, records: Records
) -> None:
    principal = prepared.application("app")
    prepared.management.access_administrator(principal="app")
    held, free = threading.Event(), threading.Event()

    def hold(transaction: Transaction) -> None:
        transaction.unnoticed()
        held.set()
        assert free.wait(30)

    prepared.store.submit(hold)
    assert held.wait(30)
    records()
    assert isinstance(prepared.store, SqliteStore)
    with ThreadPoolExecutor(2) as pool:
        removal = pool.submit(
            prepared.management.access_administrator, principal="app", remove=True
        )
        while not prepared.store._writer._queue.qsize():
            time.sleep(0.01)
        # He is let in: the removal is not committed yet.
        late = pool.submit(Management(prepared, principal).vault_create, name="late")
        while prepared.store._writer._queue.qsize() < 2:
            time.sleep(0.01)
        free.set()
        assert removal.result(30)["administrator"] is False
        with pytest.raises(ForbiddenError, match="not an administrator"):
            late.result(30)
    assert "late" not in {vault["name"] for vault in prepared.management.vault_list()}
    assert ("VaultPut", 403) in statuses(records())
