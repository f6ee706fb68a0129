"""The operations of secrets (contract section 1.1)."""

from typing import Final

import msgspec

from vaultcore.objects.attributes import Attributes, Version
from vaultcore.objects.lifecycle import Work
from vaultcore.operations.action import Action, Nothing
from vaultcore.operations.request import Request
from vaultcore.operations.results import Revealed, Stored


class SetSecret(msgspec.Struct, frozen=True, rename="camel"):
    """A new version of a secret; its value is not shown in ``repr``."""

    value: str
    content_type: str | None = None
    attributes: Attributes | None = None
    tags: dict[str, str] | None = None

    def __repr__(self) -> str:
        return "SetSecret()"


class UpdateSecret(msgspec.Struct, frozen=True, rename="camel"):
    """The attributes of a version; those that are None do not change."""

    content_type: str | None = None
    attributes: Attributes | None = None
    tags: dict[str, str] | None = None


def _get(request: Request, _: Nothing) -> Revealed:
    # The hot path: only the value is opened.
    asked, rules = request.asked, request.state.rules["secrets"]
    found = rules.load(asked.canonical_name, asked.version)
    return Revealed(found, rules.reveal(found))


def _set(request: Request, arguments: SetSecret) -> Work[Stored]:
    work: Work[Version] = request.rules.set(
        request.asked.object_name,
        request.asked.canonical_name,
        arguments.value,
        content_type=arguments.content_type,
        attributes=arguments.attributes,
        tags=arguments.tags,
    )
    return lambda transaction: Stored(work(transaction), arguments.value)


def _update(request: Request, arguments: UpdateSecret) -> Work[Version]:
    work: Work[Version] = request.rules.update(
        request.asked.canonical_name,
        request.asked.version,
        content_type=arguments.content_type,
        attributes=arguments.attributes,
        tags=arguments.tags,
    )
    return work


ACTIONS: Final[dict[str, Action]] = {
    "SecretGet": Action(_get),
    "SecretSet": Action(_set, SetSecret, writes=True),
    "SecretUpdate": Action(_update, UpdateSecret, writes=True),
}
