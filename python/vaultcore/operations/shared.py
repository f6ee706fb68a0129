"""The operations that every kind of object has (contract sections 1 and 9)."""

from collections.abc import Callable
from typing import Any

import msgspec

from vaultcore._core import MAX_RESULTS
from vaultcore.objects import backup as backups
from vaultcore.objects.attributes import Page, Version
from vaultcore.objects.lifecycle import Work
from vaultcore.operations.action import Action, Nothing
from vaultcore.operations.request import Request


class ListPage(msgspec.Struct, frozen=True):
    """A page of a list, as requested.

    Attributes:
        marker: where the page starts: :attr:`Page.marker` of the previous page; the empty string
            for the first page.
        limit: how many items at most.
    """

    marker: str = ""
    limit: int = MAX_RESULTS


class Restore(msgspec.Struct, frozen=True, rename={"blob": "value"}):
    """The backup to restore.

    Attributes:
        blob: what a backup returned.
    """

    blob: bytes


def _delete(request: Request, _: Nothing) -> Work[Version]:
    work: Work[Version] = request.rules.delete(request.asked.canonical_name)
    return work


def _recover(request: Request, _: Nothing) -> Work[Version]:
    work: Work[Version] = request.rules.recover(request.asked.canonical_name)
    return work


def _get_deleted(request: Request, _: Nothing) -> Version:
    rules = request.rules
    found: Version = rules.describe(*rules.find_deleted(rules.store, request.asked.canonical_name))
    return found


def _purge(request: Request, _: Nothing) -> Work[Any]:
    work: Work[Any] = request.rules.purge(request.asked.canonical_name)
    return work


def _left_by_purge(request: Request, versions: Any) -> Callable[[], None] | None:
    left: Callable[[], None] | None = request.rules.discard(versions, request.asked.canonical_name)
    return left


def _backup(request: Request, _: Nothing) -> bytes:
    return backups.backup(request.rules, request.asked.canonical_name)


def _restore(request: Request, arguments: Restore) -> Work[Version]:
    return backups.restore(request.rules, arguments.blob)


def _list(request: Request, arguments: ListPage) -> Page:
    page: Page = request.rules.list_current(
        deleted=False, after=arguments.marker, limit=arguments.limit
    )
    return page


def _list_deleted(request: Request, arguments: ListPage) -> Page:
    page: Page = request.rules.list_current(
        deleted=True, after=arguments.marker, limit=arguments.limit
    )
    return page


def _list_versions(request: Request, arguments: ListPage) -> Page:
    page: Page = request.rules.list_versions(
        request.asked.canonical_name,
        before=int(arguments.marker) if arguments.marker else None,
        limit=arguments.limit,
    )
    return page


def shared_actions(noun: str) -> dict[str, Action]:
    """Returns the operations that every kind has.

    Args:
        noun: the noun of the kind, for example ``Secret``.
    """
    return {
        f"{noun}Delete": Action(_delete, writes=True),
        f"{noun}Recover": Action(_recover, writes=True),
        f"{noun}GetDeleted": Action(_get_deleted),
        f"{noun}Purge": Action(_purge, writes=True, left=_left_by_purge, status=204),
        f"{noun}Backup": Action(_backup, lasts=True),
        f"{noun}Restore": Action(_restore, Restore, writes=True),
        f"{noun}List": Action(_list, ListPage),
        f"{noun}ListDeleted": Action(_list_deleted, ListPage),
        f"{noun}ListVersions": Action(_list_versions, ListPage),
    }
