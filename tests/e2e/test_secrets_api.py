"""Secrets over HTTPS: the routes, shapes, rules and quirks of the contract."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import pytest
from driver import CANARY, LATEST, b64, unb64, unique

if TYPE_CHECKING:
    from driver import Service, Vault

VERSION = re.compile(r"[0-9a-f]{32}")
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
API_VERSIONS = (
    *("2015-06-01", "2016-10-01", "7.0", "7.1", "7.2", "7.3", "7.4", "7.5"),
    *("7.6-preview.1", "7.6-preview.2", "7.6", "2025-06-01-preview", "2025-07-01"),
    *("2026-01-01-preview", "2026-03-01-preview", "2026-04-01"),
    *("2026-05-01-preview", "2026-07-01-preview"),
)
WITHOUT_RECOVERABLE_DAYS = {"2015-06-01", "2016-10-01", "7.0"}
MISSING = (
    "A secret with (name/id) {} was not found in this key vault. If you recently deleted this "
    "secret you may be able to recover it using the correct recovery command. For help resolving "
    "this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182"
)
DELETED = (
    "Secret {} is currently in a deleted but recoverable state, and its name cannot be reused; "
    "in this state, the secret can only be recovered or purged."
)
KIB_25 = 25 * 1024


def version_of(bundle: dict[str, Any]) -> str:
    version = str(bundle["id"].rpartition("/")[2])
    assert VERSION.fullmatch(version)
    return version


# paths, parameters, headers (contract 1.0)


@pytest.mark.parametrize(
    "path", ["/secrets/{}", "/secrets/{}/", "//secrets/{}", "//secrets/{}/", "/SECRETS/{}"]
)
def test_quirk_1_slashes_at_the_ends_mean_the_current_version(vault: Vault, path: str) -> None:
    name = unique()
    stored = vault.set(name)
    assert vault.do("GET", path.format(name)) == stored


def test_quirk_1_empty_version_segment_of_patch(vault: Vault) -> None:
    name = unique()
    first = vault.set(name)
    second = vault.set(name)
    changed = vault.do("PATCH", f"/secrets/{name}/", {"tags": {"a": "b"}})
    assert changed["id"] == second["id"]
    assert "tags" not in vault.do("GET", f"/secrets/{name}/{version_of(first)}")


@pytest.mark.parametrize(
    "path",
    [
        *("/secrets//{}", "///secrets/{}", "/secrets/{}//", "/secrets/{}//versions"),
        *("/secrets/{}/a/b/c/d", "/{}", "/", "//", "/secretz/{}", "/secrets/{}/backup/x"),
    ],
)
def test_other_slashes_are_no_route_and_never_a_redirect(vault: Vault, path: str) -> None:
    answer = vault.ask("GET", path.format("some-name"))
    assert answer.status_code in {400, 404}
    assert "location" not in answer.headers
    assert answer.json()["error"]["code"] in {"BadParameter", "NotFound"}


def test_the_names_of_parameters_are_decoded(vault: Vault) -> None:
    name = unique()
    stored = vault.set(name)
    # The JavaScript SDK percent-encodes the hyphen.
    for query in (
        "api%2Dversion=7.6",
        "api%2dversion=7.6",
        "%61pi-version=7.6",
        "api-version=7%2E6",
    ):
        assert vault.do("GET", f"/secrets/{name}?{query}", api=None) == stored


@pytest.mark.parametrize("spoken", API_VERSIONS)
def test_every_api_version_is_served(vault: Vault, spoken: str) -> None:
    name = unique()
    stored = vault.do("PUT", f"/secrets/{name}", {"value": "x"}, api=spoken)
    assert vault.do("GET", f"/secrets/{name}", api=spoken) == stored
    listed = vault.do("GET", f"/secrets/{name}/versions", api=spoken)["value"]
    changed = vault.do("PATCH", f"/secrets/{name}", {}, api=spoken)
    deleted = vault.do("DELETE", f"/secrets/{name}", api=spoken)
    expected = spoken not in WITHOUT_RECOVERABLE_DAYS
    for shown in (stored, *listed, changed, deleted):
        assert ("recoverableDays" in shown["attributes"]) == expected
    vault.do("DELETE", f"/deletedsecrets/{name}", api=spoken, status=204)


def test_what_one_api_version_shows_does_not_stick_to_another(vault: Vault) -> None:
    for order in (API_VERSIONS, tuple(reversed(API_VERSIONS))):
        name = unique()
        vault.set(name)
        for api in order:
            shown = vault.do("GET", f"/secrets/{name}", api=api)["attributes"]
            assert ("recoverableDays" in shown) == (api not in WITHOUT_RECOVERABLE_DAYS), api


def test_api_version_is_mandatory(vault: Vault) -> None:
    for path in ("/secrets/x", "/secrets", "/secrets/x?api-version=", "/secrets/x?API-VERSIO=7.4"):
        message = vault.refuse(400, "BadParameter", "GET", path, api=None)
        assert message == "api-version must be specified"
    vault.refuse(400, "BadParameter", "PUT", "/secrets/x", {"value": "v"}, api=None)


@pytest.mark.parametrize(
    "spoken",
    ["7.7", "7", "7.00", "newest", "2026-04-02", "2026-04-01%20", "7.4,7.5", "7.4%00", "v7.4"],
)
def test_unknown_api_versions_are_refused(vault: Vault, spoken: str) -> None:
    message = vault.refuse(400, "BadParameter", "GET", "/secrets/x", api=spoken)
    assert spoken not in message


def test_a_parameter_must_not_come_twice(vault: Vault) -> None:
    for query in ("api-version=7.4&api-version=7.5", "api-version=7.4&api%2Dversion=7.4"):
        vault.refuse(400, "BadParameter", "GET", f"/secrets/x?{query}", api=None)


def test_unknown_parameters_are_ignored(vault: Vault) -> None:
    stored = vault.set(name := unique())
    assert vault.do("GET", f"/secrets/{name}?sig=a&_=%20") == stored


def test_headers_of_an_answer(vault: Vault) -> None:
    correlation = "5a1c0c7b-6f1e-4a1b-9a5e-2f6f1f0e7d10"
    answer = vault.ask("GET", "/secrets", headers={"x-ms-client-request-id": correlation})
    headers = answer.headers
    assert headers["content-type"] == "application/json; charset=utf-8"
    assert headers["cache-control"] == "no-cache"
    assert headers["pragma"] == "no-cache"
    assert headers["expires"] == "-1"
    assert headers["strict-transport-security"] == "max-age=31536000;includeSubDomains"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-ms-keyvault-region"]
    assert headers["x-ms-keyvault-service-version"]
    network = "conn_type=Ipv4;addr=127.0.0.1;act_addr_fam=InterNetwork;"
    assert headers["x-ms-keyvault-network-info"] == network
    assert GUID.fullmatch(headers["x-ms-request-id"])
    assert headers["x-ms-client-request-id"] == correlation
    assert "etag" not in headers
    again = vault.ask("GET", "/secrets")
    assert again.headers["x-ms-request-id"] != headers["x-ms-request-id"]
    assert "x-ms-client-request-id" not in again.headers


def test_errors_carry_the_same_headers(vault: Vault) -> None:
    correlation = "5a1c0c7b-6f1e-4a1b-9a5e-2f6f1f0e7d11"
    answer = vault.ask("GET", "/secrets/x.y", headers={"x-ms-client-request-id": correlation})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["x-ms-client-request-id"] == correlation
    assert "retry-after" not in answer.headers


@pytest.mark.parametrize("header", ["X-HTTP-METHOD", "x-http-method-override", "X-HTTP-REQUEST"])
def test_method_override(vault: Vault, header: str) -> None:
    name = unique()
    vault.set(name)
    override = {header: "PATCH"}
    changed = vault.do("POST", f"/secrets/{name}", {"tags": {"a": "b"}}, headers=override)
    assert changed["tags"] == {"a": "b"}
    vault.do("POST", f"/secrets/{name}", headers={header: "DELETE"})
    vault.refuse(404, "SecretNotFound", "GET", f"/secrets/{name}")
    # Only a POST is something else in disguise, and only these verbs are.
    vault.refuse(404, "SecretNotFound", "GET", f"/secrets/{name}", headers={header: "DELETE"})
    vault.refuse(405, "MethodNotAllowed", "POST", f"/secrets/{name}", headers={header: "TRACE"})


# set, get, update (contract 1.1)


def test_quirk_13_shape_of_set_get_and_update(vault: Vault) -> None:
    name, started = unique(), int(time.time())
    stored = vault.do("PUT", f"/secrets/{name}", {"value": f"plain {CANARY}"})
    version = version_of(stored)
    created = stored["attributes"]["created"]
    assert started <= created <= time.time()
    assert stored == {
        "value": f"plain {CANARY}",
        "id": f"{vault.url}/secrets/{name}/{version}",
        "attributes": {
            "enabled": True,
            "created": created,
            "updated": created,
            "recoveryLevel": "Recoverable+Purgeable",
            "recoverableDays": 90,
        },
    }
    for path in (f"/secrets/{name}", f"/secrets/{name}/", f"/secrets/{name}/{version}"):
        assert vault.do("GET", path) == stored
    changed = vault.do("PATCH", f"/secrets/{name}/{version}", {"contentType": "text/plain"})
    assert "value" not in changed
    assert changed["contentType"] == "text/plain"
    assert changed["id"] == stored["id"]
    assert vault.do("GET", f"/secrets/{name}")["value"] == f"plain {CANARY}"


def test_set_with_everything(vault: Vault) -> None:
    name = unique()
    body = {
        "value": 'ü\u2028\x00\n"\\ 🔑 ' + CANARY,
        "contentType": "application/x; charset=ü",
        "tags": {"Größe": 'a "b" \\', "empty": ""},
        "attributes": {"enabled": True, "nbf": 1, "exp": 4_102_444_800},
    }
    stored = vault.do("PUT", f"/secrets/{name}", body)
    for shown in (stored, vault.do("GET", f"/secrets/{name}")):
        assert shown["value"] == body["value"]
        assert shown["contentType"] == body["contentType"]
        assert shown["tags"] == body["tags"]
        assert shown["attributes"]["nbf"] == 1
        assert shown["attributes"]["exp"] == 4_102_444_800


def test_absent_and_null_members_are_not_shown(vault: Vault) -> None:
    body = {"value": "", "contentType": None, "tags": None, "attributes": None}
    stored = vault.do("PUT", f"/secrets/{(name := unique())}", body)
    assert stored["value"] == ""
    assert set(stored) == {"value", "id", "attributes"}
    assert vault.do("GET", f"/secrets/{name}") == stored
    stored = vault.do("PUT", f"/secrets/{name}", {"value": "", "attributes": {"exp": None}})
    assert "exp" not in stored["attributes"]
    assert vault.set(name, tags={})["tags"] == {}


def test_update_merges_and_an_empty_tags_object_replaces_all(vault: Vault) -> None:
    name = unique()
    vault.set(name, contentType="a/b", tags={"x": "1", "y": "2"}, attributes={"exp": 4_000_000_000})
    shown = vault.do("PATCH", f"/secrets/{name}", {"attributes": {"nbf": 5}})
    assert shown["attributes"]["exp"] == 4_000_000_000
    assert shown["attributes"]["nbf"] == 5
    assert shown["contentType"] == "a/b"
    assert shown["tags"] == {"x": "1", "y": "2"}
    shown = vault.do("PATCH", f"/secrets/{name}", {"tags": {"z": "3"}})
    assert shown["tags"] == {"z": "3"}
    shown = vault.do("PATCH", f"/secrets/{name}", {"tags": {}})
    assert shown.get("tags", {}) == {}
    # Nothing at all is an update of nothing.
    nothing: Any
    for nothing in (None, "{}", {"attributes": {}}):
        shown = vault.do("PATCH", f"/secrets/{name}", nothing)
        assert shown["attributes"]["nbf"] == 5


def test_update_refuses_dates_that_exclude_each_other(vault: Vault) -> None:
    name = unique()
    vault.set(name, attributes={"nbf": 2_000_000_000})
    for exp in (1_999_999_999, 2_000_000_000):
        body = {"attributes": {"exp": exp}}
        vault.refuse(400, "BadParameter", "PATCH", f"/secrets/{name}", body)
    vault.do("PATCH", f"/secrets/{name}", {"attributes": {"exp": 2_000_000_001}})


def test_versions(vault: Vault) -> None:
    name = unique()
    stored = [vault.set(name, f"value {number} {CANARY}") for number in range(4)]
    assert len({version_of(one) for one in stored}) == 4
    for one in stored:
        assert vault.do("GET", f"/secrets/{name}/{version_of(one)}") == one
        # A version is a number, whatever the case of its digits.
        assert vault.do("GET", f"/secrets/{name}/{version_of(one).upper()}") == one
    assert vault.do("GET", f"/secrets/{name}") == stored[-1]
    listed = vault.do("GET", f"/secrets/{name}/versions")
    assert listed["nextLink"] is None
    assert [item["id"] for item in listed["value"]] == [one["id"] for one in reversed(stored)]
    absent = "0" * 32
    message = vault.refuse(404, "SecretNotFound", "GET", f"/secrets/{name}/{absent}")
    assert message == MISSING.format(f"{name}/{absent}")
    vault.refuse(404, "SecretNotFound", "PATCH", f"/secrets/{name}/{absent}", {})


def test_quirk_32_names_ignore_case_and_keep_it(vault: Vault) -> None:
    name = unique("MiXeD")
    first = vault.set(name)
    assert f"/secrets/{name}/" in first["id"]
    second = vault.set(name.upper(), f"second {CANARY}")
    for spelling in (name, name.lower(), name.upper()):
        shown = vault.do("GET", f"/secrets/{spelling}")
        assert shown["id"] == second["id"] == f"{vault.url}/secrets/{name}/{version_of(second)}"
    assert len(vault.do("GET", f"/secrets/{name.lower()}/versions")["value"]) == 2
    vault.do("DELETE", f"/secrets/{name.swapcase()}")
    vault.refuse(
        409,
        "Conflict",
        "PUT",
        f"/secrets/{name.lower()}",
        {"value": ""},
        inner="ObjectIsDeletedButRecoverable",
    )


@pytest.mark.parametrize(
    "name", ["restore", "versions", "backup", "create", "pending", "secrets", "0", "-", "a" * 127]
)
def test_quirk_33_words_of_routes_are_names_too(vault: Vault, name: str) -> None:
    stored = vault.set(name)
    assert vault.do("GET", f"/secrets/{name}") == stored
    assert vault.do("GET", f"/secrets/{name}/versions")["value"][0]["id"] == stored["id"]
    assert vault.do("POST", f"/secrets/{name}/backup")["value"]
    vault.do("DELETE", f"/secrets/{name}")
    vault.do("POST", f"/deletedsecrets/{name}/recover")
    vault.do("DELETE", f"/secrets/{name}")
    vault.do("DELETE", f"/deletedsecrets/{name}", status=204)


def test_a_missing_secret(vault: Vault) -> None:
    name = unique("Not-There")
    requests: list[tuple[str, str, Any]] = [
        ("GET", f"/secrets/{name}", None),
        ("GET", f"/secrets/{name}/", None),
        ("PATCH", f"/secrets/{name}", {}),
        ("DELETE", f"/secrets/{name}", None),
        ("GET", f"/secrets/{name}/versions", None),
        ("POST", f"/secrets/{name}/backup", None),
    ]
    for method, path, body in requests:
        message = vault.refuse(404, "SecretNotFound", method, path, body)
        assert message == MISSING.format(name), (method, path)
    for method, path in (
        ("GET", f"/deletedsecrets/{name}"),
        ("DELETE", f"/deletedsecrets/{name}"),
        ("POST", f"/deletedsecrets/{name}/recover"),
    ):
        message = vault.refuse(404, "SecretNotFound", method, path)
        assert message == f"Deleted Secret not found: {name}"


def test_plain_secrets_convert_to_nothing_and_have_no_previous_version(vault: Vault) -> None:
    name = unique()
    vault.set(name)
    vault.set(name)
    assert "previousVersion" not in vault.do("GET", f"/secrets/{name}")
    for wanted in ("application/x-pkcs12", "application/x-pem-file", "text/plain"):
        vault.refuse(400, "BadParameter", "GET", f"/secrets/{name}?outContentType={wanted}")


# limits (contract 7)


@pytest.mark.parametrize(
    ("fits", "one_more"),
    [("a" * KIB_25, "a"), ("ü" * (KIB_25 // 2), "a"), ("🔑" * (KIB_25 // 4), "a")],
)
def test_a_value_holds_25_kilobytes_and_no_byte_more(
    vault: Vault, fits: str, one_more: str
) -> None:
    name = unique()
    assert len(fits.encode()) == KIB_25
    vault.set(name, fits)
    assert vault.do("GET", f"/secrets/{name}")["value"] == fits
    body = {"value": fits + one_more}
    message = vault.refuse(400, "BadParameter", "PUT", f"/secrets/{name}", body)
    assert fits[:8] not in message


def test_limits_of_the_content_type(vault: Vault) -> None:
    name = unique()
    assert vault.set(name, contentType="c" * 255)["contentType"] == "c" * 255
    for method, body in (
        ("PUT", {"value": "", "contentType": "c" * 256}),
        ("PATCH", {"contentType": "c" * 256}),
    ):
        vault.refuse(400, "BadParameter", method, f"/secrets/{name}", body)


def test_limits_of_tags(vault: Vault) -> None:
    name = unique()
    allowed = [{f"t{number}": "v" for number in range(15)}, {"k" * 512: "v" * 512}, {"k": ""}]
    for tags in allowed:
        assert vault.set(name, tags=tags)["tags"] == tags
    refused = [
        {f"t{number}": "v" for number in range(16)},
        {"k" * 513: "v"},
        {"k": "v" * 513},
        {"": "v"},
    ]
    for tags in refused:
        body = {"value": "", "tags": tags}
        vault.refuse(400, "BadParameter", "PUT", f"/secrets/{name}", body)
        vault.refuse(400, "BadParameter", "PATCH", f"/secrets/{name}", {"tags": tags})


@pytest.mark.parametrize("member", ["nbf", "exp"])
@pytest.mark.parametrize("date", [-1, 253_402_300_800, 2**53])
def test_dates_out_of_range(vault: Vault, member: str, date: int) -> None:
    body = {"value": "", "attributes": {member: date}}
    vault.refuse(400, "BadParameter", "PUT", f"/secrets/{unique()}", body)


# enabled, not-before, expiry (contract 4.5)


def test_quirk_7_a_disabled_secret_keeps_its_value_to_itself(vault: Vault) -> None:
    name = unique()
    version = version_of(vault.set(name, attributes={"enabled": False}))
    for path in (f"/secrets/{name}", f"/secrets/{name}/{version}"):
        message = vault.refuse(403, "Forbidden", "GET", path, inner="SecretDisabled")
        assert message == "Operation get is not allowed on a disabled secret."
    listed = vault.do("GET", f"/secrets/{name}/versions")["value"]
    assert listed[0]["attributes"]["enabled"] is False
    backup = vault.do("POST", f"/secrets/{name}/backup")
    vault.do("DELETE", f"/secrets/{name}")
    vault.do("DELETE", f"/deletedsecrets/{name}", status=204)
    assert vault.do("POST", "/secrets/restore", backup)["attributes"]["enabled"] is False
    vault.do("PATCH", f"/secrets/{name}", {"attributes": {"enabled": True}})
    assert vault.do("GET", f"/secrets/{name}")["value"]


def test_disabling_one_version_leaves_the_others(vault: Vault) -> None:
    name = unique()
    first, second = vault.set(name), vault.set(name)
    path = f"/secrets/{name}/{version_of(second)}"
    vault.do("PATCH", path, {"attributes": {"enabled": False}})
    vault.refuse(403, "Forbidden", "GET", f"/secrets/{name}", inner="SecretDisabled")
    assert vault.do("GET", f"/secrets/{name}/{version_of(first)}") == first


def test_an_expired_secret_is_gone_until_someone_updates_it(vault: Vault, now: int) -> None:
    name = unique()
    version = version_of(vault.set(name, attributes={"nbf": now - 20, "exp": now - 10}))
    for path in (f"/secrets/{name}", f"/secrets/{name}/{version}"):
        vault.refuse(403, "Forbidden", "GET", path, inner="SecretExpired")
    assert vault.do("GET", f"/secrets/{name}/versions")["value"][0]["attributes"]["exp"]
    assert vault.do("POST", f"/secrets/{name}/backup")["value"]
    vault.do("PATCH", f"/secrets/{name}", {"attributes": {"exp": now + 3600}})
    assert vault.do("GET", f"/secrets/{name}")["attributes"]["exp"] == now + 3600
    vault.do("PATCH", f"/secrets/{name}", {"attributes": {"exp": now - 1}})
    vault.refuse(403, "Forbidden", "GET", f"/secrets/{name}", inner="SecretExpired")
    assert vault.set(name)["value"] == vault.do("GET", f"/secrets/{name}")["value"]


def test_a_secret_expires_while_it_is_in_use(vault: Vault) -> None:
    name = unique()
    expires = int(time.time()) + 2
    vault.set(name, attributes={"exp": expires})
    vault.do("GET", f"/secrets/{name}")
    while time.time() < expires:
        time.sleep(0.05)
    vault.refuse(403, "Forbidden", "GET", f"/secrets/{name}", inner="SecretExpired")


def test_quirk_12_expiry_only_informs_where_the_vault_says_so(api: Service, now: int) -> None:
    informing = api.make_vault(secret_expiry="inform")
    informing.set("a", attributes={"exp": now - 10})
    assert informing.do("GET", "/secrets/a")["attributes"]["exp"] == now - 10
    api.manage("vault.update", name=informing.name, secret_expiry="enforce")
    informing.refuse(403, "Forbidden", "GET", "/secrets/a", inner="SecretExpired")


def test_not_before_only_informs(vault: Vault, now: int) -> None:
    name = unique()
    stored = vault.set(name, attributes={"nbf": now + 3600})
    assert vault.do("GET", f"/secrets/{name}") == stored


# deletion (contract 1.1, 9.2)


def test_quirk_9_delete_recover_purge(vault: Vault) -> None:
    name = unique()
    first = vault.set(name)
    stored = vault.set(name, contentType="a/b", tags={"a": "b"})
    before = int(time.time())
    deleted = vault.do("DELETE", f"/secrets/{name}")
    assert before <= deleted["deletedDate"] <= time.time()
    shown = {member: value for member, value in stored.items() if member != "value"}
    assert deleted == {
        **shown,
        "recoveryId": f"{vault.url}/deletedsecrets/{name}",
        "deletedDate": deleted["deletedDate"],
        "scheduledPurgeDate": deleted["deletedDate"] + 90 * 86_400,
    }
    assert vault.do("GET", f"/deletedsecrets/{name}") == deleted
    for method, path, body in (
        ("GET", f"/secrets/{name}", None),
        ("GET", f"/secrets/{name}/{version_of(first)}", None),
        ("GET", f"/secrets/{name}/versions", None),
        ("PATCH", f"/secrets/{name}", {}),
        ("DELETE", f"/secrets/{name}", None),
        ("POST", f"/secrets/{name}/backup", None),
    ):
        vault.refuse(404, "SecretNotFound", method, path, body)
    conflict = "ObjectIsDeletedButRecoverable"
    new = {"value": "new"}
    message = vault.refuse(409, "Conflict", "PUT", f"/secrets/{name}", new, inner=conflict)
    assert message == DELETED.format(name)
    recovered = vault.do("POST", f"/deletedsecrets/{name}/recover")
    assert recovered == shown
    assert vault.do("GET", f"/secrets/{name}") == stored
    assert vault.do("GET", f"/secrets/{name}/{version_of(first)}") == first
    vault.refuse(404, "SecretNotFound", "GET", f"/deletedsecrets/{name}")
    vault.refuse(404, "SecretNotFound", "DELETE", f"/deletedsecrets/{name}")
    vault.refuse(404, "SecretNotFound", "POST", f"/deletedsecrets/{name}/recover")
    vault.do("DELETE", f"/secrets/{name}")
    purged = vault.ask("DELETE", f"/deletedsecrets/{name}")
    assert purged.status_code == 204
    assert purged.content == b""
    vault.refuse(404, "SecretNotFound", "GET", f"/deletedsecrets/{name}")
    fresh = vault.set(name, "a new life")
    assert len(vault.do("GET", f"/secrets/{name}/versions")["value"]) == 1
    assert vault.do("GET", f"/secrets/{name}") == fresh
    vault.refuse(404, "SecretNotFound", "GET", f"/secrets/{name}/{version_of(first)}")


@pytest.mark.parametrize(
    ("days", "protected", "level"),
    [
        (90, False, "Recoverable+Purgeable"),
        (90, True, "Recoverable"),
        (89, False, "CustomizedRecoverable+Purgeable"),
        (7, False, "CustomizedRecoverable+Purgeable"),
        (7, True, "CustomizedRecoverable"),
    ],
)
def test_recovery_levels(api: Service, days: int, protected: bool, level: str) -> None:
    made = api.make_vault(retention_days=days, purge_protection=protected)
    attributes = made.set("a")["attributes"]
    assert (attributes["recoveryLevel"], attributes["recoverableDays"]) == (level, days)
    attributes = made.create("k", "EC")["attributes"]
    assert (attributes["recoveryLevel"], attributes["recoverableDays"]) == (level, days)
    deleted = made.do("DELETE", "/secrets/a")
    assert deleted["scheduledPurgeDate"] - deleted["deletedDate"] == days * 86_400
    made.do("DELETE", "/keys/k")
    if not protected:
        made.do("DELETE", "/deletedsecrets/a", status=204)
        made.do("DELETE", "/deletedkeys/k", status=204)
        return
    for kind in ("secrets/a", "keys/k"):
        path = f"/deleted{kind}"
        made.refuse(403, "Forbidden", "DELETE", path, inner="ForbiddenByPolicy")
        made.do("POST", f"{path}/recover")
        made.do("GET", f"/{kind}")


def test_retention_is_7_to_90_days(api: Service) -> None:
    for days in (0, 6, 91, -7):
        answer = api.ask_management("vault.create", name="never-made", retention_days=days)
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["code"] == "BadParameter"


# lists


def test_quirk_11_items_of_lists(api: Service) -> None:
    made = api.make_vault()
    made.set("plain")
    made.set("Typed", contentType="a/b", tags={"x": "y"}, attributes={"enabled": False})
    made.set("typed", contentType="c/d", tags={"x": "z"}, attributes={"exp": 1})
    listed = made.do("GET", "/secrets")
    assert listed["nextLink"] is None
    plain, typed = listed["value"]
    assert set(plain) == {"id", "attributes"}
    assert plain["id"] == f"{made.url}/secrets/plain"
    assert typed["id"] == f"{made.url}/secrets/Typed"
    assert (typed["contentType"], typed["tags"]) == ("c/d", {"x": "z"})
    assert typed["attributes"]["exp"] == 1
    versions = made.do("GET", "/secrets/TYPED/versions")["value"]
    assert [item["tags"]["x"] for item in versions] == ["z", "y"]
    assert all(re.fullmatch(rf"{made.url}/secrets/Typed/[0-9a-f]{{32}}", v["id"]) for v in versions)
    deleted = made.do("DELETE", "/secrets/typed")
    assert [item["id"] for item in made.do("GET", "/secrets")["value"]] == [plain["id"]]
    (item,) = made.do("GET", "/deletedsecrets")["value"]
    assert item == {**deleted, "id": f"{made.url}/secrets/Typed"}
    assert "value" not in item


# backup (contract 9.1)


def purge(vault: Vault, name: str) -> None:
    vault.do("DELETE", f"/secrets/{name}")
    vault.do("DELETE", f"/deletedsecrets/{name}", status=204)


def test_backup_and_restore(vault: Vault) -> None:
    name = unique("Saved")
    stored = [vault.set(name, f"{number} {CANARY}", tags={"n": str(number)}) for number in range(3)]
    backup = vault.do("POST", f"/secrets/{name}/backup")
    assert set(backup) == {"value"}
    assert CANARY.encode() not in unb64(backup["value"])
    purge(vault, name)
    restored = vault.do("POST", "/secrets/restore", backup)
    assert restored == {member: v for member, v in stored[-1].items() if member != "value"}
    for one in stored:
        assert vault.do("GET", f"/secrets/{name}/{version_of(one)}") == one
    listed = vault.do("GET", f"/secrets/{name}/versions")["value"]
    assert [item["id"] for item in listed] == [one["id"] for one in reversed(stored)]
    # New versions come after the restored ones.
    newest = vault.set(name, "newest")
    assert vault.do("GET", f"/secrets/{name}") == newest


def test_restore_refuses_a_name_that_is_taken(vault: Vault) -> None:
    name = unique()
    vault.set(name)
    backup = vault.do("POST", f"/secrets/{name}/backup")
    vault.refuse(409, "Conflict", "POST", "/secrets/restore", backup)
    vault.do("DELETE", f"/secrets/{name}")
    inner = "ObjectIsDeletedButRecoverable"
    vault.refuse(409, "Conflict", "POST", "/secrets/restore", backup, inner=inner)
    vault.do("DELETE", f"/deletedsecrets/{name}", status=204)
    vault.do("POST", "/secrets/restore", backup)
    vault.refuse(409, "Conflict", "POST", "/secrets/restore", backup)


def test_a_backup_belongs_to_one_vault_and_one_kind(api: Service, vault: Vault) -> None:
    name = unique()
    vault.set(name)
    vault.create(name, "EC")
    secret = vault.do("POST", f"/secrets/{name}/backup")
    key = vault.do("POST", f"/keys/{name}/backup")
    purge(vault, name)
    other = api.make_vault()
    other.refuse(400, "BadParameter", "POST", "/secrets/restore", secret)
    vault.refuse(400, "BadParameter", "POST", "/secrets/restore", key)
    vault.refuse(400, "BadParameter", "POST", "/keys/restore", secret)
    assert other.do("GET", "/secrets")["value"] == []
    vault.do("POST", "/secrets/restore", secret)


def test_a_changed_backup_is_refused(vault: Vault) -> None:
    name = unique()
    vault.set(name)
    blob = unb64(vault.do("POST", f"/secrets/{name}/backup")["value"])
    purge(vault, name)
    changed = [blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :] for at in range(len(blob))]
    changed += [blob[:cut] for cut in range(0, len(blob), 7)] + [blob + b"\0", b"", b"\xff" * 100]
    messages = {
        vault.refuse(400, "BadParameter", "POST", "/secrets/restore", {"value": b64(one)})
        for one in changed
    }
    # Whatever was changed, the answer is the same.
    assert len(messages) == 1
    for text in ("not base64url!", "ä", " "):
        vault.refuse(400, "BadParameter", "POST", "/secrets/restore", {"value": text})
    vault.refuse(404, "SecretNotFound", "GET", f"/secrets/{name}")
    vault.do("POST", "/secrets/restore", {"value": b64(blob)})


def test_a_backup_holds_500_versions(vault: Vault) -> None:
    name = unique()
    for _ in range(500):
        vault.set(name, "v")
    backup = vault.do("POST", f"/secrets/{name}/backup")
    vault.set(name, "v")
    vault.refuse(400, "BadParameter", "POST", f"/secrets/{name}/backup")
    purge(vault, name)
    vault.do("POST", "/secrets/restore", backup)
    assert sum(len(page) for page in vault.pages(f"/secrets/{name}/versions")) == 500


def test_a_large_backup_fits_through_the_door(vault: Vault) -> None:
    name = unique()
    for _ in range(60):
        vault.set(name, "v" * KIB_25)
    backup = vault.do("POST", f"/secrets/{name}/backup")
    assert len(backup["value"]) > 2_000_000
    purge(vault, name)
    vault.do("POST", "/secrets/restore", backup)


def test_the_name_that_a_client_uses_is_in_its_identifiers(api: Service) -> None:
    name = unique()
    stored = api.vault().set(name)
    for host in ("localhost", "127.0.0.1"):
        answer = api.http.get(
            f"https://{host}:{api.port}/secrets/{name}?api-version={LATEST}",
            headers={"authorization": f"Bearer {api.admin}"},
        )
        shown = answer.json()
        assert shown["id"] == f"https://{host}:{api.port}/secrets/{name}/{version_of(stored)}"
        assert shown["value"] == stored["value"]
