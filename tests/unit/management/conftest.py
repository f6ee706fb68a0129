"""What was recorded since a test asked last."""

from typing import Any

import pytest

from unit.management.recording import Records, recorded
from vaultcore import Engine


@pytest.fixture
def records(engine: Engine) -> Records:
    """Returns what was recorded since it was last asked."""
    seen = len(recorded(engine))

    def since() -> list[dict[str, Any]]:
        nonlocal seen
        found = recorded(engine)[seen:]
        seen += len(found)
        return found

    return since
