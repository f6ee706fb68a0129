import pytest

from vaultcore.errors import ProtectorUnavailableError
from vaultcore.protectors.hsm import AbsentHsm, Hsm


def test_an_absent_hsm_refuses_every_call() -> None:
    absent: Hsm = AbsentHsm()
    assert not absent.available
    for use in (
        absent.check,
        absent.revive,
        lambda: absent.generate("RSA", size=2048, curve=None, label="key"),
        lambda: absent.import_key({}, label="key"),
        lambda: absent.sign("reference", "RS256", bytes(32)),
        lambda: absent.decrypt("reference", "RSA-OAEP", bytes(256)),
        lambda: absent.offers("reference", "RSA-OAEP"),
        lambda: absent.destroy("reference"),
    ):
        with pytest.raises(ProtectorUnavailableError, match="open the vault with its pkcs11"):
            use()
