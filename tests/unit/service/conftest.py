"""A running service for each test that asks for one."""

from collections.abc import Iterator

import pytest

from unit.service.running import Service
from vaultcore import Engine


@pytest.fixture
def service(engine: Engine) -> Iterator[Service]:
    made = Service(engine)
    yield made
    made.stop()
