"""Operations as the REST API shows them: what a body means, and what an answer says."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from vaultcore import Engine
from vaultcore._core import Key, Principal
from vaultcore.encoding import encode_base64url
from vaultcore.errors import BadParameterError
from vaultcore.objects.attributes import Attributes, Metadata, Page, Version
from vaultcore.objects.secrets import CachedSecret
from vaultcore.objects.usable_key import UsableKey
from vaultcore.operations.keys import (
    CreateKey,
    Decrypt,
    Encrypt,
    ImportKey,
    RandomBytes,
    Sign,
    UpdateKey,
    Verify,
    Wrap,
)
from vaultcore.operations.request import Request
from vaultcore.operations.results import Encrypted, KeyResult, Revealed, Stored
from vaultcore.operations.secrets import SetSecret, UpdateSecret
from vaultcore.operations.shared import ListPage, Restore
from vaultcore.service.body import LARGE_BODY, SMALL_BODY
from vaultcore.service.keyvault.faces import FACES

BASE = "https://dev.vault.localhost"
VERSION = Version("Name", "0" * 32, Metadata(1, 2))
ALICE, BOB = Principal(object_id="alice"), Principal(object_id="bob")

Ask = Callable[..., Request]


class Asked(Request):
    """A request that the gate has admitted."""

    def look_again(self) -> None:
        pass


@pytest.fixture
def ask(engine: Engine) -> Ask:
    engine.gate.set_vault(
        "any", policies=[("alice", "", ["secrets/get", "secrets/list", "keys/sign", "keys/list"])]
    )

    def make(path: str, query: str = "api-version=7.6", who: Principal = ALICE) -> Request:
        admission = engine.gate.authorize_request("any", "GET", path, query, ALICE)
        assert admission.operation is not None
        request = Asked()
        request.state, request.asked, request.principal = (
            *(engine.state("dev"), admission.operation, who),
        )
        return request

    return make


def decoded(verb: str, body: Any, request: Any = None) -> Any:
    decode = FACES[verb].decode
    assert decode is not None
    return decode(request, body if isinstance(body, bytes) else json.dumps(body).encode())


AAA = encode_base64url(b"aaa")
DATES = {"enabled": False, "nbf": 1, "exp": 2}
TAGS = {"a": "b"}
DECODED: list[tuple[str, Any, Any]] = [
    (
        "SecretSet",
        {"value": "v", "contentType": "t", "attributes": DATES, "tags": TAGS},
        SetSecret("v", "t", Attributes(False, 1, 2), TAGS),
    ),
    ("SecretUpdate", {"contentType": "t", "tags": {}}, UpdateSecret("t", None, {})),
    ("SecretUpdate", b"", UpdateSecret()),
    (
        "KeyCreate",
        {"kty": "EC", "crv": "P-256", "key_ops": ["sign"], "attributes": DATES, "tags": TAGS},
        CreateKey("EC", None, "P-256", ["sign"], Attributes(False, 1, 2), TAGS),
    ),
    ("KeyCreate", {"kty": "RSA", "key_size": 2048}, CreateKey("RSA", 2048)),
    ("KeyCreate", {"kty": "RSA", "public_exponent": 65537}, CreateKey("RSA")),
    ("KeyCreate", {"kty": "RSA", "public_exponent": 0}, CreateKey("RSA")),
    ("KeyImport", {"key": {"kty": "oct"}, "Hsm": True}, ImportKey({"kty": "oct"}, True)),
    ("KeyImport", {"key": {}, "tags": TAGS}, ImportKey({}, False, None, TAGS)),
    ("KeyUpdate", {"key_ops": []}, UpdateKey([])),
    ("KeyUpdate", b"", UpdateKey()),
    (
        "KeyEncrypt",
        {"alg": "A", "value": AAA, "iv": AAA, "aad": AAA},
        Encrypt("A", b"aaa", b"aaa", b"aaa"),
    ),
    ("KeyEncrypt", {"alg": "A", "value": "", "aad": ""}, Encrypt("A", b"", None, b"")),
    (
        "KeyDecrypt",
        {"alg": "A", "value": AAA, "iv": AAA, "tag": "", "aad": AAA},
        Decrypt("A", b"aaa", b"aaa", b"", b"aaa"),
    ),
    ("KeyWrap", {"alg": "A", "value": AAA}, Wrap("A", b"aaa")),
    ("KeyUnwrap", {"alg": "A", "value": AAA}, Wrap("A", b"aaa")),
    ("KeySign", {"alg": "A", "value": AAA}, Sign("A", b"aaa")),
    ("KeyVerify", {"alg": "A", "digest": AAA, "value": ""}, Verify("A", b"aaa", b"")),
    ("RandomBytesGet", {"count": 5}, RandomBytes(5)),
    ("SecretRestore", {"value": AAA}, Restore(b"aaa")),
    ("KeyRestore", {"value": AAA}, Restore(b"aaa")),
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(DECODED)))
def test_a_body_means_the_arguments_of_its_operation(case: int) -> None:
    verb, body, expected = DECODED[case]
    assert decoded(verb, body) == expected


@pytest.mark.parametrize(
    ("verb", "body", "words"),
    [
        ("KeyCreate", {"kty": "RSA", "public_exponent": 3}, "public_exponent"),
        ("KeyCreate", {"kty": "RSA", "release_policy": {}}, "release_policy"),
        ("KeyImport", {"key": {}, "release_policy": {}}, "release_policy"),
        ("KeyUpdate", {"release_policy": {}}, "release_policy"),
        ("KeySign", {"alg": "A", "value": "canary!"}, "value"),
        ("KeyEncrypt", {"alg": "A", "value": "", "iv": "canary!"}, "iv"),
        ("KeyDecrypt", {"alg": "A", "value": "", "tag": "canary!"}, "tag"),
        ("KeyVerify", {"alg": "A", "digest": "canary!", "value": ""}, "digest"),
        ("SecretRestore", {"value": "canary!"}, "value"),
        ("SecretSet", b"", "JSON"),
        ("KeySign", b"", "JSON"),
    ],
)
def test_what_is_not_offered_or_not_readable_is_named(verb: str, body: Any, words: str) -> None:
    with pytest.raises(BadParameterError, match=words) as refused:
        decoded(verb, body)
    assert "canary" not in refused.value.message


def test_only_a_backup_is_large() -> None:
    for verb, face in FACES.items():
        if face.limit:
            assert face.limit == (LARGE_BODY if verb.endswith("Restore") else SMALL_BODY), verb


def test_a_plain_secret_is_no_certificate(ask: Ask) -> None:
    for wanted in ("application/x-pkcs12", "application/x-pem-file", "canary"):
        request = ask("/secrets/a", f"api-version=7.6&outContentType={wanted}")
        with pytest.raises(BadParameterError, match="outContentType") as refused:
            decoded("SecretGet", b"", request)
        assert "canary" not in refused.value.message


# answers


def rendered(verb: str, request: Request, result: Any, base: str = BASE) -> Any:
    return json.loads(FACES[verb].render(request, base, result) or b"null")


def secret(value: bytes) -> Revealed:
    kept = CachedSecret("Name", "0" * 32, Metadata(1, 2), b"", None)  # type: ignore[arg-type]
    return Revealed(kept, value)


def test_what_is_kept_of_an_answer_is_for_one_way_to_ask(ask: Ask) -> None:
    old, new = ask("/secrets/a", "api-version=7.0"), ask("/secrets/a")
    revealed = secret(b"value")
    for _ in range(2):
        shown = rendered("SecretGet", new, revealed)
        assert shown["id"].startswith(BASE)
        assert "recoverableDays" in shown["attributes"]
        other = rendered("SecretGet", new, revealed, "https://localhost:8443")
        assert other["id"].startswith("https://localhost:8443/secrets/Name/")
        assert "recoverableDays" not in rendered("SecretGet", old, revealed)["attributes"]
    assert len(revealed.secret.bundles) == 3


def test_a_value_is_shown_as_it_is(ask: Ask) -> None:
    for value in ("", 'a"\\\n', "ä\U0001f511\u2028"):
        assert rendered("SecretGet", ask("/secrets/a"), secret(value.encode()))["value"] == value
        assert rendered("SecretSet", ask("/secrets/a"), Stored(VERSION, value))["value"] == value


def test_a_result_names_the_version_of_the_key(ask: Ask) -> None:
    key = UsableKey("Name", "0" * 32, Metadata(1, 2), Key.generate("oct", size=256))
    kid = f"{BASE}/keys/Name/{'0' * 32}"
    request = ask("/keys")
    for verb in ("KeySign", "KeyWrap", "KeyUnwrap", "KeyDecrypt"):
        assert rendered(verb, request, KeyResult(key, b"aaa")) == {"kid": kid, "value": AAA}
    encrypted = Encrypted(key, b"aaa", b"n", b"t", b"")
    assert rendered("KeyEncrypt", request, encrypted) == {
        "kid": kid, "value": AAA, "iv": "bg", "tag": "dA", "aad": "",
    }  # fmt: skip
    bare = Encrypted(key, b"aaa", None, None, b"not for RSA")
    assert rendered("KeyEncrypt", request, bare) == {"kid": kid, "value": AAA}


def test_other_answers(ask: Ask) -> None:
    request = ask("/keys")
    assert rendered("KeyVerify", request, True) == {"value": True}
    assert rendered("KeyVerify", request, False) == {"value": False}
    assert rendered("KeyBackup", request, b"aaa") == {"value": AAA}
    assert rendered("RandomBytesGet", request, b"aaa") == {"value": AAA}
    assert FACES["KeyPurge"].render(request, BASE, [object()]) == b""


# pages


def link(verb: str, request: Request, marker: str | None = "MARKER") -> str | None:
    page = rendered(verb, request, Page([VERSION], marker))
    assert len(page["value"]) == 1
    found: str | None = page["nextLink"]
    return found


def token(found: str | None) -> str:
    assert found is not None
    return parse_qs(urlsplit(found).query)["$skiptoken"][0]


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("SecretList", "/secrets"),
        ("SecretListDeleted", "/deletedsecrets"),
        ("KeyListDeleted", "/deletedkeys"),
        ("SecretListVersions", "/secrets/a/versions"),
    ],
)
def test_a_link_leads_to_the_rest_of_the_same_list(ask: Ask, verb: str, path: str) -> None:
    found = link(verb, ask(path))
    assert found is not None
    assert found.startswith(f"{BASE}{path}?api-version=7.6&$skiptoken=")
    assert "maxresults" not in found
    again = ask(path, urlsplit(found).query)
    assert decoded(verb, b"", again) == ListPage("MARKER", 25)
    assert link(verb, ask(path), None) is None


def test_a_link_keeps_the_size_of_a_page_that_was_asked_for(ask: Ask) -> None:
    found = link("SecretList", ask("/secrets", "api-version=7.6&maxresults=25"))
    assert found is not None
    assert found.endswith("&maxresults=25")
    assert decoded("SecretList", b"", ask("/secrets", "api-version=7.6&maxresults=3")) == ListPage(
        "", 3
    )


def test_a_continuation_is_one_callers_in_one_list_of_one_object(ask: Ask) -> None:
    given = token(link("SecretListVersions", ask("/secrets/a/versions")))
    query = f"api-version=7.6&$skiptoken={given}"
    right = ask("/secrets/A/versions", query)
    assert decoded("SecretListVersions", b"", right).marker == "MARKER"
    for wrong in (
        ask("/secrets/a/versions", query, BOB),
        ask("/secrets/b/versions", query),
        ask("/keys/a/versions", query),
        ask("/secrets", query),
    ):
        with pytest.raises(BadParameterError, match="skiptoken"):
            decoded(wrong.asked.name, b"", wrong)


def test_what_is_no_continuation(ask: Ask) -> None:
    for text in ("AAAA", "canary", "a" * 500):
        with pytest.raises(BadParameterError) as refused:
            decoded("SecretList", b"", ask("/secrets", f"api-version=7.6&$skiptoken={text}"))
        assert "canary" not in refused.value.message
