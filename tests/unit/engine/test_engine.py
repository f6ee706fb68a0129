"""The engine: opening, who may do what, and several threads and processes on one folder."""

import os
import subprocess
import sys
import threading
import time
from typing import IO, cast

import pytest

import vaultcore
from vaultcore.errors import (
    ConfigurationError,
    ForbiddenError,
    ForkError,
    ProtectorError,
    UnauthorizedError,
    VaultError,
)


@pytest.fixture
def vault(engine):
    return engine.vault("dev").acting_as(engine.administrator())


def stranger():
    return vaultcore.Principal(object_id="11111111-2222-3333-4444-555555555555")


class TestOpening:
    def test_what_is_stored_is_there_after_opening_again(self, tmp_path):
        with vaultcore.create(tmp_path / "data") as first:
            first.management.vault_create(name="dev")
            acting = first.vault("dev").acting_as(first.administrator())
            acting.secrets.set("a", "value")
            acting.keys.create("k", "EC")
        with vaultcore.open(tmp_path / "data") as second:
            acting = second.vault("DEV").acting_as(second.administrator())
            assert acting.secrets.get("A").value == "value"
            assert acting.keys.sign("k", "ES256", b"\0" * 32).signature

    def test_an_empty_folder_is_refused_with_what_to_do(self, tmp_path):
        with pytest.raises(ConfigurationError, match="vaultcore init"):
            vaultcore.open(tmp_path)

    def test_a_folder_is_not_made_twice(self, engine):
        with pytest.raises(ConfigurationError, match="already"):
            vaultcore.create(engine.data)

    def test_a_wrong_passphrase_says_which_key_is_expected(self, tmp_path):
        vaultcore.create(tmp_path / "data", passphrase="right horse").close()
        with pytest.raises(ProtectorError, match=r"expected key .* found"):
            vaultcore.open(tmp_path / "data", passphrase="wrong horse")

    def test_another_installations_key_file_is_refused(self, tmp_path):
        for name in ("one", "two"):
            vaultcore.create(tmp_path / name).close()
        key = "keys/file.json"
        (tmp_path / "one" / key).write_bytes((tmp_path / "two" / key).read_bytes())
        with pytest.raises(ProtectorError, match="expected key"):
            vaultcore.open(tmp_path / "one")

    def test_a_missing_key_file_is_named(self, tmp_path):
        vaultcore.create(tmp_path / "data").close()
        (tmp_path / "data/keys/file.json").unlink()
        with pytest.raises(ProtectorError, match=r"file\.json"):
            vaultcore.open(tmp_path / "data")


class TestGate:
    def test_a_stranger_is_refused_and_recorded(self, engine):
        door = engine.vault("dev").acting_as(stranger()).secrets
        with pytest.raises(ForbiddenError) as refused:
            door.get("a")
        assert refused.value.inner_code == "AccessDenied"
        assert "secrets get permission" in str(refused.value)
        newest = engine.management.audit_query(limit=1)[0]
        assert newest["operationName"] == "SecretGet"
        assert newest["properties"]["httpStatusCode"] == 403

    def test_each_permission_is_its_own(self, engine):
        principal = stranger()
        engine.management.access_set(
            vault="dev", principal=principal.object_id, secret_permissions=["set"]
        )
        door = engine.vault("dev").acting_as(principal).secrets
        door.set("a", "value")
        for call in (
            lambda: door.get("a"),
            lambda: list(door.list()),
            lambda: door.delete("a"),
            lambda: door.backup("a"),
        ):
            with pytest.raises(ForbiddenError) as refused:
                call()
            assert refused.value.inner_code == "AccessDenied"

    def test_a_revoked_grant_is_gone_at_commit(self, engine):
        principal = stranger()
        engine.management.access_set(
            vault="dev", principal=principal.object_id, secret_permissions=["get", "set"]
        )
        door = engine.vault("dev").acting_as(principal).secrets
        door.set("a", "value")
        assert door.get("a").value == "value"
        engine.management.access_remove(vault="dev", principal=principal.object_id)
        with pytest.raises(ForbiddenError):
            door.get("a")

    def test_the_firewall_guards_callers_with_an_address(self, engine):
        engine.management.firewall_set(vault="dev", default_action="Deny")
        engine.management.firewall_add(vault="dev", address="10.1.0.0/16")
        admin = engine.administrator()
        inside = engine.vault("dev").acting_as(admin, address="10.1.2.3").secrets
        outside = engine.vault("dev").acting_as(admin, address="10.2.2.3").secrets
        inside.set("a", "value")
        with pytest.raises(ForbiddenError) as refused:
            outside.get("a")
        assert refused.value.inner_code == "ForbiddenByFirewall"
        assert engine.vault("dev").acting_as(admin).secrets.get("a").value == "value"

    def test_a_bad_range_leaves_the_firewall_as_it_was(self, engine):
        with pytest.raises(VaultError) as refused:
            engine.management.perform("firewall.add", {"vault": "dev", "address": "10.0.0.0/99"})
        assert refused.value.status == 400
        assert engine.management.firewall_list(vault="dev")["ranges"] in ([], ())

    def test_a_token_in_process_stops_with_its_application(self, engine, clock):
        made = engine.management.app_create(name="app")
        engine.management.access_set(
            vault="dev", principal="app", secret_permissions=["get", "set"]
        )
        token = token_for(engine, made)
        door = engine.vault("dev").acting_as(token).secrets
        door.set("a", "value")
        assert door.get("a").value == "value"
        clock.advance(7200)
        with pytest.raises(UnauthorizedError):
            door.get("a")
        door = engine.vault("dev").acting_as(token_for(engine, made)).secrets
        assert door.get("a").value == "value"
        engine.management.app_delete(name="app")
        with pytest.raises(UnauthorizedError):
            door.get("a")

    def test_only_administrators_manage(self, engine):
        from vaultcore.management import Management

        with pytest.raises(ForbiddenError):
            Management(engine, stranger()).perform("vault.list", {})


def token_for(engine, made):
    from vaultcore.access.issuer import Shape

    credential = engine.issuer.applications.authenticate(made["client_id"], made["client_secret"])
    issued = engine.issuer.issue(
        credential,
        resource=engine.installation.resource,
        tenant=engine.installation.tenant_id,
        shape=Shape.V2,
    )
    return issued.token


class TestConcurrency:
    def test_threads_share_an_engine(self, engine, vault):
        vault.keys.create("k", "EC")
        failures = []

        def work(number):
            try:
                for turn in range(25):
                    vault.secrets.set(f"t{number}", f"{number}-{turn}")
                    assert vault.secrets.get(f"t{number}").value == f"{number}-{turn}"
                    done = vault.keys.sign("k", "ES256", bytes([number]) * 32)
                    assert vault.keys.verify("k", "ES256", bytes([number]) * 32, done.signature)
            except BaseException as error:  # noqa: BLE001
                failures.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert engine.management.audit_verify()["ok"]

    def test_a_child_process_is_refused(self, engine, vault):
        vault.secrets.set("a", "value")
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            answer = b"?"
            try:
                vault.secrets.get("a")
            except ForkError:
                answer = b"refused"
            finally:
                os.write(writer, answer)
                os._exit(0)
        os.waitpid(child, 0)
        assert os.read(reader, 16) == b"refused"
        os.close(reader)
        os.close(writer)
        assert vault.secrets.get("a").value == "value"

    def test_another_process_sees_writes_and_revocations_at_once(self, engine, vault):
        principal = stranger()
        engine.management.access_set(
            vault="dev", principal=principal.object_id, secret_permissions=["get"]
        )
        code = f"""
import sys, vaultcore
principal = vaultcore.Principal(object_id={principal.object_id!r})
with vaultcore.open({str(engine.data)!r}, housekeeping=False) as engine:
    door = engine.vault("dev").acting_as(principal).secrets
    for line in sys.stdin:
        try:
            print(door.get("a").value, flush=True)
        except vaultcore.VaultError as refused:
            print(refused.code, refused.inner_code, flush=True)
"""
        other = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        questions, answers = cast("IO[str]", other.stdin), cast("IO[str]", other.stdout)

        def ask():
            questions.write("\n")
            questions.flush()
            return answers.readline().strip()

        try:
            assert ask() == "SecretNotFound None"
            for turn in range(50):
                vault.secrets.set("a", f"value {turn}")
                assert ask() == f"value {turn}"
            engine.management.access_remove(vault="dev", principal=principal.object_id)
            assert ask() == "Forbidden AccessDenied"
        finally:
            questions.close()
            answers.close()
            other.wait(timeout=10)


class TestHousekeeping:
    def test_checkpoints_are_signed_while_the_engine_is_open(self, tmp_path):
        with vaultcore.create(tmp_path / "data") as engine:
            engine.management.perform("vault.create", {"name": "dev"})
            deadline = time.monotonic() + 10
            checkpoints = tmp_path / "data/audit/checkpoints.jsonl"
            while not (checkpoints.exists() and checkpoints.stat().st_size):
                assert time.monotonic() < deadline
                time.sleep(0.05)
