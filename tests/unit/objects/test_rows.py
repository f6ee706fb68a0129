"""Rows as they are found and verified, each bound to its place and its meaning."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from vaultcore.errors import DecryptionError, ObjectNotFoundError, TamperedError
from vaultcore.objects.keys import KeyRules
from vaultcore.objects.secrets import SecretRules

Do = Callable[[Any], Any]


def test_a_missing_object_is_said_in_the_words_of_the_contract(secrets: SecretRules) -> None:
    with pytest.raises(ObjectNotFoundError) as refused:
        secrets.find("NAME")
    assert refused.value.code == "SecretNotFound"
    assert refused.value.message.startswith("A secret with (name/id) NAME was not found")
    assert "(name/id) name was" in refused.value.spelled("name").message
    with pytest.raises(ObjectNotFoundError) as refused:
        secrets.find("NAME", "0" * 32)
    assert f"(name/id) name/{'0' * 32} was" in refused.value.spelled("name").message


def test_a_name_belongs_to_its_kind(secrets: SecretRules, keys: KeyRules, do: Do) -> None:
    do(secrets.set("name", "NAME", "value"))
    with pytest.raises(ObjectNotFoundError) as refused:
        keys.find("NAME")
    assert refused.value.code == "KeyNotFound"


def test_a_version_is_bound_to_all_that_is_said_of_it(
    secrets: SecretRules, keys: KeyRules, do: Do
) -> None:
    do(secrets.set("name", "NAME", "value"))
    _, stored = secrets.find("NAME")
    right = secrets.context("NAME", stored.version, stored.metadata)
    assert secrets.vault.kek.open(stored.payload, context=right) == b"value"
    for wrong in (
        secrets.context("OTHER", stored.version, stored.metadata),
        secrets.context("NAME", "0" * 32, stored.metadata),
        secrets.context("NAME", stored.version, stored.metadata + " "),
        keys.context("NAME", stored.version, stored.metadata),
    ):
        with pytest.raises(DecryptionError):
            secrets.vault.kek.open(stored.payload, context=wrong)


@pytest.mark.parametrize(
    "other",
    [{"canonical": "OTHER"}, {"name": "Name"}, {"deleted_at": 5}, {"purge_at": 5}],
    ids=str,
)
def test_an_object_is_bound_to_its_name_and_its_state(
    secrets: SecretRules, do: Do, other: dict[str, Any]
) -> None:
    do(secrets.set("name", "NAME", "value"))
    row, current = secrets.find("NAME")
    secrets.verify_object(secrets.store, row, current)
    with pytest.raises(TamperedError):
        secrets.verify_object(secrets.store, msgspec.structs.replace(row, **other), current)


def test_an_object_is_bound_to_its_current_version(secrets: SecretRules, do: Do) -> None:
    do(secrets.set("name", "NAME", "first"))
    _, old = secrets.find("NAME")
    do(secrets.set("name", "NAME", "second"))
    row, _ = secrets.find("NAME")
    with pytest.raises(TamperedError):
        secrets.verify_object(secrets.store, row, old)
    secrets.verify_object(secrets.store, row, None)  # what is stored now is


def test_what_cannot_be_read_was_changed(secrets: SecretRules, do: Do) -> None:
    do(secrets.set("name", "NAME", "value"))
    row, stored = secrets.find("NAME")
    for text in ("", "{", '{"created":"never"}', "\udcff"):
        with pytest.raises(TamperedError) as refused:
            secrets.metadata(row.name, msgspec.structs.replace(stored, metadata=text))
        assert f"name/{stored.version}" in str(refused.value)


def test_a_row_that_was_purged_since_is_missing_and_not_changed(
    secrets: SecretRules, do: Do
) -> None:
    do(secrets.set("name", "NAME", "value"))
    row, _ = secrets.find("NAME")
    do(secrets.delete("NAME"))
    do(secrets.purge("NAME"))
    with pytest.raises(ObjectNotFoundError):
        secrets.verify_current(secrets.store, row)


def test_a_version_shows_what_is_bound_to_it(secrets: SecretRules, do: Do) -> None:
    made = do(secrets.set("name", "NAME", "value", tags={"a": "b"}))
    found = secrets.describe(*secrets.find("NAME"))
    assert found == msgspec.structs.replace(made, deleted_at=None)
