"""Access policies: what a principal may do in a vault (contract section 6.3)."""

from collections.abc import Iterable, Sized
from typing import Final

import msgspec

from vaultcore._core import permission_names
from vaultcore.errors import BadParameterError

#: Policies of one vault, and the longest id in one.
MAXIMUM_POLICIES: Final = 1024
_MAXIMUM_ID: Final = 128
#: Every permission of a kind except ``purge``, which must be named.
ALL: Final = "all"


def _canonical() -> dict[str, dict[str, str]]:
    kinds: dict[str, dict[str, str]] = {}
    for permission in permission_names():
        kind, _, right = permission.partition("/")
        kinds.setdefault(kind, {ALL: ALL})[right.lower()] = right
    return kinds


#: For each kind, the permissions by their lower-case name; ``all`` among them.
PERMISSIONS: Final = _canonical()


class AccessPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What one principal may do.

    Attributes:
        object_id: the user, service principal or group.
        application_id: if given, the policy applies only when acting through this application.
        keys: permissions on keys.
        secrets: permissions on secrets.
        certificates: permissions on certificates.
        storage: permissions on storage accounts: stored for clients that set them, never used.
    """

    object_id: str
    application_id: str | None = None
    keys: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    certificates: tuple[str, ...] = ()
    storage: tuple[str, ...] = ()

    def check(self) -> None:
        """Checks what the types cannot express.

        Raises:
            BadParameterError: An id is empty or too long, or a permission does not exist.
        """
        _check_id(self.object_id, "object id")
        if self.application_id is not None:
            _check_id(self.application_id, "application id")
        for kind, rights in self._rights():
            for right in rights:
                if right.lower() not in PERMISSIONS[kind]:
                    known = ", ".join(sorted(PERMISSIONS[kind].values()))
                    raise BadParameterError(f"a permission on {kind} is one of {known}")

    def permissions(self) -> list[str]:
        """Returns the permissions in the gate's form, for example ``secrets/get``.

        Raises:
            BadParameterError: A permission does not exist.
        """
        self.check()
        return [
            f"{kind}/{PERMISSIONS[kind][right.lower()]}"
            for kind, rights in self._rights()
            for right in rights
        ]

    def _rights(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        return (
            ("keys", self.keys),
            ("secrets", self.secrets),
            ("certificates", self.certificates),
            ("storage", self.storage),
        )


def flatten(policies: Iterable[AccessPolicy]) -> list[tuple[str, str, list[str]]]:
    """Returns policies in the form of ``Gate.set_vault``.

    Raises:
        BadParameterError: A policy is malformed, or there are too many.
    """
    flat = [(p.object_id, p.application_id or "", p.permissions()) for p in policies]
    check_number(flat)
    return flat


def check_number(policies: Sized) -> None:
    """Checks that a vault does not have too many policies.

    Raises:
        BadParameterError: it has.
    """
    if len(policies) > MAXIMUM_POLICIES:
        raise BadParameterError(f"a vault has at most {MAXIMUM_POLICIES} access policies")


def _check_id(text: str, what: str) -> None:
    if not 0 < len(text) <= _MAXIMUM_ID or not text.isascii() or not text.isprintable():
        raise BadParameterError(f"an {what} is 1 to {_MAXIMUM_ID} printable ASCII characters")
