"""The firewalls of the issuer and of the management plane, in front of a running service."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

import vaultcore
from unit.service.running import DOMAIN, Said, Service
from vaultcore import Engine
from vaultcore.access.proxies import Proxies
from vaultcore.cli import app
from vaultcore.errors import BadParameterError, NotFoundError, VaultError
from vaultcore.installation.settings import Installation

ISSUER = b"Host: login." + DOMAIN.encode()
MANAGEMENT = b"Host: management." + DOMAIN.encode()
VAULT = b"Host: dev." + DOMAIN.encode()
JUNK = b"Authorization: Bearer a.b.c"
INSIDE = b"X-Forwarded-For: 192.0.2.7"
OUTSIDE = b"X-Forwarded-For: 203.0.113.9"


@pytest.fixture
def engine(tmp_path: Path) -> Any:
    with vaultcore.create(tmp_path / "data") as made:
        made.management.vault_create(name="dev")
        made.management.app_create(name="boss")
        made.management.access_administrator(principal="boss")
        yield made


@pytest.fixture
def service(engine: Engine) -> Any:
    made = Service(engine, proxies=Proxies(["127.0.0.1"]))
    yield made
    made.stop()


def wall(engine: Engine, host: Any) -> None:
    engine.management.host_firewall_add(host=host, address="192.0.2.0/24")
    engine.management.host_firewall_set(host=host, default_action="deny")


def boss(service: Service) -> bytes:
    made = service.engine.management.app_add_secret(name="boss")
    return service.bearer(made["client_id"], made["client_secret"], f"management.{DOMAIN}")


def manage(service: Service, *headers: bytes) -> Said:
    lines = (b"POST /v1/vault.list HTTP/1.1", MANAGEMENT, b"Content-Length: 0")
    return service.ask(*lines, *headers)


def test_everybody_may_unless_told_otherwise(service: Service) -> None:
    assert manage(service, boss(service), OUTSIDE).status == 200
    keys = b"GET /adfs/discovery/keys HTTP/1.1"
    assert service.ask(keys, ISSUER, OUTSIDE).status == 200
    for host in ("issuer", "management"):
        listed = service.engine.management.host_firewall_list(host=host)
        assert listed == {"default_action": "Allow", "ranges": ()}


def test_the_management_plane_looks_at_the_address_before_the_token(
    service: Service, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = boss(service)
    wall(engine, "management")
    assert manage(service, token, INSIDE).status == 200
    # Without a token there is the challenge, as at a vault.
    assert manage(service, OUTSIDE).status == 401
    looked: list[str] = []
    validate = engine.management_validator.validate

    def look(token: str) -> Any:
        looked.append(token)
        return validate(token)

    monkeypatch.setattr(engine.management_validator, "validate", look)
    for credential in (token, JUNK):
        said = manage(service, credential, OUTSIDE)
        assert (said.status, said.error["innererror"]["code"]) == (403, "ForbiddenByFirewall")
        record = service.records()[-1]
        assert record["properties"]["httpStatusCode"] == 403
        assert record["callerIpAddress"] == "203.0.113.9"
        assert record["identity"] == {}
    assert looked == []
    assert manage(service, JUNK, INSIDE).status == 401
    assert looked != []
    # Any path, and an address that nobody tells.
    odd = service.ask(b"GET /nowhere HTTP/1.1", MANAGEMENT, token, OUTSIDE)
    assert odd.status == 403
    assert manage(service, token).status == 403
    # The vaults and the issuer have their own.
    assert service.ask(b"GET /secrets HTTP/1.1", VAULT, JUNK, OUTSIDE).status == 401
    assert service.ask(b"GET /adfs/discovery/keys HTTP/1.1", ISSUER, OUTSIDE).status == 200


def test_the_issuer_looks_at_the_address_before_all_else(service: Service, engine: Engine) -> None:
    made = engine.management.app_add_secret(name="boss")
    wall(engine, "issuer")
    form = (
        f"grant_type=client_credentials&client_id={made['client_id']}"
        f"&client_secret={made['client_secret']}&scope=https://{DOMAIN}/.default"
    ).encode()

    def token(*headers: bytes) -> Said:
        length = b"Content-Length: %d" % len(form)
        kind = b"Content-Type: application/x-www-form-urlencoded"
        line = b"POST /adfs/oauth2/token HTTP/1.1"
        return service.ask(line, ISSUER, kind, length, *headers, body=form)

    assert token(INSIDE).status == 200
    said = token(OUTSIDE)
    assert (said.status, said.error) == (403, "access_denied")
    assert b"AADSTS53003" in said.body
    record = service.records()[-1]
    assert record["properties"]["httpStatusCode"] == 403
    assert record["properties"]["id"] == ""  # the form was not read
    for path in (b"/adfs/discovery/keys", b"/adfs/.well-known/openid-configuration", b"/x"):
        assert service.ask(b"GET " + path + b" HTTP/1.1", ISSUER, OUTSIDE).status == 403
    assert manage(service, boss(service), OUTSIDE).status == 200


def test_a_wall_holds_for_the_next_request_of_every_process(
    service: Service, engine: Engine
) -> None:
    token = boss(service)
    assert manage(service, token, OUTSIDE).status == 200
    with vaultcore.open(engine.data) as other:
        wall(other, "management")
        assert manage(service, token, OUTSIDE).status == 403
        other.management.host_firewall_add(host="management", address="203.0.113.9")
        assert manage(service, token, OUTSIDE).status == 200
        other.management.host_firewall_remove(host="management", address="203.0.113.9")
        assert manage(service, token, OUTSIDE).status == 403
    with vaultcore.open(engine.data) as again:
        assert again.management.host_firewall_list(host="management") == {
            "default_action": "Deny", "ranges": ("192.0.2.0/24",),
        }  # fmt: skip


def test_nobody_locks_himself_out_of_the_command_line(engine: Engine) -> None:
    runner = CliRunner()

    def run(*words: str) -> int:
        at = ("--data", str(engine.data), "--json")
        return runner.invoke(app, ["firewall", *words, *at]).exit_code

    for host in ("management", "issuer"):
        assert run("set", "--host", host, "--default-action", "Deny") == 0
        assert run("add", "--host", host, "192.0.2.7") == 0
        assert run("list", "--host", host) == 0
        assert run("remove", "--host", host, "192.0.2.7") == 0
        assert run("set", "--host", host, "--default-action", "Allow") == 0
    assert run("list", "--host", "management", "--vault", "dev") == 2
    assert run("list", "--host", "portal") == 2
    assert run("list", "--vault", "dev") == 0


def test_what_is_no_range_and_no_host_changes_nothing(engine: Engine) -> None:
    manage = engine.management
    with pytest.raises(BadParameterError):
        manage.host_firewall_add(host="issuer", address="10.0.0.0/99")
    with pytest.raises(BadParameterError):
        manage.host_firewall_set(host="issuer", default_action="maybe")
    with pytest.raises(NotFoundError):
        manage.host_firewall_remove(host="issuer", address="10.0.0.1")
    with pytest.raises(VaultError):
        manage.host_firewall_set(host="dev", default_action="Deny")  # type: ignore[arg-type]
    assert manage.host_firewall_list(host="issuer") == {"default_action": "Allow", "ranges": ()}


def test_a_folder_of_before_has_no_walls(engine: Engine) -> None:
    members = msgspec.to_builtins(engine.installation)
    del members["firewalls"]
    old = msgspec.convert(members, Installation)
    assert old == engine.installation
