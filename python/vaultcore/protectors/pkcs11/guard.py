"""Keeps calls from a token that hangs, until it answers again. Service side."""

import enum
import threading
import time

from vaultcore.errors import ProtectorUnavailableError


class _State(enum.Enum):
    ANSWERS = enum.auto()
    HANGS = enum.auto()
    OPEN_AGAIN = enum.auto()


class Guard:
    """Remembers a missed deadline. Safe to use from any number of threads.

    After a miss, every call is refused at once. When the token has opened again, one call is
    allowed as a trial, because a token that opens may still hang when it is used; if the trial is
    answered, all calls are allowed.

    Args:
        pause: seconds between two attempts to open the token.
    """

    def __init__(self, pause: float) -> None:
        self._pause = pause
        self._lock = threading.Lock()
        self._state = _State.ANSWERS
        self._trial = False
        self._probing = False
        self._next_probe = 0.0

    def check(self) -> None:
        """Refuses what `enter` would refuse.

        Raises:
            ProtectorUnavailableError: the token has missed a deadline and not answered since.
        """
        with self._lock:
            if self._state is _State.HANGS or self._trial:
                raise _refused()

    def enter(self) -> bool:
        """Allows a call, and returns whether it is the trial.

        Raises:
            ProtectorUnavailableError: the token has missed a deadline and not answered since.
        """
        with self._lock:
            if self._state is _State.HANGS or self._trial:
                raise _refused()
            self._trial = self._state is _State.OPEN_AGAIN
            return self._trial

    def leave(self, *, answered: bool) -> None:
        """Ends the trial; one that was not answered is repeated by the next call."""
        with self._lock:
            self._trial = False
            if answered and self._state is _State.OPEN_AGAIN:
                self._state = _State.ANSWERS

    def miss(self) -> None:
        """Notes that a deadline was missed."""
        with self._lock:
            self._state = _State.HANGS

    def opened(self, *, hangs: bool, usable: bool) -> None:
        """Notes the result of an attempt to open the token.

        Args:
            hangs: whether it missed the deadline again.
            usable: whether it is open. A token that refuses at once does not hang: the calls may
                get that refusal.
        """
        with self._lock:
            self._probing = False
            self._next_probe = time.monotonic() + self._pause
            if not hangs and self._state is _State.HANGS:
                self._state = _State.OPEN_AGAIN if usable else _State.ANSWERS

    def wants_probe(self) -> bool:
        """Returns whether the caller is to try to open the token, and then report the result."""
        with self._lock:
            due = self._state is _State.HANGS and not self._probing
            self._probing = self._probing or (due and time.monotonic() >= self._next_probe)
            return due and self._probing


def _refused() -> ProtectorUnavailableError:
    return ProtectorUnavailableError(
        "the token did not answer in time and is not asked again until it has opened; try again "
        "later"
    )
