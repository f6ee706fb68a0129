"""What `az login` asks of the management plane before it believes a login."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from driver import DOMAIN, unique

if TYPE_CHECKING:
    import httpx
    from driver import Service

MANAGEMENT = f"management.{DOMAIN}"


def ask(api: Service, token: str | None) -> httpx.Response:
    return api.http.get(
        f"https://{MANAGEMENT}:{api.port}/subscriptions?api-version=2022-12-01",
        headers={} if token is None else {"authorization": f"Bearer {token}"},
    )


def test_any_application_has_no_subscriptions_and_is_on_record(api: Service) -> None:
    made = api.manage("app.create", name=unique("app"))
    token = api.token(made["client_id"], made["client_secret"], MANAGEMENT)
    before = api.record_count()
    answer = ask(api, token)
    assert (answer.status_code, answer.json()) == (200, {"value": []})
    (record,) = api.records(before)
    assert record["operationName"] == "SubscriptionList"
    assert record["properties"]["httpStatusCode"] == 200
    assert made["object_id"] in str(record["identity"])


@pytest.mark.parametrize("kind", ["none", "of the vaults", "nonsense"])
def test_without_a_token_of_the_plane_nobody_is_answered(api: Service, kind: str) -> None:
    token = {"none": None, "of the vaults": api.admin, "nonsense": "x.y.z"}[kind]
    before = api.record_count()
    answer = ask(api, token)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "Unauthorized"
    assert f'resource="https://{MANAGEMENT}:{api.port}"' in answer.headers["www-authenticate"]
    (record,) = api.records(before)
    status = record["properties"]["httpStatusCode"]
    assert (record["operationName"], status) == ("Authentication", 401)
