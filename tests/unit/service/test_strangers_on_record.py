"""What strangers leave in the audit log of a running service, and whose address it names."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import vaultcore
from unit.service.running import DOMAIN, Service, read
from vaultcore import Engine
from vaultcore.access.proxies import Proxies
from vaultcore.audit.verifier import verify
from vaultcore.engine.strangers import AT_ONCE, OPERATION

VAULT = b"Host: dev." + DOMAIN.encode()
ISSUER = b"Host: login." + DOMAIN.encode()
MANAGEMENT = b"Host: management." + DOMAIN.encode()
NOWHERE = b"Host: nowhere.example"
AGENT = b"User-Agent: " + b"u" * 500


@pytest.fixture
def engine(tmp_path: Path) -> Any:
    with vaultcore.create(tmp_path / "data") as made:
        made.management.vault_create(name="dev")
        yield made


def flood(service: Service, count: int, *lines: bytes) -> Counter[int]:
    """Sends requests without a token over one connection, many at a time."""
    found: Counter[int] = Counter()
    head = b"\r\n".join(lines) + b"\r\n\r\n"
    with service.connect() as connection:
        for _ in range(count):
            connection.sendall(head)
            found[read(connection).status] += 1
    return found


def test_a_flood_of_strangers_leaves_a_bounded_log_that_tells_of_all(
    service: Service, engine: Engine
) -> None:
    path = b"/" + b"a" * 2000
    before = len(service.records())
    answered = flood(service, 600, b"GET " + path + b" HTTP/1.1", VAULT, AGENT)
    answered += flood(service, 100, b"POST /v1/vault.list HTTP/1.1", MANAGEMENT, AGENT)
    answered += flood(service, 100, b"POST /adfs/oauth2/token HTTP/1.1", ISSUER, AGENT)
    answered += flood(service, 100, b"GET /adfs/discovery/keys HTTP/1.1", ISSUER, AGENT)
    answered += flood(service, 100, b"GET / HTTP/1.1", NOWHERE, AGENT)
    engine.count_strangers(everything=True)
    records = [r for r in service.records()[before:] if r["operationName"] != "InstallationPut"]
    summaries = [record for record in records if record["operationName"] == OPERATION]
    single = [record for record in records if record["operationName"] != OPERATION]
    told = Counter(record["properties"]["httpStatusCode"] for record in single)
    for summary in summaries:
        for pair in summary["properties"]["statuses"].split():
            status, _, count = pair.partition(":")
            told[int(status)] += int(count)
    assert told == answered
    assert answered.total() == 1000
    assert len(single) <= AT_ONCE + 2
    announced = [r for r in single if r["properties"].get("countingBegan")]
    assert len(announced) == len(summaries) >= 1
    assert announced[0]["callerIpAddress"] == summaries[0]["callerIpAddress"] == "127.0.0.1"
    assert sum(s["properties"]["count"] for s in summaries) == 1000 - len(single)


def test_a_caller_with_a_token_is_never_counted(service: Service, engine: Engine) -> None:
    made = engine.management.app_create(name="reader")
    token = service.bearer(made["client_id"], made["client_secret"])
    flood(service, AT_ONCE + 20, b"GET /secrets HTTP/1.1", VAULT)
    before = len(service.records())
    # He may do nothing, so that each answer is a refusal, from the address of the flood.
    answered = flood(service, 100, b"GET /secrets/a?api-version=7.4 HTTP/1.1", VAULT, token)
    assert answered == {403: 100}
    records = [r for r in service.records()[before:] if r["identity"]]
    assert len(records) == 100


def test_what_was_counted_is_told_at_the_end(tmp_path: Path) -> None:
    engine = vaultcore.create(tmp_path / "closing", housekeeping=False)
    engine.management.vault_create(name="dev")
    service = Service(engine)
    flood(service, AT_ONCE + 50, b"GET /secrets HTTP/1.1", VAULT)
    service.stop()
    key = engine.audit.public_key()
    engine.close()
    (summary,) = [r for r in service.records() if r["operationName"] == OPERATION]
    assert summary["properties"]["count"] == 49
    assert summary["properties"]["vaults"] == "dev"
    assert summary["identity"] == {}
    assert key is not None
    assert verify(tmp_path / "closing" / "audit", key).ok


# proxies


def ask(service: Service, *headers: bytes) -> dict[str, Any]:
    service.ask(b"GET /secrets HTTP/1.1", VAULT, *headers)
    return service.records()[-1]


def test_a_strangers_word_for_his_address_counts_for_nothing(service: Service) -> None:
    record = ask(service, b"X-Forwarded-For: 10.1.1.1", b"Forwarded: for=10.1.1.1")
    assert record["callerIpAddress"] == "127.0.0.1"
    assert "peerIpAddress" not in record["properties"]


def test_a_trusted_proxy_tells_the_clients_address(engine: Engine) -> None:
    service = Service(engine, proxies=Proxies(["127.0.0.1"]))
    try:
        record = ask(service, b"X-Forwarded-For: 10.1.1.1, 203.0.113.9")
        assert record["callerIpAddress"] == "203.0.113.9"
        assert record["properties"]["peerIpAddress"] == "127.0.0.1"
        record = ask(service)
        assert record["callerIpAddress"] == "unknown"
        assert record["properties"]["peerIpAddress"] == "127.0.0.1"

        made = engine.management.app_create(name="boss")
        engine.management.access_administrator(principal="boss")
        token = service.bearer(made["client_id"], made["client_secret"], f"management.{DOMAIN}")
        from_there = b"X-Forwarded-For: 203.0.113.9"
        said = service.ask(
            b"POST /v1/vault.list HTTP/1.1", MANAGEMENT, token, from_there, b"Content-Length: 0"
        )
        assert said.status == 200
        record = service.records()[-1]
        assert record["operationName"] == "VaultList"
        assert record["callerIpAddress"] == "203.0.113.9"
        assert record["properties"]["peerIpAddress"] == "127.0.0.1"
    finally:
        service.stop()


def test_the_firewall_goes_by_the_clients_address(engine: Engine) -> None:
    engine.management.firewall_set(vault="dev", default_action="Deny")
    engine.management.firewall_add(vault="dev", address="127.0.0.0/8")
    engine.management.firewall_add(vault="dev", address="203.0.113.9")
    service = Service(engine, proxies=Proxies(["127.0.0.1"]))
    try:

        def status(*headers: bytes) -> int:
            secrets = b"GET /secrets?api-version=7.4 HTTP/1.1"
            return service.ask(secrets, VAULT, b"Authorization: Bearer a.b.c", *headers).status

        assert status(b"X-Forwarded-For: 203.0.113.9") == 401
        assert status(b"X-Forwarded-For: 203.0.113.10") == 403
        assert status(b"X-Forwarded-For: 203.0.113.9, 198.51.100.1") == 403
        # The proxy's own address is allowed; who it does not tell of is not.
        assert status() == 403
        assert status(b"X-Forwarded-For: nonsense") == 403
    finally:
        service.stop()


KILLED = """
import os, signal, sys
import vaultcore
from unit.service.running import Service
from unit.service.test_strangers_on_record import VAULT, flood
engine = vaultcore.create(sys.argv[1])
engine.management.vault_create(name="dev")
service = Service(engine)
flood(service, int(sys.argv[2]), b"GET /secrets HTTP/1.1", VAULT)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_leaves_word_that_it_was_counting(tmp_path: Path) -> None:
    tests = Path(__file__).parents[2]
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "data"), str(AT_ONCE + 30)],
        env={**os.environ, "PYTHONPATH": str(tests)},
        check=False,
        timeout=60,
    )
    assert ended.returncode == -signal.SIGKILL
    log = (tmp_path / "data" / "audit" / "audit.jsonl").read_bytes().splitlines()
    records = [json.loads(line) for line in log]
    anonymous = [r for r in records if r["operationName"] == "Authentication"]
    assert len(anonymous) == AT_ONCE + 1
    assert [r for r in records if r["properties"].get("countingBegan")] == anonymous[-1:]
    assert not [r for r in records if r["operationName"] == OPERATION]
    with vaultcore.open(tmp_path / "data") as engine:
        assert engine.management.audit_verify()["ok"]
