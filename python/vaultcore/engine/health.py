"""The health of an open folder: whether it serves, and what fails, in words for anybody."""

from typing import TYPE_CHECKING, Final, NamedTuple

from vaultcore.errors import VaultcoreError

if TYPE_CHECKING:
    from vaultcore.engine.engine import Engine

#: The failures that prevent every answer; any other failure affects a part.
_FATAL: Final = frozenset({"audit", "housekeeping", "storage"})


class Health(NamedTuple):
    """The health of a folder.

    Attributes:
        serves: whether requests are answered.
        reasons: what fails, in a word each: ``audit`` (nothing can be recorded), ``storage`` (the
            database cannot be read, or its file was moved), ``checkpoint`` (the audit log cannot be
            signed), ``housekeeping`` (a thread has ended), ``purge`` and ``issuer`` (this duty
            fails), ``clock`` (the clock has jumped, so nothing is purged), ``token`` (keys in the
            HSM cannot be used), ``protector`` (one of them cannot be opened).
    """

    serves: bool
    reasons: list[str]


def health(engine: "Engine") -> Health:
    """Returns the health of an open folder; it costs no more than a request, whoever calls it."""
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
