import pytest

from vaultcore.errors import ProtectorError, ProtectorUnavailableError
from vaultcore.protectors.protector import AbsentProtector, Protector


@pytest.mark.parametrize("kind", [ProtectorError, ProtectorUnavailableError])
def test_an_absent_protector_says_why_when_it_is_asked(kind: type[ProtectorError]) -> None:
    absent = AbsentProtector("spare", "file", kind("the key file is absent"))
    assert isinstance(absent, Protector)
    assert absent.describe() == {
        "name": "spare",
        "kind": "file",
        "absent": "the key file is absent",
    }
    for use in (absent.wrap, absent.unwrap):
        with pytest.raises(kind, match="the key file is absent"):
            use(bytes(32))
    absent.close()
