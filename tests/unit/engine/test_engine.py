"""The engine: opening, the change feed, what an attacker with the database can and cannot do."""

import contextlib
import os
import sqlite3
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
    NotFoundError,
    ProtectorError,
    TamperedError,
    UnauthorizedError,
    VaultError,
)
from vaultcore.protectors.options import ProtectorOptions


@pytest.fixture
def vault(engine):
    return engine.vault("dev").acting_as(engine.administrator())


def stranger():
    return vaultcore.Principal(object_id="11111111-2222-3333-4444-555555555555")


def database(engine):
    return contextlib.closing(sqlite3.connect(engine.data / "vaultcore.db"))


def change(engine, sql, *parameters):
    """Does what somebody can do who writes the database, and forgets the caches."""
    with database(engine) as connection:
        cursor = connection.execute(sql, parameters)
        assert cursor.rowcount > 0
        connection.commit()
    for state in engine.states():
        state.secret_cache.clear()
        state.key_cache.clear()


def replace_metadata(engine, old, new):
    """Changes the metadata of every version."""
    change(engine, "UPDATE versions SET metadata = replace(metadata, ?, ?)", old, new)


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


class TestProtectors:
    def test_either_of_two_protectors_opens(self, tmp_path):
        folder = tmp_path / "data"
        with vaultcore.create(folder) as engine:
            engine.management.vault_create(name="dev")
            acting = engine.vault("dev").acting_as(engine.administrator())
            acting.secrets.set("a", "value")
            engine.management.perform("protector.add", {"name": "second", "kind": "file"})
            assert [p["status"] for p in engine.management.protector_verify()] == ["ok", "ok"]
        for kept, gone in (("file", "second"), ("second", "file")):
            hidden = (folder / f"keys/{gone}.json").rename(tmp_path / "hidden.json")
            with vaultcore.open(folder) as engine:
                acting = engine.vault("dev").acting_as(engine.administrator())
                assert acting.secrets.get("a").value == "value"
                report = {p["name"]: p["status"] for p in engine.management.protector_verify()}
                assert report == {kept: "ok", gone: "failed"}
            hidden.rename(folder / f"keys/{gone}.json")

    def test_a_vault_made_later_has_every_wrap(self, tmp_path):
        folder = tmp_path / "data"
        options = [ProtectorOptions("a", "file"), ProtectorOptions("b", "file")]
        with vaultcore.create(folder, protectors=options) as engine:
            engine.management.vault_create(name="later")
        (folder / "keys/a.json").unlink()
        with vaultcore.open(folder) as engine:
            assert engine.vault("later").name == "later"

    def test_the_last_protector_stays(self, engine):
        with pytest.raises(ProtectorError, match="last protector"):
            engine.management.protector_remove(name="file")

    def test_a_removed_protector_no_longer_opens(self, tmp_path):
        folder = tmp_path / "data"
        options = [ProtectorOptions("a", "file"), ProtectorOptions("b", "file")]
        with vaultcore.create(folder, protectors=options) as engine:
            engine.management.vault_create(name="dev")
            engine.management.protector_remove(name="a")
        with vaultcore.open(folder) as engine:
            assert [p["name"] for p in engine.management.protector_list()] == ["b"]
        with contextlib.closing(sqlite3.connect(folder / "vaultcore.db")) as connection:
            kept = connection.execute(
                "SELECT count(*) FROM documents WHERE collection = 'vault-keys' AND key LIKE '%/a'"
            ).fetchone()
        assert kept == (0,)

    def test_management_of_protectors_is_not_offered_over_the_network(self, engine):
        from vaultcore.management import Management

        remote = Management(engine, engine.administrator(), "10.0.0.1", remote=True)
        with pytest.raises(ForbiddenError, match="server itself"):
            remote.perform("protector.add", {"name": "x", "kind": "file"})


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


class TestTampering:
    """Somebody writes the database; nothing of what he changes is believed."""

    def test_a_disabled_secret_cannot_be_enabled(self, engine, vault):
        vault.secrets.set("a", "value", enabled=False)
        replace_metadata(engine, '"enabled":false', '"enabled":true ')
        with pytest.raises(TamperedError):
            vault.secrets.get("a")

    def test_an_expiry_cannot_be_extended(self, engine, vault, clock):
        vault.secrets.set("a", "value", expires=int(clock.now()) + 10)
        replace_metadata(engine, '"expires":17', '"expires":18')
        with pytest.raises(TamperedError):
            vault.secrets.get("a")
        with pytest.raises(TamperedError):
            list(vault.secrets.list())

    def test_two_values_cannot_be_swapped(self, engine, vault):
        vault.secrets.set("a", "first")
        vault.secrets.set("b", "second")
        with database(engine) as connection:
            rows = connection.execute("SELECT sequence, payload FROM versions").fetchall()
        (one, first), (two, second) = rows
        change(engine, "UPDATE versions SET payload = ? WHERE sequence = ?", second, one)
        change(engine, "UPDATE versions SET payload = ? WHERE sequence = ?", first, two)
        for name in ("a", "b"):
            with pytest.raises(TamperedError):
                vault.secrets.get(name)

    def test_an_old_version_cannot_be_made_the_current_one(self, engine, vault):
        vault.secrets.set("a", "old")
        vault.secrets.set("a", "new")
        change(engine, "UPDATE objects SET current = current - 1")
        with pytest.raises(TamperedError):
            vault.secrets.get("a")

    def test_a_deleted_object_cannot_be_brought_back(self, engine, vault):
        vault.secrets.set("a", "value")
        vault.secrets.delete("a")
        change(engine, "UPDATE objects SET deleted_at = NULL, purge_at = NULL")
        with pytest.raises(TamperedError):
            vault.secrets.get("a")

    def test_a_purge_date_cannot_be_moved(self, engine, vault):
        vault.secrets.set("a", "value")
        vault.secrets.delete("a")
        change(engine, "UPDATE objects SET purge_at = purge_at - 10000000")
        with pytest.raises(TamperedError):
            vault.secrets.recover("a")
        with contextlib.suppress(TamperedError):
            engine.purge_due()
        with database(engine) as connection:
            assert connection.execute("SELECT count(*) FROM objects").fetchone() == (1,)

    def test_an_object_cannot_be_renamed(self, engine, vault):
        vault.secrets.set("a", "value")
        change(engine, "UPDATE objects SET key = 'B', name = 'b'")
        with pytest.raises(TamperedError):
            vault.secrets.get("b")

    def test_an_object_cannot_move_to_another_vault(self, engine, vault):
        engine.management.vault_create(name="other")
        vault.secrets.set("a", "value")
        change(engine, "UPDATE objects SET vault_id = ?", engine.state("other").id)
        other = engine.vault("other").acting_as(engine.administrator())
        with pytest.raises(TamperedError):
            other.secrets.get("a")

    def test_a_key_cannot_stand_for_a_secret(self, engine, vault):
        vault.keys.create("a", "oct")
        change(engine, "UPDATE objects SET kind = 'secrets'")
        with pytest.raises(TamperedError):
            vault.secrets.get("a")

    def test_a_keys_operations_cannot_be_widened(self, engine, vault):
        vault.keys.create("a", "EC", operations=["verify"])
        replace_metadata(engine, '["verify"]', '["sign"]')
        with pytest.raises(TamperedError):
            vault.keys.sign("a", "ES256", b"\0" * 32)

    def test_no_policy_can_be_written_into_the_database(self, engine):
        with database(engine) as connection:
            (blob,) = connection.execute(
                "SELECT blob FROM documents WHERE collection = 'vaults'"
            ).fetchone()
        text = bytearray(blob)
        text[len(text) // 2] ^= 1
        change(engine, "UPDATE documents SET blob = ? WHERE collection = 'vaults'", bytes(text))
        engine.close()
        with vaultcore.open(engine.data) as again, pytest.raises(TamperedError):
            again.vault("dev")

    def test_every_bit_of_a_row_matters(self, engine, vault):
        vault.secrets.set("a", "value")
        with database(engine) as connection:
            ((payload,),) = connection.execute("SELECT payload FROM versions").fetchall()
            ((seal,),) = connection.execute("SELECT seal FROM objects").fetchall()
        for table, column, blob in (("versions", "payload", payload), ("objects", "seal", seal)):
            for place in range(len(blob)):
                broken = bytearray(blob)
                broken[place] ^= 1 << (place % 8)
                change(engine, f"UPDATE {table} SET {column} = ?", bytes(broken))  # noqa: S608
                with pytest.raises(TamperedError):
                    vault.secrets.get("a")
            change(engine, f"UPDATE {table} SET {column} = ?", blob)  # noqa: S608
            assert vault.secrets.get("a").value == "value"

    def test_the_database_holds_no_value(self, engine, vault):
        canary = "canary-" + "xyzzy" * 8
        vault.secrets.set("a", canary)
        vault.keys.create("k", "EC")
        engine.store.close()
        for path in engine.data.rglob("*"):
            if path.is_file():
                assert canary.encode() not in path.read_bytes(), path


class TestVaultKeys:
    def test_rotation_keeps_what_was_stored_readable(self, engine, vault):
        vault.secrets.set("a", "old")
        blob = vault.secrets.backup("a")
        assert engine.management.vault_rotate_key(name="dev")["generation"] == 2
        assert vault.secrets.get("a").value == "old"
        vault.secrets.set("a", "new")
        payload = engine.store.current(engine.state("dev").id, "secrets", "A")[1].payload
        assert vaultcore.inspect(payload).generation == 2
        engine.close()
        with vaultcore.open(engine.data) as again:
            acting = again.vault("dev").acting_as(again.administrator())
            assert acting.secrets.get("a").value == "new"
            acting.secrets.delete("a")
            acting.secrets.purge("a")
            acting.secrets.restore(blob)
            assert acting.secrets.get("a").value == "old"

    def test_another_process_follows_a_rotation(self, tmp_path):
        with vaultcore.create(tmp_path / "data") as one, vaultcore.open(tmp_path / "data") as two:
            one.management.vault_create(name="dev")
            first = one.vault("dev").acting_as(one.administrator())
            second = two.vault("dev").acting_as(two.administrator())
            first.secrets.set("a", "before")
            assert second.secrets.get("a").value == "before"
            one.management.vault_rotate_key(name="dev")
            first.secrets.set("a", "after")
            assert second.secrets.get("a").value == "after"

    def test_only_an_empty_vault_is_removed(self, engine, vault):
        vault.secrets.set("a", "value")
        with pytest.raises(VaultError, match="not empty"):
            engine.management.vault_delete(name="dev")
        vault.secrets.delete("a")
        vault.secrets.purge("a")
        engine.management.vault_delete(name="dev")
        with pytest.raises(NotFoundError):
            engine.vault("dev")


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
    def test_what_is_due_is_purged_even_under_purge_protection(self, tmp_path, clock):
        with vaultcore.create(tmp_path / "data", clock=clock, housekeeping=False) as engine:
            engine.management.vault_create(name="dev", retention_days=7, purge_protection=True)
            vault = engine.vault("dev").acting_as(engine.administrator())
            vault.secrets.set("a", "value")
            vault.secrets.delete("a")
            with pytest.raises(ForbiddenError):
                vault.secrets.purge("a")
            clock.advance(7 * 86_400 - 1)
            assert engine.purge_due() == 0
            clock.advance(1)
            assert engine.purge_due() == 1
            with pytest.raises(NotFoundError):
                vault.secrets.recover("a")

    def test_checkpoints_are_signed_while_the_engine_is_open(self, tmp_path):
        with vaultcore.create(tmp_path / "data") as engine:
            engine.management.perform("vault.create", {"name": "dev"})
            deadline = time.monotonic() + 10
            checkpoints = tmp_path / "data/audit/checkpoints.jsonl"
            while not (checkpoints.exists() and checkpoints.stat().st_size):
                assert time.monotonic() < deadline
                time.sleep(0.05)


class TestSecretObjects:
    def test_the_value_is_in_no_repr_and_no_pickle(self, vault):
        import copy
        import pickle

        vault.secrets.set("a", "canary")
        secret = vault.secrets.get("a")
        assert "canary" not in f"{secret!r} {secret!s}"
        for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError):
                attempt(secret)
