"""The groups of an application hold from its next request on, with the token that it has."""

import pytest

import vaultcore
from unit.service.running import DOMAIN, Service
from vaultcore import Engine
from vaultcore.errors import ForbiddenError, NotFoundError

GROUP = "0a0a0a0a-1111-2222-3333-44444444abcd"
OTHER = "0b0b0b0b-1111-2222-3333-44444444abcd"
LINE = b"GET /secrets/shared?api-version=7.4 HTTP/1.1"
HOST = b"Host: dev." + DOMAIN.encode()


@pytest.fixture
def shared(service: Service) -> Service:
    """A secret that the group may read, and an application in no group."""
    engine = service.engine
    engine.vault("dev").acting_as(engine.administrator()).secrets.set("shared", "v")
    engine.management.access_set(vault="dev", principal=GROUP, secret_permissions=["get"])
    return service


def header(service: Service) -> bytes:
    made = service.engine.management.app_create(name="web")
    return service.bearer(made["client_id"], made["client_secret"])


def test_a_running_service_honours_groups_for_the_next_request(shared: Service) -> None:
    bearer = header(shared)

    def asked() -> int:
        return shared.ask(LINE, HOST, bearer).status

    assert asked() == 403
    # Another process does it, as the command line does.
    with vaultcore.open(shared.engine.data, housekeeping=False) as other:
        for groups, status in (([OTHER, GROUP.upper()], 200), ([OTHER], 403), ([GROUP], 200)):
            other.management.app_set_groups(name="web", groups=groups)
            assert asked() == status, groups
        other.management.app_set_groups(name="web", groups=[])
        assert asked() == 403
    changes = [r for r in shared.records() if r["operationName"] == "ApplicationGroupsPut"]
    assert [r["properties"]["groups"] for r in changes] == [
        f"{OTHER} {GROUP.upper()}",
        OTHER,
        GROUP,
        "",
    ]


def test_a_caller_in_process_with_a_token_is_in_the_groups_of_now(shared: Service) -> None:
    engine: Engine = shared.engine
    token = header(shared).decode().rpartition(" ")[2]
    secrets = engine.vault("dev").acting_as(token).secrets
    with pytest.raises(ForbiddenError):
        secrets.get("shared")
    engine.management.app_set_groups(name="web", groups=[GROUP])
    assert secrets.get("shared").value == "v"
    engine.management.app_set_groups(name="web", groups=[])
    with pytest.raises(ForbiddenError):
        secrets.get("shared")


def test_an_application_that_is_not_there_has_no_groups(engine: Engine) -> None:
    with pytest.raises(NotFoundError):
        engine.management.app_set_groups(name="nobody", groups=[GROUP])
