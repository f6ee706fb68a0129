"""The table of kinds: each has rules, limits, and what it shows."""

import pytest

from vaultcore._core import operation_names
from vaultcore.objects.attributes import Metadata, Version
from vaultcore.objects.kinds import KINDS, OpenVault

VERSION = Version("Name", "0" * 32, Metadata(1, 2, content_type="text", operations=("sign",)))


def test_a_vault_has_the_rules_of_each_kind(vault: OpenVault) -> None:
    assert set(vault.rules) == set(KINDS) == {"secrets", "keys"}
    for kind, rules in vault.rules.items():
        assert type(rules) is KINDS[kind]
        assert rules.kind == kind
        assert rules.vault is vault


def test_the_noun_of_a_kind_begins_its_operations() -> None:
    for kind in KINDS.values():
        assert {f"{kind.noun}{verb}" for verb in ("Get", "List", "Purge")} <= set(operation_names())


def test_tags_of_keys_are_shorter() -> None:
    assert {kind.kind: kind.maximum_tag_length for kind in KINDS.values()} == {
        "secrets": 512, "keys": 256,
    }  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_cache_is_forgotten_by_name_and_at_once(vault: OpenVault, kind: str) -> None:
    cache = vault.rules[kind].cache
    for name in ("A", "B"):
        cache.put((name, ""), "cached", cache.seen())
    vault.invalidate(kind, "A")
    assert cache.get(("A", "")) is None
    assert cache.get(("B", "")) == "cached"
    vault.clear()
    assert cache.get(("B", "")) is None


def test_a_change_of_what_is_no_kind_forgets_nothing(vault: OpenVault) -> None:
    cache = vault.rules["secrets"].cache
    cache.put(("A", ""), "cached", cache.seen())
    vault.invalidate("certificates", "A")
    vault.invalidate("keys", "A")
    assert cache.get(("A", "")) == "cached"


def test_each_kind_shows_its_own_members() -> None:
    assert KINDS["secrets"].shown("ID", VERSION, whole=True) == {"contentType": "text", "id": "ID"}
    assert KINDS["keys"].shown("ID", VERSION, whole=False) == {"kid": "ID"}
    key = KINDS["keys"].shown("ID", VERSION, whole=True)["key"]
    assert key == {"kid": "ID", "kty": None, "key_ops": ("sign",)}


def test_attributes_that_only_keys_have_come_with_their_api_version() -> None:
    assert list(KINDS["secrets"].shown_attributes(VERSION.metadata)) == []
    metadata = Metadata(1, 2, key_size=256)
    assert [name for _, name, _ in KINDS["keys"].shown_attributes(metadata)] == [
        *("exportable", "key_size"),
    ]
