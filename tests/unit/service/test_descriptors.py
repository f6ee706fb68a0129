"""The descriptors of a worker are divided so that accepting never runs out of them."""

import pytest

from vaultcore.service.descriptors import OWN, opened, plan


@pytest.mark.parametrize("hard", [512, 1024, 4096, 20_000, 524_288])
def test_there_is_room_for_what_waits_twice_and_for_what_is_being_closed(hard: int) -> None:
    found = plan(hard, 40, 10_000)
    assert found.hard == hard
    assert found.soft + 2 * found.backlog < found.hard
    assert (found.connections + 40 + OWN) * 4 / 3 < found.soft + OWN
    assert found.connections >= hard // 3 or found.connections == 10_000


def test_the_usual_hard_limit_allows_what_the_configuration_does() -> None:
    assert plan(20_000, 40, 10_000).connections == 10_000
    assert plan(524_288, 40, 300).connections == 300


def test_open_descriptors_are_counted() -> None:
    before = opened()
    with open("/dev/null", "rb"):  # noqa: PTH123 - one descriptor
        assert opened() == before + 1
    assert opened() == before
