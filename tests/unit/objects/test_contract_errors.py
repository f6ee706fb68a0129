"""Errors of the core and of the HSM in the words of the contract."""

import pytest

from vaultcore.errors import (
    AlgorithmError,
    BadParameterError,
    DecryptionError,
    KeyFormatError,
    ProtectorError,
    ProtectorUnavailableError,
    StorageError,
    UnavailableError,
    UsageError,
    VaultError,
)
from vaultcore.objects.contract_errors import contract_errors

CASES: list[tuple[Exception, type[VaultError], str]] = [
    (AlgorithmError("canary"), BadParameterError, "Property alg or value is invalid: canary"),
    (KeyFormatError("canary"), BadParameterError, "Property alg or value is invalid: canary"),
    (UsageError("canary"), BadParameterError, "Property alg or value is invalid: canary"),
    (DecryptionError("canary"), BadParameterError, "The parameter is incorrect."),
    (ProtectorError("canary"), UnavailableError, "canary"),
    (ProtectorUnavailableError("canary"), UnavailableError, "canary"),
]


@pytest.mark.parametrize("case", range(len(CASES)))
def test_each_has_its_refusal_and_no_cause(case: int) -> None:
    failure, kind, message = CASES[case]
    with pytest.raises(VaultError) as refused, contract_errors():
        raise failure
    assert type(refused.value) is kind
    assert refused.value.message == message
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


def test_an_hsm_is_not_described_to_callers_over_the_network() -> None:
    with pytest.raises(UnavailableError) as refused, contract_errors():
        raise ProtectorError("the token `name` at /srv")
    assert "/srv" not in refused.value.public


def test_other_failures_pass() -> None:
    with pytest.raises(StorageError), contract_errors():
        raise StorageError("the disk")
    with contract_errors():
        pass
