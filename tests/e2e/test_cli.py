"""The command line on a folder and against the running service: the same commands, both ways."""

import base64
import hashlib
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from typer.testing import CliRunner

from vaultcore._core import API_VERSION
from vaultcore.cli import app
from vaultcore.clock import SystemClock
from vaultcore.protectors.pkcs11 import softhsm
from vaultcore.service.development.authority import ensure_certificates

VARIABLES = {
    "VAULT_URL",
    "AZURE_AUTHORITY_HOST",
    "AZURE_TENANT_ID",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
}
VALUE = "hunter2 is not shown"

runner = CliRunner()


def program(*words: str) -> list[str]:
    return [sys.executable, "-c", "from vaultcore.cli import main; main()", *words]


class Way(NamedTuple):
    """How commands reach the vault: `--data DIR` or `--url URL`."""

    name: str
    words: tuple[str, ...]

    def run(self, *words: str, status: int = 0, stdin: bytes | None = None) -> Any:
        result = runner.invoke(app, [*words, *self.words, "--json"], input=stdin)
        assert result.exit_code == status, (words, result.output, result.exception)
        if status:
            assert result.stderr.startswith("vaultcore: "), result.output
            assert "Traceback" not in result.stderr
            return result.stderr
        return json.loads(result.stdout)


class Service(NamedTuple):
    data: Path
    environment: dict[str, str]

    @property
    def local(self) -> Way:
        return Way("local", ("--data", str(self.data)))

    @property
    def remote(self) -> Way:
        return Way("remote", ("--url", self.environment["VAULT_URL"]))


class Running:
    """A service in a process of its own."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.log = folder / "service.log"
        with self.log.open("ab") as sink:
            self.process = subprocess.Popen(
                program(*words), stdin=subprocess.DEVNULL, stdout=sink, stderr=sink
            )

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(30) == 0, self.log.read_text()
        assert "Traceback" not in self.log.read_text(), self.log.read_text()


def environment_of(data: Path) -> dict[str, str]:
    told = subprocess.run(
        program("env", "--data", str(data), "--format", "json"),
        capture_output=True,
        check=True,
        timeout=90,
    )
    environment: dict[str, str] = json.loads(told.stdout)
    return environment


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("cli")
    data = folder / "data"
    words = ["--hsm"] if softhsm.find_module() else []
    running = Running(folder, "dev", "--data", str(data), "--port", "0", "--vault", "one", *words)
    try:
        yield Service(data, environment_of(data))
    finally:
        running.stop()


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    for name in list(os.environ):
        if name.startswith(("VAULTCORE_", "AZURE_")):
            monkeypatch.delenv(name)
    if "service" in request.fixturenames or "way" in request.fixturenames:
        for name, value in request.getfixturevalue("service").environment.items():
            monkeypatch.setenv(name, value)


@pytest.fixture(params=["local", "remote"])
def way(request: pytest.FixtureRequest, service: Service) -> Way:
    return service.local if request.param == "local" else service.remote


# dev and env


def test_env_prints_exactly_what_clients_need(service: Service) -> None:
    environment = service.environment
    assert set(environment) == VARIABLES
    port = environment["VAULT_URL"].rpartition(":")[2]
    assert environment["VAULT_URL"] == f"https://one.vault.localhost:{port}"
    assert environment["AZURE_AUTHORITY_HOST"] == f"https://login.vault.localhost:{port}"
    assert environment["AZURE_TENANT_ID"] == "adfs"
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"):
        assert Path(environment[name]).read_text().startswith("-----BEGIN CERTIFICATE-----")


def test_env_is_evaluated_by_a_plain_shell(service: Service) -> None:
    printed = runner.invoke(app, ["env", "--data", str(service.data)]).stdout
    assert all(line.startswith("export ") and "='" in line for line in printed.splitlines())
    script = 'eval "$1" && env'
    shown = subprocess.run(
        ["sh", "-c", script, "sh", printed], capture_output=True, text=True, check=True, env={}
    )
    found = dict(line.split("=", 1) for line in shown.stdout.splitlines())
    assert {name: found[name] for name in VARIABLES} == service.environment


def test_what_dev_leaves_behind_is_for_its_owner_only(service: Service) -> None:
    assert stat.S_IMODE(service.data.stat().st_mode) == 0o700
    for name in ("dev.json", "administrator.json", "tls/ca.key", "tls/server.key"):
        assert stat.S_IMODE((service.data / name).stat().st_mode) == 0o600, name


def test_a_second_dev_on_the_folder_or_the_port_is_refused(
    service: Service, tmp_path: Path
) -> None:
    result = runner.invoke(app, ["dev", "--data", str(service.data), "--port", "0"])
    assert (result.exit_code, "already" in result.stderr) == (1, True), result.output
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = runner.invoke(app, ["dev", "--data", str(tmp_path), "--port", port])
    assert result.exit_code == 1
    assert f"port {port}" in result.stderr
    assert "--port" in result.stderr


def test_env_without_a_vault_says_how_to_start_one(tmp_path: Path) -> None:
    result = runner.invoke(app, ["env", "--data", str(tmp_path), "--timeout", "0"])
    assert result.exit_code == 6
    assert "vaultcore dev --data" in result.stderr
    # A service that was killed leaves its file behind, which must not pass for an answer.
    (tmp_path / "dev.json").touch(0o600)
    (tmp_path / "dev.json").write_text(
        json.dumps(
            {
                "process": 1,
                "port": 1,
                "vaults": ["dev"],
                "client_id": "a",
                "client_secret": "b",
                "authority": "/nowhere",
                "truststore": "/nowhere",
            }
        )
    )
    assert runner.invoke(app, ["env", "--data", str(tmp_path), "--timeout", "0"]).exit_code == 6


def test_a_second_start_finds_everything_again(tmp_path: Path) -> None:
    data = tmp_path / "data"
    words = ("dev", "--data", str(data), "--port", "0", "--secret-expiry", "inform")
    running = Running(tmp_path, *words)
    first = environment_of(data)
    way = Way("local", ("--data", str(data)))
    way.run("secret", "set", "--vault", "dev", "--name", "kept", "--value", VALUE)
    running.stop()
    assert not (data / "dev.json").exists()
    assert way.run("vault", "show", "--name", "dev")["secretExpiry"] == "inform"

    running = Running(tmp_path, *words)
    second = environment_of(data)
    running.stop()
    for name in VARIABLES - {"VAULT_URL", "AZURE_AUTHORITY_HOST"}:
        assert second[name] == first[name]
    assert way.run("secret", "show", "--vault", "dev", "--name", "kept")["value"] == VALUE


# secrets


def test_the_life_of_a_secret(way: Way, tmp_path: Path) -> None:
    name = f"life-{way.name}"
    at = ("--vault-name", "one", "--name", name)
    first = way.run(
        "secret", "set", *at, "--value", VALUE, "--tags", "a=1", "b=2",
        "--content-type", "text/plain", "--expires", "2040-01-01T00:00:00Z",
    )  # fmt: skip
    assert "value" not in first
    assert first["tags"] == {"a": "1", "b": "2"}
    assert first["attributes"]["exp"] == 2_208_988_800
    assert way.run("secret", "show", *at)["value"] == VALUE
    assert way.run("secret", "show", "--id", first["id"])["value"] == VALUE

    way.run("secret", "set", *at, "--file", "-", stdin=b"second")
    versions = way.run("secret", "list-versions", *at)
    assert len(versions) == 2
    assert VALUE not in json.dumps(versions)
    way.run("secret", "set-attributes", "--id", first["id"], "--enabled", "false")
    assert "disabled" in way.run("secret", "show", "--id", first["id"], status=4)
    assert way.run("secret", "show", *at)["value"] == "second"

    saved = tmp_path / "value"
    way.run("secret", "download", *at, "--file", str(saved))
    assert saved.read_bytes() == b"second"
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    assert "exists" in way.run("secret", "download", *at, "--file", str(saved), status=2)

    backup = tmp_path / "backup"
    way.run("secret", "backup", *at, "--file", str(backup))
    assert b"second" not in backup.read_bytes()
    deleted = way.run("secret", "delete", *at)
    assert deleted["scheduledPurgeDate"] > deleted["deletedDate"]
    assert name in json.dumps(way.run("secret", "list-deleted", "--vault", "one"))
    assert way.run("secret", "show-deleted", *at)["id"] == deleted["id"]
    assert "SecretNotFound" in way.run("secret", "show", *at, status=3)
    assert "Conflict" in way.run("secret", "set", *at, "--value", "x", status=5)
    way.run("secret", "recover", *at)
    assert way.run("secret", "show", *at)["value"] == "second"
    way.run("secret", "delete", *at)
    assert way.run("secret", "purge", *at) == {"purged": name}
    way.run("secret", "restore", "--vault", "one", "--file", str(backup))
    assert len(way.run("secret", "list-versions", *at)) == 2
    way.run("secret", "delete", *at)
    way.run("secret", "purge", *at)


def test_a_list_is_read_to_its_end(service: Service) -> None:
    names = {f"many-{number:02}" for number in range(60)}
    for name in names:
        service.remote.run("secret", "set", "--vault", "one", "--name", name, "--value", "x")
    for way in (service.local, service.remote):
        found = way.run("secret", "list", "--vault", "one")
        assert names <= {item["id"].rpartition("/")[2] for item in found}
        assert len(way.run("secret", "list", "--vault", "one", "--maxresults", "30")) == 30
        assert len(way.run("secret", "list", "--vault", "one", "--maxresults", "3")) == 3


def test_no_output_but_that_of_show_holds_a_value(service: Service) -> None:
    words = ["secret", "set", "--vault", "one", "--name", "quiet", "--value", VALUE]
    for way in (service.local, service.remote):
        for more in ([], ["--json"]):
            assert VALUE not in runner.invoke(app, [*words, *way.words, *more]).output
            for verb in ("list", "list-versions", "show-deleted", "delete", "recover"):
                at = ["--vault", "one"] + ([] if verb == "list" else ["--name", "quiet"])
                assert VALUE not in runner.invoke(app, ["secret", verb, *at, *way.words]).output
    shown = runner.invoke(
        app, ["secret", "show", "--vault", "one", "-n", "quiet", "--value-only", *way.words]
    )
    assert shown.stdout == VALUE


def test_a_command_without_json_prints_lines(service: Service) -> None:
    listed = runner.invoke(app, ["vault", "list", *service.local.words]).stdout
    assert {line.split("\t")[0] for line in listed.splitlines()} >= {"one", "dev"}


def test_lines_tell_who_may_do_what_and_who_did(service: Service) -> None:
    words, at = service.local.words, ("--vault", "one")
    made = service.local.run("app", "create", "teller")
    service.local.run("access", "set", *at, "--principal", "teller", "--secret-permissions",
                      "get", "list")  # fmt: skip
    listed = runner.invoke(app, ["access", "list", *at, *words]).stdout
    lines = [line.split("\t") for line in listed.splitlines()]
    assert [made["object_id"], "", "teller", "get list", "", ""] in lines
    # Every principal has its name, and whoever created the vault everything in it.
    assert all(name for _, _, name, *_ in lines), listed
    assert ["all purge"] * 3 in [line[3:] for line in lines], listed
    absent = ("secret", "show", *at, "--name", "untold", "--as", "teller")
    Way("as", words).run(*absent, status=3)
    query = ("audit", "query", *at, "--principal", "teller", "--limit", "1")
    record = runner.invoke(app, [*query, *words]).stdout.rstrip("\n").split("\t")
    assert record[2:5] == ["SecretGet", "404", "teller"]
    assert record[6].endswith("/secrets/untold")
    service.local.run("app", "delete", "teller")


# keys


def test_ec_keys_sign_and_verify(way: Way) -> None:
    at = ("--vault-name", "one", "--name", f"ec-{way.name}")
    made = way.run(
        "key", "create", *at, "--kty", "EC", "--curve", "P-256", "--ops", "sign", "verify"
    )
    assert made["key"]["key_ops"] == ["sign", "verify"]
    digest = base64.b64encode(hashlib.sha256(b"one espresso").digest()).decode()
    signed = way.run("key", "sign", *at, "-a", "ES256", "--digest", digest)
    check = ("key", "verify", *at, "-a", "ES256", "--signature", signed["signature"])
    assert way.run(*check, "--digest", digest)["isValid"] is True
    other = base64.b64encode(hashlib.sha256(b"two").digest()).decode()
    result = runner.invoke(app, [*check, "--digest", other, *way.words, "--json"])
    assert (result.exit_code, json.loads(result.stdout)["isValid"]) == (1, False)
    way.run("key", "encrypt", *at, "-a", "RSA-OAEP", "--value", "eA==", status=4)


def test_imported_rsa_keys_decrypt(way: Way, tmp_path: Path) -> None:
    at = ("--vault-name", "one", "--name", f"rsa-{way.name}")
    key = rsa.generate_private_key(65537, 2048)
    pem = tmp_path / "key.pem"
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"open sesame"),
        )
    )
    made = way.run("key", "import", *at, "--pem-file", str(pem), "--pem-password", "open sesame")
    assert "d" not in made["key"]
    sealed = way.run(
        "key", "encrypt", *at, "-a", "RSA-OAEP-256", "--value", "noon", "--data-type", "plaintext"
    )
    opened = way.run(
        "key", "decrypt", *at, "-a", "RSA-OAEP-256", "--value", sealed["result"],
        "--data-type", "plaintext",
    )  # fmt: skip
    assert opened["result"] == "noon"
    rotated = way.run("key", "rotate", *at)
    assert rotated["key"]["kid"] != made["key"]["kid"]
    assert len(way.run("key", "list-versions", *at)) == 2
    disabled = way.run("key", "set-attributes", "--id", rotated["key"]["kid"], "--enabled", "false")
    assert disabled["attributes"]["enabled"] is False


def test_aes_keys_authenticate_what_they_are_told(way: Way) -> None:
    at = ("--vault-name", "one", "--name", f"oct-{way.name}")
    way.run("key", "create", *at, "--kty", "oct", "--size", "256")
    aad = base64.b64encode(b"row 17").decode()
    text = base64.b64encode(b"\x00binary\xff").decode()
    sealed = way.run("key", "encrypt", *at, "-a", "A256GCM", "--value", text, "--aad", aad)
    parts = ["--value", sealed["result"], "--iv", sealed["iv"], "--tag", sealed["tag"]]
    opened = way.run("key", "decrypt", *at, "-a", "A256GCM", *parts, "--aad", aad)
    assert opened["result"] == text
    way.run("key", "decrypt", *at, "-a", "A256GCM", *parts, "--aad", text, status=1)


@pytest.mark.skipif(softhsm.find_module() is None, reason="SoftHSM is not installed")
def test_protection_hsm_makes_the_key_in_the_token(way: Way) -> None:
    at = ("--vault-name", "one", "--name", f"hsm-{way.name}")
    made = way.run("key", "create", *at, "--kty", "EC", "--protection", "hsm")
    assert (made["key"]["kty"], made["key"]["crv"]) == ("EC-HSM", "P-256")
    digest = base64.b64encode(hashlib.sha256(b"x").digest()).decode()
    way.run("key", "sign", *at, "-a", "ES256", "--digest", digest)


def test_random_bytes(way: Way) -> None:
    made = way.run("key", "random", "--count", "32", "--vault", "one")
    assert len(base64.b64decode(made["value"])) == 32


# administration


def test_vaults_come_and_go(way: Way) -> None:
    name = "brief"
    made = way.run("vault", "create", "--name", name, "--retention-days", "7")
    assert made["softDeleteRetentionInDays"] == 7
    way.run("vault", "create", "--name", name, status=5)
    way.run("vault", "update", "--name", name, "--secret-expiry", "inform")
    assert way.run("vault", "update", "--name", name, "--sku", "premium")["sku"] == "premium"
    way.run("vault", "update", "--name", name, status=2)
    assert way.run("vault", "show", "--name", name)["secretExpiry"] == "inform"
    assert name in {vault["name"] for vault in way.run("vault", "list")}
    at = ("--vault", name, "--name", "kept")
    way.run("secret", "set", *at, "--value", VALUE)
    before = way.run("vault", "show", "--name", name)["keyGeneration"]
    way.run("vault", "rotate-key", "--name", name)
    assert way.run("vault", "show", "--name", name)["keyGeneration"] == before + 1
    assert way.run("secret", "show", *at)["value"] == VALUE
    way.run("secret", "delete", *at)
    way.run("secret", "purge", *at)
    way.run("vault", "delete", "--name", name, "--yes")
    way.run("vault", "show", "--name", name, status=3)


def test_grants_hold_for_the_next_request(way: Way, service: Service) -> None:
    name = f"reporter-{way.name}"
    made = way.run("app", "create", name)
    assert set(made) >= {"client_id", "client_secret", "object_id", "tenant_id"}
    acting = Way("as", (*service.local.words, "--as", name))
    at = ("--vault", "one")
    acting.run("secret", "list", *at, status=4)
    way.run(
        "access", "set", *at, "--principal", name,
        "--secret-permissions", "get", "list", "--key-permissions", "get",
    )  # fmt: skip
    acting.run("secret", "list", *at)
    acting.run("key", "list", *at, status=4)
    # A kind that is not named keeps its permissions; an empty word takes them away.
    way.run("access", "set", *at, "--principal", name, "--key-permissions", "list")
    acting.run("secret", "list", *at)
    acting.run("key", "list", *at)
    way.run("access", "set", *at, "--principal", made["object_id"], "--secret-permissions", "")
    acting.run("secret", "list", *at, status=4)
    acting.run("key", "list", *at)
    way.run("access", "remove", *at, "--principal", name)
    acting.run("key", "list", *at, status=4)
    assert made["client_secret"] not in json.dumps(way.run("app", "list"))
    way.run("app", "delete", name)
    way.run("access", "set", *at, "--principal", name, "--key-permissions", "list", status=3)


def test_an_application_can_change_its_secret(way: Way) -> None:
    name = f"changing-{way.name}"
    first = way.run("app", "create", name)
    second = way.run("app", "add-secret", name)
    assert second["client_secret"] != first["client_secret"]
    way.run("app", "delete", name)


def test_a_grant_to_a_group_is_one_to_its_applications(way: Way, service: Service) -> None:
    group = str(uuid.uuid4())
    name = f"member-{way.name}"
    made = way.run("app", "create", name)
    way.run("secret", "set", "--vault-name", "one", "-n", name, "--value", "v")
    way.run("access", "set", "--vault", "one", "--principal", group, "--secret-permissions", "get")
    show = ["secret", "show", "--vault-name", "one", "-n", name]
    acting = Way("acting", (*service.local.words, "--as", name))
    acting.run(*show, status=4)
    answer = way.run("app", "set-groups", name, group)
    assert (answer["object_id"], answer["groups"]) == (made["object_id"], [group])
    assert acting.run(*show)["value"] == "v"
    way.run("app", "set-groups", name, made["object_id"], status=1)
    assert way.run("app", "set-groups", name)["groups"] == []
    acting.run(*show, status=4)
    way.run("app", "delete", name)
    way.run("access", "remove", "--vault", "one", "--principal", group)


def test_the_firewall_holds_for_the_next_request(service: Service) -> None:
    local, remote = service.local, service.remote
    at = ("--vault", "dev")
    remote.run("secret", "list", *at)
    local.run("firewall", "add", *at, "203.0.113.0/24")
    for host in (at, ("--host", "issuer")):
        assert "`192.0.2.999` is neither" in local.run("firewall", "add", *host, "192.0.2.999",
                                                       status=1)  # fmt: skip
    local.run("firewall", "set", *at, "--default-action", "Deny")
    assert "ForbiddenByFirewall" in remote.run("secret", "list", *at, status=4)
    local.run("secret", "list", *at)  # who holds the folder comes from no address
    remote.run("firewall", "add", *at, "127.0.0.1")
    remote.run("secret", "list", *at)
    remote.run("firewall", "remove", *at, "127.0.0.1")
    remote.run("secret", "list", *at, status=4)
    local.run("firewall", "set", *at, "--default-action", "Allow")
    remote.run("secret", "list", *at)
    remote.run("firewall", "add", *at, "not an address", status=1)


def test_only_administrators_manage(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    made = service.local.run("app", "create", "nobody")
    monkeypatch.setenv("AZURE_CLIENT_ID", made["client_id"])
    monkeypatch.setenv("AZURE_CLIENT_SECRET", made["client_secret"])
    service.remote.run("vault", "list", status=4)
    service.local.run("access", "administrator", "--principal", "nobody")
    service.remote.run("vault", "list")
    service.local.run("access", "administrator", "--principal", "nobody", "--remove")
    service.remote.run("vault", "list", status=4)
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "wrong")
    refused = service.remote.run("vault", "list", status=4)
    assert "wrong" not in refused


def test_protectors_come_and_go_on_the_server_itself(service: Service) -> None:
    local, remote = service.local, service.remote
    add = ("protector", "add", "spare", "--kind", "file")
    remote.run(*add, status=4)
    local.run(*add)
    assert "spare" in {row["name"] for row in local.run("protector", "list")}
    # The service takes the new one over: it must not wrap a key for the others only.
    remote.run("vault", "rotate-key", "--name", "one")
    remote.run("vault", "create", "--name", "guarded")
    local.run("vault", "rotate-key", "--name", "one")
    for way in (local, remote):
        assert {row["status"] for row in way.run("protector", "verify")} == {"ok"}
    local.run(*add, status=1)
    local.run("protector", "remove", "spare")
    assert "spare" not in {row["name"] for row in local.run("protector", "list")}
    remote.run("vault", "rotate-key", "--name", "one")
    assert {row["status"] for row in local.run("protector", "verify")} == {"ok"}


def test_the_audit_is_queried_and_verified(way: Way, service: Service, tmp_path: Path) -> None:
    name = f"watched-{way.name}"
    way.run("secret", "set", "--vault", "one", "--name", name, "--value", VALUE)
    way.run("secret", "show", "--vault", "one", "--name", name + "x", status=3)
    records = way.run("audit", "query", "--vault", "one", "--operation", "SecretGet",
                      "--status", "404", "--since", "2020-01-01")  # fmt: skip
    assert name + "x" in json.dumps(records[-1])
    assert VALUE not in json.dumps(way.run("audit", "query", "--limit", "1000"))
    report = way.run("audit", "verify")
    assert report["ok"] is True
    way.run("audit", "verify", "--expect", report["expect"])
    wrong = f"{report['last']}:{'0' * 64}"
    result = runner.invoke(app, ["audit", "verify", "--expect", wrong, *way.words])
    assert result.exit_code == 7


def test_a_changed_audit_log_does_not_verify(service: Service, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(service.data, data)
    way = ("--data", str(data), "--json")
    assert runner.invoke(app, ["audit", "verify", *way]).exit_code == 0
    log = data / "audit" / "audit.jsonl"
    log.write_bytes(log.read_bytes().replace(b"SecretSet", b"SecretGet", 1))
    result = runner.invoke(app, ["audit", "verify", *way])
    assert result.exit_code == 7, result.output


def test_the_tail_shows_records_as_they_come(service: Service) -> None:
    tail = subprocess.Popen(
        program("audit", "tail", "--lines", "0", "--interval", "0.1", "--operation", "SecretSet",
                *service.local.words),
        stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    try:
        assert tail.stdout is not None
        os.set_blocking(tail.stdout.fileno(), False)
        line = ""
        deadline = time.monotonic() + 60
        # What was written before the tail began is not shown, so there is a write now and then.
        while not line and time.monotonic() < deadline:
            at = ("--vault", "one", "--name", "tailed")
            service.remote.run("secret", "set", *at, "--value", VALUE)
            time.sleep(0.2)
            line = tail.stdout.readline()
        assert "SecretSet" in line
        assert VALUE not in line
    finally:
        tail.terminate()
        tail.wait(10)
        if tail.stdout is not None:
            tail.stdout.close()


# errors


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["secret", "show", "--vault", "one", "--name", "absent"], 3),
        (["secret", "show", "--vault", "other", "--name", "a"], 3),
        (["key", "show", "--vault", "one", "--name", "absent"], 3),
        (["vault", "show", "--name", "absent"], 3),
        (["app", "delete", "absent"], 3),
        (["secret", "set", "--vault", "one", "--name", "a.b", "--value", "x"], 1),
        (["secret", "set", "--vault", "one", "--name", "../x", "--value", "x"], 1),
        (["secret", "set", "--vault", "one", "--name", "a", "--value", "x" * 25_601], 1),
        (["key", "create", "--vault", "one", "--name", "a", "--kty", "RSA", "--size", "1024"], 1),
        (["access", "set", "--vault", "one", "--principal", "absent",
          "--secret-permissions", "get"], 3),
        (["vault", "create", "--name", "a"], 1),
        # A client of HTTP would take these out of the path.
        (["secret", "show", "--vault", "one", "--name", "."], 1),
        (["secret", "delete", "--vault", "one", "--name", ".."], 1),
        (["key", "show", "--vault", "one", "--name", "absent", "--version", "."], 1),
        (["secret", "list", "--vault", "login"], 2),
        (["secret", "list", "--vault", "a_b"], 2),
        (["app", "set-groups", "absent"], 3),
    ],
)  # fmt: skip
def test_errors_have_the_same_line_and_status_both_ways(
    service: Service, words: list[str], status: int
) -> None:
    told = service.local.run(*words, status=status)
    assert service.remote.run(*words, status=status) == told


def test_both_ways_speak_the_same_api_version(service: Service) -> None:
    at = ("--vault", "one", "--name", "spoken")
    service.local.run("secret", "set", *at, "--value", VALUE)
    for way in (service.local, service.remote):
        way.run("secret", "show", *at)
    query = ("audit", "query", "--vault", "one", "--operation", "SecretGet", "--limit", "2")
    records = service.local.run(*query)
    assert all(record["properties"]["id"].endswith("/secrets/spoken") for record in records)
    assert [record["operationVersion"] for record in records] == [API_VERSION, API_VERSION]


def test_a_service_that_is_not_there(service: Service) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    way = Way("nowhere", ("--url", f"https://dev.vault.localhost:{port}"))
    assert "cannot be reached" in way.run("vault", "list", status=6)


def test_a_service_with_a_strangers_certificate(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    files = ensure_certificates(tmp_path, ["*.vault.localhost"], clock=SystemClock())
    monkeypatch.setenv("SSL_CERT_FILE", str(files.authority))
    service.remote.run("vault", "list", status=6)


# init and serve


def test_production_from_a_configuration_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    tls = ensure_certificates(tmp_path / "tls", ["*.vault.localhost"], clock=SystemClock())
    configuration = tmp_path / "vaultcore.toml"
    configuration.write_text(f"""
data = "{tmp_path}/data"
[server]
domain = "vault.localhost:{port}"
port = {port}
workers = 2
certificate = "{tls.certificate}"
key = "{tls.key}"
[[protectors]]
name = "file"
kind = "file"
path = "{tmp_path}/vault.key"
""")
    made = runner.invoke(app, ["init", "--config", str(configuration), "--json"])
    assert made.exit_code == 0, made.output
    administrator = json.loads(made.stdout)["administrator"]
    assert stat.S_IMODE((tmp_path / "vault.key").stat().st_mode) == 0o600
    again = runner.invoke(app, ["init", "--config", str(configuration)])
    assert (again.exit_code, "already" in again.stderr) == (1, True)

    running = Running(tmp_path, "serve", "--config", str(configuration))
    try:
        monkeypatch.setenv("AZURE_AUTHORITY_HOST", f"https://login.vault.localhost:{port}")
        monkeypatch.setenv("AZURE_TENANT_ID", administrator["tenant_id"])
        monkeypatch.setenv("AZURE_CLIENT_ID", administrator["client_id"])
        monkeypatch.setenv("AZURE_CLIENT_SECRET", administrator["client_secret"])
        monkeypatch.setenv("SSL_CERT_FILE", str(tls.authority))
        way = Way("remote", ("--url", f"https://management.vault.localhost:{port}"))
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
                running.process.poll()
                assert running.process.returncode is None, running.log.read_text()
            time.sleep(0.1)
        assert way.run("vault", "list") == []
        way.run("vault", "create", "--name", "prod")
        way.run("secret", "set", "--vault", "prod", "--name", "a", "--value", VALUE)
        # Two workers answer, and each sees what the other wrote.
        for _ in range(8):
            assert way.run("secret", "show", "--vault", "prod", "--name", "a")["value"] == VALUE
    finally:
        running.stop()

    text = configuration.read_text()
    configuration.write_text(text.replace('name = "file"', 'name = "hsm"'))
    refused = runner.invoke(app, ["serve", "--config", str(configuration)])
    assert (refused.exit_code, "protector add" in refused.stderr) == (2, True)
    configuration.write_text(text.replace("vault.localhost:", "other.localhost:"))
    refused = runner.invoke(app, ["serve", "--config", str(configuration)])
    assert (refused.exit_code, "domain" in refused.stderr) == (2, True)


def test_a_folder_for_the_library_with_a_passphrase(tmp_path: Path) -> None:
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("correct horse battery staple\n")
    passphrase.chmod(0o600)
    data = tmp_path / "data"
    made = runner.invoke(
        app, ["init", "--data", str(data), "--passphrase-file", str(passphrase), "--json"]
    )
    assert made.exit_code == 0, made.output
    way = Way("local", ("--data", str(data), "--passphrase-file", str(passphrase)))
    way.run("vault", "create", "--name", "mine")
    way.run("secret", "set", "--vault", "mine", "--name", "a", "--value", VALUE)
    passphrase.write_text("Tr0ub4dor\n")
    refused = way.run("secret", "show", "--vault", "mine", "--name", "a", status=1)
    assert "Tr0ub4dor" not in refused
    without = Way("local", ("--data", str(data)))
    without.run("secret", "show", "--vault", "mine", "--name", "a", status=1)
