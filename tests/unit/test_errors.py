"""Every exception of the package, and what is said of it to whoever asked."""

import pytest

from vaultcore import errors
from vaultcore.errors import (
    AuditError,
    BadParameterError,
    InternalError,
    ObjectNotFoundError,
    ProtectorError,
    StorageError,
    TamperedError,
    UnavailableError,
    UsageError,
    VaultcoreError,
    VaultError,
    as_refusal,
)

CLASSES = [
    found for found in vars(errors).values() if isinstance(found, type) and found is not type
]


def test_all_are_in_one_tree_and_named_as_errors() -> None:
    assert len(CLASSES) > 20
    for found in CLASSES:
        assert issubclass(found, VaultcoreError)
        assert found.__name__.endswith("Error")


def test_a_refusal_has_the_code_of_its_class_unless_another_is_given() -> None:
    refused = BadParameterError("x")
    assert (refused.status, refused.code, refused.inner_code) == (400, "BadParameter", None)
    other = BadParameterError("x", code="VaultNameNotValid", inner="y")
    assert (other.code, other.inner_code) == ("VaultNameNotValid", "y")


@pytest.mark.parametrize("kind", [InternalError, UnavailableError])
def test_what_failed_here_is_told_to_others_in_general_words(kind: type[VaultError]) -> None:
    failed = kind("/var/lib/vault cannot be read")
    assert failed.message == "/var/lib/vault cannot be read"
    assert "/var" not in failed.public
    assert BadParameterError("the name").public == "the name"
    assert kind("x", public="y").public == "y"


def test_a_missing_object_is_named_as_the_caller_wrote_it() -> None:
    missing = ObjectNotFoundError("no secret {} here", code="SecretNotFound", name="DB")
    assert missing.message == "no secret DB here"
    spelled = missing.spelled("db")
    assert (spelled.message, spelled.code) == ("no secret db here", "SecretNotFound")


@pytest.mark.parametrize(
    ("failure", "kind", "message"),
    [
        (AuditError("no space"), UnavailableError, "no space"),
        (TamperedError("row 7"), InternalError, "row 7"),
        (StorageError("the disk is full"), UnavailableError, "the disk is full"),
        (ProtectorError("no key file"), UnavailableError, "no key file"),
        (UsageError("wrong"), InternalError, "UsageError"),
        (ValueError("canary"), InternalError, "ValueError"),
        (KeyboardInterrupt(), InternalError, "KeyboardInterrupt"),
    ],
)
def test_any_failure_becomes_a_refusal(
    failure: BaseException, kind: type[VaultError], message: str
) -> None:
    refused = as_refusal(failure)
    assert type(refused) is kind
    assert message in refused.message
    assert "canary" not in refused.message
    for told in ("no space", "row 7", "disk", "key file"):
        assert told not in refused.public


def test_a_refusal_stays_what_it_is() -> None:
    refused = BadParameterError("x")
    assert as_refusal(refused) is refused
