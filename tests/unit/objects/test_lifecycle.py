"""What every kind of object does alike: versions, lists, soft delete."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from vaultcore.clock import ManualClock
from vaultcore.errors import BadParameterError, ConflictError, ForbiddenError, ObjectNotFoundError
from vaultcore.objects.attributes import Metadata
from vaultcore.objects.kinds import OpenVault
from vaultcore.objects.lifecycle import MAXIMUM_TAGS
from vaultcore.objects.secrets import SecretRules
from vaultcore.storage import Transaction

Do = Callable[[Any], Any]
DAY = 86_400


@pytest.fixture
def made(secrets: SecretRules, do: Do) -> Any:
    """An object with two versions."""
    do(secrets.set("Name", "NAME", "first"))
    return do(secrets.set("name", "NAME", "second"))


def test_an_object_keeps_the_spelling_that_it_was_made_in(secrets: SecretRules, made: Any) -> None:
    assert made.name == "Name"
    assert [found.name for found in secrets.list_versions("NAME", before=None, limit=9).items] == [
        *("Name", "Name"),
    ]


def test_the_newest_version_is_the_current_one(secrets: SecretRules, made: Any) -> None:
    versions = secrets.list_versions("NAME", before=None, limit=9).items
    assert versions[0].version == made.version != versions[1].version
    assert secrets.reveal(secrets.load("NAME", "")) == b"second"
    assert secrets.reveal(secrets.load("NAME", versions[1].version)) == b"first"


def test_lists_are_in_the_order_of_canonical_names_and_come_in_pages(
    secrets: SecretRules, do: Do
) -> None:
    for name in ("b", "A", "C"):
        do(secrets.set(name, name.upper(), "value"))
    first = secrets.list_current(deleted=False, after="", limit=2)
    assert ([item.name for item in first.items], first.marker) == (["A", "b"], "B")
    last = secrets.list_current(deleted=False, after="B", limit=2)
    assert ([item.name for item in last.items], last.marker) == (["C"], None)
    full = secrets.list_current(deleted=False, after="", limit=3)
    assert full.marker is None


def test_versions_come_in_pages_newest_first(secrets: SecretRules, made: Any) -> None:
    first = secrets.list_versions("NAME", before=None, limit=1)
    assert [item.version for item in first.items] == [made.version]
    assert first.marker is not None
    last = secrets.list_versions("NAME", before=int(first.marker), limit=1)
    assert len(last.items) == 1
    assert last.items != first.items
    assert last.marker is None


def test_what_is_deleted_is_found_among_the_deleted_alone(
    secrets: SecretRules, made: Any, do: Do, clock: ManualClock
) -> None:
    now = int(clock.now())
    found = do(secrets.delete("NAME"))
    assert (found.deleted_at, found.purge_at) == (now, now + 7 * DAY)
    assert secrets.list_current(deleted=False, after="", limit=9).items == []
    (item,) = secrets.list_current(deleted=True, after="", limit=9).items
    assert (item.name, item.purge_at) == ("Name", now + 7 * DAY)
    with pytest.raises(ObjectNotFoundError):
        secrets.find("NAME")
    with pytest.raises(ObjectNotFoundError):
        secrets.find("NAME", made.version)
    with pytest.raises(ObjectNotFoundError):
        do(secrets.delete("NAME"))


def test_a_name_that_is_deleted_is_taken(secrets: SecretRules, made: Any, do: Do) -> None:
    do(secrets.delete("NAME"))
    with pytest.raises(ConflictError) as refused:
        do(secrets.set("name", "NAME", "third"))
    assert refused.value.inner_code == "ObjectIsDeletedButRecoverable"
    assert "the secret can only be recovered or purged" in refused.value.message


def test_recovered_it_is_as_before(secrets: SecretRules, made: Any, do: Do) -> None:
    do(secrets.delete("NAME"))
    found = do(secrets.recover("NAME"))
    assert (found.version, found.deleted_at) == (made.version, None)
    assert secrets.reveal(secrets.load("NAME", "")) == b"second"
    with pytest.raises(ObjectNotFoundError) as refused:
        do(secrets.recover("NAME"))
    assert refused.value.message == "Deleted Secret not found: NAME"


def test_a_purge_removes_every_version_and_returns_them(
    secrets: SecretRules, made: Any, do: Do
) -> None:
    with pytest.raises(ObjectNotFoundError):
        do(secrets.purge("NAME"))
    do(secrets.delete("NAME"))
    assert len(do(secrets.purge("NAME"))) == 2
    assert secrets.store.object(secrets.vault.id, "secrets", "NAME") is None
    assert do(secrets.set("name", "NAME", "new")).name == "name"


def test_a_protected_vault_purges_what_is_due_and_nothing_else(
    vault: OpenVault, secrets: SecretRules, made: Any, do: Do, clock: ManualClock
) -> None:
    vault.apply(msgspec.structs.replace(vault.settings, purge_protection=True))
    do(secrets.delete("NAME"))
    with pytest.raises(ForbiddenError) as refused:
        secrets.purge("NAME")
    assert refused.value.inner_code == "ForbiddenByPolicy"
    clock.advance(7 * DAY - 1)
    with pytest.raises(ObjectNotFoundError):
        do(secrets.purge("NAME", due=True))
    clock.advance(1)
    assert len(do(secrets.purge("NAME", due=True))) == 2


def test_a_change_names_one_version_and_leaves_the_others(
    secrets: SecretRules, made: Any, do: Do, clock: ManualClock
) -> None:
    clock.advance(5)
    newest, oldest = secrets.list_versions("NAME", before=None, limit=9).items
    found = do(secrets.update("NAME", oldest.version, content_type="text"))
    assert (found.version, found.metadata.content_type) == (oldest.version, "text")
    assert found.metadata.updated == found.metadata.created + 5
    after = secrets.list_versions("NAME", before=None, limit=9).items
    assert after == [newest, msgspec.structs.replace(oldest, metadata=found.metadata)]


def test_a_work_that_is_run_twice_does_the_same(secrets: SecretRules, do: Do) -> None:
    work = secrets.set("name", "NAME", "value")

    def twice(transaction: Transaction) -> Any:
        return work(transaction), work(transaction)

    first, second = do(twice)
    assert first.version != second.version
    assert secrets.find("NAME")[1].version == second.version


def test_tags_have_limits(secrets: SecretRules) -> None:
    most = {f"{number:0512}": "v" * 512 for number in range(MAXIMUM_TAGS)}
    assert secrets.validate_tags(most) == most
    assert secrets.validate_tags(None) is None
    assert secrets.validate_tags({}) == {}
    for wrong in ({**most, "one": "more"}, {"": "v"}, {"n" * 513: "v"}, {"n": "v" * 513}):
        with pytest.raises(BadParameterError):
            secrets.validate_tags(wrong)


def test_what_a_certificate_owns_is_neither_changed_nor_backed_up(secrets: SecretRules) -> None:
    for refuse in (secrets.refuse_managed, secrets.refuse_backup):
        refuse(Metadata(1, 1))
        with pytest.raises(ForbiddenError):
            refuse(Metadata(1, 1, managed=True))


def test_kinds_leave_nothing_outside_the_store_unless_they_say_so(
    secrets: SecretRules, made: Any
) -> None:
    row, _ = secrets.find("NAME")
    assert secrets.discard(secrets.store.versions(row.id), "NAME") is None
