"""Folders that earlier versions wrote open as they are: everything in them is there and works.

``written`` is a folder of this version, so that what is asked of the old ones is asked of it too.
"""

import base64
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import vaultcore
from fixtures.write_folder import write
from vaultcore import Engine, KeyEncryptionKey
from vaultcore.access.issuer import Shape
from vaultcore.audit.verifier import Report, verify
from vaultcore.clock import ManualClock
from vaultcore.errors import ForbiddenError, NotFoundError

FIXTURES = Path(__file__).parents[1] / "fixtures"
#: One written before a log had MACs, one since the record of a change is committed with it.
EARLIER = ["folder-0.1", "folder-0.1-outbox"]
ALGORITHMS = {"EC": {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "P-256K": "ES256K"}}


class Folder(NamedTuple):
    """A folder that a test may change, and what was written into it."""

    data: Path
    told: dict[str, Any]

    def open(self, later: float = 3600.0) -> Engine:
        clock = ManualClock(self.told["time"] + later)
        return vaultcore.open(self.data, clock=clock, housekeeping=False)

    def verify(self) -> Report:
        """Verifies the log as it lies there, with the keys that were noted when it was written."""
        log = self.told["log"]
        retired = [(key, until) for key, until in log["retired"]]
        return verify(self.data / "audit", log["key"], retired=retired)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    folder = tmp_path_factory.mktemp("written") / "data"
    return Folder(folder, json.loads(json.dumps(write(folder))))


@pytest.fixture(params=[*EARLIER, "written"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    if request.param in EARLIER:
        told = json.loads((FIXTURES / f"{request.param}.json").read_text(encoding="utf-8"))
        source = FIXTURES / request.param
    else:
        source, told = request.getfixturevalue("written")
    data = shutil.copytree(source, tmp_path / "data")
    for path in [data, *data.rglob("*")]:  # a checkout does not keep them
        path.chmod(0o700 if path.is_dir() else 0o600)
    return Folder(data, told)


#: Of the first folder nobody noted a credential, and nothing in it expires.
noted = pytest.mark.parametrize("folder", [*EARLIER[1:], "written"], indirect=True)


@pytest.fixture
def engine(folder: Folder) -> Iterator[Engine]:  # instead of the empty one of the other tests
    with folder.open() as opened:
        yield opened


@pytest.fixture
def vault(engine: Engine) -> Any:
    return engine.vault("dev").acting_as(engine.administrator())


def data_of(text: str) -> bytes:
    return base64.b64decode(text)


def open_sealed(vault: Any, used: dict[str, Any]) -> bytes:
    kek: KeyEncryptionKey = vault.keys.kek(used["name"])
    return kek.open(data_of(used["ciphertext"]), context={"row": "17"})


def unwrap(vault: Any, used: dict[str, Any]) -> bytes:
    wrapped = data_of(used["ciphertext"])
    key: bytes = vault.keys.unwrap_key(
        used["name"], used["algorithm"], wrapped, version=used["version"]
    )
    return key


def decrypt(vault: Any, used: dict[str, Any]) -> bytes:
    members = {name: data_of(value) for name, value in used["members"].items()}
    ciphertext = data_of(used["ciphertext"])
    plaintext: bytes = vault.keys.decrypt(
        used["name"], used["algorithm"], ciphertext, version=used["version"], **members
    )
    return plaintext


DECRYPTIONS: dict[str, Callable[[Any, dict[str, Any]], bytes]] = {
    "decrypt": decrypt,
    "open": open_sealed,
    "unwrap": unwrap,
}


def verifies(vault: Any, used: dict[str, Any], *, version: str | None = None) -> bool:
    name, algorithm, digest = used["name"], used["algorithm"], data_of(used["digest"])
    version = used["version"] if version is None else version
    good: bool = vault.keys.verify(
        name, algorithm, digest, data_of(used["signature"]), version=version
    )
    other = bytes([digest[0] ^ 1]) + digest[1:]
    assert not vault.keys.verify(
        name, algorithm, other, data_of(used["signature"]), version=version
    )
    return good


def values(vault: Any, name: str) -> dict[str, str]:
    return {
        version.version: vault.secrets.get(name, version.version).value
        for version in vault.secrets.list_versions(name)
    }


def written_values(secrets: list[dict[str, Any]], name: str) -> dict[str, str]:
    return {secret["version"]: secret["value"] for secret in secrets if secret["name"] == name}


def test_a_list_of_earlier_folders_is_whole() -> None:
    assert sorted(path.name for path in FIXTURES.glob("folder-*") if path.is_dir()) == EARLIER


def test_every_secret_has_its_value_and_its_attributes(
    engine: Engine, folder: Folder, vault: Any
) -> None:
    refused = {"expired", "disabled"}
    for secret in folder.told["secrets"]:
        name, version = secret["name"], secret["version"]
        if name in refused:
            with pytest.raises(ForbiddenError):
                vault.secrets.get(name, version)
            continue
        found = vault.secrets.get(name, version)
        assert (found.name, found.value) == (name, secret["value"])
        for attribute in ("content_type", "tags", "not_before", "expires"):
            assert getattr(found.metadata, attribute) == secret.get(attribute), name
        # The last one that was written is the current one.
        assert vault.secrets.get(name).version == folder_versions(folder, name)[-1]
    for secret in folder.told["rekeyed"]:
        other = engine.vault("rekeyed").acting_as(engine.administrator())
        assert other.secrets.get(secret["name"]).value == secret["value"]


def folder_versions(folder: Folder, name: str) -> list[str]:
    return [found["version"] for found in folder.told["secrets"] if found["name"] == name]


@noted
def test_an_expiry_holds_and_can_be_moved(folder: Folder) -> None:
    secret = next(s for s in folder.told["secrets"] if s["name"] == "expiring")
    with folder.open(later=31 * 86_400) as engine:
        vault = engine.vault("dev").acting_as(engine.administrator())
        with pytest.raises(ForbiddenError):
            vault.secrets.get("expiring")
        vault.secrets.update("expiring", expires=secret["expires"] + 86_400 * 30)
        assert vault.secrets.get("expiring").value == secret["value"]


def test_the_lists_show_what_was_written(folder: Folder, vault: Any) -> None:
    told = folder.told
    assert {found.name for found in vault.secrets.list()} == {s["name"] for s in told["secrets"]}
    assert {found.name: versions(vault, found.name) for found in vault.keys.list()} == told["keys"]
    for secret in told["secrets"]:
        listed = [found.version for found in vault.secrets.list_versions(secret["name"])]
        assert listed == folder_versions(folder, secret["name"])[::-1]
    deleted = {s["name"] for s in told["deleted"]["secrets"]}
    assert {found.name for found in vault.secrets.list_deleted()} == deleted
    assert {found.name for found in vault.keys.list_deleted()} == set(told["deleted"]["keys"])


def versions(vault: Any, name: str) -> list[str]:
    return [found.version for found in vault.keys.list_versions(name)]


def test_what_the_keys_made_before_verifies_and_opens(folder: Folder, vault: Any) -> None:
    for used in folder.told["used"]:
        if used["use"] == "verify":
            assert verifies(vault, used), used["algorithm"]
        else:
            assert DECRYPTIONS[used["use"]](vault, used) == data_of(used["plaintext"])


def test_every_key_is_used_again(folder: Folder, vault: Any) -> None:
    for name in folder.told["keys"]:
        for version in versions(vault, name):
            metadata = vault.keys.get(name, version).metadata
            if metadata.key_type == "oct":
                algorithm = f"A{metadata.key_size}KW"
                made = vault.keys.wrap_key(name, algorithm, bytes(24), version=version)
                assert made.key_version == version
                got = vault.keys.unwrap_key(name, algorithm, made.ciphertext, version=version)
                assert got == bytes(24)
                continue
            public = metadata.public
            algorithm = ALGORITHMS["EC"][public["crv"]] if "crv" in public else "PS256"
            digest = bytes(int(algorithm[2:5]) // 8)
            signed = vault.keys.sign(name, algorithm, digest, version=version).signature
            assert vault.keys.verify(name, algorithm, digest, signed, version=version)
            # With the public key alone, outside the vault.
            kty = metadata.key_type
            assert vaultcore.Key.from_jwk({**public, "kty": kty}).verify(algorithm, digest, signed)


def test_what_was_deleted_is_recovered(folder: Folder, vault: Any) -> None:
    deleted = folder.told["deleted"]
    for name in {secret["name"] for secret in deleted["secrets"]}:
        with pytest.raises(NotFoundError):
            vault.secrets.get(name)
        vault.secrets.recover(name)
        assert values(vault, name) == written_values(deleted["secrets"], name)
        assert vault.secrets.get(name).version == deleted["secrets"][-1]["version"]
    for name, used in deleted["keys"].items():
        with pytest.raises(NotFoundError):
            vault.keys.get(name)
        vault.keys.recover(name)
        assert verifies(vault, used)


def test_backups_are_restored_after_a_purge(folder: Folder, vault: Any) -> None:
    backups = folder.told["backups"]
    for kind, blob in backups.items():
        objects = getattr(vault, kind)
        name = {"secrets": "db-password", "keys": "ec-p-256"}[kind]
        objects.delete(name)
        objects.purge(name)
        with pytest.raises(NotFoundError):
            objects.get(name)
        assert objects.restore(data_of(blob)).name == name
    assert values(vault, "db-password") == written_values(folder.told["secrets"], "db-password")
    if "keys" in backups:
        assert versions(vault, "ec-p-256") == folder.told["keys"]["ec-p-256"]
        for used in folder.told["used"]:
            if used["name"] == "ec-p-256":
                assert verifies(vault, used)


def test_policies_and_firewall_are_there(engine: Engine) -> None:
    policies = {p["name"]: p for p in engine.management.access_list(vault="dev")}
    assert set(policies["reporter"]["secrets"]) == {"get", "list"}
    assert list(engine.management.firewall_list(vault="dev")["ranges"]) == ["192.0.2.0/24"]


@noted
def test_an_application_gets_a_token_that_is_worth_what_it_was_granted(
    engine: Engine, folder: Folder
) -> None:
    told = folder.told["application"]
    applications = engine.issuer.applications
    assert applications.authenticate(told["client_id"], "x" * 43) is None
    credential = applications.authenticate(told["client_id"], told["client_secret"])
    assert credential is not None
    resource, tenant = engine.installation.resource, told["tenant_id"]
    token = engine.issuer.issue(credential, resource=resource, tenant=tenant, shape=Shape.V2).token
    vault = engine.vault("dev")
    inside = vault.acting_as(token, address="192.0.2.7")
    assert inside.secrets.get("db-password").value == "battery staple"
    with pytest.raises(ForbiddenError):
        inside.secrets.set("db-password", "mine")
    with pytest.raises(ForbiddenError):
        inside.keys.get("rsa")
    with pytest.raises(ForbiddenError):
        vault.acting_as(token, address="198.51.100.1").secrets.get("db-password")


def test_the_log_verifies_before_and_after(folder: Folder) -> None:
    before = folder.verify()
    assert before.ok, before.problems
    assert before.records
    with folder.open() as engine:
        found = engine.management.audit_verify(expect=f"{before.last}:{before.head}")
        assert found["ok"], found["problems"]
        told = folder.told["log"]
        assert engine.audit.public_key() == told["key"]
        log = folder.data / "audit" / "audit.jsonl"
        text = log.read_bytes()
    after = folder.verify()
    assert after.ok, after.problems
    assert after.last > before.last
    # It would find a change to what the earlier version wrote.
    log.write_bytes(text.replace(b'"httpStatusCode":200', b'"httpStatusCode":403', 1))
    assert not folder.verify().ok


def test_what_is_written_now_is_there_when_it_is_opened_again(folder: Folder) -> None:
    with folder.open() as engine:
        vault = engine.vault("dev").acting_as(engine.administrator())
        vault.secrets.set("db-password", "third")
        vault.keys.create("new", "EC", curve="P-384")
        signed = vault.keys.sign("new", "ES384", bytes(48)).signature
        engine.management.vault_rotate_key(name="dev")
        engine.management.audit_rotate_keys()
        vault.secrets.set("newest", "under another generation")
    with folder.open(later=7200.0) as engine:
        vault = engine.vault("dev").acting_as(engine.administrator())
        assert vault.secrets.get("db-password").value == "third"
        assert vault.secrets.get("newest").value == "under another generation"
        assert vault.keys.verify("new", "ES384", bytes(48), signed)
        old = written_values(folder.told["secrets"], "db-password")
        assert {version: values(vault, "db-password")[version] for version in old} == old
        found = engine.management.audit_verify()
        assert found["ok"], found["problems"]
