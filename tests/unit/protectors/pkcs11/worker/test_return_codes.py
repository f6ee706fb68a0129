import pkcs11.exceptions as ck
import pytest

from vaultcore.protectors.pkcs11.messages import Category
from vaultcore.protectors.pkcs11.worker.return_codes import from_code


@pytest.mark.parametrize(
    ("code", "category"),
    [
        (ck.PinIncorrect, "pin"),
        (ck.PinLocked, "pin"),
        (ck.MechanismInvalid, "algorithm"),
        (ck.TemplateInconsistent, "algorithm"),
        (ck.TokenWriteProtected, "configuration"),
        (ck.DeviceError, "unavailable"),
        (ck.SessionHandleInvalid, "unavailable"),
        (ck.GeneralError, "unavailable"),
        (ck.PKCS11Error, "unavailable"),
    ],
)
def test_a_code_is_a_sort_of_failure(code: type[ck.PKCS11Error], category: Category) -> None:
    refusal = from_code(code("CANARY of the module"), "signing")
    assert refusal.category == category
    assert refusal.text.startswith("signing: ")
    assert code.__name__ in refusal.text
    assert "CANARY" not in refusal.text, "a module may quote what it was given"
