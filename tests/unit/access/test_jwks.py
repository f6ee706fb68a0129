"""Keys of issuers: what a set may hold, and a server that rotates, vanishes, hangs and lies."""

import contextlib
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from vaultcore.access.jwks import (
    DEFAULT_ALGORITHMS,
    MAXIMUM_DOCUMENT,
    KeySetError,
    StaticKeys,
    parse_key_set,
)
from vaultcore.access.remote_keys import RemoteKeys
from vaultcore.access.tokens import TokenValidator
from vaultcore.access.trust import IssuerSettings, TrustedIssuer, trust_entra
from vaultcore.clock import ManualClock, SystemClock
from vaultcore.errors import ConfigurationError, UnauthorizedError, UnavailableError
from vaultcore.service.development.authority import TlsFiles, ensure_certificates

NOW = 1_700_000_000
EC_KEYS = [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]


def ec_jwk(number: int = 0, **extra: object) -> dict[str, Any]:
    handler = jwt.PyJWS().get_algorithm_by_name("ES256")
    members: dict[str, Any] = handler.to_jwk(EC_KEYS[number].public_key(), as_dict=True)
    return {**members, "kid": f"key-{number}", "use": "sig", **extra}


def private_jwk() -> dict[str, Any]:
    """A sound key whose owner has published its private half: anyone may sign with it."""
    members: dict[str, Any] = (
        jwt.PyJWS().get_algorithm_by_name("ES256").to_jwk(EC_KEYS[0], as_dict=True)
    )
    return {**members, "kid": "key-0"}


def rsa_jwk(bits: int = 2048, **extra: object) -> dict[str, Any]:
    handler = jwt.PyJWS().get_algorithm_by_name("RS256")
    key = rsa.generate_private_key(65537, bits)
    members: dict[str, Any] = handler.to_jwk(key.public_key(), as_dict=True)
    members.pop("key_ops")
    return {**members, "kid": "rsa", **extra}


def key_set(*keys: object) -> bytes:
    return json.dumps({"keys": list(keys)}).encode()


# What a set may hold


def test_a_key_is_bound_to_one_algorithm() -> None:
    keys = parse_key_set(key_set(ec_jwk(), rsa_jwk()))
    assert {kid: key.algorithm for kid, key in keys.items()} == {"key-0": "ES256", "rsa": "RS256"}
    keys = parse_key_set(key_set(rsa_jwk()), ["PS256", "RS256"])
    assert keys["rsa"].algorithm == "PS256"
    keys = parse_key_set(key_set(rsa_jwk(alg="RS256")), ["PS256", "RS256"])
    assert keys["rsa"].algorithm == "RS256"


PASSED_OVER: dict[str, Callable[[], object]] = {
    "symmetric": lambda: {"kty": "oct", "k": "AAAA", "kid": "key-0"},
    "symmetric with alg": lambda: {"kty": "oct", "k": "AAAA", "kid": "key-0", "alg": "RS256"},
    "no kty": lambda: {"kid": "key-0"},
    "unknown kty": lambda: ec_jwk(kty="XX"),
    "unknown curve": lambda: ec_jwk(crv="secp256k1"),
    "curve of another algorithm": lambda: ec_jwk(alg="ES384"),
    "HS256": lambda: ec_jwk(alg="HS256"),
    "none": lambda: ec_jwk(alg="none"),
    "alg null": lambda: ec_jwk(alg=None),
    "alg list": lambda: ec_jwk(alg=["ES256"]),
    "not allowed here": lambda: rsa_jwk(alg="PS512"),
    "for encryption": lambda: ec_jwk(use="enc"),
    "use number": lambda: ec_jwk(use=1),
    "operations without verify": lambda: ec_jwk(key_ops=["sign"]),
    "operations no list": lambda: ec_jwk(key_ops="verify"),
    "no kid": lambda: {**ec_jwk(), "kid": None},
    "kid number": lambda: ec_jwk(kid=1),
    "kid path": lambda: ec_jwk(kid="../key"),
    "kid long": lambda: ec_jwk(kid="a" * 129),
    "private": private_jwk,
    "private of a kind": lambda: ec_jwk(d="AAAA"),
    "point off the curve": lambda: ec_jwk(x="A" * 43),
    "short coordinate": lambda: ec_jwk(x="AAAA"),
    "coordinate number": lambda: ec_jwk(x=1),
    "no coordinate": lambda: {k: v for k, v in ec_jwk().items() if k != "y"},
    "small RSA": lambda: rsa_jwk(1024),
    "even exponent": lambda: rsa_jwk(e="AAAE"),
    "exponent one": lambda: rsa_jwk(e="AQ"),
    "no modulus": lambda: {"kty": "RSA", "e": "AQAB", "kid": "rsa"},
    "enormous RSA": lambda: rsa_jwk(n="_" * 2731),
    "a string": lambda: "key",
    "null": lambda: None,
    "a list": list,
}


@pytest.mark.parametrize("case", PASSED_OVER)
def test_a_key_that_cannot_be_meant_is_passed_over(case: str) -> None:
    bad = PASSED_OVER[case]()
    with pytest.raises(KeySetError, match="no key that can verify"):
        parse_key_set(key_set(bad))
    assert list(parse_key_set(key_set(bad, ec_jwk(1)))) == ["key-1"]


def test_two_keys_of_one_name_are_both_passed_over() -> None:
    keys = parse_key_set(key_set(ec_jwk(0, kid="same"), ec_jwk(1, kid="same"), ec_jwk(2)))
    assert list(keys) == ["key-2"]


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"", "not JSON"),
        (b"<html>", "not JSON"),
        (b"[]", "not an object"),
        (b"null", "not an object"),
        (b"{}", "no list"),
        (b'{"keys":{}}', "no list"),
        (b'{"keys":null}', "no list"),
        (b'{"keys":[]}', "no key"),
        (b'{"keys":[],"keys":[]}', "twice"),
        (b"\xff\xfe", "UTF-8"),
        (b'{"keys":' + b"[" * 20000 + b"]" * 20000 + b"}", "deep"),
        (json.dumps({"keys": [{}] * 33}).encode(), "more than 32"),
        (b" " * (MAXIMUM_DOCUMENT + 1), "larger"),
        (b'{"keys":[' + b'{"x":NaN}]}', "finite"),
    ],
)
def test_what_is_no_key_set_is_refused(document: bytes, reason: str) -> None:
    with pytest.raises(KeySetError, match=reason):
        parse_key_set(document)


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["kty", "crv", "x", "y", "n", "e", "kid", "alg", "use", "key_ops"]),
        st.none()
        | st.integers()
        | st.text(max_size=8)
        | st.lists(st.text(max_size=4), max_size=2)
        | st.sampled_from(
            ["RSA", "EC", "OKP", "P-256", "Ed25519", "EdDSA", "AQAB", "sig", "A" * 43]
        ),
    )
)
def test_no_key_breaks_the_parser(member: dict[str, Any]) -> None:
    assert "key-1" in parse_key_set(key_set(member, ec_jwk(1)), [*DEFAULT_ALGORITHMS, "EdDSA"])


def test_ed25519_keys_are_understood() -> None:
    public = ed25519.Ed25519PrivateKey.generate().public_key()
    member = jwt.PyJWS().get_algorithm_by_name("EdDSA").to_jwk(public, as_dict=True)
    keys = parse_key_set(key_set({**member, "kid": "ed"}), ["EdDSA"])
    assert keys["ed"].algorithm == "EdDSA"


# A server that can be told to misbehave

Reply = Callable[["Handler"], None]


@dataclass
class Server:
    url: str
    ca: Path
    replies: dict[str, Reply] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)

    def serve_keys(self, *keys: object) -> None:
        self.replies["/keys"] = body(key_set(*keys))
        self.replies["/.well-known/openid-configuration"] = body(
            json.dumps({"issuer": self.url, "jwks_uri": f"{self.url}/keys"}).encode()
        )


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: Server

    def do_GET(self) -> None:
        self.state.seen.append(self.path)
        self.state.headers.append({k.lower(): v for k, v in self.headers.items()})
        reply = self.state.replies.get(self.path, status(404))
        with contextlib.suppress(OSError):  # the client goes away, in some tests on purpose
            reply(self)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


def body(content: bytes, *, code: int = 200, **headers: str) -> Reply:
    def reply(handler: Handler) -> None:
        handler.send_response(code)
        handler.send_header("content-length", str(len(content)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(content)

    return reply


def status(code: int) -> Reply:
    return body(b"{}", code=code)


def hang(handler: Handler) -> None:
    handler.state.release.wait(20)


def drip(handler: Handler) -> None:
    """Sends a byte now and then, each before any read would time out."""
    handler.send_response(200)
    handler.end_headers()
    while not handler.state.release.wait(0.05):
        handler.wfile.write(b" ")
        handler.wfile.flush()


def drip_headers(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nx: ")
    while not handler.state.release.wait(0.05):
        handler.wfile.write(b"x")
        handler.wfile.flush()


def giant(handler: Handler) -> None:
    """Sends without end and without saying how much."""
    handler.send_response(200)
    handler.end_headers()
    while not handler.state.release.is_set():
        handler.wfile.write(b" " * 65536)


def cut(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("content-length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"keys":')


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return ensure_certificates(tmp_path_factory.mktemp("tls"), ["localhost"], clock=SystemClock())


@pytest.fixture
def server(certificates: TlsFiles) -> Iterator[Server]:
    with serving(certificates) as state:
        yield state


@contextlib.contextmanager
def serving(certificates: TlsFiles) -> Iterator[Server]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.certificate, certificates.key)
    handler = type("BoundHandler", (Handler,), {})
    listener = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    listener.daemon_threads = True
    listener.handle_error = lambda *_: None  # type: ignore[method-assign]
    listener.socket = context.wrap_socket(
        listener.socket, server_side=True, do_handshake_on_connect=False
    )
    state = Server(f"https://localhost:{listener.server_address[1]}", certificates.authority)
    handler.state = state  # type: ignore[attr-defined]
    thread = threading.Thread(target=listener.serve_forever, args=(0.02,))
    thread.start()
    yield state
    state.release.set()
    listener.shutdown()
    thread.join()
    listener.server_close()


class Monotonic:
    """A monotonic time that moves when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hands() -> Monotonic:
    return Monotonic()


class HurriedKeys(RemoteKeys):
    DEADLINE = 0.4


def land(flight: Future[None] | None) -> None:
    """Waits for a fetch that a caller is to wait for."""
    assert flight is not None
    flight.result(10)


def remote(server: Server, hands: Monotonic, **changes: Any) -> RemoteKeys:
    return HurriedKeys(server.url, ca_file=server.ca, monotonic=hands, **changes)


def test_discovery_leads_to_the_keys(server: Server, hands: Monotonic) -> None:
    server.serve_keys(ec_jwk())
    keys = remote(server, hands)
    assert not keys.available
    land(keys.refresh("key-0"))
    assert keys.problem == ""
    assert keys.find("key-0") is not None
    assert keys.refresh("key-0") is None
    assert server.seen == ["/.well-known/openid-configuration", "/keys"]


def test_a_pinned_address_needs_no_discovery(server: Server, hands: Monotonic) -> None:
    server.serve_keys(ec_jwk())
    keys = remote(server, hands, jwks_uri=f"{server.url}/keys")
    keys.fetch()
    assert keys.find("key-0") is not None
    assert server.seen == ["/keys"]


def test_a_bearer_token_is_read_anew_for_each_fetch(
    server: Server, hands: Monotonic, tmp_path: Path
) -> None:
    server.serve_keys(ec_jwk())
    file = tmp_path / "token"
    keys = remote(server, hands, jwks_uri=f"{server.url}/keys", token_file=file)
    keys.fetch()
    assert keys.problem.startswith("the issuer could not be reached")
    for token in ("one", "two"):
        file.write_text(token + "\n")
        hands.now += 30
        keys.fetch()
        assert server.headers[-1]["authorization"] == f"Bearer {token}"


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://other.example", "jwks_uri": "https://localhost/keys"},
        {"jwks_uri": "https://localhost/keys"},
        {"issuer": "{url}/", "jwks_uri": "{url}/keys"},
        {"issuer": "{url}"},
        {"issuer": "{url}", "jwks_uri": "http://localhost/keys"},
        {"issuer": "{url}", "jwks_uri": "file:///etc/passwd"},
        {"issuer": "{url}", "jwks_uri": "https://user:pass@localhost/keys"},
        {"issuer": "{url}", "jwks_uri": "/keys"},
        {"issuer": "{url}", "jwks_uri": ["{url}/keys"]},
        {"issuer": "{url}", "jwks_uri": "https://exa\x00mple/keys"},
    ],
)
def test_discovery_cannot_lead_astray(
    server: Server, hands: Monotonic, document: dict[str, Any]
) -> None:
    server.serve_keys(ec_jwk())
    text = json.dumps(document).replace("{url}", server.url)
    server.replies["/.well-known/openid-configuration"] = body(text.encode())
    keys = remote(server, hands)
    keys.fetch()
    assert not keys.available
    assert "discovery" in keys.problem
    assert server.seen == ["/.well-known/openid-configuration"]


@pytest.mark.parametrize(
    "address", ["http://localhost/keys", "file:///keys", "localhost", "", "https://"]
)
def test_addresses_without_tls_are_refused(address: str) -> None:
    with pytest.raises(ConfigurationError):
        RemoteKeys(address)
    if address:
        with pytest.raises(ConfigurationError):
            RemoteKeys("https://issuer.example", jwks_uri=address)


def test_a_missing_authority_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="authority"):
        RemoteKeys("https://issuer.example", ca_file=tmp_path / "none.pem")


def test_a_server_of_another_authority_is_not_believed(
    server: Server, hands: Monotonic, tmp_path: Path
) -> None:
    server.serve_keys(ec_jwk())
    other = ensure_certificates(tmp_path, ["localhost"], clock=SystemClock())
    keys = RemoteKeys(server.url, ca_file=other.authority, monotonic=hands)
    keys.fetch()
    assert not keys.available
    assert server.seen == []


MISBEHAVIOUR: dict[str, tuple[Reply, str]] = {
    "hang": (hang, "no answer"),
    "drip": (drip, "no answer"),
    "drip headers": (drip_headers, "no answer"),
    "giant": (giant, "larger"),
    "giant by length": (body(b" " * (MAXIMUM_DOCUMENT + 1)), "larger"),
    "cut": (cut, "reached"),
    "html": (body(b"<html>sign in</html>", content_type="text/html"), "not JSON"),
    "list": (body(b"[]"), "not an object"),
    "empty": (body(b""), "not JSON"),
    "no keys": (body(b'{"keys":[]}'), "no key"),
    "many keys": (body(json.dumps({"keys": [{}] * 33}).encode()), "more than 32"),
    "404": (status(404), "404"),
    "500": (status(500), "500"),
    "redirect": (body(b"", code=302, location="https://localhost/elsewhere"), "302"),
    "gzip": (body(b"\x1f\x8b" + bytes(100), content_encoding="gzip"), "encoding"),
}


@pytest.mark.parametrize("case", MISBEHAVIOUR)
def test_good_keys_outlive_a_misbehaving_server(
    server: Server, hands: Monotonic, case: str
) -> None:
    reply, problem = MISBEHAVIOUR[case]
    server.serve_keys(ec_jwk())
    keys = remote(server, hands)
    keys.fetch()
    server.replies["/keys"] = reply
    hands.now += 3600
    started = time.monotonic()
    land(keys.refresh("key-0"))  # the keys are due
    assert time.monotonic() - started < 3
    assert problem in keys.problem
    assert keys.find("key-0") is not None
    assert keys.refresh("key-0") is None
    assert keys.fetches == 2, "no second attempt so soon"
    server.release.set()


def test_a_server_that_is_gone_is_forgiven_for_a_day(server: Server, hands: Monotonic) -> None:
    server.serve_keys(ec_jwk())
    keys = remote(server, hands)
    keys.fetch()
    server.replies["/keys"] = status(500)
    hands.now += 86400
    keys.fetch()
    assert keys.find("key-0") is not None
    hands.now += 1
    assert keys.find("key-0") is None
    assert not keys.available
    hands.now += 30
    server.serve_keys(ec_jwk())
    keys.fetch()
    assert keys.find("key-0") is not None


def test_ten_thousand_random_names_cause_one_fetch_in_thirty_seconds(
    server: Server, hands: Monotonic
) -> None:
    server.serve_keys(ec_jwk())
    keys = remote(server, hands)
    keys.fetch()
    before = len(vars(keys))
    for number in range(10_000):
        hands.now += 0.01
        flight = keys.refresh(f"random-{number}")
        if flight is not None:
            land(flight)
    assert keys.fetches <= 1 + 10_000 * 0.01 / 30
    assert keys.fetches >= 3
    assert len(vars(keys)) == before, "nothing is remembered of the names"
    assert keys.find("key-0") is not None


def test_a_rotation_is_seen_within_thirty_seconds(server: Server, hands: Monotonic) -> None:
    server.serve_keys(ec_jwk(0))
    keys = remote(server, hands)
    keys.fetch()
    hands.now += 5
    # The worst moment: someone has just burnt the attempt with a name that does not exist.
    hands.now += 30
    land(keys.refresh("nonsense"))
    server.serve_keys(ec_jwk(0), ec_jwk(1))
    rotated = hands.now
    while keys.find("key-1") is None:
        flight = keys.refresh("key-1")
        if flight is None:
            hands.now += 1
        else:
            land(flight)
    assert hands.now - rotated <= 30
    assert keys.find("key-0") is not None


def test_a_withdrawn_key_is_forgotten(server: Server, hands: Monotonic) -> None:
    server.serve_keys(ec_jwk(0), ec_jwk(1))
    keys = remote(server, hands)
    keys.fetch()
    server.serve_keys(ec_jwk(1))
    hands.now += 3600
    land(keys.refresh("key-1"))
    assert keys.find("key-0") is None
    assert keys.find("key-1") is not None


def test_many_callers_share_one_fetch(server: Server, hands: Monotonic) -> None:
    def slow(handler: Handler) -> None:
        time.sleep(0.15)
        body(key_set(ec_jwk()))(handler)

    server.serve_keys(ec_jwk())
    server.replies["/keys"] = slow
    keys = remote(server, hands)
    found: list[bool] = []

    def ask() -> None:
        flight = keys.refresh("key-0")
        if flight is not None:
            land(flight)
        found.append(keys.find("key-0") is not None)

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 20
    assert server.seen.count("/keys") == 1


def test_the_number_of_waiting_callers_is_bounded(server: Server, hands: Monotonic) -> None:
    server.serve_keys(ec_jwk())
    server.replies["/keys"] = hang
    keys = remote(server, hands)
    keys.WAITERS = 3
    flights = [keys.refresh("key-0") for _ in range(4)]
    assert flights[0] is not None
    assert flights == [flights[0], flights[0], flights[0], None]
    server.release.set()
    land(flights[0])


def test_nobody_waits_for_an_issuer_that_did_not_answer_the_last_time(
    server: Server, hands: Monotonic
) -> None:
    server.serve_keys(ec_jwk())
    server.replies["/keys"] = hang
    keys = remote(server, hands)
    land(keys.refresh("key-0"))
    assert keys.problem == "no answer within 0.4 s"
    for attempt in range(2, 5):
        hands.now += 30
        assert [keys.refresh("key-0") for _ in range(5)] == [None] * 5
        assert keys.fetches == attempt, "one fetch at a time, while nobody waits"
        keys.fetch()  # waits for its end
    server.release.set()
    server.serve_keys(ec_jwk())
    hands.now += 30
    assert keys.refresh("key-0") is None
    keys.fetch()
    assert keys.find("key-0") is not None
    hands.now += 3600
    land(keys.refresh("key-0"))  # it answers again, so that one waits for it again


def test_a_fetch_that_outlives_its_deadline_keeps_nobody(server: Server, hands: Monotonic) -> None:
    server.serve_keys(ec_jwk())
    server.replies["/keys"] = hang
    keys = remote(server, hands)
    flight = keys.refresh("key-0")
    assert keys.refresh("key-0") is flight
    # As when the resolver of names hangs, which no deadline of ours can end.
    hands.now += keys.DEADLINE + 0.1
    assert keys.refresh("key-0") is None
    assert keys.fetches == 1
    server.release.set()
    land(flight)


@pytest.fixture
def elsewhere(certificates: TlsFiles) -> Iterator[Server]:
    """A second host: the same name with another port is another origin."""
    with serving(certificates) as state:
        yield state


def test_credentials_do_not_follow_a_discovery_document_to_another_host(
    server: Server, elsewhere: Server, hands: Monotonic, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("for the issuer alone")
    elsewhere.serve_keys(ec_jwk())
    document = {"issuer": server.url, "jwks_uri": f"{elsewhere.url}/keys"}
    server.replies["/.well-known/openid-configuration"] = body(json.dumps(document).encode())
    keys = remote(server, hands, token_file=file)
    keys.fetch()
    assert keys.find("key-0") is not None
    assert server.headers[-1]["authorization"] == "Bearer for the issuer alone"
    assert "authorization" not in elsewhere.headers[-1]
    # A host that wants them is named in the configuration.
    elsewhere.replies["/keys"] = status(401)
    hands.now += 3600
    keys.fetch()
    assert "name its address as `jwks_uri`" in keys.problem
    named = remote(server, hands, token_file=file, jwks_uri=f"{elsewhere.url}/keys")
    named.fetch()
    assert elsewhere.headers[-1]["authorization"] == "Bearer for the issuer alone"


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_credentials_do_not_follow_a_redirect(
    server: Server, elsewhere: Server, hands: Monotonic, tmp_path: Path, code: int
) -> None:
    file = tmp_path / "token"
    file.write_text("for the issuer alone")
    elsewhere.serve_keys(ec_jwk())
    server.serve_keys(ec_jwk())
    server.replies["/keys"] = body(b"", code=code, location=f"{elsewhere.url}/keys")
    keys = remote(server, hands, token_file=file)
    keys.fetch()
    assert keys.problem == f"the issuer answered {code}"
    assert elsewhere.seen == []


# Through the validator


def token(url: str, number: int, **changes: object) -> str:
    claims = {"iss": url, "aud": "vault", "exp": NOW + 600, "iat": NOW, "sub": "me"}
    return jwt.encode(
        {**claims, **changes}, EC_KEYS[number], "ES256", headers={"kid": f"key-{number}"}
    )


def validator(server: Server, keys: RemoteKeys) -> TokenValidator:
    issuer = TrustedIssuer(
        name="remote", issuer=server.url, audiences=frozenset({"vault"}), keys=keys
    )
    return TokenValidator([issuer], clock=ManualClock(NOW))


def test_a_validator_fetches_only_when_told_to(server: Server, hands: Monotonic) -> None:
    server.serve_keys(ec_jwk())
    checked = validator(server, remote(server, hands))
    good = token(server.url, 0)
    with pytest.raises(UnavailableError) as caught:
        checked.validate(good)
    assert caught.value.status == 503
    assert server.seen == []
    land(checked.refresh(good))
    assert checked.refresh(good) is None
    assert checked.validate(good).principal.object_id == "me"
    assert checked.refresh(token(server.url, 1)) is None, "the last fetch was a moment ago"
    with pytest.raises(UnauthorizedError, match="AKV10046"):
        checked.validate(token(server.url, 1))


def test_only_trusted_issuers_are_asked(server: Server, hands: Monotonic) -> None:
    server.serve_keys(ec_jwk())
    checked = validator(server, remote(server, hands))
    for stranger in (token("https://stranger.example", 0), "nonsense", ""):
        assert checked.refresh(stranger) is None
    assert server.seen == []


# The configuration


def write_keys(path: Path) -> Path:
    path.write_bytes(key_set(ec_jwk()))
    return path


def test_keys_from_a_file_need_no_network(tmp_path: Path) -> None:
    rules = IssuerSettings(
        name="cluster",
        issuer="https://kubernetes.default.svc",
        audiences=["vault"],
        jwks_file=str(write_keys(tmp_path / "keys.json")),
    ).trust()
    checked = TokenValidator([rules], clock=ManualClock(NOW))
    found = checked.validate(token(rules.issuer, 0, sub="system:serviceaccount:ns:app"))
    assert found.principal.object_id == "cluster:system:serviceaccount:ns:app"
    assert checked.refresh(token(rules.issuer, 1)) is None


def test_an_unreadable_key_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        StaticKeys.from_file(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(ConfigurationError, match="no list of keys"):
        StaticKeys.from_file(tmp_path / "bad.json")


@pytest.mark.parametrize("algorithms", [[], ["HS256"], ["none"], ["RS256", "HS512"], ["rs256"]])
def test_only_asymmetric_algorithms_can_be_configured(algorithms: list[str]) -> None:
    settings_ = IssuerSettings(
        name="x", issuer="https://x.example", audiences=["vault"], algorithms=algorithms
    )
    with pytest.raises(ConfigurationError, match="signs with"):
        settings_.trust()


def test_entra_tokens_of_both_versions_are_understood() -> None:
    tenant = "AAAAAAAA-2222-3333-4444-555555555555"
    first, second = trust_entra(tenant, frozenset({"https://vault.example"}))
    assert first.issuer == f"https://sts.windows.net/{tenant.lower()}/"
    assert second.issuer == f"https://login.microsoftonline.com/{tenant.lower()}/v2.0"
    for rules in (first, second):
        assert rules.object_id_prefix == ""
        assert rules.object_id_claims == ("oid",)
        assert rules.tenants == {tenant.lower()}
