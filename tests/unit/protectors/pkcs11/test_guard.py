import pytest

from vaultcore.errors import ProtectorUnavailableError
from vaultcore.protectors.pkcs11.guard import Guard


def refuses(guard: Guard) -> bool:
    try:
        guard.check()
    except ProtectorUnavailableError:
        return True
    return False


def missed(pause: float = 0.0) -> Guard:
    guard = Guard(pause)
    guard.miss()
    return guard


def test_a_token_that_answers_is_let_through() -> None:
    guard = Guard(0.0)
    guard.check()
    assert not guard.enter()
    assert not guard.enter(), "any number of calls at a time"
    assert not guard.wants_probe()


def test_after_a_miss_every_call_is_refused() -> None:
    guard = missed()
    for use in (guard.check, guard.enter):
        with pytest.raises(ProtectorUnavailableError, match="is not asked again"):
            use()


def test_one_caller_opens_the_token_again() -> None:
    guard = missed()
    assert guard.wants_probe()
    assert not guard.wants_probe(), "while another is at it"
    guard.opened(hangs=True, usable=False)
    assert refuses(guard)
    assert guard.wants_probe(), "when that one has given up"


def test_between_two_tries_to_open_lies_the_pause() -> None:
    guard = missed(pause=60.0)
    assert guard.wants_probe()
    guard.opened(hangs=True, usable=False)
    assert not guard.wants_probe()


def test_after_the_token_has_opened_one_call_is_the_trial() -> None:
    guard = missed()
    guard.opened(hangs=False, usable=True)
    assert guard.enter()
    assert refuses(guard), "while the trial is under way"
    with pytest.raises(ProtectorUnavailableError):
        guard.enter()
    guard.leave(answered=True)
    assert not guard.enter()
    assert not guard.enter()


def test_a_trial_that_was_not_answered_is_repeated() -> None:
    guard = missed()
    guard.opened(hangs=False, usable=True)
    assert guard.enter()
    guard.leave(answered=False)
    assert guard.enter(), "the next call is a trial too"
    guard.miss()
    guard.leave(answered=False)
    assert refuses(guard)


def test_a_late_answer_does_not_undo_a_miss() -> None:
    guard = missed()
    guard.opened(hangs=False, usable=True)
    assert guard.enter()
    guard.miss()
    guard.leave(answered=True)
    assert refuses(guard)


def test_a_token_that_refuses_at_once_does_not_hang() -> None:
    guard = missed()
    guard.opened(hangs=False, usable=False)
    assert not guard.enter(), "calls have the refusal of the token itself"
