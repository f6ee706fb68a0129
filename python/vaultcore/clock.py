"""The one source of time.

All code that needs the time gets a clock, so that a test can set it.
"""

import time
from typing import Protocol


class Clock(Protocol):
    """Returns the time."""

    def now(self) -> float:
        """Returns the seconds since the Unix epoch."""
        ...


class SystemClock:
    """The clock of the operating system."""

    # The function itself: every request and every record asks for the time.
    now = staticmethod(time.time)


class ManualClock:
    """A clock that moves only when it is told to.

    Args:
        start: seconds since the Unix epoch.
    """

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._now = start

    def now(self) -> float:
        """Returns the seconds since the Unix epoch."""
        return self._now

    def set(self, now: float) -> None:
        """Sets the clock, forwards or backwards, to seconds since the Unix epoch."""
        self._now = now

    def advance(self, seconds: float) -> None:
        """Moves the clock by a number of seconds."""
        self._now += seconds
