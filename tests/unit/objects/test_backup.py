"""An object with all its versions, sealed for one vault and one kind."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from vaultcore._core import KeyEncryptionKey
from vaultcore.errors import BadParameterError, ConflictError, ForbiddenError, ObjectNotFoundError
from vaultcore.objects import backup
from vaultcore.objects.attributes import Metadata
from vaultcore.objects.key_parameters import KeyParameters
from vaultcore.objects.keys import KeyRules
from vaultcore.objects.secrets import SecretRules

Do = Callable[[Any], Any]


@pytest.fixture
def blob(secrets: SecretRules, do: Do) -> bytes:
    """The backup of an object with two versions, which is gone."""
    for value in ("first", "second"):
        do(secrets.set("Name", "NAME", value, tags={"value": value}))
    made = backup.backup(secrets, "NAME")
    do(secrets.delete("NAME"))
    do(secrets.purge("NAME"))
    return made


def test_it_comes_back_with_its_name_its_versions_and_their_order(
    secrets: SecretRules, blob: bytes, do: Do
) -> None:
    found = do(backup.restore(secrets, blob))
    versions = secrets.list_versions("NAME", before=None, limit=9).items
    assert [version.metadata.tags for version in versions] == [
        *({"value": "second"}, {"value": "first"}),
    ]
    assert found == versions[0]
    assert found.name == "Name"
    assert secrets.reveal(secrets.load("NAME", "")) == b"second"
    assert secrets.reveal(secrets.load("NAME", versions[1].version)) == b"first"


def test_every_bit_counts(secrets: SecretRules, blob: bytes) -> None:
    for place in range(0, len(blob), 7):
        changed = bytearray(blob)
        changed[place] ^= 1
        with pytest.raises(BadParameterError, match="malformed, was changed"):
            backup.restore(secrets, bytes(changed))


def test_it_belongs_to_its_kind_and_its_vault(
    secrets: SecretRules, keys: KeyRules, blob: bytes
) -> None:
    with pytest.raises(BadParameterError):
        backup.restore(keys, blob)
    secrets.vault.id = "1" * 32
    with pytest.raises(BadParameterError):
        backup.restore(secrets, blob)


def test_the_vaults_key_alone_opens_it(secrets: SecretRules, blob: bytes) -> None:
    secrets.vault.replace_key(KeyEncryptionKey.generate())
    with pytest.raises(BadParameterError):
        backup.restore(secrets, blob)


def test_what_opens_but_is_no_backup_is_refused(secrets: SecretRules) -> None:
    sealed = secrets.vault.kek.seal(b"no backup", context=backup._context(secrets))
    with pytest.raises(BadParameterError):
        backup.restore(secrets, sealed)


def test_a_name_that_is_taken_stays_as_it_is(secrets: SecretRules, blob: bytes, do: Do) -> None:
    do(secrets.set("name", "NAME", "another"))
    with pytest.raises(ConflictError, match="already exists") as refused:
        do(backup.restore(secrets, blob))
    assert refused.value.inner_code is None
    do(secrets.delete("NAME"))
    with pytest.raises(ConflictError) as refused:
        do(backup.restore(secrets, blob))
    assert refused.value.inner_code == "ObjectIsDeletedButRecoverable"


def test_it_holds_so_many_versions(
    secrets: SecretRules, do: Do, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "MAXIMUM_BACKUP_VERSIONS", 2)
    for _ in range(2):
        do(secrets.set("name", "NAME", "value"))
    backup.backup(secrets, "NAME")
    do(secrets.set("name", "NAME", "value"))
    with pytest.raises(BadParameterError, match="more than 2 versions"):
        backup.backup(secrets, "NAME")


def test_what_is_deleted_has_none(secrets: SecretRules, do: Do) -> None:
    do(secrets.set("name", "NAME", "value"))
    do(secrets.delete("NAME"))
    with pytest.raises(ObjectNotFoundError):
        backup.backup(secrets, "NAME")


def test_nor_has_what_a_certificate_owns(
    secrets: SecretRules, do: Do, monkeypatch: pytest.MonkeyPatch
) -> None:
    do(secrets.set("name", "NAME", "value"))
    row, stored = secrets.find("NAME")
    managed = Metadata(1, 1, managed=True)
    described = msgspec.structs.replace(secrets.describe(row, stored), metadata=managed)
    monkeypatch.setattr(SecretRules, "describe", lambda *_: described)
    with pytest.raises(ForbiddenError):
        backup.backup(secrets, "NAME")


def test_a_key_comes_back_and_works(keys: KeyRules, do: Do) -> None:
    do(keys.plan_creation("name", "NAME", KeyParameters("EC"))())
    before = keys.load("NAME", "")
    signature = before.sign("ES256", bytes(32))
    made = backup.backup(keys, "NAME")
    do(keys.delete("NAME"))
    do(keys.purge("NAME"))
    do(backup.restore(keys, made))
    assert keys.load("NAME", before.version).verify("ES256", bytes(32), signature)
