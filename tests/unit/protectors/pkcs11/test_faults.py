from typing import get_args

import pytest

from vaultcore.errors import (
    AlgorithmError,
    DecryptionError,
    KeyFormatError,
    ProtectorError,
    ProtectorUnavailableError,
)
from vaultcore.protectors.pkcs11.faults import exception_of
from vaultcore.protectors.pkcs11.messages import Category, Failed

RAISED = {
    "algorithm": AlgorithmError,
    "unavailable": ProtectorUnavailableError,
    "changed": ProtectorError,
    "configuration": ProtectorError,
    "decryption": DecryptionError,
    "format": KeyFormatError,
    "key": ProtectorError,
    "pin": ProtectorError,
}


@pytest.mark.parametrize("category", get_args(Category))
def test_every_sort_of_failure_has_its_exception(category: Category) -> None:
    raised = exception_of(Failed(category=category, text="what happened"))
    assert type(raised) is RAISED[category]
    assert "what happened" in str(raised)
