"""The gate over HTTPS: challenge, firewall, tokens, permissions, in this order."""

from __future__ import annotations

import base64
import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from driver import CANARY, DOMAIN, EVERY_SECRET, LATEST, Vault, b64, refused, unb64, unique

import vaultcore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx
    from driver import Service, Stranger

NO_TOKEN = "AKV10000: Request is missing a Bearer or PoP token."
VERSION = "0123456789abcdef0123456789abcdef"


class Route(NamedTuple):
    method: str
    path: str
    permission: str
    body: Any = None


ROUTES = [
    Route("GET", "/secrets", "secrets/list"),
    Route("GET", "/secrets/x", "secrets/get"),
    Route("GET", "/secrets/x/", "secrets/get"),
    Route("GET", f"/secrets/x/{VERSION}", "secrets/get"),
    Route("PUT", "/secrets/x", "secrets/set", {"value": CANARY}),
    Route("PATCH", "/secrets/x", "secrets/set", {}),
    Route("PATCH", f"/secrets/x/{VERSION}", "secrets/set", {}),
    Route("DELETE", "/secrets/x", "secrets/delete"),
    Route("GET", "/secrets/x/versions", "secrets/list"),
    Route("POST", "/secrets/x/backup", "secrets/backup"),
    Route("POST", "/secrets/restore", "secrets/restore", {"value": CANARY}),
    Route("GET", "/deletedsecrets", "secrets/list"),
    Route("GET", "/deletedsecrets/x", "secrets/get"),
    Route("DELETE", "/deletedsecrets/x", "secrets/purge"),
    Route("POST", "/deletedsecrets/x/recover", "secrets/recover"),
    Route("GET", "/keys", "keys/list"),
    Route("GET", "/keys/x", "keys/get"),
    Route("GET", f"/keys/x/{VERSION}", "keys/get"),
    Route("GET", "/keys/x/versions", "keys/list"),
    Route("PUT", "/keys/x", "keys/import", {"key": {"kty": "oct", "k": CANARY}}),
    Route("POST", "/keys/x/create", "keys/create", {"kty": CANARY}),
    Route("PATCH", "/keys/x", "keys/update", {}),
    Route("DELETE", "/keys/x", "keys/delete"),
    Route("POST", "/keys/x/backup", "keys/backup"),
    Route("POST", "/keys/restore", "keys/restore", {"value": CANARY}),
    Route("POST", "/keys/x/rotate", "keys/rotate"),
    Route("POST", "/keys/x//encrypt", "keys/encrypt", {"alg": CANARY, "value": CANARY}),
    Route("POST", "/keys/x//decrypt", "keys/decrypt", {"alg": CANARY, "value": CANARY}),
    Route("POST", f"/keys/x/{VERSION}/wrapkey", "keys/wrapKey", {"alg": CANARY, "value": ""}),
    Route("POST", "/keys/x//unwrapkey", "keys/unwrapKey", {"alg": CANARY, "value": CANARY}),
    Route("POST", "/keys/x//sign", "keys/sign", {"alg": CANARY, "value": CANARY}),
    Route("POST", "/keys/x//verify", "keys/verify", {"alg": "x", "value": "", "digest": CANARY}),
    Route("GET", "/deletedkeys", "keys/list"),
    Route("GET", "/deletedkeys/x", "keys/get"),
    Route("DELETE", "/deletedkeys/x", "keys/purge"),
    Route("POST", "/deletedkeys/x/recover", "keys/recover"),
    Route("GET", "/keys/x/rotationpolicy", "keys/getrotationpolicy"),
    Route("PUT", "/keys/x/rotationpolicy", "keys/setrotationpolicy", {}),
    Route("POST", "/keys/x//release", "keys/release", {"target": CANARY}),
]
KEYS = [
    *("encrypt", "decrypt", "wrapKey", "unwrapKey", "sign", "verify", "get", "list", "create"),
    *("update", "import", "delete", "backup", "restore", "recover", "purge", "release", "rotate"),
    *("getrotationpolicy", "setrotationpolicy"),
]


def challenged(answer: httpx.Response, service: Service) -> str:
    """Checks a 401 and returns its message."""
    message = refused(answer, 401, "Unauthorized")
    (challenge,) = answer.headers.get_list("www-authenticate")
    port = service.port
    assert challenge == (
        f'Bearer authorization="https://login.{DOMAIN}:{port}/adfs", '
        f'resource="https://{DOMAIN}:{port}"'
    )
    return message


# challenge


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_quirk_2_no_token_is_401_whatever_else_is_sent(vault: Vault, route: Route) -> None:
    bodies = (None, "", route.body, "not JSON", b"\xff" * 100)
    for body in bodies:
        for api in (LATEST, "1.0", None):
            answer = vault.ask(route.method, route.path, body, api=api, token="")
            assert challenged(answer, vault.service) == NO_TOKEN


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", "/"), ("GET", "/nowhere"), ("GET", "/secrets/a.b"), ("GET", "/secrets/%00")),
        *(("DELETE", "/secrets"), ("PUT", "/keys/x/y/z/w/v"), ("POST", "/storage"), ("PUT", "/*")),
        *(("GET", "/secrets/x?api-version=&maxresults=z"), ("TRACE", "/secrets"), ("QUX", "/")),
        *(("OPTIONS", "/secrets"), ("GET", "/certificates"), ("GET", "/../etc"), ("PUT", "/rng")),
    ],
)
def test_a_stranger_does_not_learn_what_is_there(vault: Vault, method: str, path: str) -> None:
    assert challenged(vault.ask(method, path, token=""), vault.service) == NO_TOKEN


def test_a_head_request_without_a_token(vault: Vault) -> None:
    answer = vault.ask("HEAD", "/secrets", token="")
    assert answer.status_code == 401
    assert "www-authenticate" in answer.headers


def test_quirks_3_4_5_the_challenge(vault: Vault) -> None:
    challenge = vault.ask("GET", "/secrets", token="").headers["www-authenticate"]
    found = re.fullmatch(r'Bearer authorization="([^",= ]+)", resource="([^",= ]+)"', challenge)
    assert found is not None
    authorization, resource = found.groups()
    assert authorization.endswith("/adfs")
    # A strict parent of the vault's host, port included.
    assert vault.url.removeprefix(f"https://{vault.name}.") == resource.removeprefix("https://")


@pytest.mark.parametrize(
    "authorization",
    [
        *("", "Bearer", "Bearer ", "bearer", "Basic dTpw", "PoP x.y.z", "Token x", "Bearertoken"),
        *("Bearer a b", "Bearer a,b", 'Bearer "x"', "Bearer\tx.y.z", "Bearer  ", "Digest a=b"),
        *("Bearer \x80", "NegotiateBearer x.y.z"),
    ],
)
def test_what_is_no_bearer_token_is_no_token(api: Service, authorization: str) -> None:
    assert with_authorization(api, authorization) == 401


def with_authorization(api: Service, value: str) -> int:
    head = f"GET /secrets?api-version=7.4 HTTP/1.1\r\nHost: {{host}}\r\nAuthorization: {value}"
    return api.raw(head.encode("latin-1") + b"\r\n\r\n").status


def test_the_scheme_is_compared_without_case(api: Service) -> None:
    for scheme in ("Bearer", "bearer", "BEARER", "BeArEr"):
        assert with_authorization(api, f"{scheme} {api.admin}") == 200
    assert with_authorization(api, f"Bearer   {api.admin}  ") == 200


def test_two_tokens_are_none(api: Service, vault: Vault) -> None:
    good = f"Authorization: Bearer {vault.token}\r\n".encode()
    for other in (good, b"authorization: Bearer x.y.z\r\n", b"Authorization: \r\n"):
        for lines in (good + other, other + good):
            head = b"GET /secrets?api-version=7.4 HTTP/1.1\r\nHost: {host}\r\n" + lines + b"\r\n"
            assert api.raw(head).status == 401


def test_a_giant_token(vault: Vault) -> None:
    for size in (16 * 1024, 16 * 1024 + 1, 40_000):
        answer = vault.ask("GET", "/secrets", token="a" * size)
        assert answer.status_code in {401, 431}
        if answer.status_code == 401:
            challenged(answer, vault.service)


def test_a_header_larger_than_any_is_refused(api: Service) -> None:
    head = b"GET /secrets HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer " + b"a" * 300_000
    assert api.raw(head + b"\r\n\r\n").status in {0, 400, 431}


# tokens


class Mint:
    """Makes tokens that differ in one thing from one that would be accepted."""

    def __init__(self, service: Service, engine: vaultcore.Engine) -> None:
        self._service = service
        self._engine = engine
        self.good = service.admin
        self.claims: dict[str, Any] = jwt.decode(self.good, options={"verify_signature": False})
        self.header: dict[str, Any] = jwt.get_unverified_header(self.good)

    def signed(self, **changes: Any) -> str:
        """Signed by the issuer's own key; None takes a claim away."""
        claims = {**self.claims, **changes}
        return self._engine.issuer.keys.sign({n: v for n, v in claims.items() if v is not None})

    def forged(self, key: Any, algorithm: str, **header: Any) -> str:
        names = {"kid": self.header["kid"], **header}
        return jwt.encode(self.claims, key, algorithm, {n: v for n, v in names.items() if v})

    def public_pem(self) -> bytes:
        (published,) = [
            one
            for one in self._engine.issuer.published_keys()["keys"]
            if one["kid"] == self.header["kid"]
        ]
        return vaultcore.Key.from_jwk(published).public_pem()


@pytest.fixture(scope="module")
def mint(api: Service) -> Iterator[Mint]:
    with vaultcore.open(str(api.data)) as engine:
        yield Mint(api, engine)


def test_the_mint_makes_good_tokens(vault: Vault, mint: Mint) -> None:
    assert vault.ask("GET", "/secrets", token=mint.signed()).status_code == 200
    assert vault.ask("GET", "/secrets", token=mint.signed(uti="other")).status_code == 200


NOW = time.time


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        (lambda _: {"aud": "https://vault.azure.net"}, "AKV10022"),
        (lambda s: {"aud": f"https://management.{DOMAIN}:{s.port}"}, "AKV10022"),
        (lambda s: {"aud": f"https://{DOMAIN}:{s.port}.evil.example"}, "AKV10022"),
        (lambda _: {"aud": []}, ""),
        (lambda _: {"aud": None}, ""),
        (lambda _: {"aud": 5}, ""),
        (lambda _: {"iss": "https://sts.windows.net/x/"}, "AKV10032"),
        (lambda s: {"iss": f"https://login.{DOMAIN}:{s.port}/adfs/"}, "AKV10032"),
        (lambda _: {"iss": None}, ""),
        (lambda _: {"iss": 5}, ""),
        (lambda _: {"tid": "00000000-0000-0000-0000-000000000000"}, "AKV10032"),
        (lambda _: {"tid": None}, "AKV10032"),
        (lambda _: {"exp": int(NOW()) - 3600, "iat": int(NOW()) - 7200, "nbf": None}, "expired"),
        (lambda _: {"exp": None}, "no expiry"),
        (lambda _: {"exp": "never"}, "exp"),
        (lambda _: {"exp": 2**70}, "exp"),
        (lambda _: {"exp": True}, "exp"),
        (lambda _: {"exp": int(NOW()) + 10 * 365 * 86_400}, "longer"),
        (lambda _: {"nbf": int(NOW()) + 3600}, "not valid yet"),
        (lambda _: {"iat": int(NOW()) + 3600}, "future"),
        (lambda _: {"oid": None}, "the token was refused"),
        (lambda _: {"oid": ""}, "the token was refused"),
        (lambda _: {"oid": {"$ne": ""}}, "the token was refused"),
        (lambda _: {"appid": "00000000-0000-0000-0000-000000000000"}, "deleted or revoked"),
    ],
)
def test_claims_that_are_refused(
    vault: Vault, mint: Mint, changes: Callable[[Service], dict[str, Any]], code: str
) -> None:
    answer = vault.ask("GET", "/secrets", token=mint.signed(**changes(vault.service)))
    assert code in challenged(answer, vault.service)


def test_forged_tokens(vault: Vault, mint: Mint) -> None:
    stranger = rsa.generate_private_key(65537, 2048)
    curve = ec.generate_private_key(ec.SECP256R1())
    head, claims, signature = mint.good.split(".")
    none = b64(json.dumps({"alg": "none", "typ": "JWT", "kid": mint.header["kid"]}).encode())
    elevated = {**mint.claims, "oid": "00000000-0000-0000-0000-000000000001"}
    changed = bytearray(unb64(signature))
    changed[5] ^= 1
    # The algorithm of a public key taken for a secret; the library will not make it by itself.
    confused = jwt.PyJWS().encode(
        json.dumps(mint.claims).encode(),
        base64.b64encode(mint.public_pem()),
        "HS256",
        {"kid": mint.header["kid"], "typ": "JWT"},
    )
    twice = b64(b'{"oid":"a","oid":"b"}')
    forged = {
        "stranger": mint.forged(stranger, "RS256"),
        "stranger, no kid": mint.forged(stranger, "RS256", kid=None),
        "stranger, unknown kid": mint.forged(stranger, "RS256", kid="0" * 32),
        "stranger, path kid": mint.forged(stranger, "RS256", kid="../../dev/null"),
        "stranger, long kid": mint.forged(stranger, "RS256", kid="k" * 5000),
        "curve": mint.forged(curve, "ES256"),
        "pss": mint.forged(stranger, "PS256"),
        "hmac": confused,
        "jwk": mint.forged(stranger, "RS256", jwk={"kty": "RSA"}),
        "jku": mint.forged(stranger, "RS256", jku="https://127.0.0.1:1/keys"),
        "x5u": mint.forged(stranger, "RS256", x5u="https://127.0.0.1:1/keys"),
        "crit": mint.forged(stranger, "RS256", crit=["x"], x=1),
        "none, empty signature": f"{none}.{claims}.",
        "none, old signature": f"{none}.{claims}.{signature}",
        "None": b64(b'{"alg":"None","kid":"x"}') + f".{claims}.",
        "no signature": f"{head}.{claims}.",
        "two parts": f"{head}.{claims}",
        "four parts": f"{mint.good}.x",
        "five parts": f"{mint.good}.x.y",
        "changed signature": f"{head}.{claims}.{b64(bytes(changed))}",
        "short signature": f"{head}.{claims}.{signature[:-8]}",
        "other claims": f"{head}.{b64(json.dumps(elevated).encode())}.{signature}",
        "claims twice": f"{head}.{twice}.{signature}",
        "no JSON": f"{head}.{b64(b'nonsense')}.{signature}",
        "no object": f"{head}.{b64(b'[]')}.{signature}",
        "deep": f"{head}.{b64(b'[' * 5000)}.{signature}",
        "padding": mint.good + "==",
        "dots": "...",
        "word": CANARY,
        "slashes": "a/b.c/d.e/f",
    }
    for case, token in forged.items():
        answer = vault.ask("GET", "/secrets", token=token)
        assert answer.status_code == 401, case
        challenged(answer, vault.service)
        assert CANARY not in answer.text
    assert vault.ask("GET", "/secrets", token=mint.good).status_code == 200


def test_quirk_2_a_bad_token_comes_before_a_bad_request(vault: Vault, mint: Mint) -> None:
    token = mint.signed(aud="https://elsewhere")
    for method, path in (("GET", "/secrets/a.b"), ("PUT", "/secrets/x"), ("GET", "/nowhere")):
        answer = vault.ask(method, path, "not JSON", api="1", token=token)
        challenged(answer, vault.service)


def test_a_token_expires_while_it_is_remembered(vault: Vault, mint: Mint) -> None:
    # The clocks of issuer and service may differ by a minute, no more.
    expires = int(time.time()) - 57
    token = mint.signed(iat=expires - 600, nbf=expires - 600, exp=expires)
    assert vault.ask("GET", "/secrets", token=token).status_code == 200
    while time.time() < expires + 60:
        time.sleep(0.05)
    answer = vault.ask("GET", "/secrets", token=token)
    assert "expired" in challenged(answer, vault.service)


def test_a_token_of_a_deleted_application_is_refused_at_once(api: Service) -> None:
    caller = api.stranger(secrets=["list"])
    caller.do("GET", "/secrets")
    name = next(
        one["name"] for one in api.manage("app.list") if one["object_id"] == caller.object_id
    )
    api.manage("app.delete", name=name)
    challenged(caller.ask("GET", "/secrets"), api)


# permissions


@pytest.fixture(scope="module")
def nobody(api: Service) -> Stranger:
    return api.stranger()


@pytest.fixture(scope="module")
def holders(api: Service) -> dict[str, tuple[Stranger, Stranger]]:
    """For each permission, who has all but it, and who has it alone."""
    found = {}
    for permission in sorted({route.permission for route in ROUTES}):
        kind, _, verb = permission.partition("/")
        rest = {"secrets": list(EVERY_SECRET), "keys": list(KEYS)}
        rest[kind].remove(verb)
        without = api.stranger(secrets=rest["secrets"], keys=rest["keys"])
        alone = api.stranger(**{kind: [verb]})
        found[permission] = without, alone
    return found


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_each_route_has_its_permission(
    holders: dict[str, tuple[Stranger, Stranger]], nobody: Stranger, route: Route
) -> None:
    without, alone = holders[route.permission]
    for caller in (without, nobody):
        message = caller.refuse(
            *(403, "Forbidden", route.method, route.path, route.body), inner="AccessDenied"
        )
        kind, _, verb = route.permission.partition("/")
        issuer = f"https://login.{DOMAIN}:{caller.service.port}/adfs"
        assert message == (
            f"The user, group or application 'appid={caller.client_id};oid={caller.object_id};"
            f"iss={issuer}' does not have {kind} {verb} permission on key vault "
            "'dev;location=local'. For help resolving this issue, please see "
            "https://go.microsoft.com/fwlink/?linkid=2125287"
        )
    answer = alone.ask(route.method, route.path, route.body)
    assert answer.status_code in {200, 204, 400, 404}, answer.text


def test_absent_and_forbidden_look_the_same(vault: Vault, nobody: Stranger) -> None:
    there, gone = unique("there"), unique("gone")
    stored = vault.set(there)
    vault.set(gone)
    vault.do("DELETE", f"/secrets/{gone}")
    vault.create(there, "EC")
    backup = vault.do("POST", f"/secrets/{there}/backup")
    version = stored["id"].rpartition("/")[2]
    token = vault.do("GET", "/secrets?maxresults=1")["nextLink"]
    marker = "" if token is None else token.rpartition("skiptoken=")[2].partition("&")[0]
    families: list[list[tuple[str, str, Any]]] = [
        [("GET", f"/secrets/{n}", None) for n in (there, gone, "absent", f"{there}/{version}")],
        [("GET", f"/deletedsecrets/{n}", None) for n in (there, gone, "absent")],
        [("PUT", f"/secrets/{n}", b) for n in (there, gone, "absent") for b in ({"value": ""}, 5)],
        [("DELETE", f"/secrets/{n}", None) for n in (there, gone, "absent")],
        [("POST", "/secrets/restore", b) for b in (backup, {"value": "x"}, "junk")],
        [("GET", f"/secrets?$skiptoken={t}", None) for t in (marker, "junk")],
        [("POST", f"/keys/{n}//sign", b) for n in (there, "absent") for b in ({"alg": "x"}, "j")],
    ]
    for family in families:
        bodies = {nobody.ask(method, path, body).content for method, path, body in family}
        assert len(bodies) == 1, family
        assert nobody.ask(*family[0]).status_code == 403


def test_a_grant_and_its_end_hold_for_the_next_request(api: Service, vault: Vault) -> None:
    name = unique()
    vault.set(name)
    caller = api.stranger()
    for _ in range(3):
        caller.refuse(403, "Forbidden", "GET", f"/secrets/{name}", inner="AccessDenied")
        api.manage(
            "access.set", vault="dev", principal=caller.object_id, secret_permissions=["get"]
        )
        caller.do("GET", f"/secrets/{name}")
        caller.refuse(403, "Forbidden", "DELETE", f"/secrets/{name}", inner="AccessDenied")
        api.manage("access.remove", vault="dev", principal=caller.object_id)
    caller.refuse(403, "Forbidden", "GET", f"/secrets/{name}", inner="AccessDenied")


def test_quirk_36_all_does_not_purge(api: Service, vault: Vault) -> None:
    name = unique()
    vault.set(name)
    caller = api.stranger(secrets=["All"], keys=["ALL"])
    caller.do("GET", f"/secrets/{name}")
    caller.do("DELETE", f"/secrets/{name}")
    path = f"/deletedsecrets/{name}"
    caller.refuse(403, "Forbidden", "DELETE", path, inner="AccessDenied")
    caller.do("POST", f"{path}/recover")


def test_permissions_of_one_vault_are_not_those_of_another(api: Service) -> None:
    one, two = api.make_vault(), api.make_vault()
    for made in (one, two):
        made.set("s")
    caller = api.stranger(one.name, secrets=["get"])
    caller.do("GET", "/secrets/s")
    Vault(api, two.name, caller.token).refuse(
        403, "Forbidden", "GET", "/secrets/s", inner="AccessDenied"
    )


def test_a_vault_that_does_not_exist(api: Service) -> None:
    for name in ("nowhere", "system", "a.dev", "dev-"):
        answer = api.http.get(
            f"https://{name}.{DOMAIN}:{api.port}/secrets?api-version={LATEST}",
            headers={"authorization": f"Bearer {api.admin}"},
            # The certificate is for one label; the name in the handshake need not be the vault's.
            extensions={"sni_hostname": f"dev.{DOMAIN}"},
        )
        assert refused_plainly(answer) == "VaultNotFound"


def refused_plainly(answer: httpx.Response) -> str:
    assert answer.status_code == 404
    return str(answer.json()["error"]["code"])


# firewall


def test_quirk_39_firewall(api: Service) -> None:
    made = api.make_vault()
    made.set("s")
    manage = {"vault": made.name}
    api.manage("firewall.set", default_action="Deny", **manage)
    expected = (
        "Client address is not authorized and caller is not a trusted service.\r\n"
        "Client address: 127.0.0.1\r\nCaller: "
    )
    # Whose token it is does not matter any more, nor what is asked; that there is one does.
    for token in (made.token, "a.b.c", api.stranger().token):
        for method, path in (("GET", "/secrets/s"), ("GET", "/x.y"), ("PUT", "/secrets/s")):
            message = made.refuse(
                403, "Forbidden", method, path, inner="ForbiddenByFirewall", token=token
            )
            assert message.startswith(expected)
            assert message.endswith(f"\r\nVault: {made.name};location=local")
    challenged(made.ask("GET", "/secrets/s", token=""), api)
    spoofed = {"x-forwarded-for": "10.0.0.1", "forwarded": "for=10.0.0.1", "x-real-ip": "10.0.0.1"}
    api.manage("firewall.add", address="10.0.0.0/8", **manage)
    made.refuse(403, "Forbidden", "GET", "/secrets/s", inner="ForbiddenByFirewall", headers=spoofed)
    for address in ("127.0.0.1", "127.0.0.0/8", "0.0.0.0/0"):
        api.manage("firewall.add", address=address, **manage)
        made.do("GET", "/secrets/s")
        api.manage("firewall.remove", address=address, **manage)
        made.refuse(403, "Forbidden", "GET", "/secrets/s", inner="ForbiddenByFirewall")
    api.vault().do("GET", "/secrets")
    api.manage("firewall.set", default_action="Allow", **manage)
    made.do("GET", "/secrets/s")


def test_the_processes_that_answer_leave_no_core_dump(api: Service) -> None:
    workers = [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/stat")
        if path.read_text(encoding="utf-8").rpartition(")")[2].split()[1] == str(api.process.pid)
    ]
    assert workers
    for worker in workers:
        limits = Path(f"/proc/{worker}/limits").read_text(encoding="utf-8")
        line = next(row for row in limits.splitlines() if row.startswith("Max core file size"))
        assert line.split()[4:6] == ["0", "0"], line
