"""Protectors: what keeps the outermost keys of a vault where its database is not."""

from vaultcore.protectors.file import FileProtector
from vaultcore.protectors.hsm_keys import HsmKey, HsmKeys
from vaultcore.protectors.pkcs11 import Pkcs11Protector
from vaultcore.protectors.protector import Protector
from vaultcore.protectors.softhsm import SoftToken
from vaultcore.protectors.token import Token

__all__ = [
    "FileProtector",
    "HsmKey",
    "HsmKeys",
    "Pkcs11Protector",
    "Protector",
    "SoftToken",
    "Token",
]
