"""Every kind of error has its exit status and its one line."""

import pytest

from vaultcore import errors
from vaultcore.cli.outcome import CommandError, UnreachableError, exit_status, explain


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (CommandError("wrong"), 2),
        (CommandError("no such application", status=3), 3),
        (errors.BadParameterError("x"), 1),
        (errors.UnauthorizedError("x"), 4),
        (errors.ForbiddenError("x", inner="ForbiddenByFirewall"), 4),
        (errors.NotFoundError("x"), 3),
        (errors.ConflictError("x"), 5),
        (errors.ThrottledError("x"), 6),
        (errors.UnavailableError("x"), 6),
        (errors.InternalError("x"), 1),
        (errors.ProtectorUnavailableError("x"), 6),
        (errors.ProtectorError("x"), 1),
        (errors.TamperedError("x"), 7),
        (errors.DecryptionError(), 7),
        (errors.StorageError("x"), 1),
        (errors.ConfigurationError("x"), 1),
        (UnreachableError("x"), 6),
    ],
)
def test_exit_statuses(error: Exception, status: int) -> None:
    assert exit_status(error) == status


def test_a_refusal_shows_its_codes() -> None:
    refused = errors.ForbiddenError("not from there", inner="ForbiddenByFirewall")
    assert explain(refused) == "not from there (Forbidden, ForbiddenByFirewall)"
    assert explain(errors.NotFoundError("gone", code="SecretNotFound")) == "gone (SecretNotFound)"
