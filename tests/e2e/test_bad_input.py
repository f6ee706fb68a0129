"""Bad input over HTTPS: the contract's refusal, never a 5xx, never a hang, never an echo."""

from __future__ import annotations

import contextlib
import copy
import itertools
import json
import math
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from driver import CANARY, LATEST, Raw, b64, read_answer, refused, unique
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx
    from driver import Service, Vault

SMALL = 256 * 1024
LARGE = 32 * 1024 * 1024
BODY_SECONDS = 30
HEADER_SECONDS = 10
generated = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class Taking(NamedTuple):
    """A route that takes a body, and one that it accepts."""

    method: str
    path: str
    body: dict[str, Any]
    status: int = 200


TAKING = [
    Taking(
        "PUT",
        "/secrets/bad-input",
        {
            "value": CANARY,
            "contentType": "a/b",
            "tags": {"a": "b"},
            "attributes": {"enabled": True, "nbf": 1, "exp": 4_000_000_000},
        },
    ),
    Taking(
        "PATCH",
        "/secrets/bad-input",
        {"contentType": "c/d", "tags": {}, "attributes": {"enabled": True}},
    ),
    Taking("POST", "/secrets/restore", {"value": b64(CANARY.encode())}, 400),
    Taking(
        "POST",
        "/keys/bad-input/create",
        {
            "kty": "EC",
            "crv": "P-256",
            "key_ops": ["sign"],
            "attributes": {"enabled": True, "exp": 4_000_000_000},
            "tags": {"a": "b"},
        },
    ),
    Taking(
        "PUT",
        "/keys/bad-oct",
        {"key": {"kty": "oct", "k": b64(CANARY.encode() * 4), "key_ops": ["encrypt"]}},
    ),
    Taking("PATCH", "/keys/bad-input", {"key_ops": ["sign", "verify"], "tags": {"a": "b"}}),
    Taking("POST", "/keys/bad-rsa//sign", {"alg": "RS256", "value": b64(bytes(32))}),
    Taking("POST", "/keys/bad-rsa//encrypt", {"alg": "RSA-OAEP", "value": b64(CANARY.encode())}),
    Taking("POST", "/keys/bad-rsa//decrypt", {"alg": "RSA-OAEP", "value": b64(bytes(256))}, 400),
    Taking("POST", "/keys/bad-rsa//wrapkey", {"alg": "RSA-OAEP", "value": b64(CANARY.encode())}),
    Taking("POST", "/keys/bad-rsa//unwrapkey", {"alg": "RSA-OAEP", "value": b64(bytes(256))}, 400),
    Taking(
        "POST",
        "/keys/bad-rsa//verify",
        {"alg": "RS256", "digest": b64(bytes(32)), "value": b64(bytes(256))},
    ),
    Taking("POST", "/keys/restore", {"value": b64(CANARY.encode())}, 400),
    Taking("POST", "/rng", {"count": 8}),
]
each_route = pytest.mark.parametrize(
    "route", TAKING, ids=lambda route: f"{route.method} {route.path}"
)
LONELY = '{"value": "c4n4ry%s"}'
NOT_JSON: dict[str, bytes] = {
    "nothing": b"",
    "space": b" \r\n\t",
    "words": f"value={CANARY}".encode(),
    "list": b'["c4n4ry"]',
    "string": b'"c4n4ry"',
    "number": b"5",
    "null": b"null",
    "open": b'{"value": "c4n4ry"',
    "open string": b'{"value": "c4n4ry',
    "twice": b'{"value": "c4n4ry"}{"value": "c4n4ry"}',
    "rest": b'{"value": "c4n4ry"} c4n4ry',
    "comma": b'{"value": "c4n4ry",}',
    "comment": b'{"value": "c4n4ry" /* c4n4ry */}',
    "single quotes": b"{'value': 'c4n4ry'}",
    "bare name": b"{c4n4ry: 1}",
    "NaN": b'{"value": NaN}',
    "infinite": b'{"value": -Infinity}',
    "leading zero": b'{"count": 08}',
    "plus": b'{"count": +8}',
    "byte order mark": b'\xef\xbb\xbf{"value": "c4n4ry"}',
    "UTF-16": '{"value": "c4n4ry"}'.encode("utf-16"),
    "Latin-1": '{"value": "c4n4rü"}'.encode("latin-1"),
    "overlong": b'{"value": "c4n4ry\xc0\xaf"}',
    "surrogate in UTF-8": b'{"value": "c4n4ry\xed\xa0\x80"}',
    "cut UTF-8": b'{"value": "c4n4ry\xe2\x82"}',
    "control": b'{"value": "c4n4ry\n"}',
    "NUL": b'{"value": "c4n4ry\0"}',
    "escape": b'{"value": "c4n4ry\\x41"}',
    "short escape": b'{"value": "c4n4ry\\u12"}',
    "high surrogate": (LONELY % "\\ud83d").encode(),
    "low surrogate": (LONELY % "\\ude00").encode(),
    "surrogates swapped": (LONELY % "\\ude00\\ud83d").encode(),
    "repeated": b'{"value": "c4n4ry", "value": "c4n4ry"}',
    "repeated, escaped": b'{"value": "c4n4ry", "v\\u0061lue": "other"}',
    "repeated, unknown": b'{"x": "c4n4ry", "x": "c4n4ry", "value": ""}',
    "repeated inside": b'{"value": "", "tags": {"c4n4ry": "1", "c4n4ry": "2"}}',
    "deep list": b'{"x": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    "deep object": b'{"x":' * 5000 + b"1" + b"}" * 5000,
    "depth 17": b'{"x": ' + b"[" * 16 + b"]" * 16 + b"}",
    "unclosed": b"[" * 100_000,
    "many members": json.dumps({f"m{n}": n for n in range(1001)}).encode(),
    "many elements": json.dumps({"x": [0] * 1001}).encode(),
    "huge integer": b'{"count": ' + b"9" * 5000 + b"}",
    "2^53 + 1": b'{"x": 9007199254740993}',
    "huge exponent": b'{"x": 1e400}',
    "huge negative": b'{"x": -1e999999999}',
    "pickle": b"\x80\x04\x95c4n4ry.",
    "form": f"value={CANARY}&tags=x".encode(),
    "XML": b'<?xml version="1.0"?><!DOCTYPE x SYSTEM "file:///etc/passwd"><x/>',
}


def check_refusal(answer: httpx.Response, *statuses: int) -> str:
    """Checks that a refusal has the contract's shape, and repeats nothing."""
    assert answer.status_code in statuses, (answer.status_code, answer.text)
    code = {400: "BadParameter", 413: "RequestBodyTooLarge"}[answer.status_code]
    message = refused(
        answer, answer.status_code, code, answer.json()["error"].get("innererror", {}).get("code")
    )
    assert "retry-after" not in answer.headers
    assert CANARY not in answer.text
    assert b64(CANARY.encode())[:7] not in answer.text
    return message


def check_survived(answer: httpx.Response) -> None:
    """Checks an answer to input of which only this is known: it must not break anything."""
    assert answer.status_code < 500, answer.text
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    if answer.status_code >= 400:
        assert CANARY not in answer.text
        assert set(answer.json()) == {"error"}


@pytest.fixture(scope="module")
def bad(vault: Vault) -> Vault:
    """The vault with what the routes above talk about."""
    vault.set("bad-input")
    vault.create("bad-input", "EC")
    vault.create("bad-rsa", "RSA")
    return vault


# slow senders: they take half a minute, so they start first and are looked at last


class Slow(threading.Thread):
    """Sends a head, then a body so slowly that it never ends."""

    def __init__(self, service: Service, head: bytes, drip: bytes) -> None:
        super().__init__(daemon=True)
        self._service, self._head, self._drip = service, head, drip
        self.answer = Raw(-1, [], b"")
        self.seconds = math.inf
        self.start()

    def run(self) -> None:
        started = time.monotonic()
        host = f"dev.vault.localhost:{self._service.port}".encode()
        with self._service.connect() as connection:
            connection.sendall(self._head.replace(b"{host}", host))
            connection.settimeout(0.5)
            while time.monotonic() - started < BODY_SECONDS + 15:
                try:
                    if self._drip:
                        connection.sendall(self._drip)
                    self.answer = read_answer(connection)
                    break
                except TimeoutError:
                    continue
                except (ssl.SSLError, ConnectionError):
                    self.answer = Raw(0, [], b"")
                    break
        self.seconds = time.monotonic() - started


@pytest.fixture(scope="module", autouse=True)
def slow(api: Service) -> dict[str, Slow]:
    token = api.admin.encode()
    authorized = b"Host: {host}\r\nAuthorization: Bearer " + token + b"\r\n"
    put = b"PUT /secrets/slow?api-version=7.4 HTTP/1.1\r\n"
    return {
        "head": Slow(api, b"GET /secrets?api-version=7.4 HTTP/1.1\r\nHost: {host}\r\n", b"X"),
        "announced": Slow(api, put + authorized + b"Content-Length: 1000\r\n\r\n", b" "),
        "silent": Slow(api, put + authorized + b"Content-Length: 1000\r\n\r\n{", b""),
        "chunked": Slow(
            api, put + authorized + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"
        ),
    }


# bodies


@each_route
def test_bodies_that_are_not_json(bad: Vault, route: Taking) -> None:
    for case, body in NOT_JSON.items():
        if case == "nothing" and route.method == "PATCH":
            continue  # changes nothing, as the SDKs may ask for
        answer = bad.ask(route.method, route.path, body)
        check_refusal(answer, 400)


@each_route
def test_unknown_members_are_ignored(bad: Vault, route: Taking) -> None:
    newer: dict[str, Any] = {
        "futureMember": {"deeply": [{"nested": None}]},
        "previousVersion": "x",
        "VALUE": 5,
        "": 1.5,
    }
    for body in (
        {**newer, **route.body},
        {**route.body, "attributes": {**route.body.get("attributes", {}), "hsmPlatform": "2"}},
    ):
        if route.path == "/keys/bad-oct":
            bad.ask("DELETE", route.path)
            bad.ask("DELETE", f"/deleted{route.path[1:]}")
        answer = bad.ask(route.method, route.path, body)
        assert answer.status_code == route.status, answer.text


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yields the place of every member in a body."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield (*at, name)
            yield from places(member, (*at, name))
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield (*at, index)
            yield from places(member, (*at, index))


WRONG: list[Any] = [
    None, True, 0, -1, 1.5, 2**53, "", CANARY, [], [CANARY], {}, {CANARY: CANARY}, [[[]]], [None],
    "\x00", "c4n4ry" * 100, {"value": CANARY},
]  # fmt: skip


@each_route
def test_wrong_types_in_every_place(bad: Vault, route: Taking) -> None:
    for place, wrong in itertools.product(places(route.body), WRONG):
        body = copy.deepcopy(route.body)
        inner: Any = body
        for step in place[:-1]:
            inner = inner[step]
        inner[place[-1]] = wrong
        check_survived(bad.ask(route.method, route.path, body))
    for name in route.body:
        without = {member: value for member, value in route.body.items() if member != name}
        check_survived(bad.ask(route.method, route.path, without))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=50)
    | st.sampled_from([CANARY, "RSA", "EC", "RS256", "P-256", "sign", "", "AQAB"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["value", "alg", "tags", "attributes", "kty", "key", "exp", "x", CANARY]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@generated
@given(route=st.sampled_from(TAKING), body=JSON)
def test_generated_json(bad: Vault, route: Taking, body: Any) -> None:
    check_survived(bad.ask(route.method, route.path, json.dumps(body)))


@generated
@given(route=st.sampled_from(TAKING), body=st.binary(max_size=2000))
def test_generated_bytes(bad: Vault, route: Taking, body: bytes) -> None:
    check_survived(bad.ask(route.method, route.path, body))


@generated
@given(
    route=st.sampled_from(TAKING),
    cut=st.floats(0, 1),
    junk=st.binary(max_size=3),
    width=st.integers(0, 4),
)
def test_generated_damage(bad: Vault, route: Taking, cut: float, junk: bytes, width: int) -> None:
    whole = json.dumps(route.body).encode()
    at = int(cut * len(whole))
    damaged = whole[:at] + junk + whole[at + width :]
    check_survived(bad.ask(route.method, route.path, damaged))


@generated
@given(
    value=st.text(max_size=300), tags=st.dictionaries(st.text(max_size=20), st.text(), max_size=3)
)
def test_whatever_is_accepted_comes_back_as_it_was(
    bad: Vault, value: str, tags: dict[str, str]
) -> None:
    body = {"value": value, "tags": tags}
    answer = bad.ask("PUT", "/secrets/round-trip", body)
    if answer.status_code == 200:
        stored = bad.do("GET", "/secrets/round-trip")
        assert (stored["value"], stored["tags"]) == (value, tags)
    else:
        check_refusal(answer, 400)
        assert "" in tags or any(0xD800 <= ord(c) < 0xE000 for c in value + "".join(tags))


# base64url, dates, numbers


@pytest.mark.parametrize("text", ["!", "AAA", "+A", "/A", "A A", "AA\n", "A=A", "ÄÄ", "\x00"])
def test_what_is_not_base64url(bad: Vault, text: str) -> None:
    for operation in ("sign", "encrypt", "decrypt", "wrapkey", "unwrapkey"):
        alg = "RS256" if operation == "sign" else "RSA-OAEP"
        body = {"alg": alg, "value": text + CANARY}
        check_refusal(bad.ask("POST", f"/keys/bad-rsa//{operation}", body), 400)


@pytest.mark.parametrize("date", [1.5, "1", True, [], 1e20, -(2**53), "2030-01-01"])
def test_what_is_no_date(bad: Vault, date: Any) -> None:
    for member in ("nbf", "exp"):
        body = {"value": CANARY, "attributes": {member: date}}
        check_refusal(bad.ask("PUT", "/secrets/dates", body), 400)


# size


def test_an_announced_body_that_is_too_large_is_not_waited_for(api: Service) -> None:
    token = api.admin.encode()
    for path, limit in ((b"PUT /secrets/x", SMALL), (b"POST /keys/restore", LARGE)):
        for size in (limit + 1, 10**12):
            started = time.monotonic()
            answer = api.raw(
                path + b"?api-version=7.4 HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer "
                + token + b"\r\nContent-Length: " + str(size).encode() + b"\r\n\r\n"
            )  # fmt: skip
            assert answer.status == 413
            assert json.loads(answer.body)["error"]["code"] == "RequestBodyTooLarge"
            assert time.monotonic() - started < 5


def test_a_body_at_the_limit_is_read(bad: Vault) -> None:
    body = {"value": "x"}
    padded = json.dumps(body).ljust(SMALL)
    bad.do("PUT", "/secrets/padded", padded)
    check_refusal(bad.ask("PUT", "/secrets/padded", padded + " "), 413)


@pytest.mark.parametrize("chunk", [100, 16_384, SMALL, 2 * SMALL])
def test_a_chunked_body_that_is_too_large(bad: Vault, chunk: int) -> None:
    parts = [b" " * chunk] * (SMALL // chunk + 1)
    request = bad.service.http.build_request(
        "PUT",
        f"{bad.url}/secrets/x?api-version={LATEST}",
        content=iter(parts),
        headers={"authorization": f"Bearer {bad.token}"},
    )
    answer = bad.service.http.send(request)
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "RequestBodyTooLarge"


def test_a_chunked_body_that_fits(bad: Vault) -> None:
    request = bad.service.http.build_request(
        "PUT",
        f"{bad.url}/secrets/x?api-version={LATEST}",
        content=iter([b'{"val', b'ue": "', CANARY.encode(), b'"}']),
        headers={"authorization": f"Bearer {bad.token}"},
    )
    assert bad.service.http.send(request).json()["value"] == CANARY


def test_a_body_where_none_is_taken_changes_nothing(bad: Vault) -> None:
    bad.set("bodied")
    for method, path in (
        ("GET", "/secrets/bodied"),
        ("GET", "/secrets"),
        ("POST", "/secrets/bodied/backup"),
        ("DELETE", "/secrets/bodied"),
        ("POST", "/deletedsecrets/bodied/recover"),
    ):
        for body in ("{}", "not JSON", "x" * 300_000, b"\xff" * 10):
            answer = bad.ask(method, path, body)
            assert answer.status_code in {200, 404}, answer.text


@pytest.mark.parametrize("size", [10, 20_000, 300_000, 900_000])
@pytest.mark.parametrize("token", ["", "a.b.c", None])
def test_a_refused_body_leaves_the_connection_in_order(
    bad: Vault, size: int, token: str | None
) -> None:
    host = f"dev.vault.localhost:{bad.service.port}".encode()
    authorization = (
        b"" if token == "" else f"Authorization: Bearer {token or bad.token}\r\n".encode()
    )
    head = b" HTTP/1.1\r\nHost: " + host + b"\r\n" + authorization
    put = b"PUT /secrets/x?api-version=7.4" + head + b"Content-Length: %d\r\n\r\n" % size
    for _ in range(5):
        with bad.service.connect() as connection:
            connection.sendall(put + b"x" * size)
            first = read_answer(connection)
            connection.sendall(b"GET /secrets?api-version=7.4" + head + b"\r\n")
            second = read_answer(connection)
        refusal = 400 if size <= SMALL else 413
        expected = (refusal, 200) if token is None else (401, 401)
        assert (first.status, second.status) == expected


def test_a_body_that_nobody_can_want_closes_the_connection(api: Service) -> None:
    put = b"PUT /secrets/x?api-version=7.4 HTTP/1.1\r\nHost: {host}\r\n"
    answer = api.raw(put + b"Content-Length: 99999999\r\n\r\n")
    assert answer.status == 401
    assert ("connection", "close") in answer.headers


def test_a_body_that_ends_early(api: Service) -> None:
    head = (
        b"PUT /secrets/early?api-version=7.4 HTTP/1.1\r\nHost: {host}\r\nContent-Length: 100\r\n"
        b"Authorization: Bearer " + api.admin.encode() + b"\r\n\r\n"
    ).replace(b"{host}", f"dev.vault.localhost:{api.port}".encode())
    for part in (b"", b'{"value": "c4n4ry"}'):
        with api.connect() as connection:
            connection.sendall(head + part)
            with contextlib.suppress(OSError):
                connection.unwrap()
    time.sleep(0.1)
    api.vault().refuse(404, "SecretNotFound", "GET", "/secrets/early")


# names, versions, paths


NAMES = [
    *(".", "..", "...", "a.b", ".git", "a..b", "%2e%2e", "%2E", "..%2f..%2fetc", "a%2Fb", "a%5Cb"),
    *("a%00", "%00", "%", "%%", "%zz", "%2", "a%20b", "a+b", "a_b", "a~b", "a;b", "a;x=1", "a,b"),
    *("a:b", "a@b", "a&b", "a=b", "a$b", "a!b", "a'b", "(a)", "*", "a*", "%C3%A4", "%F0%9F%94%91"),
    *("%e2%80%8b", "a%0d%0aX-Y:z", "%ff%fe", "x" * 128, "x" * 500, "-" * 128, "%61" * 10, "a|b"),
    *("a\\b", "a^b", "{a}", "[a]", '"a"', "a%252e", "%u0041", "@", "~", "_", "^"),
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_names_that_are_no_names(bad: Vault, name: str) -> None:
    for method, path in (
        ("GET", f"/secrets/{name}"),
        ("PUT", f"/secrets/{name}"),
        ("DELETE", f"/secrets/{name}"),
        ("GET", f"/secrets/{name}/versions"),
        ("POST", f"/keys/{name}/create"),
        ("POST", f"/keys/{name}//sign"),
        ("DELETE", f"/deletedkeys/{name}"),
    ):
        body = {"value": CANARY, "kty": "EC", "alg": "x"} if method in {"PUT", "POST"} else None
        answer = bad.ask(method, path, body)
        assert answer.status_code == 400, (method, path, answer.text)
        assert refused(answer, 400, "BadParameter") == (
            "a name is 1 to 127 letters (a-z), digits and hyphens, and nothing else"
        )


@pytest.mark.parametrize(
    "version", ["0", "x" * 32, "0" * 31, "0" * 33, "%30" * 32, "..", "latest", "0" * 31 + "%"]
)
def test_versions_that_are_no_versions(bad: Vault, version: str) -> None:
    check_refusal(bad.ask("GET", f"/secrets/bad-input/{version}"), 400)
    check_refusal(bad.ask("PATCH", f"/keys/bad-input/{version}", {}), 400)
    check_refusal(bad.ask("POST", f"/keys/bad-input/{version}/sign", {}), 400)


@generated
@example(tail=b"/../secrets/x")
@example(tail=b"/secrets/bad-input/../../keys")
@example(tail=b"/\xff\xfe")
@example(tail=b"?" * 5000)
@given(tail=st.binary(max_size=60).map(lambda raw: raw.translate(None, b" \r\n\t\0\x0b\x0c")))
def test_generated_targets(api: Service, tail: bytes) -> None:
    for method in (b"GET", b"POST"):
        head = (
            method + b" /secrets/" + tail + b" HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer "
        )
        answer = api.raw(head + api.admin.encode() + b"\r\nContent-Length: 0\r\n\r\n")
        assert 400 <= answer.status < 500, answer


NAME_TEXT = st.text("abAB09-._%/\\ä\u212a;: \u202e", min_size=1, max_size=12)


@generated
@given(name=NAME_TEXT)
def test_generated_names_never_store_anything_else(bad: Vault, name: str) -> None:
    path = "/secrets/" + name.encode().decode("latin-1")
    raw = path.encode("latin-1").replace(b" ", b"%20")
    body = b'{"value":"x"}'
    answer = bad.service.raw(
        b"PUT " + raw + b"?api-version=7.4 HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer "
        + bad.token.encode() + b"\r\nContent-Length: 13\r\n\r\n", body,
    )  # fmt: skip
    plain = name.strip("/")
    if answer.status == 200:
        assert json.loads(answer.body)["id"].split("/")[-2].upper() == plain.upper()
        assert all(c.isascii() and (c.isalnum() or c == "-") for c in plain)
    else:
        assert 400 <= answer.status < 500


# methods


METHODS = ("GET", "PUT", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "PROPFIND")
OFFERED = {
    "/secrets": {"GET"},
    "/secrets/m": {"GET", "PUT", "PATCH", "DELETE"},
    f"/secrets/m/{'0' * 32}": {"GET", "PATCH"},
    "/secrets/m/versions": {"GET"},
    "/secrets/m/backup": {"POST"},
    "/deletedsecrets": {"GET"},
    "/deletedsecrets/m": {"GET", "DELETE"},
    "/deletedsecrets/m/recover": {"POST"},
    "/keys": {"GET"},
    "/keys/m": {"GET", "PUT", "PATCH", "DELETE"},
    "/keys/m/create": {"POST"},
    "/keys/m/rotate": {"POST"},
    "/keys/m/versions": {"GET"},
    "/keys/m//sign": {"POST"},
    f"/keys/m/{'0' * 32}/verify": {"POST"},
    "/deletedkeys/m": {"GET", "DELETE"},
    "/rng": {"POST"},
}


@pytest.mark.parametrize("path", OFFERED)
def test_methods_that_a_path_does_not_take(bad: Vault, path: str) -> None:
    for method in METHODS:
        answer = bad.ask(method, path)
        if method in OFFERED[path]:
            assert answer.status_code in {200, 400, 404}, (method, answer.text)
        else:
            assert answer.status_code in {404, 405}, (method, answer.status_code)
            assert "retry-after" not in answer.headers


@pytest.mark.parametrize(
    "path",
    [
        *("/storage", "/deletedstorage", "/storage/x", "/nowhere", "/secrets/x/y/z", "/rng/x"),
        *("/secret", "/keys/x/y/z/v", "/deletedsecrets/x/y", "/deletedkeys/x/recover/y"),
        *("/.well-known/openid-configuration", "/admin", "/metrics", "/v1/vault.list", "/docs"),
    ],
)
def test_paths_that_are_not_there(bad: Vault, path: str) -> None:
    for method in ("GET", "POST"):
        bad.refuse(404, "NotFound", method, path)


def test_certificates_are_not_offered_yet(bad: Vault) -> None:
    for method, path in (("GET", "/certificates"), ("POST", "/certificates/x/create")):
        bad.refuse(404, "NotFound", method, path)


# headers and framing


def exchange(service: Service, *lines: bytes, body: bytes = b"", first: bytes = b"") -> Raw:
    head = [
        first or b"GET /secrets?api-version=7.4 HTTP/1.1",
        b"Authorization: Bearer " + service.admin.encode(),
        *lines,
    ]
    return service.raw(b"\r\n".join(head) + b"\r\n\r\n", body)


HOST = b"Host: {host}"
FRAMES: dict[str, tuple[bytes, ...]] = {
    "no host": (),
    "two hosts": (HOST, b"Host: other"),
    "empty host": (b"Host:",),
    "host with a path": (b"Host: dev.vault.localhost/../x",),
    "host of nobody": (b"Host: 1.2.3.4",),
    "host with NUL": (b"Host: dev\0.vault.localhost",),
    "two lengths": (HOST, b"Content-Length: 5", b"Content-Length: 6"),
    "negative length": (HOST, b"Content-Length: -1"),
    "length of words": (HOST, b"Content-Length: five"),
    "huge length": (HOST, b"Content-Length: " + b"9" * 30),
    "length and chunks": (HOST, b"Content-Length: 5", b"Transfer-Encoding: chunked"),
    "unknown coding": (HOST, b"Transfer-Encoding: gzip"),
    "space before colon": (HOST, b"X-A : b"),
    "folded": (HOST, b"X-A: b", b" c"),
    "no colon": (HOST, b"nonsense"),
    "NUL in a value": (HOST, b"X-A: \0"),
    "many": (HOST, *(b"X-%d: y" % n for n in range(500))),
    "long": (HOST, b"X-A: " + b"a" * 100_000),
}


@pytest.mark.parametrize(
    ("lines", "statuses"),
    [
        # What docs/configuration.md says of the limits; a refusal may be lost with the connection.
        pytest.param((HOST, b"X-A: " + b"a" * 60_000), {200}, id="60,000 bytes"),
        pytest.param((HOST, b"X-A: " + b"a" * 131_072), {0, 431}, id="128 KiB"),
        pytest.param((HOST, *(b"X-%d: y" % n for n in range(98))), {200}, id="100 lines"),
        pytest.param((HOST, *(b"X-%d: y" % n for n in range(99))), {0, 431}, id="101 lines"),
    ],
)
def test_the_limits_of_headers(api: Service, lines: tuple[bytes, ...], statuses: set[int]) -> None:
    assert exchange(api, *lines).status in statuses


def test_the_limit_of_a_target(api: Service) -> None:
    long = b"GET /secrets?api-version=7.4&x=" + b"a" * 60_000 + b" HTTP/1.1"
    # It arrives: the refusal is vaultcore's own.
    answer = exchange(api, HOST, first=long)
    assert (answer.status, b"query" in answer.body) == (400, True)
    longer = b"GET /secrets?api-version=7.4&x=" + b"a" * 66_000 + b" HTTP/1.1"
    assert exchange(api, HOST, first=longer).status in {0, 414}


@pytest.mark.parametrize("case", FRAMES)
def test_frames(api: Service, case: str) -> None:
    answer = exchange(api, *FRAMES[case])
    assert answer.status in {0, 200, 400, 404, 408, 413, 431}, answer
    api.vault().do("GET", "/secrets?maxresults=1")


@pytest.mark.parametrize(
    "first",
    [
        b"GET https://other.example/secrets?api-version=7.4 HTTP/1.1",
        b"GET secrets HTTP/1.1",
        b"GET * HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"CONNECT dev:443 HTTP/1.1",
        b"GET /secrets?api-version=7.4 HTTP/1.0",
        b"GET /secrets?api-version=7.4 HTTP/9.9",
        b"GET /secrets?api-version=7.4",
        b"GET",
        b"PRI * HTTP/2.0",
        b"\x16\x03\x01",
        b"G\xffT / HTTP/1.1",
        b"GET /%s HTTP/1.1" % (b"a" * 70_000),
    ],
)
def test_first_lines(api: Service, first: bytes) -> None:
    answer = exchange(api, HOST, first=first)
    assert answer.status < 500, answer
    api.vault().do("GET", "/secrets?maxresults=1")


def test_plain_http_is_not_answered(api: Service) -> None:
    import socket

    with socket.create_connection(("127.0.0.1", api.port), timeout=10) as plain:
        plain.sendall(b"GET /secrets HTTP/1.1\r\nHost: dev.vault.localhost\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            assert not plain.recv(100).startswith(b"HTTP")


def test_a_correlation_id_is_echoed_only_if_it_can_be_one(bad: Vault) -> None:
    for text, echoed in (("a" * 64, True), ("a" * 65, False), ("<b>", True), ("a" * 20_000, False)):
        answer = bad.ask("GET", "/secrets", headers={"x-ms-client-request-id": text})
        assert answer.status_code == 200
        assert (answer.headers.get("x-ms-client-request-id") == text) == echoed


def test_odd_values_of_harmless_headers(bad: Vault) -> None:
    for headers in (
        {"user-agent": b"\xff\xfe\x80"},
        {"user-agent": b"a" * 20_000},
        {"x-ms-client-request-id": b"\xe2\x80\xa8"},
        {"content-type": b"text/plain"},
        {"accept": b"image/png"},
        {"accept-encoding": b"gzip, br"},
        {"content-type": b"application/json; charset=utf-16"},
        {"expect": b"100-continue"},
        {"if-none-match": b"*"},
        {"range": b"bytes=0-1"},
        {"upgrade": b"h2c", "connection": b"upgrade"},
    ):
        answer = bad.ask("PUT", "/secrets/odd", {"value": CANARY}, headers=headers)
        assert answer.status_code == 200, (headers, answer.text)
        assert "content-encoding" not in answer.headers


def test_a_compressed_body_is_not_unpacked(bad: Vault) -> None:
    import gzip

    packed = gzip.compress(b" " * 10_000_000 + b'{"value": "x"}')
    answer = bad.ask("PUT", "/secrets/odd", packed, headers={"content-encoding": "gzip"})
    check_refusal(answer, 400)


def test_requests_in_a_row_are_answered_in_their_order(api: Service) -> None:
    host = f"dev.vault.localhost:{api.port}".encode()
    token = api.admin.encode()
    api.vault().set("pipe", "v")

    def ask(path: bytes) -> bytes:
        return (
            b"GET "
            + path
            + b"?api-version=7.4 HTTP/1.1\r\nHost: "
            + host
            + (b"\r\nAuthorization: Bearer " + token + b"\r\n\r\n")
        )

    with api.connect() as connection:
        connection.sendall(ask(b"/secrets/pipe") + ask(b"/secrets/a.b") + ask(b"/secrets/pipe"))
        received = b""
        while received.count(b"HTTP/1.1 ") < 3 or not received.endswith(b"}"):
            received += connection.recv(65536)
    statuses = [int(part[:3]) for part in received.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [200, 400, 200]


# query


@generated
@given(
    query=st.text(max_size=80).map(
        lambda text: text.encode().translate(None, b" \r\n\t\0#").decode("utf-8", "replace")
    )
)
def test_generated_queries(bad: Vault, query: str) -> None:
    raw = b"GET /secrets?" + query.encode() + b"&$skiptoken=c4n4ry HTTP/1.1\r\nHost: {host}\r\n"
    answer = bad.service.raw(raw + b"Authorization: Bearer " + bad.token.encode() + b"\r\n\r\n")
    assert 400 <= answer.status < 500
    assert CANARY.encode() not in answer.body


def test_many_parameters(bad: Vault) -> None:
    check_refusal(bad.ask("GET", "/secrets?" + "&".join(f"a{n}=1" for n in range(100))), 400)
    check_refusal(bad.ask("GET", "/secrets?a=" + CANARY * 2000), 400)


# in the end


def check_slow(slow: Slow, at_least: float, at_most: float) -> Raw:
    slow.join(at_most + 20)
    assert at_least <= slow.seconds <= at_most, slow.seconds
    return slow.answer


def test_a_slow_head_is_cut_off(slow: dict[str, Slow]) -> None:
    answer = check_slow(slow["head"], HEADER_SECONDS - 1, HEADER_SECONDS + 10)
    assert answer.status in {0, 400, 408}


@pytest.mark.parametrize("case", ["announced", "silent", "chunked"])
def test_a_slow_body_is_not_waited_for(api: Service, slow: dict[str, Slow], case: str) -> None:
    answer = check_slow(slow[case], BODY_SECONDS - 1, BODY_SECONDS + 10)
    assert answer.status == 408
    assert json.loads(answer.body)["error"]["code"] == "RequestTimeout"
    api.vault().refuse(404, "SecretNotFound", "GET", "/secrets/slow")


def test_nothing_of_it_is_left_behind(api: Service) -> None:
    api.vault().do("GET", f"/secrets/{unique('after')}/versions", status=404)
    api.check_quiet()
