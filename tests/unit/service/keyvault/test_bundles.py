"""What an answer shows of a version, as old and as new clients ask for it."""

import json
from typing import Any

import msgspec
import pytest

from vaultcore._core import api_versions
from vaultcore.objects.attributes import Metadata, Version
from vaultcore.service.keyvault.bundles import Bundles, at_least, encode, split_around_value

BASE = "https://dev.vault.localhost"
METADATA = Metadata(1, 2, not_before=3, expires=4, content_type="text", tags={"a": "b"})
VERSION = Version("Name", "0" * 32, METADATA)


def bundles(api_version: str = "7.6") -> Bundles:
    return Bundles(BASE, "Recoverable", 90, api_version)


def shown(found: Version, kind: str = "secrets", api_version: str = "7.6") -> dict[str, Any]:
    read: dict[str, Any] = json.loads(encode(bundles(api_version).bundle(kind, found)))
    return read


def test_the_versions_of_the_interface_have_an_order() -> None:
    known = api_versions()
    for place, version in enumerate(known):
        assert [at_least(version, first) for first in known] == [
            before <= place for before in range(len(known))
        ]
    assert not at_least("unknown", known[0])


def test_an_identifier_names_a_version_or_none() -> None:
    assert bundles().identifier("keys", "Name") == f"{BASE}/keys/Name"
    assert bundles().identifier("keys", "Name", "1") == f"{BASE}/keys/Name/1"


def test_a_secret_is_shown_whole_but_for_its_value() -> None:
    assert shown(VERSION) == {
        "id": f"{BASE}/secrets/Name/{'0' * 32}",
        "contentType": "text",
        "attributes": {
            "enabled": True, "nbf": 3, "exp": 4, "created": 1, "updated": 2,
            "recoveryLevel": "Recoverable", "recoverableDays": 90,
        },
        "tags": {"a": "b"},
    }  # fmt: skip


def test_what_is_absent_is_left_out_and_what_is_empty_is_not() -> None:
    bare = shown(Version("Name", "0" * 32, Metadata(1, 2)))
    assert set(bare) == {"id", "attributes"}
    assert not {"nbf", "exp"} & set(bare["attributes"])
    empty = shown(Version("Name", "0" * 32, Metadata(1, 2, tags={})))
    assert empty["tags"] == {}
    managed = shown(Version("Name", "0" * 32, Metadata(1, 2, managed=True)))
    assert managed["managed"] is True


def test_what_is_deleted_says_when_and_how_it_comes_back() -> None:
    deleted = shown(msgspec.structs.replace(VERSION, deleted_at=5, purge_at=6), "keys")
    assert deleted["recoveryId"] == f"{BASE}/deletedkeys/Name"
    assert (deleted["deletedDate"], deleted["scheduledPurgeDate"]) == (5, 6)
    assert "recoveryId" not in shown(VERSION)


@pytest.mark.parametrize(
    ("api_version", "members"),
    [
        ("7.0", set()),
        ("7.1", {"recoverableDays"}),
        ("7.3", {"recoverableDays", "exportable"}),
        ("2026-04-01", {"recoverableDays", "exportable", "key_size"}),
    ],
)
def test_older_clients_do_not_see_what_came_later(api_version: str, members: set[str]) -> None:
    key = Version("Name", "0" * 32, Metadata(1, 2, key_type="oct", key_size=256))
    attributes = shown(key, "keys", api_version)["attributes"]
    assert {"recoverableDays", "exportable", "key_size"} & set(attributes) == members


def test_a_key_is_shown_as_a_jwk() -> None:
    public = {"crv": "P-256", "x": "1", "y": "2"}
    metadata = Metadata(1, 2, key_type="EC-HSM", operations=("sign",), public=public)
    key = shown(Version("Name", "0" * 32, metadata), "keys")["key"]
    assert key == {
        "kid": f"{BASE}/keys/Name/{'0' * 32}", "kty": "EC-HSM", "key_ops": ["sign"], **public,
    }  # fmt: skip


@pytest.mark.parametrize(("kind", "member"), [("secrets", "id"), ("keys", "kid")])
def test_items_of_lists_name_a_version_where_versions_are_listed(kind: str, member: str) -> None:
    item = bundles().item(kind, VERSION, versioned=False)
    assert item[member] == f"{BASE}/{kind}/Name"
    assert "key" not in item
    assert bundles().item(kind, VERSION, versioned=True)[member].endswith("/" + "0" * 32)


def test_a_value_fits_between_what_stands_around_it() -> None:
    bundle = bundles().bundle("secrets", VERSION)
    before, after = split_around_value(bundle)
    for value in ("", 'a"\\\n\u2028', "ä\U0001f511"):
        assert json.loads(before + encode(value) + after) == {"value": value, **shown(VERSION)}
