"""A rekey: whoever stole keys opens nothing of what is stored afterwards, and nothing is lost."""

import base64
import json
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import vaultcore
from unit.installation.killer import killer
from vaultcore import Engine
from vaultcore._core import KeyEncryptionKey
from vaultcore.access.issuer import Shape
from vaultcore.cli import app
from vaultcore.errors import BadParameterError, DecryptionError, TamperedError, UnauthorizedError
from vaultcore.installation import rekey
from vaultcore.installation.settings import SYSTEM
from vaultcore.protectors.wraps import COLLECTION, VaultKey

SECRETS = 8


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rekey, "PAUSE", 0.0)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many batches of few rows."""
    monkeypatch.setattr(rekey, "BATCH", 3)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with something of everything, closed."""
    with vaultcore.create(tmp_path / "data", housekeeping=False) as engine:
        for name in ("dev", "other"):
            engine.management.vault_create(name=name)
            vault = engine.vault(name).acting_as(engine.administrator())
            for number in range(SECRETS):
                vault.secrets.set(f"s{number}", f"{name} {number}")
            vault.secrets.set("s0", f"{name} 0")
            vault.keys.create("k", "EC")
            vault.secrets.set("gone", "deleted")
            vault.secrets.delete("gone")
        engine.management.app_create(name="app")
        engine.issuer.keys.rotate()
        return engine.data


def keks(engine: Engine) -> dict[str, KeyEncryptionKey]:
    """Returns copies of all keys, as a thief has them."""
    ids = {SYSTEM: SYSTEM, **engine.key_ring.vault_ids()}
    return {name: engine.key_ring.stored(vault_id).kek for name, vault_id in ids.items()}


def envelopes(data: Path) -> list[bytes]:
    """Returns every envelope in the database, wherever it stands."""
    with closing(sqlite3.connect(data / "vaultcore.db")) as connection:
        rows: list[bytes] = []
        for sql in (
            "SELECT payload FROM versions",
            "SELECT seal FROM objects",
            "SELECT blob FROM documents WHERE collection NOT IN ('vaults', 'vault-keys')",
        ):
            # What is not sealed is a document with a MAC, of the audit log.
            rows += [blob for (blob,) in connection.execute(sql) if blob.startswith(b"vce")]
        vaults = connection.execute("SELECT blob FROM documents WHERE collection = 'vaults'")

        rows += [base64.b64decode(json.loads(blob)["settings"]) for (blob,) in vaults]
    return rows


def opened_by(stolen: dict[str, KeyEncryptionKey], data: Path) -> int:
    """Returns how many envelopes of a database old keys open."""
    count = 0
    for blob in envelopes(data):
        for kek in stolen.values():
            try:
                kek.rewrap(blob)
            except DecryptionError:
                continue
            count += 1
    return count


def check(engine: Engine) -> None:
    """Checks that everything is there."""
    for name in ("dev", "other"):
        vault = engine.vault(name).acting_as(engine.administrator())
        for number in range(SECRETS):
            assert vault.secrets.get(f"s{number}").value == f"{name} {number}"
        vault.keys.sign("k", "ES256", bytes(32))
        vault.secrets.recover("gone")
        assert vault.secrets.get("gone").value == "deleted"
        vault.secrets.delete("gone")
    assert engine.issuer.applications.find("app").name == "app"
    assert engine.issuer.published_keys()["keys"]


def test_a_stolen_key_file_opens_nothing_of_what_is_stored_afterwards(
    data: Path, tmp_path: Path
) -> None:
    thief = tmp_path / "thief"
    shutil.copytree(data, thief)
    with vaultcore.open(thief, housekeeping=False) as engine:
        stolen = keks(engine)
    assert opened_by(stolen, data) == len(envelopes(data))
    with vaultcore.open(data, housekeeping=False) as engine:
        engine.management.protector_add(name="spare", kind="file")
        engine.management.protector_remove(name="file")
        # Without a rekey he still opens everything with the old wraps that he has.
        assert opened_by(stolen, data) == len(envelopes(data))
        answer = engine.management.installation_rekey()
        assert {key["name"]: key["unreadable"] for key in answer["keys"]} == {
            SYSTEM: 0,
            "dev": 0,
            "other": 0,
        }
        check(engine)
        assert opened_by(stolen, data) == 0
    with vaultcore.open(data, housekeeping=False) as engine:
        assert engine.key_ring.system.generations == [2]
        assert engine.state("dev").kek.generations == [2]
        assert all(line["status"] == "ok" for line in engine.key_ring.verify())
        check(engine)
    # The key file that was stolen is of no use on the database of today.
    (data / "keys/spare.json").unlink()
    with pytest.raises(vaultcore.VaultcoreError):
        vaultcore.open(data, housekeeping=False)


def test_one_vault_alone(data: Path) -> None:
    with vaultcore.open(data, housekeeping=False) as engine:
        stolen = keks(engine)
        answer = engine.management.installation_rekey(vault="Dev")
        assert [(key["name"], key["generation"]) for key in answer["keys"]] == [("dev", 2)]
        assert opened_by({"dev": stolen["dev"]}, data) == 0
        assert engine.key_ring.system.generations == [1]
        assert engine.state("other").kek.generations == [1]
        check(engine)


@pytest.mark.usefixtures("small")
def test_others_go_on_writing_and_reading_meanwhile(data: Path) -> None:
    with (
        vaultcore.open(data, housekeeping=False) as engine,
        vaultcore.open(data, housekeeping=False) as other,
    ):
        stolen = keks(engine)
        ended = threading.Event()
        written: dict[str, str] = {}
        failures: list[BaseException] = []

        def use(opened: Engine, mine: str) -> None:
            secrets = opened.vault("dev").acting_as(opened.administrator()).secrets
            number = 0
            try:
                while not ended.is_set() or number < 20:
                    name = f"{mine}{number % 10}"
                    secrets.set(name, f"{mine} {number}")
                    written[name] = f"{mine} {number}"
                    assert secrets.get(name).value == written[name]
                    assert secrets.get("s1").value == "dev 1"
                    number += 1
            except BaseException as failure:  # noqa: BLE001 - whatever it is, the test fails
                failures.append(failure)

        threads = [
            threading.Thread(target=use, args=(opened, f"{place}x{n}x"))
            for place, opened in (("here", engine), ("there", other))
            for n in range(2)
        ]
        for thread in threads:
            thread.start()
        for _ in range(3):
            engine.management.installation_rekey()
        ended.set()
        for thread in threads:
            thread.join()
        assert failures == []
        assert written
        assert opened_by(stolen, data) == 0
        assert engine.state("dev").kek.generations == [4]
        assert other.state("dev").kek.generations == [4]
    with vaultcore.open(data, housekeeping=False) as fresh:
        check(fresh)
        secrets = fresh.vault("dev").acting_as(fresh.administrator()).secrets
        assert {name: secrets.get(name).value for name in written} == written


def test_checkpoints_that_are_signed_meanwhile_wait_for_nobody_who_waits(data: Path) -> None:
    with (
        vaultcore.open(data, housekeeping=False) as engine,
        vaultcore.open(data, housekeeping=False) as other,
    ):
        ended = threading.Event()

        def sign() -> None:
            while not ended.is_set():
                other.management.vault_list()
                other.audit.checkpoint()

        signing = threading.Thread(target=sign)
        signing.start()
        for _ in range(6):
            engine.management.audit_rotate_keys()
        engine.management.installation_rekey()
        ended.set()
        signing.join(30)
        assert not signing.is_alive()
        assert engine.management.audit_verify()["ok"]


def test_a_process_that_has_not_heard_of_it_seals_nothing_under_old_keys(data: Path) -> None:
    with (
        vaultcore.open(data, housekeeping=False) as engine,
        vaultcore.open(data, housekeeping=False) as other,
    ):
        stolen = keks(engine)
        state = other.state("dev")
        engine.management.installation_rekey()
        # Past everything that would look at the feed first, as a request under way is.
        other.store.write(state.rules["secrets"].set("late", "LATE", "value"))
        other.issuer.applications.create("late")
        other.issuer.keys.rotate()
        assert opened_by(stolen, data) == 0
    with vaultcore.open(data, housekeeping=False) as fresh:
        secrets = fresh.vault("dev").acting_as(fresh.administrator()).secrets
        assert secrets.get("late").value == "value"
        assert fresh.issuer.applications.find("late").name == "late"
        check(fresh)


def test_what_was_read_before_is_read_again_when_its_key_is_gone(data: Path) -> None:
    with vaultcore.open(data, housekeeping=False) as engine:
        rules = engine.state("dev").rules["secrets"]
        found = rules.load("S1", "")
        engine.management.installation_rekey()
        assert rules.reveal(found) == b"dev 1"


def test_a_rekey_that_is_killed_goes_on(data: Path, tmp_path: Path) -> None:
    with vaultcore.open(data, housekeeping=False) as engine:
        stolen = keks(engine)
    steps = 0
    with killer() as nursery:
        while True:
            image = tmp_path / f"image{steps}"
            shutil.copytree(data, image)
            killed = nursery.kill(image, "installation.rekey", {}, steps)
            with vaultcore.open(image, housekeeping=False) as engine:
                check(engine)
                before = {name: kek.generations for name, kek in keks(engine).items()}
                if killed:
                    engine.management.installation_rekey()
                    check(engine)
                after = {name: kek.generations for name, kek in keks(engine).items()}
                assert opened_by(stolen, image) == 0
                for name, generations in before.items():
                    # One that was under way went on, one that had ended began anew.
                    begun = [2] if generations in ([1], [1, 2]) else [3] if killed else [2]
                    assert after[name] == begun, (steps, before, after)
            shutil.rmtree(image)
            if not killed:
                break
            # Neighbours differ in one batch: every third is enough, and begins elsewhere in each.
            steps += 3
    assert steps > 8


def test_a_rekey_that_is_under_way_survives_other_changes_of_the_keys(data: Path) -> None:
    with vaultcore.open(data, housekeeping=False) as engine:
        vault_id = engine.state("dev").id
        engine.key_ring.replace(vault_id, "dev", "rekey", lambda held: held.rotated(rekeying=True))
        engine.management.vault_rotate_key(name="dev")
        engine.management.protector_add(name="spare", kind="file")
        assert engine.key_ring.stored(vault_id).rekeying
        engine.management.installation_rekey(vault="dev")
        assert engine.state("dev").kek.generations == [3]
        assert not engine.key_ring.stored(vault_id).rekeying


def test_nobody_without_a_protector_says_that_a_rekey_is_under_way(data: Path) -> None:
    with vaultcore.open(data, housekeeping=False) as engine:
        vault_id = engine.state("dev").id
        marked = engine.key_ring.stored(vault_id).rotated(rekeying=True)
        (protector,) = engine.key_ring.protectors
        foreign = json.loads(marked.wrap(protector))["rekey"]
        place = f"{vault_id}/file"
        wrap = json.loads(engine.store.document(COLLECTION, place) or b"")
        wrap["rekey"] = foreign
        with pytest.raises(vaultcore.VaultcoreError, match="changed outside"):
            VaultKey.unwrap(protector, json.dumps(wrap).encode())


def test_a_changed_row_is_counted_and_holds_nobody_up(data: Path) -> None:
    with vaultcore.open(data, housekeeping=False) as engine:
        with closing(sqlite3.connect(data / "vaultcore.db")) as connection, connection:
            ((sequence, payload),) = connection.execute(
                "SELECT sequence, payload FROM versions JOIN objects ON current = sequence "
                "WHERE key = 'S2' AND vault_id = ?",
                (engine.state("dev").id,),
            ).fetchall()
            broken = bytearray(payload)
            broken[40] ^= 1  # in the wrapped data key
            connection.execute(
                "UPDATE versions SET payload = ? WHERE sequence = ?", (bytes(broken), sequence)
            )
        answer = engine.management.installation_rekey()
        assert {k["name"]: k["unreadable"] for k in answer["keys"]} == {
            SYSTEM: 0,
            "dev": 1,
            "other": 0,
        }
        secrets = engine.vault("dev").acting_as(engine.administrator()).secrets
        with pytest.raises(TamperedError):
            secrets.get("s2")
        assert secrets.get("s1").value == "dev 1"


@pytest.fixture
def engine(data: Path) -> Iterator[Engine]:
    with vaultcore.open(data, housekeeping=False) as opened:
        yield opened


def test_a_backup_of_before_is_refused_and_one_of_afterwards_restored(engine: Engine) -> None:
    secrets = engine.vault("dev").acting_as(engine.administrator()).secrets
    old = secrets.backup("s3")
    engine.key_ring.replace(
        engine.state("dev").id, "dev", "rekey", lambda held: held.rotated(rekeying=True)
    )
    engine.synchronise()
    during = secrets.backup("s3")  # its rows are not moved yet
    engine.management.installation_rekey()
    secrets.delete("s3")
    secrets.purge("s3")
    with pytest.raises(BadParameterError, match="older than a rekey"):
        secrets.restore(old)
    secrets.restore(during)
    assert secrets.get("s3").value == "dev 3"


def test_tokens_of_before_are_refused(engine: Engine) -> None:
    made = engine.management.app_add_secret(name="app")

    def token() -> str:
        credential = engine.issuer.applications.authenticate(
            made["client_id"], made["client_secret"]
        )
        assert credential is not None
        return engine.issuer.issue(
            credential,
            resource=engine.installation.resource,
            tenant=engine.installation.tenant_id,
            shape=Shape.V2,
        ).token

    before = token()
    engine.validate(before)
    engine.management.installation_rekey()
    with pytest.raises(UnauthorizedError):
        engine.validate(before)
    engine.validate(token())
    assert engine.issuer.applications.authenticate("?", "?") is None


def test_it_is_recorded_when_it_begins_and_when_it_ends(engine: Engine) -> None:
    engine.management.installation_rekey()
    records = engine.management.audit_query(operation="InstallationRekey")
    assert [record["properties"]["httpStatusCode"] for record in records] == [202, 200]


def test_the_keys_of_the_audit_log_are_others_and_it_verifies(engine: Engine) -> None:
    before = engine.audit.public_key()
    engine.management.installation_rekey()
    assert engine.audit.public_key() != before
    assert engine.management.audit_verify()["ok"]


def test_an_absent_protector_holds_it_up_before_anything_is_done(data: Path) -> None:
    with vaultcore.open(data, housekeeping=False) as engine:
        engine.management.protector_add(name="spare", kind="file")
    (data / "keys/spare.json").unlink()
    with vaultcore.open(data, housekeeping=False) as engine:
        with pytest.raises(vaultcore.VaultcoreError, match="spare"):
            engine.management.installation_rekey()
        assert engine.key_ring.stored(SYSTEM).kek.generations == [1]
        check(engine)


def test_the_command(data: Path) -> None:
    runner = CliRunner()
    words = ["rekey", "--data", str(data)]
    result = runner.invoke(app, [*words, "--json"])
    assert result.exit_code == 0, result.output
    answer: dict[str, Any] = json.loads(result.stdout)
    assert {key["name"]: key["generation"] for key in answer["keys"]} == {
        SYSTEM: 2,
        "dev": 2,
        "other": 2,
    }
    result = runner.invoke(app, [*words, "--vault", "dev"])
    assert result.exit_code == 0, result.output
    assert "docs/protectors.md" in result.output
    result = runner.invoke(app, [*words, "--vault", "nobody"])
    assert result.exit_code == 3


def test_the_removal_of_a_protector_says_what_it_does_not_do(data: Path) -> None:
    runner = CliRunner()
    for words in (["protector", "add", "--kind", "file", "spare"], ["protector", "remove", "file"]):
        result = runner.invoke(app, [*words, "--data", str(data)])
        assert result.exit_code == 0, result.output
    assert "vaultcore rekey" in result.output
