"""The parser of requests: routes, names, quirks of the contract, and what it refuses."""

import random
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference import gate as reference
from vaultcore._core import object_name, operation_names, parse_operation
from vaultcore.errors import BadParameterError, UsageError, VaultError

VERSION = "0123456789abcdef0123456789abcdef"
QUERY = "api-version=2026-04-01"


def parse(method: Any, path: Any, query: Any = QUERY) -> Any:
    return parse_operation(method, path, query)


def attempt(method: Any, path: Any, query: Any = QUERY) -> Any:
    """Returns the operation, or the refusal."""
    try:
        return parse_operation(method, path, query)
    except VaultError as refused:
        return refused


def status(method: Any, path: Any, query: Any = QUERY) -> Any:
    return getattr(attempt(method, path, query), "status", 200)


def test_every_route_of_the_contract_is_understood() -> None:
    for route in reference.TABLE:
        path = "/" + "/".join(route.segments)
        sent = path.replace("{name}", "My-Object").replace("{version}", VERSION.upper())
        found = parse(route.method, sent)
        assert (found.name, found.permission) == (route.name, route.permissions[0]), sent
        assert found.object_name == ("My-Object" if "{name}" in path else "")
        assert found.canonical_name == found.object_name.upper()
        assert found.version == (VERSION if "{version}" in path else "")
        assert found.api_version == "2026-04-01"
        assert found.kind in ("secrets", "keys", "certificates")
        assert found.permission.startswith(found.kind + "/")
    in_process_only = {"KeyEncryptionKeyGet"}
    routed = {route.name for route in reference.TABLE}
    assert set(operation_names()) == routed | in_process_only


@pytest.mark.parametrize(
    ("method", "path", "name", "version"),
    [
        ("GET", "/secrets/a/", "SecretGet", ""),
        ("PATCH", "/secrets/a/", "SecretUpdate", ""),
        ("GET", "/keys/a/", "KeyGet", ""),
        ("PATCH", "/keys/a/", "KeyUpdate", ""),
        ("GET", "/certificates/a/", "CertificateGet", ""),
        ("PATCH", "/certificates/a/", "CertificateUpdate", ""),
        ("POST", "/keys/a//encrypt", "KeyEncrypt", ""),
        ("POST", "/keys/a//release", "KeyRelease", ""),
        ("GET", "/keys/a//attestation", "KeyAttestationGet", ""),
        ("POST", f"/keys/a/{VERSION}/sign", "KeySign", VERSION),
        ("POST", "/keys/a/sign", "KeySign", ""),
        ("GET", "//secrets/a", "SecretGet", ""),
        ("GET", "//secrets/a/", "SecretGet", ""),
        ("GET", "/secrets/", "SecretList", ""),
        ("GET", "/Secrets/a/Versions", "SecretListVersions", ""),
        ("POST", "/keys/a//WrapKey", "KeyWrap", ""),
        ("POST", "/secrets/restore", "SecretRestore", ""),
        ("POST", "/secrets/RESTORE/", "SecretRestore", ""),
        ("GET", "/secrets/restore", "SecretGet", ""),
        ("PUT", "/secrets/restore", "SecretSet", ""),
        ("DELETE", "/secrets/restore", "SecretDelete", ""),
        ("POST", "/keys/restore/create", "KeyCreate", ""),
        ("GET", "/secrets/versions", "SecretGet", ""),
        ("GET", "/certificates/issuers", "CertificateIssuersList", ""),
        ("GET", "/certificates/issuers/contacts", "CertificateIssuerGet", ""),
        ("GET", "/certificates/pending/pending", "CertificatePendingGet", ""),
    ],
)
def test_quirks_of_paths(method: Any, path: Any, name: Any, version: Any) -> None:
    found = parse(method, path)
    assert (found.name, found.version) == (name, version)


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/", 404),
        ("GET", "", 404),
        ("GET", "secrets", 404),
        ("GET", "///secrets", 404),
        ("GET", "https://dev/secrets", 404),
        ("GET", "/storage", 404),
        ("GET", "/storage/a", 404),
        ("GET", "/secret/a", 404),
        ("GET", "/%73ecrets/a", 404),
        ("GET", "/./secrets", 404),
        ("GET", "/secrets/a//", 404),
        ("GET", f"/secrets/a/{VERSION}/x", 404),
        ("GET", f"/secrets/a/{VERSION}//", 404),
        ("POST", "/keys/a/frobnicate", 404),
        ("POST", f"/keys/a/{VERSION}/create", 404),
        ("GET", "/certificates/contacts/a", 404),
        ("GET", "/certificates/issuers/a/b", 404),
        ("GET", "/rng/a", 404),
        ("GET", "/" + "a" * 5000, 404),
        ("POST", "/secrets", 405),
        ("POST", "/secrets/a", 405),
        ("PUT", f"/secrets/a/{VERSION}", 405),
        ("DELETE", f"/keys/a/{VERSION}", 405),
        ("POST", f"/keys/a/{VERSION}", 405),
        ("GET", "/secrets/a/backup", 405),
        ("PATCH", "/certificates/contacts", 405),
        ("PUT", "/certificates/a", 405),
        ("GET", "/rng", 405),
        ("HEAD", "/secrets/a", 405),
        ("get", "/secrets/a", 405),
        ("OPTIONS", "/keys", 405),
        ("GET", "/secrets/../keys", 400),
        ("GET", "/secrets/..", 400),
        ("GET", "/secrets//versions", 400),
        ("GET", "/secrets/a/latest", 400),
        ("GET", f"/secrets/a/{VERSION[:-1]}", 400),
        ("GET", f"/secrets/a/{VERSION}0", 400),
        ("GET", f"/secrets/a/{VERSION[:-1]}g", 400),
        ("POST", "/keys/a/latest/sign", 400),
    ],
)
def test_refusals_of_paths(method: Any, path: Any, expected: Any) -> None:
    assert status(method, path) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", 400),
        ("api-version", 400),
        ("api-version=", 400),
        ("api-version=7.9", 400),
        ("api-version=2026-04-02", 400),
        ("api-version=7.4&api-version=7.4", 400),
        ("api-version=7.4&api%2Dversion=7.4", 400),
        ("api-version=7.4&API-VERSION=7.5", 400),
        ("api-version=7.4&maxresults=0", 400),
        ("api-version=7.4&maxresults=26", 400),
        ("api-version=7.4&maxresults=", 400),
        ("api-version=7.4&maxresults=-1", 400),
        ("api-version=7.4&maxresults=+1", 400),
        ("api-version=7.4&maxresults=1e1", 400),
        ("api-version=7.4&maxresults=99999999999999999999", 400),
        ("api-version=7.4&maxresults=1&maxresults=1", 400),
        ("api-version=7.4&%zz=1", 400),
        ("api-version=7.4&%ff=1", 400),
        ("api-version=%", 400),
        ("api-version=7.4%00", 400),
        ("api-version=7.4&$skiptoken=a/b", 400),
        ("api-version=7.4&$skiptoken=" + "a" * 3000, 400),
        ("api-version=7.4&outContentType=a&outcontenttype=b", 400),
        ("api-version=7.4&" + "a" * 5000, 400),
        ("api-version=7.4" + "&a=1" * 40, 400),
        ("api-version=7.4&unknown=1&unknown=2&=&&", 200),
        ("api%2Dversion=7.4", 200),
        ("%61pi-version=7%2E4", 200),
        ("Api-Version=7.4", 200),
        ("maxresults=25&api-version=2026-07-01-PREVIEW", 200),
    ],
)
def test_queries(query: Any, expected: Any) -> None:
    assert status("GET", "/secrets", query) == expected


def test_every_known_api_version_is_taken() -> None:
    for version in reference.VERSIONS:
        assert parse("GET", "/secrets", f"api-version={version}").api_version == version


def test_parameters_are_passed_on() -> None:
    found = parse(
        "GET",
        "/secrets",
        b"%24skiptoken=abc.~_-&maxresults=7&api-version=7.4&outContentType=application%2Fx-pem-file"
        b"&includepending=true&x-client=1",
    )
    assert (found.skip_token, found.max_results, found.max_results_given) == ("abc.~_-", 7, True)
    assert found.extra == {"outContentType": "application/x-pem-file", "includePending": "true"}
    found = parse("GET", "/secrets", "api-version=7.4")
    assert (found.skip_token, found.max_results, found.max_results_given) == ("", 25, False)
    assert found.extra == {}


def test_a_missing_api_version_is_told_in_the_words_of_the_contract() -> None:
    with pytest.raises(BadParameterError, match="api-version must be specified") as refused:
        parse("GET", "/secrets", "")
    assert refused.value.code == "BadParameter"


@pytest.mark.parametrize("name", sorted(reference.SINCE))
def test_routes_are_there_from_their_api_version_on(name: Any) -> None:
    route = next(route for route in reference.TABLE if route.name == name)
    path = "/" + "/".join(route.segments).replace("{name}", "a").replace("{version}", VERSION)
    since = reference.VERSIONS.index(reference.SINCE[name])
    for index, version in enumerate(reference.VERSIONS):
        expected = 200 if index >= since else 400
        assert status(route.method, path, f"api-version={version}") == expected, version


# One name, one object: of all the spellings of a name that anybody tries, the parser accepts none
# but the name itself, in any case.

PLAIN = "db-password"


def _spellings() -> Any:
    odd = [
        "",
        ".",
        "..",
        "...",
        "%00",
        "\x00",
        "\n",
        "\r\n",
        "\t",
        " ",
        "+",
        ";x=1",
        ";",
        ",",
        ":",
        "@",
        "&",
        "=",
        "?",
        "#",
        "%",
        "%%",
        "%2",
        "%2e",
        "%2E%2e",
        "%2f",
        "%2F",
        "%5c",
        "\\",
        "%252e",
        "%252f",
        "%c0%ae",
        "%c0%af",
        "%u002e",
        "*",
        "_",
        "~",
        "!",
        "'",
        '"',
        "(",
        "|",
        "<",
        "{}",
        "${x}",
        "\u00e9",
        "e\u0301",
        "\u212a",
        "\u0131",
        "\u017f",
        "\u00df",
        "\ufb01",
        "\uff41",
        "\u2010",
        "\u2011",
        "\u2013",
        "\u2212",
        "\u00ad",
        "\u200b",
        "\u200d",
        "\u202e",
        "\u2028",
        "\ufeff",
        "\ufffd",
        "\ud800",
        "\U0001d41a",
        "a" * 128,
        "a" * 1000,
    ]
    for piece in odd:
        for position in range(0, len(PLAIN) + 1, 2):
            yield PLAIN[:position] + piece + PLAIN[position:]
        yield piece
        yield f"{PLAIN}{piece}{PLAIN}"
    for index, character in enumerate(PLAIN):
        encoded = "".join(f"%{byte:02X}" for byte in character.encode())
        yield PLAIN[:index] + encoded + PLAIN[index + 1 :]
    for prefix in ("../", "./", "a/../", "x/%2e%2e/", "/", "//", "%2f", "..%2f", "..\\", "..;/"):
        yield prefix + PLAIN


SPELLINGS = sorted(set(_spellings()))
OPERATIONS = [
    ("GET", "/secrets/{}"),
    ("PUT", "/secrets/{}"),
    ("DELETE", "/secrets/{}"),
    ("GET", f"/secrets/{{}}/{VERSION}"),
    ("GET", "/secrets/{}/versions"),
    ("POST", "/secrets/{}/backup"),
    ("POST", "/keys/{}//sign"),
    ("POST", "/keys/{}/create"),
    ("GET", "/certificates/{}/pending"),
    ("DELETE", "/deletedsecrets/{}"),
    ("POST", "/deletedkeys/{}/recover"),
    ("GET", "/certificates/issuers/{}"),
]


def test_the_corpus_is_large_enough() -> None:
    assert len(SPELLINGS) >= 500


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_a_spelling_is_the_name_or_nothing(method: Any, path: Any) -> None:
    accepted = 0
    for spelling in SPELLINGS:
        sent = path.replace("{}", spelling)
        found = attempt(method, sent)
        if isinstance(found, VaultError):
            assert found.status in (400, 404, 405)
            # What was sent is not repeated.
            assert len(spelling) < 4 or spelling not in found.message
            continue
        accepted += 1
        assert re.fullmatch(r"[0-9a-zA-Z-]{0,127}", found.object_name), sent
        # Whatever the parser accepts, it took from the path as it stands there.
        assert found.object_name == "" or f"/{found.object_name}" in sent
        assert found.canonical_name == found.object_name.upper()
    assert accepted >= 1


@pytest.mark.parametrize("spelling", ["DB-PASSWORD", "Db-Password", "db-passworD"])
def test_names_compare_without_case(spelling: Any) -> None:
    assert parse("GET", f"/secrets/{spelling}").canonical_name == PLAIN.upper()
    assert object_name(spelling) == (spelling, PLAIN.upper())


# Named after the advisories they learn from.


@pytest.mark.parametrize(
    "path", ["/secrets/./a", "/secrets/../a", "/../secrets/a", "/secrets/a/..", "/secrets/."]
)
def test_dot_segments_are_refused_not_resolved_cve_2026_3605(path: Any) -> None:
    assert status("GET", path) in (400, 404)


def test_a_listing_is_a_permission_of_its_own_in_every_spelling_ghsa_xp3c_3jw3_4vcr() -> None:
    for path in ("/secrets", "/secrets/", "//secrets", "//secrets/", "/SECRETS/"):
        assert parse("GET", path).permission == "secrets/list"
    assert parse("GET", "/secrets/a/").permission == "secrets/get"


@pytest.mark.parametrize("name", ["a*", "a+", "a,b", "*", "{{identity}}"])
def test_names_hold_no_pattern_ghsa_59w7_v8rr_pr4p(name: Any) -> None:
    assert status("GET", f"/secrets/{name}") == 400


@pytest.mark.parametrize("word", ["contacts", "Contacts", "CONTACTS"])
def test_reserved_words_are_reserved_in_every_case_cve_2025_64761(word: Any) -> None:
    assert parse("GET", f"/certificates/{word}").name == "CertificateContactsGet"


def test_parse_errors_hold_nothing_of_what_was_sent_cve_2025_4166() -> None:
    for method, path, query in [
        ("GET", "/canary1", QUERY),
        ("CANARY1", "/secrets", QUERY),
        ("GET", "/secrets/canary1.", QUERY),
        ("GET", "/secrets/a/canary1", QUERY),
        ("GET", "/secrets", "api-version=canary1"),
        ("GET", "/secrets", "maxresults=canary1&api-version=7.4"),
        ("GET", "/secrets", "$skiptoken=canary1/&api-version=7.4"),
    ]:
        with pytest.raises(VaultError) as refused:
            parse(method, path, query)
        assert "canary1" not in str(refused.value).lower()


segment = st.sampled_from(
    sorted({part for route in reference.TABLE for part in route.segments if "{" not in part})
) | st.sampled_from(["", "a", "b-1", VERSION, VERSION.upper(), "x.y", "%41", "Restore", "é"])
paths = st.lists(segment, max_size=6).map(lambda parts: "/" + "/".join(parts)) | st.text(
    max_size=30
)
methods = st.sampled_from(["GET", "PUT", "PATCH", "POST", "DELETE", "HEAD", "get"])
queries = st.sampled_from(
    ["", QUERY, "api-version=7.2", "api-version=7.4&api-version=7.4", "api%2Dversion=7.6"]
)


def agrees_with_the_reference(method: Any, path: Any, query: Any) -> Any:
    expected = reference.parse(method, path, query)
    found = attempt(method, path, query)
    if isinstance(found, VaultError):
        assert expected == reference.Refused(found.status), (method, path, query)
        return None
    seen = reference.Understood(found.name, found.canonical_name, found.version)
    assert expected == seen, (method, path, query)
    return found.name


@given(methods, paths, queries)
@settings(max_examples=150, deadline=None)
def test_agrees_with_the_reference(method: Any, path: Any, query: Any) -> None:
    agrees_with_the_reference(method, path, query)


def test_agrees_with_the_reference_on_mutated_routes() -> None:
    chance = random.Random(20)
    words = sorted({part for route in reference.TABLE for part in route.segments})
    odd = ["", "a", "B-1", VERSION, VERSION.upper(), VERSION[1:], "x.y", "%41", "Restore", "\u00e9"]
    verbs = ["GET", "PUT", "PATCH", "POST", "DELETE", "HEAD", "get"]
    understood = set()
    for _ in range(15_000):
        route = chance.choice(reference.TABLE)
        segments = [
            {"{name}": "My-Object", "{version}": VERSION}.get(part, part) for part in route.segments
        ]
        for _ in range(chance.choice([0, 0, 1, 1, 2])):
            place = chance.randrange(len(segments) + 1)
            segments[place : place + chance.choice([0, 1])] = [chance.choice(words + odd)]
        path = chance.choice(["/", "/", "/", "//", "///", ""]) + "/".join(segments)
        path += chance.choice(["", "", "/", "//"])
        method = chance.choice([route.method, route.method, *verbs])
        query = chance.choice([QUERY, QUERY, QUERY, "", "api-version=7.2", "api%2Dversion=7.6"])
        understood.add(agrees_with_the_reference(method, path, query))
    # The generator reaches every operation.
    assert understood == {None, *operation_names()} - {"KeyEncryptionKeyGet"}


@given(st.text() | st.binary(), st.text() | st.binary())
@settings(max_examples=200, deadline=None)
def test_never_fails_otherwise(path: Any, query: Any) -> None:
    assert status("GET", path, query) in (200, 400, 404, 405)


def test_operations_are_equal_if_they_ask_for_the_same() -> None:
    one = parse_operation("GET", f"/secrets/Db/{VERSION.upper()}", QUERY)
    assert (one.canonical_name, one.version, one.permission) == ("DB", VERSION, "secrets/get")
    assert one == parse_operation("GET", f"/secrets/dB/{VERSION}", QUERY)
    assert one != parse_operation("GET", "/secrets/dB", QUERY)


@pytest.mark.parametrize("text", ["", "a.b", "a/b", "é", "a" * 128, "a\n"])
def test_object_name_refuses_what_is_none(text: Any) -> None:
    with pytest.raises(UsageError):
        object_name(text)


def test_arguments_of_another_type_are_refused() -> None:
    with pytest.raises(TypeError):
        parse_operation("GET", 1, "")  # type: ignore[arg-type]
