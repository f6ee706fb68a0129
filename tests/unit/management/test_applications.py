"""Applications as an administrator sees them: a secret is shown once, and never again."""

import json

import pytest

from vaultcore import Engine
from vaultcore.errors import NotFoundError

SHOWN_ONCE = {
    "name",
    "client_id",
    "client_secret",
    "object_id",
    "tenant_id",
    "secret_id",
    "expires",
}


def test_a_secret_is_shown_when_it_is_made_and_never_again(engine: Engine) -> None:
    made = engine.management.app_create(name="web")
    assert set(made) == SHOWN_ONCE
    (listed,) = engine.management.app_list()
    assert made["client_secret"] not in json.dumps(listed)
    assert {key: listed[key] for key in ("name", "client_id", "object_id", "tenant_id")} == {
        key: made[key] for key in ("name", "client_id", "object_id", "tenant_id")
    }
    (secret,) = listed["secrets"]
    assert secret == {
        "id": made["secret_id"],
        "hint": made["client_secret"][:3],
        "created": int(engine.clock.now()),
        "expires": made["expires"],
    }


def test_a_second_secret_stands_beside_the_first_until_one_is_removed(engine: Engine) -> None:
    first = engine.management.app_create(name="web")
    second = engine.management.app_add_secret(name="web")
    assert set(second) == SHOWN_ONCE
    assert second["client_secret"] != first["client_secret"]
    authenticate = engine.issuer.applications.authenticate
    for made in (first, second):
        assert authenticate(made["client_id"], made["client_secret"])
    left = engine.management.app_remove_secret(name="web", id=first["secret_id"])
    assert [secret["id"] for secret in left["secrets"]] == [second["secret_id"]]
    assert authenticate(first["client_id"], first["client_secret"]) is None
    assert authenticate(second["client_id"], second["client_secret"])
    with pytest.raises(NotFoundError, match="no such secret"):
        engine.management.app_remove_secret(name="web", id=first["secret_id"])


def test_one_that_was_removed_is_shown_as_it_was(engine: Engine) -> None:
    made = engine.management.app_create(name="web")
    assert engine.management.app_delete(name=made["client_id"])["name"] == "web"
    assert engine.management.app_list() == []
    assert engine.issuer.applications.authenticate(made["client_id"], made["client_secret"]) is None
