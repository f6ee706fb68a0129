"""What whoever watches the process is told: on every host, without a token, in general words."""

import json

import pytest

from unit.service.running import DOMAIN, Service
from vaultcore.errors import AuditError

HOSTS = [f"dev.{DOMAIN}", f"login.{DOMAIN}", f"management.{DOMAIN}", "strange.example", "10.0.0.1"]


def ask(service: Service, path: str, host: str = HOSTS[0]) -> tuple[int, object]:
    answer = service.ask(f"GET {path} HTTP/1.1".encode(), f"Host: {host}".encode())
    return answer.status, json.loads(answer.body)


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz"])
@pytest.mark.parametrize("host", HOSTS)
def test_every_host_answers_without_a_record(service: Service, path: str, host: str) -> None:
    before = service.records()
    assert ask(service, path, host) == (200, {"status": "ok", "reasons": []})
    assert service.records() == before


def test_a_database_that_was_moved_is_not_ready_and_lives(service: Service) -> None:
    place = service.engine.data / "vaultcore.db"
    place.rename(service.engine.data / "elsewhere")
    service.engine.housekeeper.storage.do()
    for path in ("/readyz", "/healthz"):
        assert ask(service, path) == (503, {"status": "unavailable", "reasons": ["storage"]})
    assert ask(service, "/livez") == (200, {"status": "ok", "reasons": []})
    (service.engine.data / "elsewhere").rename(place)
    service.engine.housekeeper.storage.do()
    assert ask(service, "/readyz") == (200, {"status": "ok", "reasons": []})


def test_an_audit_log_that_was_moved_is_not_ready_until_it_is_back(service: Service) -> None:
    folder = service.engine.data / "audit"
    folder.rename(service.engine.data / "elsewhere")
    answer = service.ask(b"GET /secrets HTTP/1.1", f"Host: {HOSTS[0]}".encode())
    assert answer.status == 503
    service.engine.housekeeper.checkpoint.do()
    status, body = ask(service, "/readyz")
    assert (status, body) == (503, {"status": "unavailable", "reasons": ["audit", "checkpoint"]})
    (service.engine.data / "elsewhere").rename(folder)
    # Nobody sends requests to a service that is not ready: it finds out by itself.
    service.engine.housekeeper.checkpoint.do()
    assert ask(service, "/readyz") == (200, {"status": "ok", "reasons": []})


def test_a_duty_that_fails_is_told_and_requests_still_come(service: Service) -> None:
    purge = next(d for d in service.engine.housekeeper._duties if d.name == "purge")

    def fail() -> None:
        raise AuditError("no")

    purge._act = fail
    purge.do()
    assert ask(service, "/readyz") == (200, {"status": "degraded", "reasons": ["purge"]})


def test_no_token_is_given_while_nothing_is_signed(service: Service) -> None:
    service.engine.feed.refuse("nothing for now")
    login = service.ask(b"GET /adfs/discovery/keys HTTP/1.1", f"Host: {HOSTS[1]}".encode())
    assert login.status == 503
    service.engine.feed.accept()
    login = service.ask(b"GET /adfs/discovery/keys HTTP/1.1", f"Host: {HOSTS[1]}".encode())
    assert login.status == 200
