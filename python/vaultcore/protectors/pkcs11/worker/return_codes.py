"""The meaning of PKCS#11 return codes. Worker side."""

from typing import Final

import pkcs11.exceptions as ck

from vaultcore.protectors.pkcs11.messages import Category

#: Codes that concern the PIN.
_PIN: Final = (
    ck.PinExpired,
    ck.PinIncorrect,
    ck.PinInvalid,
    ck.PinLenRange,
    ck.PinLocked,
    ck.PinTooWeak,
    ck.UserPinNotInitialized,
)
#: Codes of a token that does not support the request.
_ALGORITHM: Final = (
    ck.ArgumentsBad,
    ck.AttributeTypeInvalid,
    ck.AttributeValueInvalid,
    ck.DataInvalid,
    ck.DataLenRange,
    ck.DomainParamsInvalid,
    ck.FunctionNotSupported,
    ck.KeySizeRange,
    ck.KeyTypeInconsistent,
    ck.MechanismInvalid,
    ck.MechanismParamInvalid,
    ck.TemplateIncomplete,
    ck.TemplateInconsistent,
)
#: Codes of a token that does not allow the request.
_CONFIGURATION: Final = (ck.SessionReadOnly, ck.TokenWriteProtected)


class RefusalError(Exception):
    """A request that fails for a known reason.

    Args:
        category: the category of the failure.
        text: what happened and what to do; contains no secret.
    """

    def __init__(self, category: Category, text: str) -> None:
        super().__init__(text)
        self.category: Category = category
        self.text = text


def from_code(error: ck.PKCS11Error, doing: str) -> RefusalError:
    """Returns the refusal for a return code of the module.

    Every code that is not listed counts as a fault of the device: the worker is then replaced and
    the token opened again, which is the one remedy that works for all modules.

    Args:
        error: what python-pkcs11 raised.
        doing: the beginning of the message, for example "signing".
    """
    name = type(error).__name__
    if isinstance(error, _PIN):
        return RefusalError("pin", f"{doing}: the token refused the PIN ({name})")
    if isinstance(error, _ALGORITHM):
        return RefusalError("algorithm", f"{doing}: the token does not offer this ({name})")
    if isinstance(error, _CONFIGURATION):
        return RefusalError("configuration", f"{doing}: the token does not allow this ({name})")
    return RefusalError("unavailable", f"{doing}: the token failed ({name})")
