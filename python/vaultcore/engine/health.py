"""How an open folder is: whether it serves, and what fails, in words that anybody may read."""

from typing import TYPE_CHECKING, Final, NamedTuple

from vaultcore.errors import VaultcoreError

if TYPE_CHECKING:
    from vaultcore.engine.engine import Engine

#: What keeps every request from being answered; whatever else fails concerns a part.
_FATAL: Final = frozenset({"audit", "housekeeping", "storage"})


class Health(NamedTuple):
    """How it is.

    Attributes:
        serves: whether requests are answered.
        reasons: what fails, in a word each: ``audit`` (nothing can be recorded), ``storage`` (the
            database cannot be read, or its file was moved), ``checkpoint`` (the audit log cannot be
            signed), ``housekeeping`` (a thread has ended), ``purge`` and ``issuer`` (this duty
            fails), ``clock`` (the clock has jumped, so that nothing is purged), ``token`` (keys in
            the token cannot be used), ``protector`` (one of them cannot be opened).
    """

    serves: bool
    reasons: list[str]


def health(engine: "Engine") -> Health:
    """Returns how an open folder is; costs no more than a request, whoever asks."""
    housekeeper = engine.housekeeper
    reasons = set(housekeeper.failing)
    if not housekeeper.alive:
        reasons.add("housekeeping")
    if engine.audit.problem is not None:
        reasons.add("audit")
    if not housekeeper.refusing:
        try:
            engine.synchronise()
        except VaultcoreError:
            reasons.add("storage")
    if engine.purge_time.doubted:
        reasons.add("clock")
    if housekeeper.absent:
        reasons.add("protector")
    if housekeeper.token is not None and not housekeeper.token.available:
        reasons.add("token")
    return Health(not (housekeeper.refusing or reasons & _FATAL), sorted(reasons))
