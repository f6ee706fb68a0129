"""What calls in process return."""

import copy
import pickle
from typing import Any

import pytest

from vaultcore import Engine


@pytest.fixture
def vault(engine: Engine) -> Any:
    return engine.vault("dev").acting_as(engine.administrator())


def test_the_value_is_in_no_repr_and_no_pickle(vault: Any) -> None:
    vault.secrets.set("a", "canary")
    secret = vault.secrets.get("a")
    assert "canary" not in f"{secret!r} {secret!s}"
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            attempt(secret)
