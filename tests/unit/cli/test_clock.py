"""`vaultcore clock`."""

from unit.cli.terminal import Terminal


def test_a_clock_that_is_confirmed_is_shown_as_a_date(terminal: Terminal) -> None:
    assert terminal.lines("clock", "confirm") == [["clock", "2023-11-14T22:13:20Z"]]
    assert terminal.answer("clock", "confirm") == {"clock": 1_700_000_000}
