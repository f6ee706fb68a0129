"""Keys that are fetched from an issuer: rarely, in bounded time, not lost to a bad answer."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from unit.access.key_server import (
    Handler,
    Monotonic,
    Reply,
    Server,
    body,
    cut,
    drip,
    drip_headers,
    giant,
    hang,
    land,
    remote,
    serving,
    status,
)
from unit.access.key_sets import NOW, ec_jwk, key_set, token
from vaultcore.access.jwks import (
    MAXIMUM_DOCUMENT,
)
from vaultcore.access.remote_keys import RemoteKeys
from vaultcore.access.tokens import TokenValidator
from vaultcore.access.trust import TrustedIssuer
from vaultcore.clock import ManualClock, SystemClock
from vaultcore.errors import ConfigurationError, UnauthorizedError, UnavailableError
from vaultcore.service.development.authority import TlsFiles, ensure_certificates


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return ensure_certificates(tmp_path_factory.mktemp("tls"), ["localhost"], clock=SystemClock())


@pytest.fixture
def server(certificates: TlsFiles) -> Iterator[Server]:
    with serving(certificates) as state:
        yield state


@pytest.fixture
def hands() -> Monotonic:
    return Monotonic()


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
    for bearer in ("one", "two"):
        file.write_text(bearer + "\n")
        hands.now += 30
        keys.fetch()
        assert server.headers[-1]["authorization"] == f"Bearer {bearer}"


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
